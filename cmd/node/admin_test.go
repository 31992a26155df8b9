package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/internal/fleet"
)

// The tokens of the tests, and a file of them.
var (
	boss        = strings.Repeat("b", 32)
	scraper     = strings.Repeat("p", 32)
	adminTokens = "# for tests\nboss * " + boss + "\nprometheus metrics " + scraper + "\n"
)

// askAdmin returns the status of an answer.
func askAdmin(ctx context.Context, t *testing.T, url, token string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// TestAdminTokens starts a node whose operators need tokens, and changes these while it runs: once it finds out by
// itself, once it is told by SIGHUP of a file that is wrong.
func TestAdminTokens(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	path := filepath.Join(t.TempDir(), "admin-tokens")
	give := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	give(adminTokens)
	p := start(t, "--admin-token-file", path)
	until := func(path, token string, want int) {
		t.Helper()
		if err := fleet.Until(ctx, func(context.Context) error {
			if got := askAdmin(ctx, t, p.admin+path, token); got != want {
				return fmt.Errorf("%s answers %d, want %d; %s", path, got, want, p.stderr.String())
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	until("/readyz", "", http.StatusOK)
	for _, tt := range []struct {
		path, token string
		want        int
	}{
		{"/healthz", "", http.StatusOK},
		{"/metrics", "", http.StatusUnauthorized},
		{"/metrics", scraper, http.StatusOK},
		{"/status", "", http.StatusUnauthorized},
		{"/status", scraper, http.StatusForbidden},
		{"/status", boss, http.StatusOK},
		{"/debug/pprof/goroutine", scraper, http.StatusForbidden},
		{"/debug/pprof/profile?seconds=0.1", boss, http.StatusOK},
	} {
		if got := askAdmin(ctx, t, p.admin+tt.path, tt.token); got != tt.want {
			t.Errorf("%s with %.1q: %d, want %d", tt.path, tt.token, got, tt.want)
		}
	}
	newer := strings.Repeat("n", 40)
	give("boss * " + newer + "\n")
	until("/status", newer, http.StatusOK)
	until("/status", boss, http.StatusUnauthorized)
	give("sesame\n")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := fleet.Until(ctx, func(context.Context) error {
		if !strings.Contains(p.stderr.String(), "want a name, scopes and a token") {
			return fmt.Errorf("the log says %s", p.stderr.String())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	until("/status", newer, http.StatusOK)
	if said := p.stderr.String(); strings.Contains(said, "sesame") || strings.Contains(said, newer) {
		t.Errorf("it logs a token: %s", said)
	}
}
