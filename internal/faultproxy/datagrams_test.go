package faultproxy_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/internal/faultproxy"
)

// TestDatagramsPass: they come once, in order, from the door of their sender, so that an answer passes the
// proxy, too.
func TestDatagramsPass(t *testing.T) {
	w := newWorld(t)
	a, b := w.port("a"), w.port("b")
	for i := range uint32(100) {
		a.say(b, i)
		if n, from, ok := b.hear(limit); !ok || n != i || from != a.door {
			t.Fatalf("heard %d from %s, %v; want %d from %s", n, from, ok, i, a.door)
		}
	}
	if _, _, more := b.hear(quiet); more {
		t.Error("something came twice")
	}
	if s := w.proxy.Stats()[faultproxy.Pair{From: "a", To: "b"}]; s.Passed != 100 || s.Bytes != 400 {
		t.Errorf("counted %+v", s)
	}
}

// TestDatagramsOneWay: a cut binds one direction between two, nobody else, and ends.
func TestDatagramsOneWay(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.port("a"), w.port("b"), w.port("c")
	w.proxy.Set("a", "b", faultproxy.Rule{Cut: true})
	a.say(b, 1)
	b.say(a, 2)
	c.say(b, 3)
	if n, _, ok := a.hear(limit); !ok || n != 2 {
		t.Errorf("the other direction: %d, %v", n, ok)
	}
	if n, _, ok := b.hear(limit); !ok || n != 3 {
		t.Errorf("another sender: %d, %v", n, ok)
	}
	w.proxy.Set("a", "b", faultproxy.Rule{})
	a.say(b, 4)
	if n, _, ok := b.hear(limit); !ok || n != 4 {
		t.Errorf("after the cut: %d, %v", n, ok)
	}
	w.proxy.Set(faultproxy.Any, "b", faultproxy.Rule{Cut: true})
	w.proxy.Set("c", "b", faultproxy.Rule{})
	a.say(b, 5)
	c.say(b, 6)
	if n, _, ok := b.hear(limit); !ok || n != 6 {
		t.Errorf("an exception from a rule for all: %d, %v", n, ok)
	}
	w.proxy.Set("a", "b", faultproxy.Rule{Only: "streams", Cut: true})
	a.say(b, 8)
	if n, _, ok := b.hear(limit); !ok || n != 8 {
		t.Errorf("a rule for other doors: %d, %v", n, ok)
	}
	w.proxy.Set("a", "b", faultproxy.Rule{Only: "datagrams", Cut: true})
	a.say(b, 9)
	c.say(b, 10)
	if n, _, ok := b.hear(limit); !ok || n != 10 { // the proxy takes them in order
		t.Errorf("a rule for these doors: %d, %v", n, ok)
	}
	w.proxy.Clear()
	a.say(b, 7)
	if n, _, ok := b.hear(limit); !ok || n != 7 {
		t.Errorf("without rules: %d, %v", n, ok)
	}
}

// TestDatagramsByChance: about as many are lost and doubled as the rule says.
func TestDatagramsByChance(t *testing.T) {
	w := newWorld(t)
	a, b := w.port("a"), w.port("b")
	w.proxy.Set("a", "b", faultproxy.Rule{Drop: 0.3, Duplicate: 0.2})
	const count = 1_000
	came := map[uint32]int{}
	for i := range uint32(count) {
		a.say(b, i)
		for w.proxy.Stats()[faultproxy.Pair{From: "a", To: "b"}].Dropped+uint64(len(came)) <= uint64(i) {
			if n, _, ok := b.hear(quiet / 10); ok {
				came[n]++
			}
		}
	}
	for n, _, ok := b.hear(quiet); ok; n, _, ok = b.hear(quiet) {
		came[n]++
	}
	twice := 0
	for _, times := range came {
		twice += times - 1
	}
	if lost := count - len(came); lost < 200 || lost > 400 || twice < 70 || twice > 230 {
		t.Errorf("of %d were %d lost and %d doubled", count, lost, twice)
	}
}

// TestDatagramsLate: a delayed one comes after its delay, and a reordered one after a later one.
func TestDatagramsLate(t *testing.T) {
	w := newWorld(t)
	a, b := w.port("a"), w.port("b")
	const delay = 100 * time.Millisecond
	w.proxy.Set("a", "b", faultproxy.Rule{Delay: delay, Jitter: delay / 2})
	begin := time.Now()
	a.say(b, 1)
	if _, _, ok := b.hear(limit); !ok || time.Since(begin) < delay {
		t.Errorf("came %v after %v", ok, time.Since(begin))
	}
	w.proxy.Set("a", "b", faultproxy.Rule{Reorder: 1})
	a.say(b, 2)
	for w.proxy.Stats()[faultproxy.Pair{From: "a", To: "b"}].Reordered == 0 {
		runtime.Gosched() // the datagram is on its way to the proxy
	}
	w.proxy.Clear()
	a.say(b, 3)
	first, _, _ := b.hear(limit)
	second, _, _ := b.hear(limit)
	if first+second != 5 {
		t.Errorf("heard %d, %d", first, second)
	}
}

// TestDoorsClose: a closed door's address is free, and can be opened again for the same node.
func TestDoorsClose(t *testing.T) {
	w := newWorld(t)
	a, b := w.port("a"), w.port("b")
	w.proxy.Shut(b.door)
	a.say(b, 1)
	if n, _, ok := b.hear(quiet); ok {
		t.Errorf("heard %d through a closed door", n)
	}
	_, err := w.proxy.Open(faultproxy.Door{Node: "b", Listen: b.door, Target: b.conn.LocalAddr().String(), Datagrams: true})
	if err != nil {
		t.Fatal(err)
	}
	a.say(b, 2)
	if n, from, ok := b.hear(limit); !ok || n != 2 || from != a.door {
		t.Errorf("heard %d from %s, %v", n, from, ok)
	}
	if _, err := w.proxy.Open(faultproxy.Door{Node: "b", Listen: b.door, Target: b.door}); err == nil {
		t.Error("one address was opened twice")
	}
	if _, err := w.proxy.Open(faultproxy.Door{Node: "b", Listen: "127.0.0.1:0", Target: "nowhere"}); err == nil {
		t.Error("a target that is no address was taken")
	}
}
