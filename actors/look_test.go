package actors

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// TestLooks: a look tells what there is, makes no actor, and changes nothing.
func TestLooks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil)
		id := invitation.NewID("nobody", "d", "k")
		if _, ok, err := w.host.Session(t.Context(), "nobody"); ok || err != nil {
			t.Errorf("a session that is none: %v, %v", ok, err)
		}
		if _, ok, err := w.host.Arbiter(t.Context(), id); ok || err != nil || w.host.Over(id) {
			t.Errorf("an arbiter that is none: %v, %v", ok, err)
		}
		w.liveIs(t, 0, 0)
		alice := w.phone("alice", 0)
		w.phone("bob", 0)
		alice.send("bob", invitation.Timers{})
		synctest.Wait()
		s, ok, err := w.host.Session(t.Context(), "bob")
		if err != nil || !ok || len(s.Devices) != 1 || len(s.Entries) != 1 {
			t.Fatalf("the callee's session: %+v, %v, %v", s, ok, err)
		}
		id = s.Entries[0].View.Terms.ID
		a, ok, err := w.host.Arbiter(t.Context(), id)
		if err != nil || !ok || a.State.View.Stage != invitation.Ringing || a.Sent == 0 {
			t.Errorf("the arbiter: %+v, %v, %v", a, ok, err)
		}
		for range 3 {
			if again, ok, err := w.host.Session(t.Context(), "bob"); err != nil || !ok || again.Changes != s.Changes {
				t.Errorf("again: %+v, %v, %v", again, ok, err)
			}
		}
		w.liveIs(t, 2, 1)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if _, ok, err := w.host.Arbiter(t.Context(), id); ok || err != nil || !w.host.Over(id) {
			t.Errorf("an arbiter that has gone: %v, %v", ok, err)
		}
	})
}

// TestLookOfAnActorThatDoesNotAnswer ends with its context.
func TestLookOfAnActorThatDoesNotAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, func(msg any) {
			if _, ok := msg.(*look); ok {
				panic("oh")
			}
		})
		w.phone("alice", 0)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, ok, err := w.host.Session(ctx, "alice"); ok || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("looked: %v, %v", ok, err)
		}
		w.liveIs(t, 1, 0)
	})
}
