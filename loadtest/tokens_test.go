package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/loadtest/scrape"
)

func keyFile(t *testing.T, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func privatePEM(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// TestTokens loads a node that authenticates, with keys of several kinds, and tokens that have to be renewed meanwhile.
func TestTokens(t *testing.T) {
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"Ed25519": {
			"--jwt-key-file", keyFile(t, privatePEM(t, edwards)), "--jwt-audience", "calls", "--jwt-issuer", "us", "--jwt-key-id", "1",
			"--jwt-lifetime", "5s", "--duration", "17s", "--rate", "20", // without new ones, connections end 15 s after their login
		},
		"P-256":  {"--jwt-key-file", keyFile(t, privatePEM(t, curve)), "--calls", "50"},
		"secret": {"--jwt-key-file", keyFile(t, bytes.Repeat([]byte("s"), 32)), "--calls", "50"},
	} {
		var out, errs bytes.Buffer
		args = append([]string{"--self-host", "--users", "20", "--mix", "accept=1,refuse=1"}, args...)
		if status := command(t.Context(), args, &out, &errs); status != exitOK {
			t.Errorf("%s: status %d\n%s%s", name, status, &out, &errs)
		}
	}
}

// TestTokenOfAnotherKey does not get in.
func TestTokenOfAnotherKey(t *testing.T) {
	options := tokenOptions{lifetime: minLifetime, keyFile: keyFile(t, bytes.Repeat([]byte("s"), 32))}
	if err := options.complete(); err != nil {
		t.Fatal(err)
	}
	authenticator, err := options.authenticator()
	if err != nil {
		t.Fatal(err)
	}
	good, err := options.sign(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if who, err := authenticator.Authenticate(t.Context(), auth.Request{Token: good}); err != nil || who.User != "alice" {
		t.Errorf("%+v, %v", who, err)
	}
	options.key = bytes.Repeat([]byte("o"), 32)
	bad, err := options.sign(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := authenticator.Authenticate(t.Context(), auth.Request{Token: bad}); err == nil {
		t.Error("a token of another key is taken")
	}
}

// TestSharedToken is that of the flag, or what the file has now.
func TestSharedToken(t *testing.T) {
	path := keyFile(t, []byte("first\n"))
	for _, options := range []tokenOptions{{token: "first", lifetime: minLifetime}, {file: path, lifetime: minLifetime}} {
		if err := options.complete(); err != nil {
			t.Fatal(err)
		}
		if got, err := options.source()(t.Context(), "alice"); err != nil || got != "first" {
			t.Errorf("%q, %v", got, err)
		}
	}
	if (&tokenOptions{}).source() != nil {
		t.Error("users have tokens that nobody gave them")
	}
}

// TestMetricsToken brings the token to nodes whose metrics need one.
func TestMetricsToken(t *testing.T) {
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+strings.Repeat("m", 32) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte("process_cpu_seconds_total 7\n"))
	}))
	defer node.Close()
	if s, err := scrape.Read(t.Context(), node.URL, keyFile(t, []byte(strings.Repeat("m", 32)+"\n"))); err != nil || s[scrape.CPU] != 7 {
		t.Errorf("%v, %v", s, err)
	}
	if _, err := scrape.Read(t.Context(), node.URL, ""); err == nil {
		t.Error("no token is needed, so this shows nothing")
	}
}
