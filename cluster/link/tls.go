package link

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// TLS is what nodes prove with that they belong together: each has a certificate of one authority for one
// name. The files are read again when they have changed, so certificates can be renewed while the node runs;
// connections that stand are not affected.
type TLS struct {
	// Cert and Key are this node's certificate, with the chain to the authority, and its key. PEM files. The
	// certificate must be good for both client and server.
	Cert, Key string
	// CA has the certificates of the authorities that are trusted. A PEM file.
	CA string
	// Name is the DNS name that is in the certificate of every node. The default value is
	// "ringfleet-node".
	Name string

	mu     sync.Mutex
	stamps [3]stamp // of the files, when material was read
	read   *material
}

// stamp tells versions of a file apart.
type stamp struct {
	modified time.Time
	size     int64
}

// material is what is in the files.
type material struct {
	cert  tls.Certificate
	roots *x509.CertPool
}

// Check returns what is wrong with the files, nil if they can be used; [Listen] looks as well. It sets Name, where it
// has its default value.
func (t *TLS) Check() error {
	if t.Name == "" {
		t.Name = "ringfleet-node"
	}
	m, err := t.load()
	if err != nil {
		return err
	}
	leaf := m.cert.Leaf
	if err := leaf.VerifyHostname(t.Name); err != nil {
		return fmt.Errorf("link: the certificate in %s: %w", t.Cert, err)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		chain := x509.NewCertPool()
		for _, der := range m.cert.Certificate[1:] {
			if c, err := x509.ParseCertificate(der); err == nil {
				chain.AddCert(c)
			}
		}
		options := x509.VerifyOptions{Roots: m.roots, Intermediates: chain, KeyUsages: []x509.ExtKeyUsage{usage}}
		if _, err := leaf.Verify(options); err != nil {
			return fmt.Errorf("link: the certificate in %s, by the authorities in %s: %w", t.Cert, t.CA, err)
		}
	}
	return nil
}

// load returns what is in the files, which it reads if they have changed.
func (t *TLS) load() (*material, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var stamps [3]stamp
	for i, name := range []string{t.Cert, t.Key, t.CA} {
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("link: TLS: %w", err)
		}
		stamps[i] = stamp{info.ModTime(), info.Size()}
	}
	if t.read != nil && stamps == t.stamps {
		return t.read, nil
	}
	cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("link: TLS: read %s and %s: %w", t.Cert, t.Key, err)
	}
	pem, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, fmt.Errorf("link: TLS: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("link: TLS: no certificate in %s", t.CA)
	}
	t.stamps, t.read = stamps, &material{cert, roots}
	return t.read, nil
}

// client returns the configuration of a connection to a peer.
func (t *TLS) client() (*tls.Config, error) {
	m, err := t.load()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: t.Name, RootCAs: m.roots, Certificates: []tls.Certificate{m.cert},
	}, nil
}

// server returns the configuration of a connection from a peer.
func (t *TLS) server() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		m, err := t.load()
		if err != nil {
			return nil, err
		}
		return &tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{m.cert},
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: m.roots, VerifyConnection: t.verify,
		}, nil
	}}
}

// verify checks that a client is a node: its authority may have made certificates for others, too.
func (t *TLS) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("link: no certificate")
	}
	if err := state.PeerCertificates[0].VerifyHostname(t.Name); err != nil {
		return fmt.Errorf("link: the peer's certificate: %w", err)
	}
	return nil
}
