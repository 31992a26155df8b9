package observe_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/trace"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringfleet/ringfleet/internal/bearer"
	"github.com/ringfleet/ringfleet/internal/observe"
)

// token returns a holder's token.
func token(holder string) string { return holder + strings.Repeat("-", bearer.MinToken) }

func tokens(t *testing.T) *bearer.Tokens {
	t.Helper()
	var text strings.Builder
	for _, scope := range observe.Scopes {
		text.WriteString(scope + " " + scope + " " + token(scope) + "\n")
	}
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := bearer.Open(bearer.Config{File: path, Scopes: observe.Scopes})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func admin(t *bearer.Tokens, open bool) http.Handler {
	return observe.Admin{
		Gatherer: prometheus.NewRegistry(), Ready: func() error { return errors.New("joining") },
		Status: func() any { return map[string]string{"node": "a"} }, Agree: func() error { return nil },
		Tokens: t, OpenMetrics: open,
	}.Handler()
}

func ask(h http.Handler, method, path, token string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://node"+path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestAdminTokens asks for everything with every token and with none.
func TestAdminTokens(t *testing.T) {
	closed := admin(tokens(t), false)
	for _, tt := range []struct{ method, path, scope string }{
		{http.MethodGet, "/metrics", observe.ScopeMetrics},
		{http.MethodGet, "/status", observe.ScopeStatus},
		{http.MethodPost, "/cluster/agree", observe.ScopeOperate},
		{http.MethodGet, "/debug/pprof/", observe.ScopeDebug},
		{http.MethodGet, "/debug/pprof/goroutine?debug=1", observe.ScopeDebug},
		{http.MethodGet, "/debug/pprof/profile?seconds=0.01", observe.ScopeDebug},
		{http.MethodGet, "/debug/pprof/trace?seconds=0.01", observe.ScopeDebug},
	} {
		if w := ask(closed, tt.method, tt.path, ""); w.Code != http.StatusUnauthorized {
			t.Errorf("%s without a token: %d", tt.path, w.Code)
		}
		for _, scope := range observe.Scopes {
			want := http.StatusForbidden
			if scope == tt.scope {
				want = http.StatusOK
			}
			if w := ask(closed, tt.method, tt.path, token(scope)); w.Code != want {
				t.Errorf("%s with a token for %s: %d, want %d: %s", tt.path, scope, w.Code, want, w.Body)
			}
		}
	}
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable, "/": http.StatusNotFound} {
		if w := ask(closed, http.MethodGet, path, ""); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	if w := ask(admin(tokens(t), true), http.MethodGet, "/metrics", ""); w.Code != http.StatusOK {
		t.Errorf("open metrics: %d", w.Code)
	}
}

// TestAdminWithoutTokens shows everything to whoever reaches it, but no profiles, and does nothing for web pages.
func TestAdminWithoutTokens(t *testing.T) {
	open := admin(nil, false)
	for path, want := range map[string]int{
		"/metrics": http.StatusOK, "/status": http.StatusOK, "/debug/pprof/": http.StatusForbidden, "/debug/pprof/heap": http.StatusForbidden,
	} {
		if w := ask(open, http.MethodGet, path, ""); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	if w := ask(open, http.MethodPost, "/cluster/agree", ""); w.Code != http.StatusOK {
		t.Errorf("agree: %d", w.Code)
	}
	if w := ask(open, http.MethodPost, "/cluster/agree", "", "Origin", "https://evil.example"); w.Code != http.StatusForbidden {
		t.Errorf("agree, asked by a page of a stranger: %d", w.Code)
	}
}

func TestProfiles(t *testing.T) {
	h := admin(tokens(t), false)
	debug := token(observe.ScopeDebug)
	if w := ask(h, http.MethodGet, "/debug/pprof/heap", debug); !bytes.HasPrefix(w.Body.Bytes(), []byte{0x1f, 0x8b}) {
		t.Errorf("the heap's profile is not compressed: %.20q", w.Body)
	}
	if w := ask(h, http.MethodGet, "/debug/pprof/", debug); !strings.Contains(w.Body.String(), "goroutine") {
		t.Errorf("the list says %q", w.Body)
	}
	for path, want := range map[string]int{
		"/debug/pprof/nothing": http.StatusNotFound, "/debug/pprof/profile?seconds=3600": http.StatusBadRequest,
		"/debug/pprof/trace?seconds=-1": http.StatusBadRequest, "/debug/pprof/profile?seconds=x": http.StatusBadRequest,
		"/debug/pprof/profile?seconds=NaN": http.StatusBadRequest,
	} {
		if w := ask(h, http.MethodGet, path, debug); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}

// TestOneProfileAtATime refuses a second one while another is taken.
func TestOneProfileAtATime(t *testing.T) {
	if err := trace.Start(io.Discard); err != nil {
		t.Skip("this test is being traced: ", err)
	}
	defer trace.Stop()
	w := ask(admin(tokens(t), false), http.MethodGet, "/debug/pprof/trace?seconds=1", token(observe.ScopeDebug))
	if w.Code != http.StatusConflict {
		t.Errorf("a second one: %d", w.Code)
	}
}
