package events_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/snapshot"
)

// fleet is some streams that keep copies for each other.
type fleet struct {
	mu      sync.Mutex
	streams map[string]*events.Stream
	lost    func() bool // of what is said, if set
	copied  int
}

// from is a node's view of the others. It implements events.Peers.
type from struct {
	fleet *fleet
	name  string
}

// Backup implements events.Peers.
func (f from) Backup(*invitation.Event) string {
	f.fleet.mu.Lock()
	defer f.fleet.mu.Unlock()
	for _, name := range []string{"a", "b", "c"} {
		if name != f.name && f.fleet.streams[name] != nil {
			return name
		}
	}
	return ""
}

func (f from) say(to string, say func(*events.Stream)) {
	f.fleet.mu.Lock()
	s := f.fleet.streams[to]
	if f.fleet.lost != nil && f.fleet.lost() {
		s = nil
	}
	f.fleet.mu.Unlock()
	if s != nil {
		say(s)
	}
}

// Copy implements events.Peers.
func (f from) Copy(node string, e *snapshot.Event) {
	f.say(node, func(s *events.Stream) { s.Keep(f.name, e) })
	f.fleet.mu.Lock()
	f.fleet.copied++
	f.fleet.mu.Unlock()
}

// Held implements events.Peers.
func (f from) Held(node string, ids []invitation.ID) {
	f.say(node, func(s *events.Stream) { s.Held(f.name, ids) })
}

// Delivered implements events.Peers.
func (f from) Delivered(node string, ids []invitation.ID) {
	f.say(node, func(s *events.Stream) { s.Delivered(f.name, ids) })
}

func newFleet(t *testing.T, r *receiver, names ...string) *fleet {
	f := &fleet{streams: map[string]*events.Stream{}}
	for _, name := range names {
		s := stream(t, events.Config{Sinks: []events.SinkConfig{r.sink("crm")}, Peers: from{f, name}})
		f.mu.Lock()
		f.streams[name] = s
		f.mu.Unlock()
	}
	return f
}

// lose ends a node, and tells the others.
func (f *fleet) lose(name string) {
	f.mu.Lock()
	s := f.streams[name]
	delete(f.streams, name)
	others := make([]*events.Stream, 0, len(f.streams))
	for _, other := range f.streams {
		others = append(others, other)
	}
	f.mu.Unlock()
	s.Close()
	for _, other := range others {
		other.Lost(name)
	}
}

func (f *fleet) kept() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, s := range f.streams {
		n += s.Copies()
	}
	return n
}

// TestCopiesAreForgotten: a copy is kept until the outcome was delivered, and no longer.
func TestCopiesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{t: t, answer: func([]events.Message) (int, string, time.Duration) { return 200, "", time.Second }}
		f := newFleet(t, r, "a", "b")
		calls(f.streams["a"], 0, 100)
		time.Sleep(10 * time.Millisecond)
		if kept := f.kept(); kept != 100 {
			t.Errorf("%d copies, want one of each outcome", kept)
		}
		time.Sleep(10 * time.Second)
		if kept := f.kept(); kept != 0 || f.copied != 100 {
			t.Errorf("%d copies are left of %d, want 0 of 100", kept, f.copied)
		}
		r.inOrder(100)
	})
}

// TestLostOneAfterTheOther: two nodes die while the receiver is down, and the third delivers what the first had decided;
// a third of what the nodes say to each other is lost.
func TestLostOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		r := &receiver{t: t}
		r.answer = func([]events.Message) (int, string, time.Duration) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if down {
				return http.StatusServiceUnavailable, "", 0
			}
			return 200, "", 0
		}
		f := newFleet(t, r, "a", "b", "c")
		n := 0
		f.lost = func() bool { n++; return n%3 == 0 }
		calls(f.streams["a"], 0, 100)
		time.Sleep(5 * time.Second)
		f.lose("a")
		time.Sleep(5 * time.Second)
		f.lose("b")
		r.mu.Lock()
		down = false
		r.mu.Unlock()
		time.Sleep(time.Minute)
		_, kinds := r.got()
		for call := range 100 {
			e := event(call, invitation.EventEnded)
			if got := fmt.Sprint(kinds[e.ID.String()]); got != "[ended]" {
				t.Errorf("of call %d was told: %s", call, got)
			}
		}
		if kept := f.kept(); kept != 0 {
			t.Errorf("%d copies are left", kept)
		}
	})
}

// TestKeeperLost: the copies that it had go to another node.
func TestKeeperLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		r := &receiver{t: t}
		r.answer = func([]events.Message) (int, string, time.Duration) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if down {
				return http.StatusServiceUnavailable, "", 0
			}
			return 200, "", 0
		}
		f := newFleet(t, r, "a", "b", "c")
		calls(f.streams["a"], 0, 50)
		time.Sleep(time.Second)
		f.lose("b")
		f.lose("a")
		r.mu.Lock()
		down = false
		r.mu.Unlock()
		time.Sleep(time.Minute)
		if messages, _ := r.got(); len(messages) != 50 {
			t.Errorf("%d outcomes, want 50", len(messages))
		}
	})
}

// TestEarly: an outcome that may still change is delivered only when its node is lost, and forgotten when it is old.
func TestEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{t: t}
		f := newFleet(t, r, "a", "b")
		f.streams["a"].Early(event(1, invitation.EventEnded))
		f.streams["a"].Early(event(2, invitation.EventEnded))
		f.streams["a"].Emit(event(2, invitation.EventEnded))
		time.Sleep(time.Minute)
		if messages, _ := r.got(); len(messages) != 1 || f.kept() != 1 {
			t.Errorf("%d outcomes, %d copies, want 1 and 1", len(messages), f.kept())
		}
		time.Sleep(15 * time.Minute)
		if kept := f.kept(); kept != 0 {
			t.Errorf("%d copies are left", kept)
		}
		f.streams["a"].Early(event(3, invitation.EventEnded))
		f.lose("a")
		time.Sleep(time.Second)
		if _, kinds := r.got(); len(kinds) != 2 {
			t.Errorf("told was %v", kinds)
		}
	})
}

// TestMoved: what waits goes to another node, in order with what that one hears next; what is on its way is not sent twice.
func TestMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		r := &receiver{t: t}
		r.answer = func([]events.Message) (int, string, time.Duration) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if down {
				return http.StatusServiceUnavailable, "", time.Second
			}
			return 200, "", 0
		}
		f := newFleet(t, r, "a", "b")
		a, b := f.streams["a"], f.streams["b"]
		for call := range 50 {
			a.Emit(event(call, invitation.EventSent))
			a.Emit(event(call, invitation.EventRinging))
		}
		time.Sleep(500 * time.Millisecond) // a request is under way
		var moved []*snapshot.Event
		a.Export(func(invitation.ID) bool { return true }, func(e *snapshot.Event) { moved = append(moved, e) })
		for call := range 50 {
			b.Emit(event(call, invitation.EventEnded))
		}
		for _, e := range moved {
			b.Import(e, time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		r.mu.Lock()
		down = false
		r.mu.Unlock()
		time.Sleep(time.Minute)
		r.inOrder(50)
		if sa, sb := a.Status()[0], b.Status()[0]; len(moved) != 100 || sa.Delivered != 0 || sa.Queued != 0 || sb.Delivered != 150 {
			t.Errorf("%d moved; %+v, %+v", len(moved), sa, sb)
		}
		if err := a.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestForget: a node that stood still drops all but the outcomes.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{t: t, answer: func([]events.Message) (int, string, time.Duration) { return 500, "", time.Hour }}
		f := newFleet(t, r, "a")
		calls(f.streams["a"], 0, 10)
		f.streams["a"].Forget()
		if s := f.streams["a"].Status()[0]; s.Queued != 10 || s.Dropped["stale"] != 20 {
			t.Errorf("the status is %+v", s)
		}
	})
}
