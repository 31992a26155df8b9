package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/loadtest/scrape"
)

// tokenOptions are the flags about what users log in with.
type tokenOptions struct {
	token    string
	file     string
	keyFile  string
	audience string
	issuer   string
	keyID    string
	lifetime time.Duration
	metrics  string // file

	method jwt.SigningMethod // nil: no key
	key    any
}

func (t *tokenOptions) register(f *flag.FlagSet) {
	f.StringVar(&t.token, "token", "", "the `token` of every user, for nodes whose authenticator takes one for all; others on this machine can see it")
	f.StringVar(&t.file, "token-file", "", "`file` with such a token, read for each login")
	f.StringVar(&t.keyFile, "jwt-key-file", "", "PEM `file` of a private key (Ed25519, P-256, RSA), or with an HS256 secret: each user's tokens are signed with it")
	f.StringVar(&t.audience, "jwt-audience", "", "the aud of these tokens")
	f.StringVar(&t.issuer, "jwt-issuer", "", "the iss of these tokens")
	f.StringVar(&t.keyID, "jwt-key-id", "", "the kid of these tokens")
	f.DurationVar(&t.lifetime, "jwt-lifetime", time.Hour, "the lifetime of these tokens; connections that last longer get new ones")
	f.StringVar(&t.metrics, "metrics-token-file", "", "`file` with the token for --metrics")
}

// minLifetime is what a token needs to be brought before it expires.
const minLifetime = 5 * time.Second

// complete reads the key, and returns what is wrong.
func (t *tokenOptions) complete() error {
	given := count(t.token != "", t.file != "", t.keyFile != "")
	switch {
	case given > 1:
		return errors.New("want one of --token, --token-file and --jwt-key-file")
	case t.keyFile == "" && t.audience+t.issuer+t.keyID != "":
		return errors.New("--jwt-audience, --jwt-issuer and --jwt-key-id are of no use without --jwt-key-file")
	case t.lifetime < minLifetime:
		return fmt.Errorf("--jwt-lifetime %v: want %v or more", t.lifetime, minLifetime)
	case t.file != "":
		_, err := scrape.ReadToken(t.file)
		return err
	case t.keyFile == "":
		return nil
	}
	text, err := os.ReadFile(t.keyFile)
	if err == nil {
		err = t.parseKey(text)
	}
	if err != nil {
		return fmt.Errorf("--jwt-key-file: %w", err)
	}
	return nil
}

// parseKey chooses the algorithm by the kind of the key.
func (t *tokenOptions) parseKey(text []byte) error {
	block, _ := pem.Decode(text)
	if block == nil {
		t.method, t.key = jwt.SigningMethodHS256, bytes.TrimRight(text, "\r\n")
		return nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("want a PEM block PRIVATE KEY, as openssl genpkey writes it: %w", err)
	}
	switch key := key.(type) {
	case ed25519.PrivateKey:
		t.method, t.key = jwt.SigningMethodEdDSA, key
	case *ecdsa.PrivateKey:
		t.method, t.key = jwt.SigningMethodES256, key
	case *rsa.PrivateKey:
		t.method, t.key = jwt.SigningMethodRS256, key
	default:
		return fmt.Errorf("a key of type %T: want Ed25519, P-256 or RSA", key)
	}
	return nil
}

// public returns what checks the tokens: a public key, or the secret; nil without a key.
func (t *tokenOptions) public() any {
	if private, ok := t.key.(crypto.Signer); ok {
		return private.Public()
	}
	return t.key
}

// source returns what gives a user its token; nil: users need none.
func (t *tokenOptions) source() func(context.Context, invitation.User) (string, error) {
	switch {
	case t.token != "":
		return func(context.Context, invitation.User) (string, error) { return t.token, nil }
	case t.file != "":
		return func(context.Context, invitation.User) (string, error) { return scrape.ReadToken(t.file) }
	case t.method != nil:
		return t.sign
	}
	return nil
}

// sign makes a user's token.
func (t *tokenOptions) sign(_ context.Context, user invitation.User) (string, error) {
	now := time.Now()
	claims := jwt.RegisteredClaims{
		Subject: string(user), Issuer: t.issuer, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(t.lifetime)),
	}
	if t.audience != "" {
		claims.Audience = jwt.ClaimStrings{t.audience}
	}
	token := jwt.NewWithClaims(t.method, claims)
	if t.keyID != "" {
		token.Header["kid"] = t.keyID
	}
	return token.SignedString(t.key)
}
