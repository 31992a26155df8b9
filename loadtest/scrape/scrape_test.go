package scrape

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/figures"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func reading(t *testing.T, start, cpu, bytes int) Reading {
	t.Helper()
	r, err := Parse(strings.NewReader(strings.Join([]string{
		"# HELP process_cpu_seconds_total Of the process.",
		fmt.Sprintf("process_cpu_seconds_total %d", cpu),
		fmt.Sprintf("process_start_time_seconds %d", start),
		fmt.Sprintf("process_resident_memory_bytes %de+06", bytes),
		fmt.Sprintf(`ringfleet_peer_sent_bytes_total{peer="a b"} %d`, bytes),
		fmt.Sprintf(`ringfleet_peer_sent_bytes_total{peer="c"} %d`, bytes),
		"go_goroutines 12", "go_gc_duration_seconds{quantile=\"0\"} 7", "go_gc_duration_seconds_sum 0.5", "go_gc_duration_seconds_count 3",
		"process_cpu_seconds_totally 1000", "nonsense",
	}, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestMeter follows a node over a restart.
func TestMeter(t *testing.T) {
	var m Meter
	m.Begin(epoch)
	m.take(epoch, reading(t, 1, 10, 100))
	m.take(epoch.Add(2*time.Second), reading(t, 1, 15, 150))
	m.take(epoch.Add(3*time.Second), reading(t, 2, 20, 200)) // another process
	m.take(epoch.Add(4*time.Second), reading(t, 2, 21, 120))
	if m.used[CPU] != 5+20+1 || m.used[PeerBytes] != 100+400+240 || m.restarts != 1 {
		t.Errorf("used %v, %d restarts", m.used, m.restarts)
	}
	var n figures.Node
	m.Report(&n)
	if *n.CPU != 26 || *n.RSSMost != 200e6 || *n.RSSAfter != 120e6 || n.Messages != nil || len(n.Samples) != 3 {
		t.Fatalf("%+v", n)
	}
	if s := n.Samples[0]; s.T != 2 || s.CPU != 2.5 || s.Goroutines != 12 || s.GCs != 0 {
		t.Errorf("%+v", s)
	}
	if s := n.Samples[1]; s.CPU != 20 || s.GCs != 3 || s.Pause != 500 {
		t.Errorf("%+v", s)
	}
}

// TestSamplesAreThinned bounds what a long run keeps, and keeps its whole time.
func TestSamplesAreThinned(t *testing.T) {
	var m Meter
	m.Begin(epoch)
	const seconds = 3 * maxSamples
	for i := range seconds {
		m.take(epoch.Add(time.Duration(i)*time.Second), reading(t, 1, i, 1))
	}
	if n := len(m.samples); n > maxSamples || n < maxSamples/4 {
		t.Fatalf("%d samples", n)
	}
	last := 0.0
	for _, s := range m.samples {
		if s.T <= last || math.Abs(s.CPU-1) > 1e-9 {
			t.Fatalf("%+v after %v s", s, last)
		}
		last = s.T
	}
	if last < seconds-10 {
		t.Errorf("the last is at %v s of %d", last, seconds)
	}
}

func TestWhatComesToNothingIsCounted(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	m := Meter{URL: server.URL}
	if err := m.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "404") {
		t.Error(err)
	}
	var n figures.Node
	if m.Report(&n); n.Missed != 1 || n.CPU != nil {
		t.Errorf("%+v", n)
	}
}

// admin is the admin address of a node that serves clients at a port.
func admin(t *testing.T, gateway, token string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case token != "" && r.Header.Get("Authorization") != "Bearer "+token:
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/metrics":
			fmt.Fprintln(w, "ringfleet_gateway_connections 3")
		default:
			fmt.Fprintf(w, `{"node": "a", "cluster": {"members": [{"name": "b", "gateway": "x:1"}, {"name": "a", "gateway": %q}]}}`, gateway)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func TestDiscover(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The admin server's port is the candidate of this clients' port.
	clients := func(of *httptest.Server) string {
		var port int
		if _, err := fmt.Sscanf(of.URL[strings.LastIndexByte(of.URL, ':')+1:], "%d", &port); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("127.0.0.1:%d", port-adminPort+clientPort)
	}
	server := admin(t, "", "secret")
	if found, err := Discover(t.Context(), "ws://"+clients(server), token); err != nil || found != server.URL+"/metrics" {
		t.Errorf("%q, %v", found, err)
	}
	var typed *DiscoverError
	if _, err := Discover(t.Context(), "ws://"+clients(server), ""); !errors.As(err, &typed) || !strings.Contains(err.Error(), "401") {
		t.Error(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Discover(t.Context(), "ws://"+clients(server), empty); err == nil || !strings.Contains(err.Error(), "has no token") {
		t.Errorf("of a file without a token it says: %v", err)
	}
	other := admin(t, "127.0.0.1:1", "")
	if _, err := Discover(t.Context(), "ws://"+clients(other), ""); err == nil || !strings.Contains(err.Error(), "--metrics") {
		t.Errorf("another node's admin address was taken: %v", err)
	}
	if _, err := Discover(t.Context(), "ws://host", ""); !errors.As(err, &typed) {
		t.Error(err)
	}
}
