package fleet_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/internal/fleet"
	"github.com/ringfleet/ringfleet/invitation"
)

// backend is the receiver of a webhook.
type backend struct {
	t       *testing.T
	secrets []events.Secret

	mu      sync.Mutex
	up      bool
	refused int
	ended   map[string]int // how often each terminal event was taken, by its id
}

// ServeHTTP implements http.Handler.
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = events.Verify(b.secrets, r.Header, body, time.Now())
	}
	var batch []events.Message
	if err == nil {
		err = json.Unmarshal(body, &batch)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err != nil:
		b.t.Error(err)
		w.WriteHeader(http.StatusBadRequest)
		return
	case !b.up:
		b.refused++
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	for _, m := range batch {
		if strings.HasSuffix(m.ID, ".ended") {
			b.ended[m.ID]++
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func (b *backend) takes(up bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.up = up
}

func (b *backend) outcomes() (distinct, refused int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.ended), b.refused
}

// TestEventsSurviveAKill kills the node that decided all calls while its events wait for a receiver that is down: when
// that is up again, it is told each outcome by another node.
func TestEventsSurviveAKill(t *testing.T) {
	full := asked(t)
	key := []byte("0123456789abcdef0123456789abcdef")
	receiver := &backend{t: t, secrets: []events.Secret{key}, ended: map[string]int{}}
	server := httptest.NewServer(receiver)
	t.Cleanup(server.Close)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("whsec_"+base64.StdEncoding.EncodeToString(key)), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBed(t, fleet.Config{Args: []string{"--webhook-url", server.URL, "--webhook-secret-file", secret}}, numbered("node-", 3)...)
	victim, gate, other := b.Node("node-1"), b.Node("node-2"), b.Node("node-3")
	if victim == nil || gate == nil || other == nil {
		t.Fatalf("the nodes are %v", names(b.Nodes()))
	}
	owned := ownedUsers(t, names(b.Nodes()))
	wants := []invitation.Outcome{invitation.Accepted, invitation.Refused, invitation.Canceled}
	calls := pick(full, 300, 30)
	for i := range calls {
		if err := b.call(owned.next(victim.Name()), gate, owned.next(other.Name()), other, wants[i%len(wants)]); err != nil {
			t.Fatal(err)
		}
	}
	ctx := within(t, time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	until := func(what string, done func() bool) {
		t.Helper()
		for !done() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				distinct, refused := receiver.outcomes()
				t.Fatalf("%s: %d of %d outcomes were taken, %d requests refused before; copies on node-2 %v, on node-3 %v",
					what, distinct, calls, refused, copies(t, gate), copies(t, other))
			}
		}
	}
	until("no copies", func() bool { return copies(t, gate)+copies(t, other) == float64(calls) })
	if distinct, refused := receiver.outcomes(); distinct != 0 || refused == 0 {
		t.Errorf("before the kill %d outcomes were taken, and %d requests refused", distinct, refused)
	}
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	receiver.takes(true)
	up := time.Now()
	until("not delivered", func() bool { distinct, _ := receiver.outcomes(); return distinct >= calls })
	if distinct, _ := receiver.outcomes(); distinct != calls {
		t.Errorf("%d outcomes of %d calls", distinct, calls)
	}
	t.Logf("all %d outcomes were told %v after the kill", calls, time.Since(up).Round(100*time.Millisecond))
}

// copies returns of how many outcomes of other nodes a node has a copy.
func copies(t *testing.T, n *fleet.Node) float64 {
	t.Helper()
	answer, err := http.Get(n.AdminURL() + "/metrics") //nolint:noctx // a node on this machine
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), "ringfleet_event_copies "); found {
			number, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return number
		}
	}
	t.Fatal("the node has no ringfleet_event_copies")
	return 0
}
