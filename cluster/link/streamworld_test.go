package link_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/link"
)

// end is one node's stream, with what it has received and heard.
type end struct {
	*link.Stream
	member cluster.Member

	mu       sync.Mutex
	got      []string
	evidence []string
	log      bytes.Buffer
}

func (e *end) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.log.Write(b)
}

func (e *end) logged() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.log.String()
}

func (e *end) take(from string, envelope []byte, _ time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.got = append(e.got, from+":"+string(envelope))
}

func (e *end) received() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.got)
}

func (e *end) heard() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.evidence)
}

// open starts a stream on loopback; change, if not nil, changes its configuration.
func open(t *testing.T, name string, boot uint64, change func(*link.StreamConfig)) *end {
	t.Helper()
	e := new(end)
	config := link.StreamConfig{
		Cluster: "test", Node: name, Boot: boot, Listen: "127.0.0.1:0", Logger: slog.New(slog.NewTextHandler(e, nil)),
		Evidence: func(node string, boot uint64, cause error) {
			e.mu.Lock()
			defer e.mu.Unlock()
			if cause != nil {
				e.evidence = append(e.evidence, fmt.Sprintf("%s@%d", node, boot))
			}
		},
	}
	if change != nil {
		change(&config)
	}
	var err error
	if e.Stream, err = link.Listen(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	if err := e.Start(e.take); err != nil {
		t.Fatal(err)
	}
	e.member = cluster.Member{Name: name, Boot: boot, Peer: e.Addr().String(), Lifecycle: cluster.Serving}
	return e
}

// meet makes streams each other's peers.
func meet(ends ...*end) {
	for _, e := range ends {
		var others []cluster.Member
		for _, other := range ends {
			if other != e {
				others = append(others, other.member)
			}
		}
		e.SetPeers(others)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(30 * time.Second); !holds(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatalf("not %s", what)
		}
	}
}

func connected(e *end, n int) func() bool {
	return func() bool { return e.Stats().Connected == n }
}

// sendAll sends until it is taken.
func sendAll(t *testing.T, from *end, to cluster.Member, texts ...string) {
	t.Helper()
	for _, text := range texts {
		eventually(t, "taken", func() bool {
			err := from.Send(to, []byte(text))
			if err != nil && !errors.Is(err, cluster.ErrBusy) && !errors.Is(err, cluster.ErrUnreachable) {
				t.Fatal(err)
			}
			return err == nil
		})
	}
}
