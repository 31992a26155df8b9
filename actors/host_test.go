package actors

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

func TestAcceptedCallSettlesAndLeaves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil)
		alice, bob := w.phone("alice", 0), w.phone("bob", invitation.Accept)
		alice.send("bob", invitation.Timers{})
		synctest.Wait()
		alice.saw(t, "ReceivedByPeer", "Accepted")
		bob.saw(t, "Received", "Accepted")
		w.liveIs(t, 2, 0)
		var stages []invitation.Stage
		for _, s := range w.moved {
			stages = append(stages, s.View.Stage)
		}
		if len(stages) != 5 || w.ended != 1 {
			t.Errorf("the observer saw %v and %d settled, want each stage once and 1", stages, w.ended)
		}
		alice.hangUp()
		bob.hangUp()
		time.Sleep(31 * time.Second)
		synctest.Wait()
		w.liveIs(t, 0, 0)
	})
}

// bereft has lost what lived on all shards.
type bereft struct{ *world }

func (bereft) LostAt(invitation.Shard) invitation.Time { return 1 }

// TestFreshSessionsCountByTheWallClock: a session that takes a lost one's place numbers by the clock that it is given.
func TestFreshSessionsCountByTheWallClock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil)
		for _, wrong := range []time.Duration{-30 * time.Second, 30 * time.Second} {
			clock := func() time.Time { return time.Now().Add(wrong) }
			h := New(Options{Network: bereft{w}, WallClock: clock})
			defer h.Stop(context.Background())
			in := &session.Input{Kind: session.InAttach, Device: "phone", Login: &invitation.Login{User: "alice", Device: "phone"}}
			if err := h.TellSession("alice", in); err != nil {
				t.Fatal(err)
			}
			s, ok, err := h.Session(t.Context(), "alice")
			if want := uint64(clock().UnixMilli()); err != nil || !ok || s.First < want || s.First > want+1 {
				t.Errorf("a clock that is wrong by %v: it counts from %d, want %d; %v, %v", wrong, s.First, want, ok, err)
			}
		}
	})
}

func TestRefusedCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil)
		alice, bob := w.phone("alice", 0), w.phone("bob", invitation.Refuse)
		alice.send("bob", invitation.Timers{})
		synctest.Wait()
		alice.saw(t, "ReceivedByPeer", "Refused")
		bob.saw(t, "Received", "Refused")
		w.liveIs(t, 2, 0)
	})
}

// TestDefaultTimers keeps the contract's 30 s and 60 s: never early, and at most a tick late.
func TestDefaultTimers(t *testing.T) {
	const tick = 50 * time.Millisecond
	t.Run("expire", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, nil)
			alice, bob := w.phone("alice", 0), w.phone("bob", 0)
			alice.send("bob", invitation.Timers{})
			synctest.Wait()
			time.Sleep(60*time.Second - time.Millisecond)
			synctest.Wait()
			alice.saw(t, "ReceivedByPeer")
			time.Sleep(tick + 2*time.Millisecond)
			synctest.Wait()
			alice.saw(t, "ReceivedByPeer", "Failure")
			bob.saw(t, "Received", "Failure")
			if w.late > tick {
				t.Errorf("a deadline was kept %v late, want at most %v", w.late, tick)
			}
		})
	})
	t.Run("no response", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, nil)
			alice := w.phone("alice", 0)
			alice.send("bob", invitation.Timers{})
			time.Sleep(30*time.Second - time.Millisecond)
			synctest.Wait()
			alice.saw(t)
			time.Sleep(tick + 2*time.Millisecond)
			synctest.Wait()
			alice.saw(t, "Failure")
		})
	})
}

func TestOfferWaitsForACalleeWhoComesOnline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil)
		alice := w.phone("alice", 0)
		alice.send("bob", invitation.Timers{})
		time.Sleep(29 * time.Second)
		bob := w.phone("bob", invitation.Accept)
		synctest.Wait()
		alice.saw(t, "ReceivedByPeer", "Accepted")
		bob.saw(t, "Received", "Accepted")
	})
}

// TestMuteDeviceIsRepeatedToAndExpires shows that the arbiter's one timer serves the repeats too.
func TestMuteDeviceIsRepeatedToAndExpires(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil)
		alice, bob := w.phone("alice", 0), w.phone("bob", 0)
		bob.mute = true
		alice.send("bob", invitation.Timers{NoResponse: 2 * time.Second, Linger: 3 * time.Second})
		time.Sleep(3 * time.Second)
		synctest.Wait()
		alice.saw(t, "Failure")
		bob.saw(t, "Received", "Failure")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		w.liveIs(t, 2, 0)
	})
}

func TestPanicEndsOneInvitationAsAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, func(msg any) {
			if m, ok := msg.(*invitation.Message); ok && m.Kind == invitation.MsgAccept && m.User == "bob" {
				panic("a fault of the test")
			}
		})
		alice, bob, carol := w.phone("alice", 0), w.phone("bob", invitation.Accept), w.phone("carol", invitation.Accept)
		alice.send("carol", invitation.Timers{})
		synctest.Wait()
		alice.send("bob", invitation.Timers{})
		synctest.Wait()
		alice.saw(t, "ReceivedByPeer", "Accepted", "ReceivedByPeer", "Failure")
		bob.saw(t, "Received", "Failure")
		carol.saw(t, "Received", "Accepted")
		if n := w.host.Stats().Engine.Panics; n != 1 {
			t.Errorf("%d panics were counted, want 1", n)
		}
		w.liveIs(t, 3, 0)
	})
}

func TestPanickingSessionGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		panics := 1
		w := newWorld(t, func(msg any) {
			if in, ok := msg.(*session.Input); ok && in.Kind == session.InWord && panics > 0 {
				panics--
				panic("a fault of the test")
			}
		})
		alice, bob := w.phone("alice", 0), w.phone("bob", 0)
		alice.send("bob", invitation.Timers{})
		time.Sleep(time.Second) // bob's word was lost; the arbiter asks again
		synctest.Wait()
		alice.saw(t, "ReceivedByPeer")
		bob.saw(t, "Received")
	})
}

func TestUnknownInvitationIsNotFound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil)
		alice := w.phone("alice", 0)
		for _, request := range []invitation.Request{invitation.Cancel, invitation.Accept, invitation.Refuse, invitation.Query} {
			alice.say(invitation.Up{Call: &invitation.Call{Request: request, RequestID: 7, ID: invitation.ID{15: 1}}})
		}
		synctest.Wait()
		for _, a := range alice.answers {
			if a.Error != invitation.NotFound {
				t.Errorf("%v was answered %v, want NOT_FOUND", a.Request, a.Error)
			}
		}
		if len(alice.answers) != 4 {
			t.Errorf("%d answers, want 4", len(alice.answers))
		}
	})
}

// TestLateDuplicateOfASendStartsNothing gives an arbiter's first message again when the invitation is
// over and its arbiter has gone.
func TestLateDuplicateOfASendStartsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var start *invitation.Message
		w := newWorld(t, func(msg any) {
			if m, ok := msg.(*invitation.Message); ok && m.Kind == invitation.MsgStart {
				start = m
			}
		})
		alice, bob := w.phone("alice", 0), w.phone("bob", invitation.Accept)
		alice.send("bob", invitation.Timers{})
		synctest.Wait()
		w.liveIs(t, 2, 0)
		w.Arbiter(start)
		synctest.Wait()
		w.liveIs(t, 2, 0)
		alice.saw(t, "ReceivedByPeer", "Accepted")
		bob.saw(t, "Received", "Accepted")
	})
}
