package ringfleet_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/invitation"
)

// certFiles are the files of a certificate that signs itself.
type certFiles struct {
	t         *testing.T
	cert, key string
	serial    int64
}

func newCertFiles(t *testing.T) *certFiles {
	t.Helper()
	dir := t.TempDir()
	f := &certFiles{t: t, cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	f.write(time.Hour)
	return f
}

// write writes a new certificate that ends after a time, and returns who believes it.
func (f *certFiles) write(ends time.Duration) *x509.CertPool {
	f.t.Helper()
	f.serial++
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(f.serial), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(ends),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		f.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		f.t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := errors.Join(
		os.WriteFile(f.cert, cert, 0o600),
		os.WriteFile(f.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600),
	); err != nil {
		f.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}

func startTLS(t *testing.T, c ringfleet.ClientTLS) *ringfleet.Node {
	t.Helper()
	node, err := ringfleet.Start(ringfleet.Config{
		ClientAddress: "127.0.0.1:0", ClientTLS: &c, Gateway: gateway.Config{Authenticator: auth.Development{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := node.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return node
}

func phone(ctx context.Context, t *testing.T, node *ringfleet.Node, user invitation.User, roots *x509.CertPool) (*client.Client, error) {
	t.Helper()
	carrier := &client.WebSocket{
		URLs: []string{"wss://" + node.ClientAddress().String()}, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
	c, err := client.Dial(ctx, carrier, client.Options{User: user})
	if err == nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

// TestClientTLS makes a call over TLS, and changes the certificate meanwhile: connections that stand stay, new ones
// are shown the new one. A file that is spoilt, or a certificate that has ended, is not taken.
func TestClientTLS(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	files := newCertFiles(t)
	older := files.write(time.Hour)
	node := startTLS(t, ringfleet.ClientTLS{Cert: files.cert, Key: files.key})
	alice, err := phone(ctx, t, node, "alice", older)
	if err != nil {
		t.Fatal(err)
	}
	newer := files.write(2 * time.Hour)
	if err := node.Reload(); err != nil {
		t.Fatal(err)
	}
	bob, err := phone(ctx, t, node, "bob", newer)
	if err != nil {
		t.Fatal(err)
	}
	bob.OnRemoteInvitation(func(r *client.RemoteInvitation) { _ = r.Accept(ctx, "yes") }) // the call's end tells
	call := alice.NewLocalInvitation("bob")
	if err := errors.Join(call.Send(ctx), call.Wait(ctx)); err != nil || call.State() != invitation.LocalAcceptedByRemote {
		t.Errorf("the call: %v, %v", call.State(), err)
	}
	shown := func() int64 {
		t.Helper()
		d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // looks at the certificate only
		c, err := d.DialContext(ctx, "tcp", node.ClientAddress().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	was := shown()
	files.write(-time.Hour)
	if err := node.Reload(); err == nil || shown() != was {
		t.Errorf("a certificate that has ended: %v, number %d is shown, want %d", err, shown(), was)
	}
	if err := os.WriteFile(files.key, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := node.Reload(); err == nil || shown() != was {
		t.Errorf("no key: %v, number %d is shown, want %d", err, shown(), was)
	}
	if metrics, err := node.Registry().Gather(); err != nil {
		t.Error(err)
	} else {
		for _, m := range metrics {
			if m.GetName() == "ringfleet_client_certificate_not_after_seconds" && m.GetMetric()[0].GetGauge().GetValue() < float64(time.Now().Add(time.Hour).Unix()) {
				t.Errorf("the metric says %v", m)
			}
		}
	}
}

// TestAPICertificate changes the certificate of the API: the next connection is shown the new one, and speaks HTTP/2.
func TestAPICertificate(t *testing.T) {
	files := newCertFiles(t)
	config := ringfleet.Config{
		Gateway: gateway.Config{Authenticator: auth.Development{}},
		API:     &ringfleet.APIConfig{Address: "127.0.0.1:0", CertFile: files.cert, KeyFile: files.cert},
	}
	if node, err := ringfleet.Start(config); err == nil {
		t.Error("a node starts with a certificate for a key:", node.Shutdown(t.Context()))
	}
	config.API.KeyFile = files.key
	node, err := ringfleet.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = node.Shutdown(context.Background()) })
	for want := int64(1); want <= 2; want++ {
		d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}} //nolint:gosec // looks at the certificate only
		c, err := d.DialContext(t.Context(), "tcp", node.APIAddress().String())
		if err != nil {
			t.Fatal(err)
		}
		state := c.(*tls.Conn).ConnectionState()
		c.Close()
		if got := state.PeerCertificates[0].SerialNumber.Int64(); got != want || state.NegotiatedProtocol != "h2" {
			t.Errorf("certificate %d is shown and %q spoken, want %d and h2", got, state.NegotiatedProtocol, want)
		}
		files.write(time.Hour)
		if err := node.Reload(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestClientTLSVersions refuses what is too old, and what is no TLS.
func TestClientTLSVersions(t *testing.T) {
	files := newCertFiles(t)
	roots := files.write(time.Hour)
	dial := func(node *ringfleet.Node, lowest, highest uint16) error {
		d := tls.Dialer{Config: &tls.Config{RootCAs: roots, MinVersion: lowest, MaxVersion: highest}}
		c, err := d.DialContext(t.Context(), "tcp", node.ClientAddress().String())
		if err == nil {
			c.Close()
		}
		return err
	}
	usual := startTLS(t, ringfleet.ClientTLS{Cert: files.cert, Key: files.key})
	strict := startTLS(t, ringfleet.ClientTLS{Cert: files.cert, Key: files.key, MinVersion: tls.VersionTLS13})
	for name, tt := range map[string]struct {
		node *ringfleet.Node
		max  uint16
		ok   bool
	}{
		"1.1 by default":         {usual, tls.VersionTLS11, false},
		"1.2 by default":         {usual, tls.VersionTLS12, true},
		"1.3 by default":         {usual, tls.VersionTLS13, true},
		"1.2 where 1.3 is asked": {strict, tls.VersionTLS12, false},
		"1.3 where 1.3 is asked": {strict, tls.VersionTLS13, true},
	} {
		if err := dial(tt.node, tls.VersionTLS10, tt.max); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	answer, err := http.Get("http://" + usual.ClientAddress().String() + gateway.Path) //nolint:noctx // a test's own node
	if err == nil {
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusBadRequest {
			t.Errorf("plain HTTP is answered with %s", answer.Status)
		}
	}
	for _, wrong := range []ringfleet.ClientTLS{
		{}, {Cert: files.cert}, {Cert: files.cert, Key: "no-such-file"}, {Cert: files.cert, Key: files.key, MinVersion: tls.VersionTLS11},
	} {
		if err := wrong.Check(); err == nil {
			t.Errorf("%+v is taken", wrong)
		}
	}
}

// TestSlowHandshake opens connections that say nothing, or half a handshake: they are closed after HeaderTimeout.
func TestSlowHandshake(t *testing.T) {
	files := newCertFiles(t)
	node := startTLS(t, ringfleet.ClientTLS{Cert: files.cert, Key: files.key})
	for name, first := range map[string][]byte{"silent": nil, "half a hello": {0x16, 0x03, 0x01, 0x02, 0x00, 0x01}} {
		c, err := net.Dial("tcp", node.ClientAddress().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write(first); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := c.SetReadDeadline(began.Add(4 * gateway.HeaderTimeout)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection stands after %v", name, time.Since(began))
		}
	}
}
