package arbiter

import (
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// TestRecoveredOutcomeStays: an arbiter that takes the place of a lost one learns from the callee's side that the
// invitation was accepted. That the caller's device has been told, and is done, does not make it canceled.
func TestRecoveredOutcomeStays(t *testing.T) {
	terms := &invitation.Terms{
		ID: invitation.NewID("alice", "phone", "k"), Caller: "alice", Device: "phone", Callee: "bob", Timers: invitation.DefaultTimers,
	}
	done := &invitation.Message{Kind: invitation.MsgCallerDone, ID: terms.ID, User: "alice", Device: "phone", Local: invitation.LocalAcceptedByRemote}
	known := &invitation.Message{Kind: invitation.MsgRecover, ID: terms.ID, User: "bob", View: &invitation.View{
		Terms: terms, Version: 5, Stage: invitation.Ended, Outcome: invitation.Accepted, Chosen: "desk", Verdict: true,
	}}
	for name, fresh := range map[string]bool{"the callee's session knows": false, "the callee's session is new": true} {
		m := New(terms)
		first := *known
		first.Fresh = fresh
		now := Time(time.Second)
		m.Step(now, &first, nil)
		m.Step(now, done, nil)
		if m.Final() && fresh {
			t.Errorf("%s: it is final, though it asks", name)
		}
		m.Step(now.Add(holdFor), &invitation.Message{Kind: invitation.MsgTick}, nil)
		if v := m.View(); v.Stage != invitation.Ended || v.Outcome != invitation.Accepted || v.Chosen != "desk" || !m.Final() {
			t.Errorf("%s: it stands as %v, %v by %q, final %v", name, v.Stage, v.Outcome, v.Chosen, m.Final())
		}
	}
}

// TestFinal: an ending is final when no accept can come to light any more.
func TestFinal(t *testing.T) {
	terms := &invitation.Terms{
		ID: invitation.NewID("alice", "phone", "k"), Caller: "alice", Device: "phone", Callee: "bob", Timers: invitation.DefaultTimers,
	}
	m := New(terms)
	now := Time(time.Second)
	say := func(msg invitation.Message) {
		msg.ID = terms.ID
		now = now.Add(time.Second)
		m.Step(now, &msg, nil)
	}
	say(invitation.Message{Kind: invitation.MsgStart, User: "alice", Device: "phone", RequestID: 1, Terms: terms, Online: true, Connected: true})
	if m.Placed() {
		t.Error("the send is answered before the callee's session has the offer")
	}
	say(invitation.Message{Kind: invitation.MsgCallee, User: "bob"})
	if !m.Placed() || !m.CalleeAway() {
		t.Error("the callee is not known to be away")
	}
	say(invitation.Message{Kind: invitation.MsgAccept, User: "bob", Device: "desk", RequestID: 2})
	if m.CalleeAway() || m.Final() {
		t.Error("the callee is away, or an accept is final")
	}
	now = now.Add(terms.Timers.AcceptWindow)
	say(invitation.Message{Kind: invitation.MsgTick})
	if m.View().Stage != invitation.Ended || m.Final() {
		t.Errorf("it is at %v, final %v: the caller's device may have confirmed", m.View().Stage, m.Final())
	}
	say(invitation.Message{Kind: invitation.MsgCallerDone, User: "alice", Device: "phone", Local: invitation.LocalFailure})
	if !m.Final() {
		t.Error("the caller's device is done, and it is not final")
	}
}

// TestRecoveredTimeRunsOn: what a callee's device has said to an arbiter that was lost began a time that goes on, also
// if the new arbiter has learned of it last; and so did what it has said to one on a node that was cut off from this one.
func TestRecoveredTimeRunsOn(t *testing.T) {
	terms := &invitation.Terms{
		ID: invitation.NewID("alice", "phone", "k"), Caller: "alice", Device: "phone", Callee: "bob", Timers: invitation.DefaultTimers,
	}
	start := invitation.Message{
		Kind: invitation.MsgStart, ID: terms.ID, User: "alice", Device: "phone", RequestID: 1, Terms: terms, Online: true, Connected: true,
	}
	resumed := start
	resumed.Resumed = &invitation.Resumed{Local: invitation.LocalSentToRemote, Remaining: 10 * time.Second}
	unknown := invitation.Message{
		Kind: invitation.MsgRecover, ID: terms.ID, User: "bob", View: &invitation.View{Terms: terms}, Online: true,
	}
	seen := invitation.Message{Kind: invitation.MsgSeen, ID: terms.ID, User: "bob", Device: "desk", Remaining: 20 * time.Second}
	accept := invitation.Message{Kind: invitation.MsgAccept, ID: terms.ID, User: "bob", Device: "desk", Remaining: 3 * time.Second}
	first := seen
	first.Remaining = 0
	now := Time(time.Second)
	for _, test := range []struct {
		name string
		said []invitation.Message
		left time.Duration
	}{
		{"rings", []invitation.Message{resumed, unknown, seen}, 20 * time.Second},
		{"has accepted", []invitation.Message{resumed, unknown, accept}, 3 * time.Second},
		{"rings, nothing was lost", []invitation.Message{start, seen}, 20 * time.Second},
		{"has accepted, nothing was lost", []invitation.Message{start, accept}, 3 * time.Second},
		{"rings for the first time", []invitation.Message{start, first}, terms.Timers.Expire},
	} {
		m := New(terms)
		for i := range test.said {
			m.Step(now, &test.said[i], nil)
		}
		if got := m.View().Deadline.Sub(now); got != test.left || m.Asking() {
			t.Errorf("%s: %v are left in %v, want %v", test.name, got, m.View().Stage, test.left)
		}
	}
}

// TestRunOutByTheCalleesSide: the callee's side has ended what nobody else knew, before the caller's device was back. It
// has run out on both sides if its time is over, and if it rang for less than the grace; else the caller was gone.
func TestRunOutByTheCalleesSide(t *testing.T) {
	over := invitation.Message{Kind: invitation.MsgRecover, User: "bob", Online: true, Concluded: true}
	for _, test := range []struct {
		name   string
		expire time.Duration
		stands invitation.Resumed
		reason invitation.Reason
	}{
		{"its time is over", time.Minute, invitation.Resumed{Local: invitation.LocalReceivedByRemote, Remaining: time.Millisecond}, invitation.Expired},
		{"the caller did not hear it ring", 5 * time.Second, invitation.Resumed{Local: invitation.LocalSentToRemote, Remaining: 20 * time.Second}, invitation.Expired},
		{"it could ring for long", time.Minute, invitation.Resumed{Local: invitation.LocalSentToRemote, Remaining: 20 * time.Second}, invitation.CallerGone},
		{"it rings", time.Minute, invitation.Resumed{Local: invitation.LocalReceivedByRemote, Remaining: 20 * time.Second}, invitation.CallerGone},
	} {
		timers := invitation.DefaultTimers
		timers.Expire = test.expire
		terms := &invitation.Terms{
			ID: invitation.NewID("alice", "phone", "k"), Caller: "alice", Device: "phone", Callee: "bob", Timers: timers,
		}
		m, said := New(terms), over
		said.ID, said.View = terms.ID, &invitation.View{Terms: terms}
		m.Step(Time(time.Second), &invitation.Message{
			Kind: invitation.MsgStart, ID: terms.ID, User: "alice", Device: "phone", RequestID: 1, Terms: terms, Online: true, Connected: true,
			Resumed: &test.stands,
		}, nil)
		m.Step(Time(time.Second), &said, nil)
		if v := m.View(); v.Stage != invitation.Ended || v.Reason != test.reason {
			t.Errorf("%s: it stands as %v %v, want %v", test.name, v.Stage, v.Reason, test.reason)
		}
	}
}

// TestPanicOfOneThatKnows: an arbiter that recovers has heard of a verdict when its actor panics. The verdict stays.
func TestPanicOfOneThatKnows(t *testing.T) {
	terms := &invitation.Terms{
		ID: invitation.NewID("alice", "phone", "k"), Caller: "alice", Device: "phone", Callee: "bob", Timers: invitation.DefaultTimers,
	}
	m := New(terms)
	m.Step(Time(time.Second), &invitation.Message{Kind: invitation.MsgRecover, ID: terms.ID, User: "bob", View: &invitation.View{
		Terms: terms, Version: 5, Stage: invitation.Ended, Outcome: invitation.Accepted, Chosen: "desk", Verdict: true,
	}}, nil)
	if !m.Asking() {
		t.Fatal("it does not ask the caller's side")
	}
	m.Step(Time(time.Second), &invitation.Message{Kind: invitation.MsgAbort, ID: terms.ID}, nil)
	if v := m.View(); m.Asking() || v.Stage != invitation.Ended || v.Outcome != invitation.Accepted || !v.Verdict {
		t.Errorf("it stands as %v, %v, verdict %v", v.Stage, v.Outcome, v.Verdict)
	}
}

// TestRefusedStaysRefused: a send that comes again after it was refused is refused again; one of an invitation that has
// ended is told so.
func TestRefusedStaysRefused(t *testing.T) {
	terms := &invitation.Terms{
		ID: invitation.NewID("alice", "phone", "k"), Caller: "alice", Device: "phone", Callee: "bob", Timers: invitation.DefaultTimers,
	}
	start := &invitation.Message{
		Kind: invitation.MsgStart, ID: terms.ID, User: "alice", Device: "phone", RequestID: 1, Terms: terms, Online: true, Connected: true,
	}
	for want, last := range map[invitation.CallError]*invitation.Message{
		invitation.LimitExceeded: {Kind: invitation.MsgCallee, ID: terms.ID, User: "bob", Full: true},
		invitation.AlreadyEnd:    {Kind: invitation.MsgAbort, ID: terms.ID},
	} {
		m := New(terms)
		m.Step(Time(time.Second), start, nil)
		m.Step(Time(time.Second), last, nil)
		if r := Stopped(start, m.Refused()); r.Error != want || r.RequestID != 1 {
			t.Errorf("after %v the send is answered %v", last.Kind, r.Error)
		}
		again := *start
		again.RequestID++
		if Anew(start, m.Refused()) || Anew(&again, m.Refused()) != (want == invitation.LimitExceeded) {
			t.Errorf("after %v: the same send begins anew %v, another one %v", last.Kind, Anew(start, m.Refused()), Anew(&again, m.Refused()))
		}
	}
}
