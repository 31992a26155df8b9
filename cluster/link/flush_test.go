package link_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/link"
)

// turns promises to flush when it is told to promise.
type turns struct {
	promise atomic.Bool
	helped  atomic.Int64
}

func (t *turns) Help(tell func()) {
	t.helped.Add(1)
	tell()
}

func (t *turns) Settles() bool { return t.promise.Load() }

// TestStreamFlush: what is sent while somebody has promised to flush goes out when it does, all of it at once.
func TestStreamFlush(t *testing.T) {
	sender, receiver := new(turns), new(turns)
	a := open(t, "a", 1, func(c *link.StreamConfig) { c.Turns = sender })
	b := open(t, "b", 2, func(c *link.StreamConfig) { c.Turns = receiver })
	meet(a, b)
	eventually(t, "connected", connected(a, 1))
	sendAll(t, a, b.member, "before")
	eventually(t, "arrived", func() bool { return len(b.received()) == 1 && a.Stats().Queued == 0 })
	sender.promise.Store(true)
	writes := a.Stats().Writes
	want := []string{"a:before"}
	for i := range 100 {
		sendAll(t, a, b.member, fmt.Sprint(i))
		want = append(want, fmt.Sprint("a:", i))
	}
	a.Flush()
	eventually(t, "arrived", func() bool { return len(b.received()) == len(want) })
	if got := b.received(); !slices.Equal(got, want) {
		t.Error("what has arrived is not what was sent")
	}
	if s := a.Stats(); s.Writes > writes+2 { // a ping may have taken some along
		t.Errorf("%d writes", s.Writes-writes)
	}
	if n := receiver.helped.Load(); n > 4 {
		t.Errorf("handed over %d times", n)
	}
}

// TestStreamSendLater: what may wait goes with the next envelope, in its order, or before long.
func TestStreamSendLater(t *testing.T) {
	a, b := open(t, "a", 1, nil), open(t, "b", 2, nil)
	meet(a, b)
	eventually(t, "connected", connected(a, 1))
	later := func(text string) {
		if err := a.SendLater(b.member, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	later("one")
	later("two")
	sendAll(t, a, b.member, "three")
	eventually(t, "arrived", func() bool { return len(b.received()) == 3 })
	later("four")
	eventually(t, "arrived", func() bool { return len(b.received()) == 4 })
	if got := b.received(); !slices.Equal(got, []string{"a:one", "a:two", "a:three", "a:four"}) {
		t.Errorf("received %q", got)
	}
}

// TestStreamFlushLeavesOut: what may wait for one peer does not go out with what another one is sent.
func TestStreamFlushLeavesOut(t *testing.T) {
	promise := new(turns)
	promise.promise.Store(true)
	a := open(t, "a", 1, func(c *link.StreamConfig) { c.Turns = promise })
	b, c := open(t, "b", 2, nil), open(t, "c", 3, nil)
	a.SetPeers([]cluster.Member{b.member, c.member})
	eventually(t, "connected", connected(a, 2))
	sent, once := 0, 0
	eventually(t, "written once, five times in a row", func() bool { // it does not wait for ever, and that moment may have come
		before := a.Stats().Writes
		if err := a.SendLater(b.member, []byte("later")); err != nil {
			t.Fatal(err)
		}
		sendAll(t, a, c.member, "now")
		a.Flush()
		if sent++; a.Stats().Writes == before+1 {
			once++
		} else {
			once = 0
		}
		return once == 5
	})
	eventually(t, "arrived", func() bool { return len(b.received()) == sent && len(c.received()) == sent })
}

// TestStreamFlushAtOnce: many send and flush at once, more than a socket takes; the peer goes and comes back.
func TestStreamFlushAtOnce(t *testing.T) {
	promise := new(turns)
	promise.promise.Store(true)
	a := open(t, "a", 1, func(c *link.StreamConfig) { c.Turns, c.Queue = promise, 1<<20 })
	for boot := range uint64(3) {
		b := open(t, "b", boot+1, nil)
		a.SetPeers([]cluster.Member{b.member})
		eventually(t, "connected", connected(a, 1))
		var senders sync.WaitGroup
		for i := range 4 {
			senders.Go(func() {
				text := fmt.Sprint(i, string(make([]byte, 20_000*i)))
				for range 200 {
					sendAll(t, a, b.member, text)
					a.Flush()
				}
			})
		}
		senders.Wait()
		eventually(t, "arrived", func() bool { return len(b.received()) == 800 })
		b.Close()
		eventually(t, "disconnected", connected(a, 0))
	}
	if s := a.Stats(); s.Dropped != 0 {
		t.Errorf("%d envelopes were dropped", s.Dropped)
	}
}
