package auth_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ringfleet/ringfleet/gateway/auth"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

// sign returns a token of claims, made by the library.
func sign(t *testing.T, method jwt.SigningMethod, key any, claims jwt.MapClaims, header ...string) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	for i := 0; i < len(header); i += 2 {
		token.Header[header[i]] = header[i+1]
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func alice(expires time.Duration) jwt.MapClaims {
	return jwt.MapClaims{"sub": "alice", "exp": time.Now().Add(expires).Unix()}
}

func with(c jwt.MapClaims, name string, value any) jwt.MapClaims {
	if value == nil {
		delete(c, name)
	} else {
		c[name] = value
	}
	return c
}

type keys struct {
	secret, edwards, rsa auth.Key
	curve                auth.Key
	ecPrivate            *ecdsa.PrivateKey
	edPublic             ed25519.PublicKey
	edPrivate            ed25519.PrivateKey
	rsaPrivate           *rsa.PrivateKey
}

func newKeys(t *testing.T) keys {
	t.Helper()
	var k keys
	var err [4]error
	k.edPublic, k.edPrivate, err[0] = ed25519.GenerateKey(rand.Reader)
	k.rsaPrivate, err[1] = rsa.GenerateKey(rand.Reader, 2048)
	k.ecPrivate, err[2] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err := errors.Join(err[:]...); err != nil {
		t.Fatal(err)
	}
	k.secret, err[0] = auth.SecretKey(secret)
	k.edwards, err[1] = auth.PublicKey(k.edPublic)
	k.rsa, err[2] = auth.PublicKey(&k.rsaPrivate.PublicKey)
	k.curve, err[3] = auth.PublicKey(&k.ecPrivate.PublicKey)
	if err := errors.Join(err[:]...); err != nil {
		t.Fatal(err)
	}
	return k
}

func newJWT(t *testing.T, c auth.JWTConfig) *auth.JWT {
	t.Helper()
	j, err := auth.NewJWT(c)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestEachAlgorithmIsBelieved(t *testing.T) {
	k := newKeys(t)
	j := newJWT(t, auth.JWTConfig{Keys: []auth.Key{k.secret, k.edwards, k.rsa, k.curve}})
	for name, token := range map[string]string{
		"HS256": sign(t, jwt.SigningMethodHS256, secret, alice(time.Hour)),
		"EdDSA": sign(t, jwt.SigningMethodEdDSA, k.edPrivate, alice(time.Hour)),
		"ES256": sign(t, jwt.SigningMethodES256, k.ecPrivate, alice(time.Hour)),
		"RS256": sign(t, jwt.SigningMethodRS256, k.rsaPrivate, alice(time.Hour)),
	} {
		who, err := j.Authenticate(t.Context(), auth.Request{Token: token})
		if err != nil || who.User != "alice" {
			t.Errorf("%s: got %+v, %v", name, who, err)
		}
		if in := time.Until(who.Expires); in < 59*time.Minute || in > time.Hour+auth.DefaultLeeway {
			t.Errorf("%s: expires in %v, want an hour and the leeway", name, in)
		}
	}
}

// TestForgedTokens shows tokens that nobody may be let in with.
func TestForgedTokens(t *testing.T) {
	k := newKeys(t)
	edOnly := newJWT(t, auth.JWTConfig{Keys: []auth.Key{k.edwards}})
	strict := newJWT(t, auth.JWTConfig{Keys: []auth.Key{k.secret, k.rsa}, Issuer: "us", Audience: "calls"})
	named := newJWT(t, auth.JWTConfig{Keys: []auth.Key{k.secret.WithID("2026")}})
	ours := func() jwt.MapClaims { return with(with(alice(time.Hour), "iss", "us"), "aud", "calls") }
	good := sign(t, jwt.SigningMethodHS256, secret, ours())
	if _, err := strict.Authenticate(t.Context(), auth.Request{Token: good}); err != nil {
		t.Fatalf("the good token: %v", err)
	}
	pkix, err := x509.MarshalPKIXPublicKey(k.edPublic)
	if err != nil {
		t.Fatal(err)
	}
	part := strings.Split(good, ".")
	for name, c := range map[string]struct {
		j     *auth.JWT
		token string
		want  error
	}{
		"no token":             {strict, "", auth.ErrNoToken},
		"not a token":          {strict, "hello", auth.ErrBadToken},
		"alg none":             {strict, none(ours()), auth.ErrAlgorithm},
		"alg none, signed":     {strict, none(ours()) + part[2], auth.ErrAlgorithm},
		"another secret":       {strict, sign(t, jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), ours()), auth.ErrSignature},
		"public key as secret": {edOnly, sign(t, jwt.SigningMethodHS256, []byte(k.edPublic), alice(time.Hour)), auth.ErrAlgorithm},
		"public PEM as secret": {edOnly, sign(t, jwt.SigningMethodHS256, pkix, alice(time.Hour)), auth.ErrAlgorithm},
		"a longer hash":        {strict, sign(t, jwt.SigningMethodHS512, secret, ours()), auth.ErrAlgorithm},
		"RSA with another pad": {strict, sign(t, jwt.SigningMethodPS256, k.rsaPrivate, ours()), auth.ErrAlgorithm},
		"signature cut":        {strict, part[0] + "." + part[1] + ".", auth.ErrSignature},
		"claims exchanged":     {strict, part[0] + "." + encode(with(ours(), "sub", "eve")) + "." + part[2], auth.ErrSignature},
		"expired":              {strict, sign(t, jwt.SigningMethodHS256, secret, with(ours(), "exp", time.Now().Add(-time.Minute).Unix())), auth.ErrExpired},
		"expired and forged":   {edOnly, sign(t, jwt.SigningMethodHS256, secret, alice(-time.Minute)), auth.ErrAlgorithm},
		"no expiry":            {strict, sign(t, jwt.SigningMethodHS256, secret, with(ours(), "exp", nil)), auth.ErrClaims},
		"not yet valid":        {strict, sign(t, jwt.SigningMethodHS256, secret, with(ours(), "nbf", time.Now().Add(time.Minute).Unix())), auth.ErrNotYet},
		"no subject":           {strict, sign(t, jwt.SigningMethodHS256, secret, with(ours(), "sub", nil)), auth.ErrClaims},
		"subject not a user":   {strict, sign(t, jwt.SigningMethodHS256, secret, with(ours(), "sub", "a/b")), auth.ErrClaims},
		"another issuer":       {strict, sign(t, jwt.SigningMethodHS256, secret, with(ours(), "iss", "them")), auth.ErrIssuer},
		"no issuer":            {strict, sign(t, jwt.SigningMethodHS256, secret, with(ours(), "iss", nil)), auth.ErrClaims},
		"another audience":     {strict, sign(t, jwt.SigningMethodHS256, secret, with(ours(), "aud", "mail")), auth.ErrAudience},
		"critical header":      {strict, sign(t, jwt.SigningMethodHS256, secret, ours(), "crit", "b64"), auth.ErrBadToken},
		"another key id":       {named, sign(t, jwt.SigningMethodHS256, secret, alice(time.Hour), "kid", "2025"), auth.ErrNoKey},
	} {
		_, err := c.j.Authenticate(t.Context(), auth.Request{Token: c.token})
		if !errors.Is(err, c.want) || !errors.Is(auth.Refusal(err), c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	token := sign(t, jwt.SigningMethodHS256, secret, alice(time.Hour), "kid", "2026")
	if _, err := named.Authenticate(t.Context(), auth.Request{Token: token}); err != nil {
		t.Errorf("the right key id: %v", err)
	}
}

// none makes an unsigned token by hand.
func none(claims jwt.MapClaims) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encode(claims) + "."
}

func encode(claims jwt.MapClaims) string {
	text, _ := json.Marshal(claims)
	return base64.RawURLEncoding.EncodeToString(text)
}

// TestTokenByHand checks the library against RFC 7515 with a signature made without it.
func TestTokenByHand(t *testing.T) {
	k := newKeys(t)
	j := newJWT(t, auth.JWTConfig{Keys: []auth.Key{k.secret}})
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + encode(alice(time.Hour))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	token := signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	if who, err := j.Authenticate(t.Context(), auth.Request{Token: token}); err != nil || who.User != "alice" {
		t.Errorf("got %+v, %v", who, err)
	}
}

func TestLeeway(t *testing.T) {
	k := newKeys(t)
	synctest.Test(t, func(t *testing.T) {
		j := newJWT(t, auth.JWTConfig{Keys: []auth.Key{k.secret}, Leeway: 5 * time.Second})
		token := sign(t, jwt.SigningMethodHS256, secret, alice(time.Minute))
		time.Sleep(time.Minute + 4*time.Second)
		if _, err := j.Authenticate(t.Context(), auth.Request{Token: token}); err != nil {
			t.Errorf("4 s after expiry: %v", err)
		}
		time.Sleep(2 * time.Second)
		if _, err := j.Authenticate(t.Context(), auth.Request{Token: token}); !errors.Is(err, auth.ErrExpired) {
			t.Errorf("6 s after expiry: got %v", err)
		}
	})
}

func TestKeysThatAreRefused(t *testing.T) {
	k := newKeys(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	larger, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k.edPrivate)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"short secret":  func() error { _, err := auth.SecretKey(secret[:31]); return err },
		"weak RSA":      func() error { _, err := auth.PublicKey(&weak.PublicKey); return err },
		"another curve": func() error { _, err := auth.PublicKey(&larger.PublicKey); return err },
		"private key":   func() error { _, err := auth.PublicKey(k.edPrivate); return err },
		"no PEM":        func() error { _, err := auth.ParsePublicKey([]byte("x")); return err },
		"private PEM":   func() error { _, err := auth.ParsePublicKey(pemOf("PRIVATE KEY", private)); return err },
		"garbage PEM":   func() error { _, err := auth.ParsePublicKey(pemOf("PUBLIC KEY", []byte("x"))); return err },
		"no keys":       func() error { _, err := auth.NewJWT(auth.JWTConfig{}); return err },
		"an empty key":  func() error { _, err := auth.NewJWT(auth.JWTConfig{Keys: make([]auth.Key, 1)}); return err },
		"too many keys": func() error { _, err := auth.NewJWT(auth.JWTConfig{Keys: make([]auth.Key, 33)}); return err },
		"leeway < 0": func() error {
			_, err := auth.NewJWT(auth.JWTConfig{Keys: []auth.Key{k.secret}, Leeway: -1})
			return err
		},
	} {
		if f() == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestParsePublicKey(t *testing.T) {
	k := newKeys(t)
	for want, public := range map[string]any{"EdDSA": k.edPublic, "ES256": &k.ecPrivate.PublicKey, "RS256": &k.rsaPrivate.PublicKey} {
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		if key, err := auth.ParsePublicKey(pemOf("PUBLIC KEY", der)); err != nil || key.Algorithm() != want {
			t.Errorf("got %q, %v; want %s", key.Algorithm(), err, want)
		}
	}
}

func TestDevelopmentIsForThisMachine(t *testing.T) {
	for _, c := range []struct {
		request auth.Request
		ok      bool
	}{
		{auth.Request{User: "alice", Address: netip.MustParseAddr("127.0.0.1")}, true},
		{auth.Request{User: "alice", Address: netip.MustParseAddr("::1")}, true},
		{auth.Request{User: "alice", Address: netip.MustParseAddr("::ffff:127.0.0.1")}, true},
		{auth.Request{User: "alice"}, true}, // no IP: a pipe of this process
		{auth.Request{User: "alice", Address: netip.MustParseAddr("127.0.0.1"), Host: "localhost:8080"}, true},
		{auth.Request{User: "alice", Address: netip.MustParseAddr("::1"), Host: "[::1]"}, true},
		{auth.Request{User: "alice", Address: netip.MustParseAddr("127.0.0.1"), Host: "rebound.example:8080"}, false},
		{auth.Request{User: "alice", Address: netip.MustParseAddr("192.0.2.1")}, false},
		{auth.Request{User: "alice", Address: netip.MustParseAddr("127.0.0.1"), Forwarded: true}, false},
	} {
		who, err := auth.Development{}.Authenticate(t.Context(), c.request)
		if c.ok && (err != nil || who.User != "alice") || !c.ok && !errors.Is(err, auth.ErrNotLocal) {
			t.Errorf("%+v: got %+v, %v", c.request, who, err)
		}
	}
}

func TestCheckLoopback(t *testing.T) {
	for address, ok := range map[string]bool{
		"127.0.0.1:8080": true, "127.8.9.1:80": true, "[::1]:8080": true, "localhost:8080": true, "[::ffff:127.0.0.1]:1": true,
		":8080": false, "0.0.0.0:8080": false, "[::]:8080": false, "192.0.2.1:80": false, "example.com:80": false,
		"localhost.example.com:80": false, "127.0.0.1": false, "": false,
	} {
		if err := auth.CheckLoopback(address); (err == nil) != ok {
			t.Errorf("%q: got %v", address, err)
		}
	}
}
