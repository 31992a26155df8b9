package fleet_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority has made a certificate for nodes, good for both ends of a connection.
type authority struct{ ca, cert, key string } // files

func newAuthority(t *testing.T) authority {
	t.Helper()
	dir := t.TempDir()
	keep := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	sign := func(of, by *x509.Certificate, key, with *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, of, by, &key.PublicKey, with)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootKey, nodeKey := newKey(), newKey()
	node := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "a node"}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"ringfleet-node"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	private, err := x509.MarshalPKCS8PrivateKey(nodeKey)
	if err != nil {
		t.Fatal(err)
	}
	return authority{
		ca:   keep("ca.pem", "CERTIFICATE", sign(root, root, rootKey, rootKey)),
		cert: keep("node.pem", "CERTIFICATE", sign(node, root, nodeKey, rootKey)),
		key:  keep("node-key.pem", "PRIVATE KEY", private),
	}
}

// args returns the flags of a node that has the certificate.
func (a authority) args() []string {
	return []string{"--peer-cert-file", a.cert, "--peer-key-file", a.key, "--peer-ca-file", a.ca}
}
