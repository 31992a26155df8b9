package session

import (
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// seenWith is a login that resumes over a connection of its own, of a device that rings for as long as it says.
func seenWith(conn uint64, remaining time.Duration) *Input {
	in := login("phone", conn, 1)
	in.Login.Resume = true
	in.Login.Words = []invitation.Word{{
		ID: comingTerms.ID, Side: invitation.Callee, Kind: invitation.WordSeen, Remaining: remaining,
	}}
	return in
}

// reasons are those of all endings that effects tell devices.
func reasons(out []Effect) (told []invitation.Reason) {
	for _, e := range out {
		if e.Kind == ToDevice && e.Down.Notice != nil && e.Down.Notice.Remote.Terminal() {
			told = append(told, e.Down.Notice.Reason)
		}
	}
	return told
}

// TestRunsOutWhereItWasLost: a session that is new hears of what rings from the device alone, and ends it when its time
// is over, as run out. Over each connection that the device comes back on it says the same, however late that is heard,
// and however often.
func TestRunsOutWhereItWasLost(t *testing.T) {
	const left = 3 * time.Second
	m := New(bob, &config, Fresh(began, 0))
	m.Step(began, seenWith(1, left), nil)
	m.Step(began.Add(time.Second), seenWith(1, left), nil) // the same attach, said again
	m.Step(began.Add(2*time.Second), seenWith(2, left), nil)
	over := began.Add(left + lastWait)
	if told := reasons(m.Step(over.Add(-1), &Input{Kind: InTick}, nil)); told != nil {
		t.Errorf("told %v before its time was over", told)
	}
	if told := reasons(m.Step(over, &Input{Kind: InTick}, nil)); len(told) != 1 || told[0] != invitation.Expired {
		t.Errorf("told %v when its time was over", told)
	}
	if told := reasons(m.Step(over.Add(time.Second), seenWith(3, time.Millisecond), nil)); len(told) != 1 || told[0] != invitation.Expired {
		t.Errorf("told %v over the next connection", told)
	}
	if told := reasons(m.Step(began.Add(config.Timers.Grace), seenWith(4, time.Millisecond), nil)); len(told) != 1 || told[0] != invitation.OutcomeForgotten {
		t.Errorf("told %v after the grace", told)
	}
}

// TestNotFoundWhereItWasLost: for the grace a session that is new says not that there is no such invitation, but when to ask again.
func TestNotFoundWhereItWasLost(t *testing.T) {
	m := New(bob, &config, Fresh(began, 0))
	m.Step(began, login("phone", 1, 1), nil)
	query := call("phone", invitation.Call{Request: invitation.Query, ID: comingTerms.ID})
	query.Conn = login("phone", 1, 1).Conn
	answer := func(age time.Duration, want invitation.CallError) {
		t.Helper()
		out := m.Step(began.Add(age), query, nil)
		if len(out) != 1 || out[0].Down.Answer == nil {
			t.Fatalf("after %v: %+v", age, out)
		}
		if a := out[0].Down.Answer; a.Error != want || a.RequestID != 77 || a.Notice != nil || (a.RetryAfter > 0) != (want == invitation.Unavailable) {
			t.Errorf("after %v it is answered %+v, want %v", age, a, want)
		}
	}
	answer(time.Second, invitation.Unavailable)
	answer(config.Timers.Grace-1, invitation.Unavailable)
	answer(config.Timers.Grace, invitation.NotFound)
	query.ID, query.Call.ID = invitation.ID{}, invitation.ID{}
	answer(time.Second, invitation.NotFound) // that is nobody's, whatever was lost
}
