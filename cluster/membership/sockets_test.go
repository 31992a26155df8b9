package membership_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/membership"
)

// buffer is a log that is written by many.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// onLoopback starts a node on real sockets.
func onLoopback(t *testing.T, name string, log *buffer, change func(*membership.Config)) *membership.Membership {
	t.Helper()
	config := membership.Config{
		Cluster: "test", Name: name, Bind: "127.0.0.1:0", Lifecycle: cluster.Serving,
		Timing: membership.Timing{Rejoin: 500 * time.Millisecond},
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	}
	if change != nil {
		change(&config)
	}
	m, err := membership.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Stop)
	return m
}

// eventually waits for a condition, for as long as the test may take.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(30 * time.Second); !holds(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatalf("not %s", what)
		}
	}
}

func sees(m *membership.Membership, names ...string) func() bool {
	return func() bool {
		var got []string
		for _, n := range m.View().Members {
			got = append(got, n.Name)
		}
		return slices.Equal(got, names)
	}
}

func newKey(t *testing.T) []byte {
	t.Helper()
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	return key
}

// TestSockets: join, change, death on evidence and farewell over UDP and TCP, encrypted.
func TestSockets(t *testing.T) {
	var log buffer
	keys := [][]byte{newKey(t)}
	a := onLoopback(t, "a", &log, func(c *membership.Config) { c.Keys = keys })
	join := func(c *membership.Config) { c.Keys, c.Seeds = keys, []string{a.Self().Gossip} }
	b := onLoopback(t, "b", &log, join)
	c := onLoopback(t, "c", &log, join)
	for _, m := range []*membership.Membership{a, b, c} {
		eventually(t, "joined", sees(m, "a", "b", "c"))
	}
	if err := b.SetLifecycle(cluster.Draining); err != nil {
		t.Fatal(err)
	}
	eventually(t, "draining", func() bool {
		m, _ := c.View().Member("b")
		return m.Lifecycle == cluster.Draining
	})
	if err := b.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "left", sees(a, "a", "c"))
	c.Stop()
	start := time.Now()
	a.Evidence("c", 0, errors.New("the connection broke"))
	eventually(t, "found dead", sees(a, "a"))
	t.Logf("a death was acted on after %v", time.Since(start).Round(time.Millisecond))
}

// TestKeys: a node with a wrong key gets nowhere, and each cause is logged once; keys change without a break.
func TestKeys(t *testing.T) {
	var log, wrongLog buffer
	old, fresh := newKey(t), newKey(t)
	a := onLoopback(t, "a", &log, func(c *membership.Config) { c.Keys = [][]byte{old} })
	seeds := []string{a.Self().Gossip}
	b := onLoopback(t, "b", &log, func(c *membership.Config) { c.Keys, c.Seeds = [][]byte{old}, seeds })
	wrong := onLoopback(t, "wrong", &wrongLog, func(c *membership.Config) { c.Keys, c.Seeds = [][]byte{newKey(t)}, seeds })
	plain := onLoopback(t, "plain", &wrongLog, func(c *membership.Config) { c.Seeds = seeds })
	eventually(t, "joined", sees(b, "a", "b"))
	eventually(t, "refused", func() bool {
		return strings.Contains(log.String(), "decrypt") && strings.Contains(log.String(), "not encrypted") &&
			strings.Count(wrongLog.String(), "could not be joined") == 2
	})
	for _, keys := range [][][]byte{{old, fresh}, {fresh, old}, {fresh}} {
		for _, m := range []*membership.Membership{a, b} {
			if err := m.SetKeys(keys); err != nil {
				t.Fatal(err)
			}
		}
	}
	late := onLoopback(t, "late", &log, func(c *membership.Config) { c.Keys, c.Seeds = [][]byte{fresh}, seeds })
	eventually(t, "joined with the new key", sees(late, "a", "b", "late"))
	tooLate := onLoopback(t, "old", &wrongLog, func(c *membership.Config) { c.Keys, c.Seeds = [][]byte{old}, seeds })
	eventually(t, "refused with the old key", func() bool {
		return strings.Count(wrongLog.String(), "could not be joined") == 3
	})
	for _, m := range []*membership.Membership{wrong, plain, tooLate} {
		if n := len(m.View().Members); n != 1 {
			t.Errorf("%s sees %d members", m.Self().Name, n)
		}
	}
	if !sees(a, "a", "b", "late")() {
		t.Errorf("a sees %+v", a.View())
	}
	for what, keys := range map[string][][]byte{"no key": nil, "a short key": {old[:5]}} {
		if err := a.SetKeys(keys); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	if err := plain.SetKeys([][]byte{old}); err == nil {
		t.Error("a plain gossip becomes encrypted while it runs")
	}
	for line := range strings.Lines(log.String()) {
		if n := strings.Count(log.String(), line); n > 1 {
			t.Errorf("logged %d times: %s", n, line)
		}
	}
}

// TestGarbage: what is no gossip is dropped, and changes nothing.
func TestGarbage(t *testing.T) {
	var log buffer
	a := onLoopback(t, "a", &log, nil)
	b := onLoopback(t, "b", &log, func(c *membership.Config) { c.Seeds = []string{a.Self().Gossip} })
	eventually(t, "joined", sees(b, "a", "b"))
	eventually(t, "joined", sees(a, "a", "b"))
	epoch := a.View().Epoch
	udp, err := net.Dial("udp", a.Self().Gossip)
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	garbage := make([]byte, 1_200)
	for i := range 2_000 {
		if _, err := rand.Read(garbage); err != nil {
			t.Fatal(err)
		}
		garbage[0] = byte(i) // each type of message
		if _, err := udp.Write(garbage[:1+i%len(garbage)]); err != nil {
			t.Fatal(err)
		}
		if i%20 == 0 {
			sendGarbage(t, a.Self().Gossip, garbage)
		}
	}
	late := onLoopback(t, "late", &log, func(c *membership.Config) { c.Seeds = []string{a.Self().Gossip} })
	for _, m := range []*membership.Membership{a, b, late} {
		eventually(t, "in good order", sees(m, "a", "b", "late"))
	}
	if now := a.View().Epoch; now != epoch+1 {
		t.Errorf("the epoch went from %d to %d", epoch, now)
	}
	if lines := strings.Count(log.String(), "\n"); lines > 40 {
		t.Errorf("2000 pieces of garbage made %d lines of log:\n%s", lines, log.String())
	}
}

func sendGarbage(t *testing.T, address string, garbage []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write(garbage) // it may be closed already
	_ = conn.Close()
}

// TestBindFails: an address that is taken is an error that names it.
func TestBindFails(t *testing.T) {
	var log buffer
	a := onLoopback(t, "a", &log, nil)
	_, err := membership.Start(membership.Config{Name: "b", Bind: a.Self().Gossip})
	if err == nil || !strings.Contains(err.Error(), a.Self().Gossip) {
		t.Errorf("got %v", err)
	}
	if _, err := membership.Start(membership.Config{Name: "b", Bind: fmt.Sprintf("127.0.0.1:%d", 70_000)}); err == nil {
		t.Error("a port that is none is taken")
	}
}

// TestEveryInterface: others are told the host of the gossip for addresses without one, as they could not
// connect to those.
func TestEveryInterface(t *testing.T) {
	var log buffer
	seed := onLoopback(t, "a", &log, nil)
	for i, tt := range []struct{ peer, gateway, wantPeer, wantGateway string }{
		{":7947", "0.0.0.0:8080", "127.0.0.1:7947", "127.0.0.1:8080"},
		{"[::]:7947", "", "127.0.0.1:7947", ""},
		{"192.0.2.1:7947", "calls.example:443", "192.0.2.1:7947", "calls.example:443"},
	} {
		name := fmt.Sprint("b", i)
		m := onLoopback(t, name, &log, func(c *membership.Config) {
			c.Seeds, c.Peer, c.Gateway = []string{seed.Self().Gossip}, tt.peer, tt.gateway
		})
		eventually(t, "a member with "+tt.wantPeer, func() bool {
			member, ok := seed.View().Member(name)
			return ok && member.Peer == tt.wantPeer && member.Gateway == tt.wantGateway
		})
		if self := m.Self(); self.Peer != tt.wantPeer || self.Gateway != tt.wantGateway {
			t.Errorf("it sees itself at %s and %s, want %s and %s", self.Peer, self.Gateway, tt.wantPeer, tt.wantGateway)
		}
	}
}
