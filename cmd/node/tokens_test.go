package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/ringfleet/ringfleet/internal/fleet"
	"github.com/ringfleet/ringfleet/invitation"
)

// pair is a pair of keys with an id.
type pair struct {
	t       *testing.T
	id      string
	public  ed25519.PublicKey
	private ed25519.PrivateKey
}

func newPair(t *testing.T, id string) pair {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pair{t, id, public, private}
}

// sign returns a token for alice, for a time.
func (p pair) sign(expires time.Duration) string {
	p.t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"sub": "alice", "exp": time.Now().Add(expires).Unix()})
	token.Header["kid"] = p.id
	text, err := token.SignedString(p.private)
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}

// TestKeyRotation has a node believe keys of a file and keys that an issuer publishes, and changes both while it runs.
func TestKeyRotation(t *testing.T) {
	filed, refiled, first, second, stranger := newPair(t, "f"), newPair(t, "g"), newPair(t, "1"), newPair(t, "2"), newPair(t, "3")
	var set atomic.Pointer[jose.JSONWebKeySet]
	set.Store(&jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{KeyID: "1", Key: first.public}}})
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(set.Load()); err != nil {
			t.Error(err)
		}
	}))
	defer issuer.Close()
	path := filepath.Join(t.TempDir(), "keys.pem")
	give := func(keys ...pair) {
		t.Helper()
		var text strings.Builder
		for _, k := range keys {
			text.WriteString(publicPEM(t, k.public))
		}
		if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	give(filed)
	p := start(t, "--auth", "jwt", "--token-public-keys", path, "--token-jwks-url", issuer.URL+"/keys")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	login := func(k pair, want error) {
		t.Helper()
		if _, _, err := p.phone(ctx, "alice", k.sign(time.Hour)); !errors.Is(err, want) {
			t.Errorf("a token of key %s: %v, want %v; %s", k.id, err, want, p.stderr.String())
		}
	}
	login(filed, nil)
	login(first, nil)
	login(stranger, invitation.EndUnauthorized)
	set.Store(&jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{KeyID: "2", Key: second.public}}})
	login(second, nil)
	login(first, invitation.EndUnauthorized)
	give(refiled, filed)
	if err := fleet.Until(ctx, func(ctx context.Context) error {
		if _, _, err := p.phone(ctx, "alice", refiled.sign(time.Hour)); err != nil {
			return fmt.Errorf("the key that was added to the file: %w", err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	login(filed, nil)
	metrics := get(ctx, t, p.admin+"/metrics")
	for _, want := range []string{`ringfleet_token_key_fetches_total{result="ok"}`, "ringfleet_token_keys_age_seconds "} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
}
