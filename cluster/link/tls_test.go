package link_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/link"
)

// authority makes certificates.
type authority struct {
	t    testing.TB
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	next int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// issue returns the files of a certificate for a name, good until a time.
func (a *authority) issue(file, name string, until time.Time, usages ...x509.ExtKeyUsage) *link.TLS {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.next++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1 + a.next), DNSNames: []string{name}, NotAfter: until, ExtKeyUsage: usages,
		NotBefore: until.Add(-2 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return &link.TLS{
		Cert: a.write(file+".pem", "CERTIFICATE", der), Key: a.write(file+"-key.pem", "PRIVATE KEY", private),
		CA: filepath.Join(a.dir, "ca.pem"),
	}
}

var both = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}

func (a *authority) node(file string) *link.TLS {
	return a.issue(file, "ringfleet-node", time.Now().Add(time.Hour), both...)
}

func withTLS(c *link.TLS) func(*link.StreamConfig) {
	return func(s *link.StreamConfig) { s.TLS = c }
}

// TestTLS: nodes of one authority talk; whoever has no certificate, one of another authority, or one
// that is not a node's is refused, in both directions.
func TestTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	a, b := open(t, "a", 1, withTLS(ours.node("a"))), open(t, "b", 2, withTLS(ours.node("b")))
	meet(a, b)
	sendAll(t, a, b.member, "hello")
	sendAll(t, b, a.member, strings.Repeat("x", 200_000))
	eventually(t, "arrived", func() bool { return len(b.received()) == 1 && len(a.received()) == 1 })
	if got := a.received()[0]; got != "b:"+strings.Repeat("x", 200_000) || !slices.Equal(b.received(), []string{"a:hello"}) {
		t.Error("what has arrived is not what was sent")
	}
	for name, config := range map[string]*link.TLS{
		"plain": nil, "another authority": theirs.node("x"),
	} {
		x := open(t, "x", 3, withTLS(config))
		refused, broken := b.Stats().Refused, x.Stats().Broken
		x.SetPeers([]cluster.Member{b.member})
		eventually(t, "refused: "+name, func() bool { return b.Stats().Refused > refused && x.Stats().Broken > broken })
		refused = x.Stats().Refused
		b.SetPeers([]cluster.Member{a.member, x.member})
		eventually(t, "not sent to: "+name, func() bool { return x.Stats().Refused > refused })
		if b.Stats().Connected != 1 || x.Stats().Connected != 0 {
			t.Errorf("%s: connected", name)
		}
		b.SetPeers([]cluster.Member{a.member})
	}
	// A certificate of the authority that is not a node's cannot be configured, but others can have one.
	client := ours.issue("client", "somebody", time.Now().Add(time.Hour), both...)
	pair, err := tls.LoadX509KeyPair(client.Cert, client.Key)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", b.member.Peer, &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true})
	if err == nil { // with TLS 1.3 the client is done before the server has looked at its certificate
		defer conn.Close()
		_, _ = conn.Write([]byte("ringpeer"))
	}
	// The others of above may still be trying, so it is the log that tells who was refused.
	eventually(t, "somebody is refused", func() bool { return strings.Contains(b.logged(), "somebody") })
}

// TestTLSFiles: files that cannot work are refused at the start, with the reason.
func TestTLSFiles(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	hour := time.Now().Add(time.Hour)
	foreign := ours.node("foreign")
	foreign.CA = filepath.Join(theirs.dir, "ca.pem")
	wrongKey := ours.node("wrong")
	wrongKey.Key = ours.node("other").Key
	noCA := ours.node("noca")
	noCA.CA = noCA.Key
	for name, c := range map[string]struct {
		files *link.TLS
		want  string
	}{
		"another name":      {ours.issue("name", "somebody", hour, both...), "ringfleet-node"},
		"another authority": {foreign, "authorit"},
		"expired":           {ours.issue("expired", "ringfleet-node", time.Now().Add(-time.Minute), both...), "expired"},
		"not for clients":   {ours.issue("server", "ringfleet-node", hour, x509.ExtKeyUsageServerAuth), "usage"},
		"not for servers":   {ours.issue("user", "ringfleet-node", hour, x509.ExtKeyUsageClientAuth), "usage"},
		"another's key":     {wrongKey, "wrong.pem"},
		"no authority":      {noCA, "no certificate"},
	} {
		s, err := link.Listen(link.StreamConfig{Node: "a", Boot: 1, Listen: "127.0.0.1:0", TLS: c.files})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			s.Close()
		}
	}
}

// TestTLSRenewal: certificates and authorities are read again when the files change.
func TestTLSRenewal(t *testing.T) {
	ours, fresh := newAuthority(t), newAuthority(t)
	files := ours.node("a")
	a := open(t, "a", 1, withTLS(files))
	b := open(t, "b", 2, withTLS(fresh.node("b")))
	b.SetPeers([]cluster.Member{a.member})
	eventually(t, "refused", func() bool { return b.Stats().Broken > 0 })
	renewed := fresh.node("a")
	for from, to := range map[string]string{renewed.Cert: files.Cert, renewed.Key: files.Key, renewed.CA: files.CA} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(to, time.Time{}, time.Now().Add(time.Minute)); err != nil { // whatever the clock's resolution
			t.Fatal(err)
		}
	}
	eventually(t, "connected with what is in the files now", connected(b, 1))
}
