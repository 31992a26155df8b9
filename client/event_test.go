package client

import (
	"fmt"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

func TestCallbackMayWaitForAnAccept(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		result := make(chan error, 1)
		w.c.OnRemoteInvitation(func(r *RemoteInvitation) { result <- r.Accept(w.Context(), "yes") })
		id := invitation.ID{1}
		w.link().notice(invitation.Notice{ID: id, Side: invitation.Callee, Remote: invitation.RemoteInvitationReceived})
		synctest.Wait()
		said := w.link().take()
		if len(said) != 2 || said[0].Word == nil || said[1].Call == nil {
			w.Fatalf("said %+v", said)
		}
		w.link().answer(invitation.Answer{RequestID: said[1].Call.RequestID})
		w.is(<-result, nil)
		w.fired(RemoteInvitationReceived)
	})
}

// A callback that never returns holds back the events, but neither the words nor the methods.
func TestCallbackThatBlocks(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		hold := make(chan struct{})
		l := w.sent()
		l.OnEvent(func(Event) { <-hold })
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalReceivedByRemote})
		w.fired()
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalReceivedByRemote, Confirm: "desk"})
		w.word(invitation.WordConfirmed)
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalAcceptedByRemote, Verdict: true})
		w.word(invitation.WordDone)
		w.is(l.Wait(w.Context()), nil)
		w.fired()
		close(hold)
		w.fired(LocalInvitationReceivedByPeer, LocalInvitationAccepted)
	})
}

func TestEventsOfOneInvitationComeFirst(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		var order []string
		w.c.OnRemoteInvitation(func(r *RemoteInvitation) {
			order = append(order, "OnRemoteInvitation")
			r.OnEvent(func(ev Event) { order = append(order, "invitation "+ev.Kind.String()) })
		})
		w.c.OnEvent(func(ev Event) { order = append(order, "client "+ev.Kind.String()) })
		synctest.Wait()
		order = nil
		channel := w.c.Events()
		id := invitation.ID{1}
		w.link().notice(invitation.Notice{ID: id, Side: invitation.Callee, Remote: invitation.RemoteInvitationReceived})
		w.link().notice(invitation.Notice{ID: id, Side: invitation.Callee, Remote: invitation.RemoteCanceled})
		first, second := <-channel, <-channel
		synctest.Wait()
		if first.Kind != RemoteInvitationReceived || second.Kind != RemoteInvitationCanceled || first.Remote.ID() != id ||
			second.At.IsZero() {
			w.Fatalf("channel: %+v, %+v", first, second)
		}
		want := "[OnRemoteInvitation client RemoteInvitationReceived " +
			"invitation RemoteInvitationCanceled client RemoteInvitationCanceled]"
		if got := fmt.Sprint(order); got != want {
			w.Fatalf("order %v", got)
		}
	})
}

func TestCloseFromACallbackWhileTheChannelIsFull(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.c.Events() // nobody reads it
		for i := range byte(40) {
			w.link().notice(invitation.Notice{ID: invitation.ID{i + 1}, Side: invitation.Callee, Remote: invitation.RemoteInvitationReceived})
		}
		synctest.Wait()
		_ = w.c.Close() // or the bubble would never end
	})
	inWorld(t, Options{}, func(w *world) {
		w.c.OnRemoteInvitation(func(*RemoteInvitation) { _ = w.c.Close() })
		for i := range byte(2) {
			w.link().notice(invitation.Notice{ID: invitation.ID{i + 1}, Side: invitation.Callee, Remote: invitation.RemoteInvitationReceived})
		}
		w.fired(RemoteInvitationReceived)
	})
}

func TestWithoutAListenerNothingRings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(script)
		c, err := Dial(t.Context(), s, Options{User: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		offer := invitation.Notice{ID: invitation.ID{1}, Side: invitation.Callee, Remote: invitation.RemoteInvitationReceived}
		s.last().notice(offer)
		if said := s.last().take(); len(said) != 0 {
			t.Fatalf("said %v", said)
		}
		rang := make(chan *RemoteInvitation, 1)
		c.OnRemoteInvitation(func(r *RemoteInvitation) { rang <- r })
		s.last().notice(offer) // the node offers it again
		if r := <-rang; r.ID() != offer.ID {
			t.Fatal(r.ID())
		}
	})
}

func TestBoundOfLiveInvitations(t *testing.T) {
	inWorld(t, Options{MaxInvitations: 2}, func(w *world) {
		first := w.sent()
		w.shown("1")
		w.is(w.c.NewLocalInvitation("bob").Send(w.Context()), invitation.LimitExceeded)
		offer := invitation.Notice{ID: invitation.ID{9}, Side: invitation.Callee, Remote: invitation.RemoteInvitationReceived}
		w.link().notice(offer)
		w.fired()
		w.tellLocal(first, invitation.Notice{Local: invitation.LocalRefusedByRemote, Verdict: true})
		w.link().notice(offer)
		w.fired(LocalInvitationRefused, RemoteInvitationReceived)
	})
}

// An application that takes no events is not shown more invitations than the bound, however fast they
// come and go.
func TestBoundOfUndeliveredEvents(t *testing.T) {
	inWorld(t, Options{MaxInvitations: 10}, func(w *world) {
		hold := make(chan struct{})
		w.c.OnRemoteInvitation(func(*RemoteInvitation) { <-hold })
		flood := func(from byte) {
			for i := range byte(100) {
				n := invitation.Notice{ID: invitation.ID{from, i}, Side: invitation.Callee, Remote: invitation.RemoteInvitationReceived}
				w.link().notice(n)
				n.Remote, n.Settled = invitation.RemoteCanceled, true
				w.link().notice(n)
				w.link().take()
			}
		}
		flood(1)
		synctest.Wait()
		w.c.mu.Lock()
		backlog := w.c.backlog()
		w.c.mu.Unlock()
		if backlog < 10 || backlog > 13 {
			w.Fatalf("%d events wait", backlog)
		}
		w.is(w.c.NewLocalInvitation("bob").Send(w.Context()), invitation.LimitExceeded)
		close(hold)
		synctest.Wait()
		if n := len(w.events.kinds()); n != backlog {
			w.Fatalf("%d events fired of %d", n, backlog)
		}
		flood(2)
		synctest.Wait()
		if len(w.events.kinds()) == 0 {
			w.Fatal("nothing is shown any more")
		}
		w.violated()
	})
}

func TestSessionEventsAreBounded(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		hold := make(chan struct{})
		w.c.OnRemoteInvitation(func(*RemoteInvitation) { <-hold })
		w.link().notice(invitation.Notice{ID: invitation.ID{1}, Side: invitation.Callee, Remote: invitation.RemoteInvitationReceived})
		synctest.Wait()
		w.events.session()
		for range 50 {
			w.link().receiver.Lost(io.EOF)
			time.Sleep(11 * time.Second)
			synctest.Wait()
		}
		close(hold)
		synctest.Wait()
		session := w.events.session()
		if len(session) != maxSessionEvents || session[maxSessionEvents-1].Kind != SessionConnected {
			w.Fatalf("%v", session)
		}
	})
}

func TestIdleClientHasNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := runtime.NumGoroutine()
		for range 100 {
			c, err := Dial(t.Context(), new(script), Options{User: "alice", OnEvent: func(Event) {}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		synctest.Wait()
		if after := runtime.NumGoroutine(); after > before+5 {
			t.Fatalf("%d goroutines for 100 clients", after-before)
		}
	})
}

func TestDoneAndWait(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l := w.sent()
		done := l.Done()
		select {
		case <-done:
			w.Fatal("done too early")
		default:
		}
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalSentToRemote, Remaining: 30 * time.Second})
		time.Sleep(time.Second)
		if got := l.Remaining(); got != 29*time.Second {
			w.Fatal(got)
		}
		w.tellLocal(l, invitation.Notice{
			Local: invitation.LocalFailure, Code: uint8(invitation.LocalRemoteOffline), Reason: invitation.CalleeOffline, Verdict: true,
		})
		<-done
		<-l.Done()
		if l.Remaining() != 0 || l.Code() != invitation.LocalRemoteOffline || l.Reason() != invitation.CalleeOffline {
			w.Fatal(l.Remaining(), l.Code(), l.Reason())
		}
		w.fired(LocalInvitationFailure)
	})
}
