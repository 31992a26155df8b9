package client

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

func TestResume(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		confirmed, r := w.sent(), w.shown("1")
		w.tellLocal(confirmed, invitation.Notice{Local: invitation.LocalReceivedByRemote, Confirm: "desk"})
		w.word(invitation.WordConfirmed)
		refused := w.sent()
		w.tellLocal(refused, invitation.Notice{Local: invitation.LocalRefusedByRemote, Verdict: true})
		w.word(invitation.WordDone)
		settled := w.sent()
		w.tellLocal(settled, invitation.Notice{Local: invitation.LocalRefusedByRemote, Verdict: true, Settled: true})
		_, call, result := w.pendingSend()
		w.fired(LocalInvitationReceivedByPeer, LocalInvitationRefused, LocalInvitationRefused)

		old := w.link()
		old.receiver.Lost(io.ErrUnexpectedEOF)
		synctest.Wait()
		if w.c.Connected() || !old.closed {
			w.Fatal("still connected, or the lost link left open")
		}
		time.Sleep(firstBackoff)
		synctest.Wait()
		if !w.c.Connected() || w.s.dials() != 2 {
			w.Fatalf("not back: %d dials", w.s.dials())
		}
		login := w.s.logins[1]
		if !login.Resume || login.Stamp != 1 || login.User != "alice" || login.Device != "phone" {
			w.Fatalf("login %+v", login)
		}
		words := map[invitation.ID]invitation.Word{}
		for _, word := range login.Words {
			words[word.ID] = word
		}
		if len(words) != 3 || words[confirmed.ID()].Named != "desk" || words[r.ID()].Kind != invitation.WordSeen ||
			words[refused.ID()].Local != invitation.LocalRefusedByRemote {
			w.Fatalf("words %+v", words)
		}
		w.repeats(w.call(invitation.Send), call)
		old.notice(invitation.Notice{ID: r.ID(), Side: invitation.Callee, Remote: invitation.RemoteCanceled})
		w.fired() // the old connection says nothing any more
		w.link().answer(invitation.Answer{RequestID: call.RequestID, ID: invitation.ID{1}})
		w.is(<-result, nil)
		w.tellLocal(confirmed, invitation.Notice{Local: invitation.LocalAcceptedByRemote, Verdict: true})
		w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteCanceled, Reason: invitation.CallerGone})
		w.fired(LocalInvitationAccepted, RemoteInvitationCanceled)
		w.violated()
	})
}

func TestSessionEvents(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.link().receiver.Lost(io.EOF)
		time.Sleep(firstBackoff)
		w.link().end(invitation.EndUnauthorized)
		synctest.Wait()
		session := w.events.session()
		if len(session) != 4 || session[0].Kind != SessionConnected || session[1].Kind != SessionReconnecting ||
			session[2].Kind != SessionConnected || session[3].Kind != SessionEnded {
			w.Fatalf("%v", session)
		}
		w.is(session[1].Err, io.EOF)
		w.is(session[3].Err, invitation.EndUnauthorized)
	})
}

// A node that has lost an invitation, or told its end while nobody listened, is asked after a
// reconnect.
func TestNodeHasLostAnInvitation(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		told, untold := w.sent(), w.sent()
		w.link().receiver.Lost(io.EOF)
		time.Sleep(firstBackoff)
		synctest.Wait()
		w.tellLocal(told, invitation.Notice{Local: invitation.LocalReceivedByRemote})
		w.fired(LocalInvitationReceivedByPeer)
		time.Sleep(auditAfter)
		query := w.call(invitation.Query)
		if query.ID != untold.ID() {
			w.Fatalf("asked for %v", query.ID)
		}
		w.link().answer(invitation.Answer{RequestID: query.RequestID, Error: invitation.NotFound})
		w.fired() // it may not have heard of it yet
		for range 5 {
			time.Sleep(auditAfter)
			synctest.Wait()
			for _, call := range w.link().calls() {
				w.link().answer(invitation.Answer{RequestID: call.RequestID, Error: invitation.NotFound})
			}
		}
		w.fired(LocalInvitationFailure)
		if untold.Reason() != invitation.OutcomeForgotten || told.State() != invitation.LocalReceivedByRemote {
			w.Fatal(untold.Reason(), told.State())
		}
	})
}

func TestAwayForLongerThanTheLinger(t *testing.T) {
	inWorld(t, Options{Linger: time.Minute}, func(w *world) {
		l, r := w.sent(), w.shown("1")
		_, _, result := w.pendingSend()
		for range 100 {
			w.s.refuse = append(w.s.refuse, io.ErrClosedPipe)
		}
		w.link().receiver.Lost(io.EOF)
		time.Sleep(time.Minute - time.Nanosecond)
		w.fired()
		time.Sleep(time.Nanosecond)
		w.fired(LocalInvitationFailure, RemoteInvitationFailure, LocalInvitationFailure)
		w.is(<-result, invitation.AlreadyEnd)
		for _, reason := range []invitation.Reason{l.Reason(), r.Reason()} {
			if reason != invitation.OutcomeForgotten {
				w.Fatal(reason)
			}
		}
		w.s.mu.Lock()
		w.s.refuse = nil
		w.s.mu.Unlock()
		time.Sleep(w.c.options.MaxBackoff)
		synctest.Wait()
		if !w.c.Connected() {
			w.Fatal("it does not come back")
		}
		w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteInvitationReceived})
		if word := w.word(invitation.WordDone); word.Remote != invitation.RemoteFailure {
			w.Fatalf("%+v", word)
		}
		w.fired()
	})
}

func TestRemoteLoginEndsTheSession(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		sent, confirmed, r := w.sent(), w.sent(), w.shown("1")
		w.tellLocal(confirmed, invitation.Notice{Local: invitation.LocalReceivedByRemote, Confirm: "desk"})
		_, _, result := w.pendingSend()
		w.fired(LocalInvitationReceivedByPeer)
		w.link().end(invitation.EndRemoteLogin)
		err := <-result
		w.is(err, ErrNotLoggedIn)
		w.is(err, invitation.EndRemoteLogin)
		w.fired(LocalInvitationCanceled, LocalInvitationFailure, RemoteInvitationFailure, LocalInvitationCanceled)
		if sent.Reason() != invitation.CallerLoggedOut || confirmed.Reason() != invitation.OutcomeForgotten ||
			r.Reason() != invitation.OutcomeForgotten {
			w.Fatal(sent.Reason(), confirmed.Reason(), r.Reason())
		}
		time.Sleep(time.Hour)
		if w.s.dials() != 1 {
			w.Fatal("it came back by itself")
		}
		w.is(r.Accept(w.Context(), ""), invitation.AlreadyEnd)

		late := w.c.NewLocalInvitation("bob")
		w.is(late.Send(w.Context()), ErrNotLoggedIn)
		w.fired(LocalInvitationFailure)
		if late.Code() != invitation.LocalNotLoggedIn {
			w.Fatal(late.Code())
		}
		w.is(late.Send(w.Context()), invitation.AlreadyEnd)

		w.is(w.c.Login(w.Context()), nil)
		if login := w.s.logins[1]; login.Resume {
			w.Fatalf("a login anew resumes: %+v", login)
		}
		// What rang may be shown anew; what was asked to be accepted may not.
		w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteInvitationReceived})
		w.fired(RemoteInvitationReceived)
		w.violated()
	})
}

// An invitation that this device asked to accept has failed for it when the session ends: it must not
// be accepted in another session, nor ring there.
func TestAcceptIsNotCarriedIntoAnotherSession(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		r := w.shown("1")
		accepted := make(chan error, 1)
		go func() { accepted <- r.Accept(w.Context(), "") }()
		w.call(invitation.Accept)
		w.link().end(invitation.EndRemoteLogin)
		w.is(<-accepted, invitation.EndRemoteLogin)
		w.fired(RemoteInvitationFailure)
		w.is(w.c.Login(w.Context()), nil)
		for _, state := range []invitation.RemoteState{invitation.RemoteInvitationReceived, invitation.RemoteAccepted} {
			w.tellRemote(r, invitation.Notice{Remote: state})
			if word := w.word(invitation.WordDone); word.Remote != invitation.RemoteFailure {
				w.Fatalf("said %+v", word)
			}
		}
		w.fired()
	})
}

func TestSendBeforeLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := new(events)
		c := New(new(script), Options{User: "alice", OnEvent: e.add})
		defer c.Close()
		l := c.NewLocalInvitation("bob")
		if err := l.Send(t.Context()); !errors.Is(err, ErrNotLoggedIn) {
			t.Fatal(err)
		}
		synctest.Wait()
		if kinds := e.kinds(); len(kinds) != 1 || kinds[0] != LocalInvitationFailure || l.Code() != invitation.LocalNotLoggedIn {
			t.Fatal(kinds, l.Code())
		}
		if err := c.Logout(t.Context()); !errors.Is(err, ErrNotLoggedIn) {
			t.Fatal(err)
		}
		if _, err := c.Query(t.Context(), invitation.ID{1}); !errors.Is(err, ErrNotLoggedIn) {
			t.Fatal(err)
		}
	})
}

func TestLogoutWaitsForWhatIsConfirmed(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		confirmed, other := w.sent(), w.sent()
		w.tellLocal(confirmed, invitation.Notice{Local: invitation.LocalReceivedByRemote, Confirm: "desk"})
		w.word(invitation.WordConfirmed)
		result := make(chan error, 1)
		go func() { result <- w.c.Logout(w.Context()) }()
		synctest.Wait()
		if said := w.link().take(); len(said) != 0 {
			w.Fatalf("said %v", said)
		}
		late := w.c.NewLocalInvitation("bob")
		w.is(late.Send(w.Context()), ErrNotLoggedIn)
		w.tellLocal(confirmed, invitation.Notice{Local: invitation.LocalAcceptedByRemote, Verdict: true})
		synctest.Wait()
		said := w.link().take()
		if len(said) != 2 || said[0].Word == nil || !said[1].Logout {
			w.Fatalf("said %v", said)
		}
		w.link().end(invitation.EndLoggedOut)
		w.is(<-result, nil)
		w.fired(LocalInvitationReceivedByPeer, LocalInvitationFailure, LocalInvitationAccepted, LocalInvitationCanceled)
		if other.Reason() != invitation.CallerLoggedOut {
			w.Fatal(other.Reason())
		}
		w.is(w.c.Logout(w.Context()), ErrNotLoggedIn)
	})
}

func TestLogoutOverALostConnection(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		result := make(chan error, 1)
		w.link().receiver.Lost(io.EOF)
		go func() { result <- w.c.Logout(w.Context()) }()
		time.Sleep(firstBackoff)
		synctest.Wait()
		if said := w.link().take(); len(said) != 1 || !said[0].Logout {
			w.Fatalf("said %v", said)
		}
		w.link().receiver.Lost(io.EOF) // the answer is lost
		w.is(<-result, nil)
		time.Sleep(time.Minute)
		if w.s.dials() != 2 {
			w.Fatal("it came back after the logout")
		}
	})
}

// TestConfirmBehindALogout loses the connection after a Logout that an accept has crossed: the client
// comes back for the verdict, as what it confirmed may be accepted.
func TestConfirmBehindALogout(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l := w.sent()
		result := make(chan error, 1)
		go func() { result <- w.c.Logout(w.Context()) }()
		synctest.Wait()
		if said := w.link().take(); len(said) != 1 || !said[0].Logout {
			w.Fatalf("said %v", said)
		}
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalReceivedByRemote, Confirm: "desk"})
		w.word(invitation.WordConfirmed)
		w.link().receiver.Lost(io.EOF)
		time.Sleep(firstBackoff)
		synctest.Wait()
		w.link().take()
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalAcceptedByRemote, Verdict: true})
		synctest.Wait()
		said := w.link().take()
		if len(said) != 2 || said[0].Word == nil || !said[1].Logout {
			w.Fatalf("said %v", said)
		}
		w.link().end(invitation.EndLoggedOut)
		w.is(<-result, nil)
		if l.State() != invitation.LocalAcceptedByRemote {
			w.Fatal(l.State())
		}
	})
}

// TestAcceptedWordBehindALogout loses the connection behind a Logout, and with it the word that an accept
// holds: the client brings it before it leaves.
func TestAcceptedWordBehindALogout(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		r := w.shown("one")
		go func() { _ = r.Accept(w.Context(), "yes") }()
		synctest.Wait()
		result := make(chan error, 1)
		go func() { result <- w.c.Logout(w.Context()) }()
		synctest.Wait()
		w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteAccepted})
		w.link().receiver.Lost(io.EOF)
		time.Sleep(firstBackoff)
		synctest.Wait()
		words := w.s.logins[len(w.s.logins)-1].Words
		if len(words) != 1 || words[0].Kind != invitation.WordDone || words[0].Remote != invitation.RemoteAccepted {
			w.Fatalf("came back with %v", words)
		}
		w.link().end(invitation.EndLoggedOut)
		w.is(<-result, nil)
	})
}

func TestLogoutThatTheLinkDoesNotTake(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.link().broken = invitation.EndOverloaded
		result := make(chan error, 1)
		go func() { result <- w.c.Logout(w.Context()) }()
		time.Sleep(2 * firstBackoff)
		synctest.Wait()
		if said := w.link().take(); w.s.dials() != 2 || len(said) != 1 || !said[0].Logout {
			w.Fatalf("%d dials, said %v", w.s.dials(), said)
		}
		w.link().end(invitation.EndLoggedOut)
		w.is(<-result, nil)
	})
}

func TestLogoutGivesUp(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l := w.sent()
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		w.is(w.c.Logout(ctx), context.DeadlineExceeded)
		w.fired(LocalInvitationCanceled)
		if l.State() != invitation.LocalCanceled || w.c.Connected() {
			w.Fatal(l.State())
		}
	})
}

func TestClose(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l := w.sent()
		channel := w.c.Events()
		waited := make(chan error, 1)
		go func() { waited <- l.Wait(w.Context()) }()
		_, _, sent := w.pendingSend()
		canceled := make(chan error, 1)
		kept, _, other := w.pendingSend()
		go func() { canceled <- kept.Cancel(w.Context()) }() // without an id it waits for that
		synctest.Wait()
		w.is(w.c.Close(), nil)
		w.is(w.c.Close(), nil)
		for _, result := range []chan error{waited, sent, other, canceled} {
			w.is(<-result, ErrClosed)
		}
		if _, open := <-channel; open {
			w.Fatal("an event after Close")
		}
		w.fired()
		w.is(w.c.NewLocalInvitation("bob").Send(w.Context()), ErrClosed)
		w.is(w.c.Login(w.Context()), ErrClosed)
		w.is(w.c.Logout(w.Context()), ErrClosed)
		w.is(l.Cancel(w.Context()), ErrClosed)
		if !w.link().closed {
			w.Fatal("the link was left open")
		}
		if _, open := <-w.c.Events(); open {
			w.Fatal("a channel that never closes")
		}
	})
}

func TestCloseEndsReconnecting(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.link().receiver.Lost(io.EOF)
		_ = w.c.Close()
		time.Sleep(time.Hour)
		if w.s.dials() != 1 {
			w.Fatal("it came back after Close")
		}
	})
}

func TestLoginErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := func(err, want error) {
			t.Helper()
			if !errors.Is(err, want) {
				t.Fatalf("error %v, want %v", err, want)
			}
		}
		s := new(script)
		_, err := Dial(t.Context(), s, Options{User: "a/b"})
		is(err, invitation.EndBadLogin)
		s.refuse = []error{io.ErrClosedPipe}
		_, err = Dial(t.Context(), s, Options{User: "alice"})
		is(err, io.ErrClosedPipe)
		s.refuse = []error{&EndError{End: invitation.EndUnauthorized}}
		_, err = Dial(t.Context(), s, Options{User: "alice"})
		is(err, invitation.EndUnauthorized)

		// A node that is busy is asked again, not before it wants to be.
		s.refuse = []error{
			&EndError{End: invitation.EndOverloaded, RetryAfter: time.Minute}, invitation.EndShutdown,
		}
		start := time.Now()
		c, err := Dial(t.Context(), s, Options{User: "alice"})
		is(err, nil)
		if took := time.Since(start); took < time.Minute || took > time.Minute+3*firstBackoff {
			t.Fatalf("took %v", took)
		}
		is(c.Login(t.Context()), ErrLoggedIn)
		_ = c.Close()

		s.mute = true // connected, but no Welcome comes
		start = time.Now()
		_, err = Dial(t.Context(), s, Options{User: "alice", DialTimeout: 3 * time.Second})
		is(err, context.DeadlineExceeded)
		if time.Since(start) != 3*time.Second || !s.last().closed {
			t.Fatal("it waited for", time.Since(start))
		}
		ctx, cancel := context.WithCancel(t.Context())
		c = New(s, Options{User: "alice"})
		failed := make(chan error, 1)
		go func() { failed <- c.Login(ctx) }()
		synctest.Wait()
		is(c.Login(ctx), ErrLoggedIn)
		cancel()
		is(<-failed, context.Canceled)
		go func() { failed <- c.Login(t.Context()) }()
		synctest.Wait()
		_ = c.Close()
		is(<-failed, ErrClosed)
		synctest.Wait()
	})
}

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(new(script), Options{User: "alice", MaxBackoff: 5 * time.Second})
		defer c.Close()
		var longest [8]time.Duration
		for range 1_000 {
			c.change().failures = 0
			for i := range longest {
				d := c.backoff(EndError{})
				if limit := min(firstBackoff<<i, 5*time.Second); d < 0 || d >= limit {
					t.Fatalf("failure %d: %v, limit %v", i, d, limit)
				}
				longest[i] = max(longest[i], d)
			}
		}
		if longest[0] < firstBackoff/2 || longest[7] < 4*time.Second {
			t.Fatalf("not spread: %v", longest)
		}
		spread := time.Duration(0)
		for range 1_000 {
			d := c.backoff(EndError{End: invitation.EndShutdown, RetryAfter: time.Minute})
			if d >= time.Minute {
				t.Fatal(d)
			}
			spread = max(spread, d)
			c.change().failures = 0
			d = c.backoff(EndError{End: invitation.EndOverloaded, RetryAfter: time.Minute})
			if d < time.Minute || d >= time.Minute+firstBackoff {
				t.Fatal(d)
			}
		}
		if spread < 50*time.Second {
			t.Fatalf("a node that stops gets its clients back within %v", spread)
		}
	})
}

// An attempt to connect that was given up may yet arrive at the node, and replace the one that came
// after it. That must not end the session; another program that takes the device's place must.
func TestReplacedByItsOwnGhost(t *testing.T) {
	inWorld(t, Options{DialTimeout: time.Second}, func(w *world) {
		w.s.mute = true
		w.link().receiver.Lost(io.EOF)
		time.Sleep(firstBackoff)
		synctest.Wait()
		w.s.mu.Lock()
		w.s.mute = false
		w.s.mu.Unlock()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !w.c.Connected() {
			w.Fatal("not back")
		}
		for range 2 { // nodes may hear of it twice
			w.link().end(invitation.EndReplaced)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if !w.c.Connected() {
				w.Fatal("ended by its own ghost")
			}
		}
		time.Sleep(ghostTime)
		w.link().end(invitation.EndReplaced)
		time.Sleep(time.Minute)
		if w.c.Connected() {
			w.Fatal("it fights with another program for the device")
		}
	})
}

// A connection that breaks as soon as it is made counts as a failure, one that has lasted does not.
func TestFlappingConnectionBacksOff(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		for range 50 {
			w.link().receiver.Lost(io.EOF)
			for !w.c.Connected() {
				time.Sleep(10 * time.Millisecond)
				synctest.Wait()
			}
		}
		if w.c.seldom().failures < 40 {
			w.Fatalf("%d failures", w.c.seldom().failures)
		}
		time.Sleep(steadyAfter)
		w.link().receiver.Lost(io.EOF)
		time.Sleep(firstBackoff)
		synctest.Wait()
		if !w.c.Connected() || w.c.seldom().failures != 1 {
			w.Fatalf("%d failures", w.c.seldom().failures)
		}
	})
}

func TestLinkThatTakesNoMoreIsReplaced(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.link().broken = io.ErrShortWrite
		_, _, result := w.pendingSend()
		time.Sleep(firstBackoff)
		call := w.call(invitation.Send)
		w.link().answer(invitation.Answer{RequestID: call.RequestID, ID: invitation.ID{1}})
		w.is(<-result, nil)
		if w.s.dials() != 2 {
			w.Fatal(w.s.dials())
		}
	})
}
