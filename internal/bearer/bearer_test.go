package bearer_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/internal/bearer"
	"github.com/ringfleet/ringfleet/internal/reread"
)

// The tokens of the tests.
var (
	secret = strings.Repeat("s", bearer.MinToken)
	other  = strings.Repeat("o", bearer.MinToken)
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, text string) (*bearer.Tokens, string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens")
	write(t, path, text)
	tokens, err := bearer.Open(bearer.Config{File: path, Scopes: []string{"read", "write"}})
	return tokens, path, err
}

func hashed(token string) string {
	hash := sha256.Sum256([]byte(token))
	return "sha256:" + hex.EncodeToString(hash[:])
}

func TestScopes(t *testing.T) {
	tokens, _, err := open(t, "# holders\n\nreader read "+secret+"\nboss * "+hashed(other)+"\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		token, scope, name string
		want               error
	}{
		{secret, "read", "reader", nil},
		{secret, "write", "reader", bearer.ErrScope},
		{other, "read", "boss", nil},
		{other, "write", "boss", nil},
		{"", "read", "", bearer.ErrMissing},
		{secret + "s", "read", "", bearer.ErrUnknown},
		{secret[1:], "read", "", bearer.ErrUnknown},
		{hashed(other), "read", "", bearer.ErrUnknown}, // whoever reads the file does not get in
	} {
		grant, err := tokens.Authorize(tt.token, tt.scope)
		if !errors.Is(err, tt.want) || grant.Name != tt.name {
			t.Errorf("token %.8s… for %s: %q, %v; want %q, %v", tt.token, tt.scope, grant.Name, err, tt.name, tt.want)
		}
	}
	if _, err := (*bearer.Tokens)(nil).Check(secret); !errors.Is(err, bearer.ErrClosed) {
		t.Errorf("without a file: %v", err)
	}
}

// TestWrongFiles refuses each, says what to do, and shows no token.
func TestWrongFiles(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "0 tokens",
		"# nobody\n":                   "0 tokens",
		"reader " + secret:             "want a name, scopes and a token",
		"reader read,erase " + secret:  "scope number 2",
		"reader " + secret + " read":   "scope number 1",
		"reader read short":            "openssl rand",
		"reader read sha256:" + secret: "64 hexadecimal digits",
		strings.Repeat("r read "+secret+"\n", bearer.MaxTokens+1): "65 tokens",
		strings.Repeat("# long\n", 10_000):                        "bytes",
	} {
		_, _, err := open(t, text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%.40q: %v, want %q and no token", text, err, want)
		}
	}
	if _, err := bearer.Open(bearer.Config{File: "no-such-file"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want that there is no file", err)
	}
}

// TestRotation changes the file: the new token counts, the old one does not, and a wrong file changes nothing.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens, path, err := open(t, "a read "+secret)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, "a read "+other+"\n# rotated")
		time.Sleep(reread.Every)
		_, oldErr := tokens.Check(secret)
		if _, err := tokens.Check(other); err != nil || !errors.Is(oldErr, bearer.ErrUnknown) {
			t.Errorf("the new token: %v, the old one: %v", err, oldErr)
		}
		write(t, path, "nonsense")
		if err := tokens.Reload(); err == nil {
			t.Error("nonsense is taken")
		}
		if _, err := tokens.Check(other); err != nil {
			t.Errorf("a wrong file took the token away: %v", err)
		}
	})
}

func TestRequire(t *testing.T) {
	tokens, _, err := open(t, "reader read "+secret)
	if err != nil {
		t.Fatal(err)
	}
	whoami := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		grant, _ := bearer.From(r.Context())
		_, _ = w.Write([]byte(grant.Name))
	})
	for _, tt := range []struct {
		tokens        *bearer.Tokens
		header, scope string
		status        int
		says          string
	}{
		{tokens, "Bearer " + secret, "read", http.StatusOK, "reader"},
		{tokens, "bearer  " + secret, "read", http.StatusOK, "reader"},
		{tokens, "Bearer " + secret, "write", http.StatusForbidden, "not for this"},
		{tokens, "Bearer " + other, "read", http.StatusUnauthorized, "not known"},
		{tokens, "Basic " + secret, "read", http.StatusUnauthorized, "needed"},
		{tokens, "", "read", http.StatusUnauthorized, "needed"},
		{nil, "Bearer " + secret, "read", http.StatusForbidden, "a file of bearer tokens"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", tt.header)
		w := httptest.NewRecorder()
		tt.tokens.Require(tt.scope, whoami).ServeHTTP(w, r)
		challenge := w.Header().Get("WWW-Authenticate")
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) || (challenge != "") != (tt.status == http.StatusUnauthorized) {
			t.Errorf("%.12s for %s: %d %q %q, want %d %q", tt.header, tt.scope, w.Code, w.Body.String(), challenge, tt.status, tt.says)
		}
	}
}
