package auth_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ringfleet/ringfleet/gateway/auth"
)

// FuzzToken: whatever comes as a token, only one that was signed is taken, and none does harm.
func FuzzToken(f *testing.F) {
	public, private, err := ed25519.GenerateKey(strings.NewReader(strings.Repeat("seed of a fuzz target", 2)))
	if err != nil {
		f.Fatal(err)
	}
	edwards, err := auth.PublicKey(public)
	if err != nil {
		f.Fatal(err)
	}
	shared, err := auth.SecretKey(secret)
	if err != nil {
		f.Fatal(err)
	}
	j, err := auth.NewJWT(auth.JWTConfig{Keys: []auth.Key{edwards, shared}, Audience: "ringfleet"})
	if err != nil {
		f.Fatal(err)
	}
	claims := jwt.MapClaims{"sub": "alice", "aud": "ringfleet", "exp": 4_102_444_800}
	good, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims).SignedString(private)
	if err != nil {
		f.Fatal(err)
	}
	if who, err := j.Authenticate(f.Context(), auth.Request{Token: good}); err != nil || who.User != "alice" {
		f.Fatalf("a good token is refused: %v", err)
	}
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	f.Add("")
	f.Add("a.b.c")
	f.Add(part(`{"alg":"none"}`) + "." + part(`{"sub":"alice","aud":"ringfleet","exp":4102444800}`) + ".")
	f.Add(part(`{"alg":"HS256"}`) + "." + part(`{"sub":"alice","aud":["ringfleet"],"exp":1e99}`) + "." + part("0123456789abcdef0123456789abcdef"))
	f.Add(part(`{"alg":"EdDSA","crit":["x"],"kid":7}`) + "." + part(`{"sub":7}`) + "." + part(strings.Repeat("s", 64)))
	f.Add(good[:len(good)-4])
	f.Fuzz(func(t *testing.T, token string) {
		if sameToken(token, good) {
			return
		}
		if who, err := j.Authenticate(t.Context(), auth.Request{Token: token}); err == nil {
			t.Errorf("%q is taken as %q", token, who.User)
		}
	})
}

// sameToken reports whether two tokens are the same bytes: base64 has some ways to write them.
func sameToken(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		p, err := base64.RawURLEncoding.DecodeString(x[i])
		q, _ := base64.RawURLEncoding.DecodeString(y[i]) // one of ours
		if err != nil || string(p) != string(q) {
			return false
		}
	}
	return true
}
