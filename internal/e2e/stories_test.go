package e2e

import (
	"context"
	"errors"
	"strings"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// story is a way for devices to be told codes and reasons. Its shows are some of them: codes and
// reasons, and whole ends; all must come up when it is played.
type story struct {
	name   string
	config ringfleet.Config
	shows  []any
	play   func(w *world)
}

// Ends that several stories have.
var (
	localExpired  = localEnd{invitation.LocalFailure, invitation.LocalExpire, invitation.Expired}
	remoteExpired = remoteEnd{invitation.RemoteFailure, invitation.RemoteExpire, invitation.Expired}
)

// both makes the ends of a cancel.
func canceled(reason invitation.Reason) (localEnd, remoteEnd) {
	return localEnd{State: invitation.LocalCanceled, Reason: reason}, remoteEnd{State: invitation.RemoteCanceled, Reason: reason}
}

var multi = ringfleet.Config{Session: session.Config{Policy: session.Multi}}

// outcomes are the rows of the contract's table of outcomes, and the codes that come with them.
var outcomes = []story{
	{"accepted", ringfleet.Config{}, []any{invitation.LocalOK, invitation.RemoteOK, invitation.OK}, accepted},
	{"refused", ringfleet.Config{}, []any{invitation.LocalOK, invitation.RemoteOK}, refused},
	{"canceled by the caller", ringfleet.Config{}, []any{invitation.CallerCanceled}, callerCancels},
	{"caller logs out", ringfleet.Config{}, []any{invitation.CallerLoggedOut}, callerLogsOut},
	{"caller gone", ringfleet.Config{}, []any{invitation.CallerGone}, callerGone},
	{"callee offline", ringfleet.Config{}, []any{invitation.LocalRemoteOffline, invitation.CalleeOffline}, calleeOffline},
	{"no response", ringfleet.Config{}, []any{
		invitation.LocalRemoteNoResponse, invitation.RemoteExpire, invitation.NoResponse,
	}, noResponse},
	{"unanswered", ringfleet.Config{}, []any{invitation.LocalExpire, invitation.RemoteExpire, invitation.Expired}, unanswered},
	{"caller offline at the accept", ringfleet.Config{}, []any{
		invitation.LocalExpire, invitation.RemoteLocalOffline, invitation.CallerOffline,
	}, callerOffline},
	{"accept not confirmed", ringfleet.Config{}, []any{
		invitation.LocalExpire, invitation.RemoteAcceptFailure, invitation.AcceptNotConfirmed,
	}, acceptNotConfirmed},
	{"callee lost", ringfleet.Config{}, []any{invitation.LocalExpire, invitation.CalleeLost}, calleeLost},
	{"answered elsewhere", multi, []any{invitation.AnsweredElsewhere}, answeredElsewhere},
	{"rejected elsewhere", multi, []any{invitation.RejectedElsewhere}, rejectedElsewhere},
	{"outcome forgotten", ringfleet.Config{}, []any{
		invitation.LocalExpire, invitation.RemoteExpire, invitation.OutcomeForgotten,
	}, outcomeForgotten},
	{"not logged in", ringfleet.Config{}, []any{invitation.LocalNotLoggedIn}, notLoggedIn},
}

func accepted(w *world) {
	l, r := w.call(w.phone("alice", "phone"), w.phone("bob", "tablet"))
	w.must(r.Accept(w.t.Context(), "coming"))
	w.wantCall(invitation.OK, invitation.OK)
	w.wantLocal(localOf(w, l), localEnd{State: invitation.LocalAcceptedByRemote})
	w.wantRemote(remoteOf(w, r), remoteEnd{State: invitation.RemoteAccepted})
	if l.Response() != "coming" {
		w.t.Errorf("the caller was told %q", l.Response())
	}
}

func refused(w *world) {
	l, r := w.call(w.phone("alice", "phone"), w.phone("bob", "tablet"))
	w.must(r.Refuse(w.t.Context(), "busy"))
	w.wantLocal(localOf(w, l), localEnd{State: invitation.LocalRefusedByRemote})
	w.wantRemote(remoteOf(w, r), remoteEnd{State: invitation.RemoteRefused})
	if l.Response() != "busy" {
		w.t.Errorf("the caller was told %q", l.Response())
	}
}

func callerCancels(w *world) {
	l, r := w.call(w.phone("alice", "phone"), w.phone("bob", "tablet"))
	w.must(l.Cancel(w.t.Context()))
	local, remote := canceled(invitation.CallerCanceled)
	w.wantLocal(localOf(w, l), local)
	w.wantRemote(remoteOf(w, r), remote)
}

func callerLogsOut(w *world) {
	alice := w.phone("alice", "phone")
	l, r := w.call(alice, w.phone("bob", "tablet"))
	w.must(alice.Logout(w.t.Context()))
	local, remote := canceled(invitation.CallerLoggedOut)
	w.wantLocal(localOf(w, l), local)
	w.wantRemote(remoteOf(w, r), remote)
}

// callerGone cuts the caller off for the 30 s of the grace: the callee is told then, the caller when
// it is back.
func callerGone(w *world) {
	alice := w.phone("alice", "phone")
	l, r := w.call(alice, w.phone("bob", "tablet"))
	alice.line.cut(true)
	cut := time.Now()
	local, remote := canceled(invitation.CallerGone)
	w.wantRemote(remoteOf(w, r), remote)
	w.after(cut, 30*time.Second)
	alice.line.up()
	w.wantLocal(localOf(w, l), local)
}

func calleeOffline(w *world) {
	l := w.send(w.phone("alice", "phone"), "bob")
	sent := time.Now()
	w.wantLocal(localOf(w, l), localEnd{invitation.LocalFailure, invitation.LocalRemoteOffline, invitation.CalleeOffline})
	w.after(sent, 30*time.Second)
	bob := w.phone("bob", "tablet")
	time.Sleep(time.Minute)
	if len(bob.rings) != 0 {
		w.t.Error("it rang after the outcome")
	}
}

// noResponse has a callee's device that takes the offer and says nothing.
func noResponse(w *world) {
	bob, alice := w.online("bob", "tablet"), w.phone("alice", "phone")
	sent := time.Now() // the answer waits a little for a device that says something
	l := w.send(alice, "bob")
	bob.rings()
	w.wantLocal(localOf(w, l), localEnd{invitation.LocalFailure, invitation.LocalRemoteNoResponse, invitation.NoResponse})
	w.after(sent, 30*time.Second)
	w.wantRemote(remoteTold(bob), remoteEnd{invitation.RemoteFailure, invitation.RemoteExpire, invitation.NoResponse})
	w.after(sent, 30*time.Second)
}

// unanswered has a callee's device that acknowledges 10 s after the send: the 60 s begin there.
func unanswered(w *world) {
	bob := w.online("bob", "tablet")
	l := w.send(w.phone("alice", "phone"), "bob")
	id := bob.rings()
	time.Sleep(10 * time.Second)
	bob.seen(id)
	seen := time.Now()
	w.wantLocal(localOf(w, l), localExpired)
	w.after(seen, 60*time.Second)
	w.wantRemote(remoteTold(bob), remoteExpired)
	w.after(seen, 60*time.Second)
}

// callerOffline cuts the caller off before the accept, for longer than the 15 s to confirm.
func callerOffline(w *world) {
	alice := w.phone("alice", "phone")
	l, r := w.call(alice, w.phone("bob", "tablet"))
	alice.line.cut(true)
	synctest.Wait()
	w.must(r.Accept(w.t.Context(), ""))
	accept := time.Now()
	w.wantRemote(remoteOf(w, r), remoteEnd{invitation.RemoteFailure, invitation.RemoteLocalOffline, invitation.CallerOffline})
	w.after(accept, 15*time.Second)
	alice.line.up()
	w.wantLocal(localOf(w, l), localEnd{invitation.LocalFailure, invitation.LocalExpire, invitation.CallerOffline})
}

// acceptNotConfirmed has a caller's device that stays connected and says nothing.
func acceptNotConfirmed(w *world) {
	alice, bob := w.online("alice", "phone"), w.phone("bob", "tablet")
	alice.send("bob")
	r := w.ring(bob)
	w.must(r.Accept(w.t.Context(), ""))
	accept := time.Now()
	w.wantRemote(remoteOf(w, r), remoteEnd{invitation.RemoteFailure, invitation.RemoteAcceptFailure, invitation.AcceptNotConfirmed})
	w.after(accept, 15*time.Second)
	w.wantLocal(localTold(alice), localEnd{invitation.LocalFailure, invitation.LocalExpire, invitation.AcceptNotConfirmed})
}

// calleeLost has a callee's device that vanishes when it is told the commit: its word is awaited for
// the grace, from its loss or from the end of the time to confirm.
func calleeLost(w *world) {
	alice, bob := w.phone("alice", "phone"), w.online("bob", "tablet")
	l := w.send(alice, "bob")
	id := bob.rings()
	bob.seen(id)
	bob.request(invitation.Call{Request: invitation.Accept, ID: id})
	bob.notice(func(n *invitation.Notice) bool { return n.Remote == invitation.RemoteAccepted })
	bob.conn.Close()
	lost := time.Now()
	if err := l.Cancel(w.t.Context()); !errors.Is(err, invitation.AlreadyEnd) {
		w.t.Errorf("a cancel after the confirm gave %v", err)
	}
	w.wantLocal(localOf(w, l), localEnd{invitation.LocalFailure, invitation.LocalExpire, invitation.CalleeLost})
	w.after(lost, 30*time.Second)
}

func answeredElsewhere(w *world) {
	desk, cell := w.phone("bob", "desk"), w.phone("bob", "cell")
	l := w.send(w.phone("alice", "phone"), "bob")
	atDesk, atCell := w.ring(desk), w.ring(cell)
	w.must(atDesk.Accept(w.t.Context(), ""))
	w.wantLocal(localOf(w, l), localEnd{State: invitation.LocalAcceptedByRemote})
	w.wantRemote(remoteOf(w, atDesk), remoteEnd{State: invitation.RemoteAccepted})
	w.wantRemote(remoteOf(w, atCell), remoteEnd{State: invitation.RemoteCanceled, Reason: invitation.AnsweredElsewhere})
}

func rejectedElsewhere(w *world) {
	desk, cell := w.phone("bob", "desk"), w.phone("bob", "cell")
	l := w.send(w.phone("alice", "phone"), "bob")
	atDesk, atCell := w.ring(desk), w.ring(cell)
	w.must(atDesk.Refuse(w.t.Context(), ""))
	w.wantLocal(localOf(w, l), localEnd{State: invitation.LocalRefusedByRemote})
	w.wantRemote(remoteOf(w, atDesk), remoteEnd{State: invitation.RemoteRefused})
	w.wantRemote(remoteOf(w, atCell), remoteEnd{State: invitation.RemoteCanceled, Reason: invitation.RejectedElsewhere})
}

// outcomeForgotten keeps both devices away, while it rings, until the outcome is forgotten.
func outcomeForgotten(w *world) {
	alice, bob := w.phone("alice", "phone"), w.phone("bob", "tablet")
	l, r := w.call(alice, bob)
	alice.line.cut(true)
	bob.line.cut(true)
	time.Sleep(10 * time.Minute) // the grace, and the linger
	alice.line.up()
	bob.line.up()
	w.wantLocal(localOf(w, l), localEnd{invitation.LocalFailure, invitation.LocalExpire, invitation.OutcomeForgotten})
	w.wantRemote(remoteOf(w, r), remoteEnd{invitation.RemoteFailure, invitation.RemoteExpire, invitation.OutcomeForgotten})
}

func notLoggedIn(w *world) {
	alice := w.connect(wire.Binary)
	a := alice.request(alice.invite("bob"))
	if a.Notice == nil {
		w.t.Fatalf("the answer is %+v, without a view", a)
	}
	n := a.Notice
	w.wantLocal(localEnd{n.Local, invitation.LocalError(n.Code), n.Reason}, localEnd{State: invitation.LocalFailure, Code: invitation.LocalNotLoggedIn})
	alice.login(invitation.Login{User: "alice", Device: "phone"}) // no harm was done
	alice.send("bob")
}

// callErrors are the answers to requests that break a rule.
var callErrors = []story{
	{"invalid argument", ringfleet.Config{}, []any{invitation.InvalidArgument}, invalidArgument},
	{"not started", ringfleet.Config{}, []any{invitation.NotStarted}, func(w *world) {
		l := w.phone("alice", "phone").NewLocalInvitation("bob")
		w.wantCall(callErrorOf(l.Cancel(w.t.Context())), invitation.NotStarted)
	}},
	{"already end", ringfleet.Config{}, []any{invitation.AlreadyEnd}, alreadyEnd},
	{"already accept", ringfleet.Config{}, []any{invitation.AlreadyAccept}, alreadyAccept},
	{"already sent", ringfleet.Config{}, []any{invitation.AlreadySent}, func(w *world) {
		l := w.send(w.phone("alice", "phone"), "bob")
		w.wantCall(callErrorOf(l.Send(w.t.Context())), invitation.AlreadySent)
		w.must(l.Cancel(w.t.Context())) // it went on
	}},
	{"limit of sends", ringfleet.Config{Session: session.Config{MaxPerCaller: 64}}, []any{invitation.LimitExceeded}, limitOfSends},
	{"limit of outgoing", ringfleet.Config{Session: session.Config{MaxOutgoing: 1}}, []any{invitation.LimitExceeded}, limitOfOutgoing},
	{"limit of incoming", ringfleet.Config{Session: session.Config{MaxIncoming: 1}}, []any{invitation.LimitExceeded}, limitOfIncoming},
	{"not found", ringfleet.Config{}, []any{invitation.NotFound}, notFound},
	{"forbidden", hooked(false, nil), []any{invitation.Forbidden}, func(w *world) {
		alice, bob := w.phone("alice", "phone"), w.phone("bob", "tablet")
		w.wantCall(callErrorOf(alice.NewLocalInvitation("bob").Send(w.t.Context())), invitation.Forbidden)
		time.Sleep(time.Minute)
		if len(bob.rings) != 0 {
			w.t.Error("it rang all the same")
		}
	}},
	{"unavailable: the hook cannot decide", hooked(true, errors.New("no answer")), []any{invitation.Unavailable}, func(w *world) {
		alice := w.online("alice", "phone")
		a := alice.request(alice.invite("bob"))
		w.wantCall(a.Error, invitation.Unavailable)
		if a.RetryAfter <= 0 {
			w.t.Error("it is not told when to retry")
		}
	}},
	{"unavailable: too many invitations", ringfleet.Config{MaxInvitations: 1}, []any{invitation.Unavailable}, func(w *world) {
		alice := w.online("alice", "phone")
		alice.send("bob")
		w.wantCall(alice.request(alice.invite("bob")).Error, invitation.Unavailable)
	}},
}

// hooked is a deployment whose MayInvite always says the same.
func hooked(may bool, err error) ringfleet.Config {
	var c ringfleet.Config
	c.Gateway.MayInvite = func(context.Context, invitation.User, invitation.User) (bool, error) { return may, err }
	return c
}

// callErrorOf returns the code in err, OK for none.
func callErrorOf(err error) invitation.CallError {
	var code invitation.CallError
	if err == nil || errors.As(err, &code) {
		return code
	}
	return invitation.CallError(255)
}

func invalidArgument(w *world) {
	alice := w.online("alice", "phone")
	for _, change := range []func(*invitation.Call){
		func(c *invitation.Call) { c.Content = strings.Repeat("x", invitation.MaxContent+1) },
		func(c *invitation.Call) { c.Callee = "alice" },
		func(c *invitation.Call) { c.Timers.Expire = 11 * time.Minute },
		func(c *invitation.Call) { c.Timers.Expire = 999 * time.Millisecond },
		func(c *invitation.Call) { c.Key = "" },
	} {
		call := alice.invite("bob")
		change(&call)
		w.wantCall(alice.request(call).Error, invitation.InvalidArgument)
	}
	bob := w.online("bob", "tablet")
	alice.send("bob")
	id := bob.rings()
	long := strings.Repeat("x", invitation.MaxResponse+1)
	w.wantCall(bob.request(invitation.Call{Request: invitation.Accept, ID: id, Response: long}).Error, invitation.InvalidArgument)
	w.wantCall(bob.request(invitation.Call{Request: invitation.Refuse, ID: id, Response: long}).Error, invitation.InvalidArgument)
	w.wantCall(bob.request(invitation.Call{Request: invitation.Refuse, ID: id, Response: long[1:]}).Error, invitation.OK)
}

func alreadyEnd(w *world) {
	alice, bob := w.online("alice", "phone"), w.online("bob", "tablet")
	first := alice.invite("bob")
	id := alice.request(first).ID
	bob.rings()
	bob.seen(id)
	w.wantCall(alice.request(invitation.Call{Request: invitation.Cancel, ID: id}).Error, invitation.OK)
	w.wantCall(alice.request(invitation.Call{Request: invitation.Cancel, ID: id}).Error, invitation.AlreadyEnd)
	w.wantCall(bob.request(invitation.Call{Request: invitation.Accept, ID: id}).Error, invitation.AlreadyEnd)
	w.wantCall(bob.request(invitation.Call{Request: invitation.Refuse, ID: id}).Error, invitation.AlreadyEnd)
	alice.word(invitation.Word{ID: id, Side: invitation.Caller, Kind: invitation.WordDone, Local: invitation.LocalCanceled})
	bob.word(invitation.Word{ID: id, Side: invitation.Callee, Kind: invitation.WordDone, Remote: invitation.RemoteCanceled})
	time.Sleep(time.Minute) // both have concluded: only the id is kept, once the new node counts on having heard everybody
	w.wantCall(alice.request(first).Error, invitation.AlreadyEnd)
	w.wantCall(alice.request(invitation.Call{Request: invitation.Query, ID: id}).Error, invitation.AlreadyEnd)
}

func alreadyAccept(w *world) {
	alice, bob := w.online("alice", "phone"), w.online("bob", "tablet")
	id := alice.send("bob")
	bob.rings()
	bob.seen(id)
	w.wantCall(bob.request(invitation.Call{Request: invitation.Accept, ID: id}).Error, invitation.OK)
	w.wantCall(bob.request(invitation.Call{Request: invitation.Accept, ID: id}).Error, invitation.AlreadyAccept)
	w.wantCall(bob.request(invitation.Call{Request: invitation.Refuse, ID: id}).Error, invitation.AlreadyAccept)
	// It went on.
	alice.word(invitation.Word{ID: id, Side: invitation.Caller, Kind: invitation.WordConfirmed, Named: "tablet"})
	w.wantRemote(remoteTold(bob), remoteEnd{State: invitation.RemoteAccepted})
}

func limitOfSends(w *world) {
	alice := w.online("alice", "phone")
	for range session.DefaultConfig.SendBurst {
		alice.send("bob")
	}
	call := alice.invite("bob")
	a := alice.request(call)
	w.wantCall(a.Error, invitation.LimitExceeded)
	if a.RetryAfter <= 0 || a.RetryAfter > time.Second {
		w.t.Errorf("retry after %v", a.RetryAfter)
	}
	time.Sleep(a.RetryAfter)
	w.wantCall(alice.request(call).Error, invitation.OK)
}

func limitOfOutgoing(w *world) {
	alice := w.phone("alice", "phone")
	first := w.send(alice, "bob")
	second := alice.NewLocalInvitation("carol")
	w.wantCall(callErrorOf(second.Send(w.t.Context())), invitation.LimitExceeded)
	w.must(first.Cancel(w.t.Context()))
	w.must(second.Send(w.t.Context())) // nothing was half done
}

func limitOfIncoming(w *world) {
	bob := w.phone("bob", "tablet")
	w.call(w.phone("alice", "phone"), bob)
	var rejected client.Event
	carol := w.phone("carol", "phone")
	l := carol.NewLocalInvitation("bob")
	l.OnEvent(func(e client.Event) { rejected = e })
	w.wantCall(callErrorOf(l.Send(w.t.Context())), invitation.LimitExceeded)
	time.Sleep(time.Minute)
	if rejected.Kind.Terminal() || len(bob.rings) != 0 {
		w.t.Errorf("it rang %d times, event %v", len(bob.rings), rejected.Kind)
	}
}

func notFound(w *world) {
	alice, bob, eve := w.online("alice", "phone"), w.online("bob", "tablet"), w.online("eve", "phone")
	id := alice.send("bob")
	bob.rings()
	unknown := invitation.NewID("alice", "phone", "never sent")
	for _, request := range []invitation.Request{invitation.Cancel, invitation.Accept, invitation.Refuse, invitation.Query} {
		w.wantCall(alice.request(invitation.Call{Request: request, ID: unknown}).Error, invitation.NotFound)
		w.wantCall(eve.request(invitation.Call{Request: request, ID: id}).Error, invitation.NotFound)
	}
	w.wantCall(alice.request(invitation.Call{Request: invitation.Accept, ID: id}).Error, invitation.NotFound) // hers, but not to accept
	w.wantCall(bob.request(invitation.Call{Request: invitation.Cancel, ID: id}).Error, invitation.NotFound)   // his, but not to cancel
	w.wantCall(bob.request(invitation.Call{Request: invitation.Refuse, ID: id}).Error, invitation.OK)
}
