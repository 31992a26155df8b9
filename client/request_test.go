package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

func TestUnansweredRequestIsRepeated(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		_, first, result := w.pendingSend()
		start := time.Now()
		var at []time.Duration
		for range 5 {
			for len(at) < 20 {
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				if calls := w.link().calls(); len(calls) == 1 {
					w.repeats(calls[0], first)
					at = append(at, time.Since(start).Round(time.Second))
					break
				}
			}
		}
		want := []time.Duration{time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second, 23 * time.Second}
		for i := range want {
			if at[i] != want[i] {
				w.Fatalf("repeated at %v", at)
			}
		}
		w.link().answer(invitation.Answer{RequestID: first.RequestID, ID: invitation.ID{1}})
		w.link().answer(invitation.Answer{RequestID: first.RequestID, ID: invitation.ID{1}})
		w.is(<-result, nil)
		time.Sleep(time.Minute)
		for _, call := range w.link().calls() {
			if call.Request != invitation.Query {
				w.Fatalf("repeated after the answer: %v", call)
			}
		}
	})
}

// TestSendWhoseAnswerGotLost: a state of what the client does not know may be that of a send that is not answered.
func TestSendWhoseAnswerGotLost(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l, first, result := w.pendingSend()
		n := invitation.Notice{ID: invitation.ID{1}, Side: invitation.Caller, Local: invitation.LocalRefusedByRemote}
		w.link().notice(n)
		if said := w.link().take(); len(said) != 0 {
			w.Fatalf("said %+v: the answer may be on its way", said)
		}
		time.Sleep(wordRepeat)
		w.link().notice(n)
		w.repeats(w.call(invitation.Send), first)
		w.link().answer(invitation.Answer{RequestID: first.RequestID, ID: n.ID, Notice: &n})
		w.is(<-result, nil)
		w.fired(LocalInvitationRefused)
		if l.State() != invitation.LocalRefusedByRemote {
			w.Fatal(l.State())
		}
	})
}

// TestAnswerThatNeverComes: the end of the invitation answers what was asked before.
func TestAnswerThatNeverComes(t *testing.T) {
	for remote, want := range map[invitation.RemoteState]error{
		invitation.RemoteAccepted: nil, invitation.RemoteCanceled: invitation.AlreadyEnd,
	} {
		for _, settled := range []bool{false, true} {
			inWorld(t, Options{}, func(w *world) {
				r := w.shown("1")
				accepted := make(chan error, 1)
				go func() { accepted <- r.Accept(w.Context(), "") }()
				w.call(invitation.Accept)
				w.tellRemote(r, invitation.Notice{Remote: remote, Verdict: true, Settled: settled})
				start := time.Now()
				w.is(<-accepted, want)
				if took := time.Since(start); took < answerTime || took > answerTime+lastRepeat {
					w.Fatalf("answered after %v", took)
				}
			})
		}
	}
}

// TestWinnerThatTheNodeHasForgotten: the answer to an accept is lost, and when it is repeated the node has forgotten
// that it won.
func TestWinnerThatTheNodeHasForgotten(t *testing.T) {
	for remote, want := range map[invitation.RemoteState]error{
		invitation.RemoteAccepted: nil, invitation.RemoteCanceled: invitation.AlreadyEnd,
	} {
		for _, err := range []invitation.CallError{invitation.AlreadyEnd, invitation.NotFound} {
			inWorld(t, Options{}, func(w *world) {
				r := w.shown("1")
				accepted := make(chan error, 1)
				go func() { accepted <- r.Accept(w.Context(), "") }()
				w.call(invitation.Accept)
				w.tellRemote(r, invitation.Notice{Remote: remote, Verdict: true})
				time.Sleep(firstRepeat)
				again := w.call(invitation.Accept)
				w.link().answer(invitation.Answer{Request: again.Request, RequestID: again.RequestID, ID: r.ID(), Error: err})
				w.is(<-accepted, want)
			})
		}
	}
}

// TestRingingThatIsNotTold: that it rings is told once, so it is asked for, less and less often.
func TestRingingThatIsNotTold(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l := w.sent()
		start := time.Now()
		for i, seconds := range []int{2, 6, 14, 30, 46} {
			time.Sleep(time.Until(start.Add(time.Duration(seconds) * time.Second)))
			query := w.call(invitation.Query)
			n := invitation.Notice{ID: l.ID(), Side: invitation.Caller, Local: invitation.LocalSentToRemote}
			if i == 4 {
				n.Local = invitation.LocalReceivedByRemote
			}
			w.link().answer(invitation.Answer{RequestID: query.RequestID, ID: l.ID(), Notice: &n})
		}
		w.fired(LocalInvitationReceivedByPeer)
		time.Sleep(time.Minute)
		if calls := w.link().calls(); len(calls) != 0 {
			w.Fatalf("asked for what rings: %v", calls)
		}
	})
}

func TestBusyNodeIsAskedAgain(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		_, first, result := w.pendingSend()
		w.link().answer(invitation.Answer{
			RequestID: first.RequestID, Error: invitation.Unavailable, RetryAfter: 5 * time.Second,
		})
		time.Sleep(5*time.Second - 1)
		synctest.Wait()
		if calls := w.link().calls(); len(calls) != 0 {
			w.Fatalf("asked again too early: %v", calls)
		}
		time.Sleep(firstRepeat + 1)
		if again := w.call(invitation.Send); *again != *first {
			w.Fatalf("asked %+v, was %+v", again, first)
		}
		w.link().answer(invitation.Answer{RequestID: first.RequestID, ID: invitation.ID{1}})
		w.is(<-result, nil)
	})
}

func TestSendOfBusyNodeIsTakenBackWhenTheContextEnds(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		ctx, cancel := context.WithCancelCause(w.Context())
		stop := errors.New("stop")
		l := w.c.NewLocalInvitation("bob")
		result := make(chan error, 1)
		go func() { result <- l.Send(ctx) }()
		call := w.call(invitation.Send)
		w.link().answer(invitation.Answer{RequestID: call.RequestID, Error: invitation.Unavailable, RetryAfter: time.Minute})
		cancel(stop)
		err := <-result
		w.is(err, invitation.Unavailable)
		w.is(err, stop)
		time.Sleep(10 * time.Minute)
		w.fired()
		if calls := w.link().calls(); len(calls) != 0 || l.State() != invitation.LocalIdle {
			w.Fatalf("said %v, state %v", calls, l.State())
		}
		w.is(l.Cancel(w.Context()), invitation.NotStarted)
		go func() { result <- l.Send(w.Context()) }() // it may be sent again
		w.link().answer(invitation.Answer{RequestID: w.call(invitation.Send).RequestID, ID: invitation.ID{1}})
		w.is(<-result, nil)
	})
}

func TestLimitOfASendIsReturned(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l, call, result := w.pendingSend()
		w.link().answer(invitation.Answer{
			RequestID: call.RequestID, Error: invitation.LimitExceeded, RetryAfter: 3 * time.Second,
		})
		err := <-result
		w.is(err, invitation.LimitExceeded)
		var retry *RetryError
		var code invitation.CallError
		if !errors.As(err, &retry) || retry.After != 3*time.Second || !errors.As(err, &code) || code != invitation.LimitExceeded {
			w.Fatalf("%#v", err)
		}
		if l.State() != invitation.LocalIdle {
			w.Fatalf("state %v", l.State())
		}
		w.fired()
	})
}

// What a user has asked for on an invitation is not taken back: it is asked for until it is answered.
func TestLimitOfAnAcceptIsRetried(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		r := w.shown("1")
		ctx, cancel := context.WithCancel(w.Context())
		result := make(chan error, 1)
		go func() { result <- r.Accept(ctx, "") }()
		call := w.call(invitation.Accept)
		w.link().answer(invitation.Answer{RequestID: call.RequestID, Error: invitation.LimitExceeded})
		cancel()
		w.is(<-result, context.Canceled)
		time.Sleep(2 * firstRepeat)
		if again := w.call(invitation.Accept); *again != *call {
			w.Fatalf("asked %+v, was %+v", again, call)
		}
		w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteAccepted})
		w.fired(RemoteInvitationAccepted)
		w.word(invitation.WordDone)
		time.Sleep(time.Minute)
		if calls := w.link().calls(); len(calls) != 0 {
			w.Fatalf("asked after the end, with nobody waiting: %v", calls)
		}
	})
}

func TestContextEndsWhileASendIsUnanswered(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		ctx, cancel := context.WithCancel(w.Context())
		l := w.c.NewLocalInvitation("bob")
		result := make(chan error, 1)
		go func() { result <- l.Send(ctx) }()
		call := w.call(invitation.Send)
		cancel()
		w.is(<-result, context.Canceled)
		w.is(l.Send(w.Context()), invitation.AlreadySent)
		w.is(l.SetContent("late"), invitation.AlreadySent)
		w.link().answer(invitation.Answer{RequestID: call.RequestID, ID: invitation.ID{1}})
		if l.State() != invitation.LocalSentToRemote {
			w.Fatalf("state %v", l.State())
		}
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalReceivedByRemote})
		w.fired(LocalInvitationReceivedByPeer)
	})
}

func TestRejectedAfterTheContextHasEnded(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		ctx, cancel := context.WithCancel(w.Context())
		l := w.c.NewLocalInvitation("bob")
		var rejected Event
		l.OnEvent(func(ev Event) { rejected = ev })
		result := make(chan error, 1)
		go func() { result <- l.Send(ctx) }()
		call := w.call(invitation.Send)
		cancel()
		w.is(<-result, context.Canceled)
		w.link().answer(invitation.Answer{RequestID: call.RequestID, Error: invitation.Forbidden})
		w.fired(RequestRejected)
		w.is(rejected.Err, invitation.Forbidden)
		if rejected.Local != l || l.State() != invitation.LocalIdle {
			w.Fatalf("%+v, state %v", rejected, l.State())
		}
	})
}

func TestChecksThatNeedNoNode(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		ctx := w.Context()
		w.is(w.c.NewLocalInvitation("a/b").Send(ctx), invitation.InvalidArgument)
		w.is(w.c.NewLocalInvitation("alice").Send(ctx), invitation.InvalidArgument)
		for name, set := range map[string]func(l *LocalInvitation) error{
			"content":  func(l *LocalInvitation) error { return l.SetContent(string(make([]byte, invitation.MaxContent+1))) },
			"not text": func(l *LocalInvitation) error { return l.SetContent("\xff") },
			"channel":  func(l *LocalInvitation) error { return l.SetChannelID(string(make([]byte, invitation.MaxChannel+1))) },
			"timers":   func(l *LocalInvitation) error { return l.SetTimers(invitation.Timers{Expire: time.Millisecond}) },
		} {
			l := w.c.NewLocalInvitation("bob")
			if err := set(l); err != nil {
				w.Fatal(name, err)
			}
			w.is(l.Send(ctx), invitation.InvalidArgument)
			if l.State() != invitation.LocalIdle {
				w.Fatalf("%s: state %v", name, l.State())
			}
		}
		w.is(w.c.NewLocalInvitation("bob").Cancel(ctx), invitation.NotStarted)
		r := w.shown("1")
		w.is(r.Accept(ctx, "\xff"), invitation.InvalidArgument)
		w.is(r.Refuse(ctx, string(make([]byte, invitation.MaxResponse+1))), invitation.InvalidArgument)
		over, cancel := context.WithCancel(ctx)
		cancel()
		w.is(w.c.NewLocalInvitation("bob").Send(over), context.Canceled)
		w.is(r.Accept(over, ""), context.Canceled)
		w.fired()
		if said := w.link().take(); len(said) != 0 {
			w.Fatalf("said %v", said)
		}
	})
}

func TestCancelOvertakesTheAnswerToTheSend(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l, send, sent := w.pendingSend()
		canceled := make(chan error, 2)
		for range 2 { // the second one joins
			go func() { canceled <- l.Cancel(w.Context()) }()
		}
		synctest.Wait()
		if calls := w.link().calls(); len(calls) != 0 {
			w.Fatalf("canceled what has no id: %v", calls)
		}
		w.link().answer(invitation.Answer{RequestID: send.RequestID, ID: invitation.ID{1}})
		w.is(<-sent, nil)
		cancel := w.call(invitation.Cancel)
		if cancel.ID != l.ID() || cancel.RequestID == send.RequestID {
			w.Fatalf("%+v", cancel)
		}
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalReceivedByRemote, Confirm: "desk"})
		if words := w.link().words(); len(words) != 0 {
			w.Fatalf("confirmed after it asked to cancel: %v", words)
		}
		w.link().answer(invitation.Answer{RequestID: cancel.RequestID})
		w.is(<-canceled, nil)
		w.is(<-canceled, nil)
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalCanceled, Reason: invitation.CallerCanceled, Verdict: true})
		w.fired(LocalInvitationReceivedByPeer, LocalInvitationCanceled)
		if l.Reason() != invitation.CallerCanceled {
			w.Fatal(l.Reason())
		}
	})
}

func TestCancelOfASendThatIsRejected(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l, send, sent := w.pendingSend()
		canceled := make(chan error, 1)
		go func() { canceled <- l.Cancel(w.Context()) }()
		synctest.Wait()
		w.link().answer(invitation.Answer{RequestID: send.RequestID, Error: invitation.Forbidden})
		w.is(<-sent, invitation.Forbidden)
		w.is(<-canceled, invitation.NotStarted)
		w.fired()
	})
}

func TestCancelOfASendThatEndsAtOnce(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l, send, sent := w.pendingSend()
		canceled := make(chan error, 1)
		go func() { canceled <- l.Cancel(w.Context()) }()
		synctest.Wait()
		w.link().answer(invitation.Answer{RequestID: send.RequestID, ID: invitation.ID{1}, Notice: &invitation.Notice{
			ID: invitation.ID{1}, Side: invitation.Caller, Local: invitation.LocalRefusedByRemote, Response: "no", Verdict: true,
		}})
		w.is(<-sent, nil)
		w.is(<-canceled, invitation.AlreadyEnd)
		w.fired(LocalInvitationRefused)
		if l.Response() != "no" {
			w.Fatal(l.Response())
		}
	})
}

// The answer to a request may come after the invitation's end; the answer of a node that has
// forgotten it meanwhile is ALREADY_END all the same.
func TestAnswerAfterTheEnd(t *testing.T) {
	for _, code := range []invitation.CallError{invitation.AlreadyEnd, invitation.NotFound} {
		inWorld(t, Options{}, func(w *world) {
			l := w.sent()
			canceled := make(chan error, 1)
			go func() { canceled <- l.Cancel(w.Context()) }()
			call := w.call(invitation.Cancel)
			w.tellLocal(l, invitation.Notice{Local: invitation.LocalRefusedByRemote, Verdict: true, Settled: true})
			w.fired(LocalInvitationRefused)
			w.link().answer(invitation.Answer{RequestID: call.RequestID, Error: code})
			w.is(<-canceled, invitation.AlreadyEnd)
			w.fired()
		})
	}
}

func TestSendThatTheNodeHasForgotten(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l, call, sent := w.pendingSend()
		w.link().answer(invitation.Answer{RequestID: call.RequestID, Error: invitation.AlreadyEnd})
		w.is(<-sent, invitation.AlreadyEnd)
		w.fired(LocalInvitationFailure)
		if l.Code() != invitation.LocalExpire || l.Reason() != invitation.OutcomeForgotten {
			w.Fatal(l.Code(), l.Reason())
		}
	})
}

// An invitation of which the node says ALREADY_END, but whose ending it does not tell, is asked for:
// otherwise nothing would ever end it. Not at once, as the ending may be on its way.
func TestEndingThatIsNeverTold(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		r := w.shown("1")
		refused := make(chan error, 1)
		go func() { refused <- r.Refuse(w.Context(), "") }()
		w.link().answer(invitation.Answer{RequestID: w.call(invitation.Refuse).RequestID, Error: invitation.AlreadyEnd})
		w.is(<-refused, invitation.AlreadyEnd)
		w.fired()
		time.Sleep(auditAfter)
		for began := time.Now(); time.Since(began) < recoveryTime; time.Sleep(auditAfter) {
			query := w.call(invitation.Query)
			w.fired()
			w.link().answer(invitation.Answer{RequestID: query.RequestID, Error: invitation.AlreadyEnd})
		}
		query := w.call(invitation.Query)
		w.link().answer(invitation.Answer{RequestID: query.RequestID, Error: invitation.AlreadyEnd})
		w.fired(RemoteInvitationFailure)
		if r.Reason() != invitation.OutcomeForgotten {
			w.Fatal(r.Reason())
		}
	})
}

func TestQuery(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		type result struct {
			n   invitation.Notice
			err error
		}
		results := make(chan result, 1)
		ask := func() *invitation.Call {
			go func() {
				n, err := w.c.Query(w.Context(), invitation.ID{7})
				results <- result{n, err}
			}()
			return w.call(invitation.Query)
		}
		call := ask()
		w.link().answer(invitation.Answer{RequestID: call.RequestID, ID: call.ID, Notice: &invitation.Notice{
			ID: call.ID, Side: invitation.Callee, Remote: invitation.RemoteInvitationReceived,
		}})
		if got := <-results; got.err != nil || got.n.ID != call.ID {
			w.Fatalf("%+v", got)
		}
		w.fired() // a query does not ring
		w.link().answer(invitation.Answer{RequestID: ask().RequestID, Error: invitation.NotFound})
		w.is((<-results).err, invitation.NotFound)
	})
}

// TestNodeThatDoesNotKnowYet: what it is asked about an invitation is repeated until it does. Who stops waiting for a query
// is told that it has answered so.
func TestNodeThatDoesNotKnowYet(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		r := w.shown("1")
		notYet := func(call *invitation.Call) {
			w.link().answer(invitation.Answer{
				Request: call.Request, RequestID: call.RequestID, ID: call.ID, Error: invitation.Unavailable, RetryAfter: firstRepeat / 2,
			})
			time.Sleep(firstRepeat) // no later than without an answer
		}
		accepted := make(chan error, 1)
		go func() { accepted <- r.Accept(w.Context(), "") }()
		first := w.call(invitation.Accept)
		notYet(first)
		again := w.call(invitation.Accept)
		w.link().answer(invitation.Answer{Request: again.Request, RequestID: again.RequestID, ID: r.ID()})
		if again.RequestID != first.RequestID {
			w.Errorf("repeated as %d, was %d", again.RequestID, first.RequestID)
		}
		ctx, cancel := context.WithCancelCause(w.Context())
		stop := errors.New("stop")
		asked := make(chan error, 1)
		go func() {
			_, err := w.c.Query(ctx, invitation.ID{7})
			asked <- err
		}()
		query := w.call(invitation.Query)
		w.link().answer(invitation.Answer{Request: query.Request, RequestID: query.RequestID, Error: invitation.Unavailable, RetryAfter: time.Minute})
		synctest.Wait()
		cancel(stop)
		err := <-asked
		w.is(err, invitation.Unavailable)
		w.is(err, stop)
		w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteAccepted, Verdict: true})
		w.is(<-accepted, nil)
	})
}
