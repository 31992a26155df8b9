package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// The sizes below which a key is refused.
const (
	MinSecretBytes = 32    // HS256: as long as its hash, RFC 7518 §3.2
	MinRSABits     = 2_048 // RS256, RFC 7518 §3.3
)

// Key verifies the signatures of tokens. It carries its one algorithm: a token that names another
// is refused, whatever it is signed with, so that a public key is never taken for an HMAC secret.
type Key struct {
	id        string
	algorithm string // one of algorithms
	material  any    // []byte, ed25519.PublicKey, *ecdsa.PublicKey or *rsa.PublicKey
}

// algorithms are all that are believed; a key has one of them.
var algorithms = []string{"HS256", "EdDSA", "ES256", "RS256"}

// SecretKey returns a key for HS256, of at least [MinSecretBytes] random bytes, which are copied.
func SecretKey(secret []byte) (Key, error) {
	if len(secret) < MinSecretBytes {
		return Key{}, fmt.Errorf("auth: a secret of %d bytes is too short for HS256: want %d random bytes or more",
			len(secret), MinSecretBytes)
	}
	return Key{algorithm: "HS256", material: append([]byte(nil), secret...)}, nil
}

// PublicKey returns a key for EdDSA (an ed25519.PublicKey), ES256 (an *ecdsa.PublicKey on P-256) or RS256 (an
// *rsa.PublicKey).
func PublicKey(key any) (Key, error) {
	switch key := key.(type) {
	case ed25519.PublicKey:
		if len(key) != ed25519.PublicKeySize {
			return Key{}, fmt.Errorf("auth: an Ed25519 public key of %d bytes: want %d", len(key), ed25519.PublicKeySize)
		}
		return Key{algorithm: "EdDSA", material: key}, nil
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return Key{}, errors.New("auth: an elliptic curve key for ES256 is on P-256")
		}
		return Key{algorithm: "ES256", material: key}, nil
	case *rsa.PublicKey:
		if key.N == nil || key.N.BitLen() < MinRSABits {
			return Key{}, fmt.Errorf("auth: an RSA key for RS256 needs %d bits or more", MinRSABits)
		}
		return Key{algorithm: "RS256", material: key}, nil
	}
	return Key{}, fmt.Errorf("auth: a key of type %T: want an Ed25519, P-256 or RSA public key", key)
}

// ParsePublicKey reads a PEM block "PUBLIC KEY" (PKIX), as `openssl pkey -pubout` writes it, with an
// Ed25519, P-256 or RSA key. A private key is refused, as it has no business on a verifying machine.
func ParsePublicKey(text []byte) (Key, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return Key{}, errors.New("auth: no PEM block found: want -----BEGIN PUBLIC KEY-----")
	}
	if block.Type != "PUBLIC KEY" {
		return Key{}, fmt.Errorf("auth: a PEM block of type %q: want PUBLIC KEY (openssl pkey -pubout)", block.Type)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return Key{}, fmt.Errorf("auth: parse the public key: %w", err)
	}
	return PublicKey(key)
}

// WithID returns the key with a key id. A token whose header names a kid is then checked against
// the keys of that id, and those without one, only.
func (k Key) WithID(id string) Key {
	k.id = id
	return k
}

// Algorithm returns HS256, EdDSA, ES256 or RS256; "" for the zero Key.
func (k Key) Algorithm() string { return k.algorithm }
