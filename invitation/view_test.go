package invitation_test

import (
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// told is what one device is told of an ending.
type told struct {
	state  string
	code   uint8
	reason invitation.Reason
}

// outcomes is the table of docs/spec.md §5: what each side is told of each outcome. "chosen" is the
// device whose answer counts or, where none answered, any device that was shown the invitation.
var outcomes = []struct {
	outcome invitation.Outcome
	reason  invitation.Reason
	local   told
	chosen  told
	other   told // another device of the callee, when one was chosen
}{
	{
		invitation.Accepted, invitation.NoReason,
		told{"ACCEPTED_BY_REMOTE", 0, invitation.NoReason},
		told{"ACCEPTED", 0, invitation.NoReason},
		told{"CANCELED", 0, invitation.AnsweredElsewhere},
	},
	{
		invitation.Refused, invitation.NoReason,
		told{"REFUSED_BY_REMOTE", 0, invitation.NoReason},
		told{"REFUSED", 0, invitation.NoReason},
		told{"CANCELED", 0, invitation.RejectedElsewhere},
	},
	canceledBy(invitation.CallerCanceled), canceledBy(invitation.CallerLoggedOut), canceledBy(invitation.CallerGone),
	{
		invitation.Undelivered, invitation.CalleeOffline,
		told{"FAILURE", 1, invitation.CalleeOffline},
		told{"FAILURE", 3, invitation.CalleeOffline},
		told{},
	},
	{
		invitation.Undelivered, invitation.NoResponse,
		told{"FAILURE", 2, invitation.NoResponse},
		told{"FAILURE", 3, invitation.NoResponse},
		told{},
	},
	{
		invitation.Unanswered, invitation.Expired,
		told{"FAILURE", 3, invitation.Expired},
		told{"FAILURE", 3, invitation.Expired},
		told{},
	},
	{
		invitation.Unconfirmed, invitation.CallerOffline,
		told{"FAILURE", 3, invitation.CallerOffline},
		told{"FAILURE", 1, invitation.CallerOffline},
		told{"CANCELED", 0, invitation.AnsweredElsewhere},
	},
	{
		invitation.Unconfirmed, invitation.AcceptNotConfirmed,
		told{"FAILURE", 3, invitation.AcceptNotConfirmed},
		told{"FAILURE", 2, invitation.AcceptNotConfirmed},
		told{"CANCELED", 0, invitation.AnsweredElsewhere},
	},
	{
		invitation.Lost, invitation.CalleeLost,
		told{"FAILURE", 3, invitation.CalleeLost},
		told{"FAILURE", 3, invitation.CalleeLost},
		told{"CANCELED", 0, invitation.AnsweredElsewhere},
	},
	{
		invitation.Forgotten, invitation.OutcomeForgotten,
		told{"FAILURE", 3, invitation.OutcomeForgotten},
		told{"FAILURE", 3, invitation.OutcomeForgotten},
		told{"CANCELED", 0, invitation.AnsweredElsewhere},
	},
}

func canceledBy(reason invitation.Reason) (row struct {
	outcome invitation.Outcome
	reason  invitation.Reason
	local   told
	chosen  told
	other   told
},
) {
	row.outcome, row.reason = invitation.Canceled, reason
	row.local, row.chosen = told{"CANCELED", 0, reason}, told{"CANCELED", 0, reason}
	row.other = told{"CANCELED", 0, invitation.AnsweredElsewhere} // an accept was recorded before the cancel
	return row
}

func localOf(v *invitation.View) told {
	state, code, reason := v.Local()
	return told{state.String(), uint8(code), reason}
}

func remoteOf(v *invitation.View, device invitation.Device) told {
	state, code, reason := v.Remote(device)
	return told{state.String(), uint8(code), reason}
}

func TestOutcomes(t *testing.T) {
	seen := map[invitation.Outcome]bool{}
	for _, row := range outcomes {
		seen[row.outcome] = true
		v := &invitation.View{Terms: &invitation.Terms{}, Stage: invitation.Ended, Outcome: row.outcome, Reason: row.reason}
		if got := localOf(v); got != row.local {
			t.Errorf("%s %s: the caller is told %v, want %v", row.outcome, row.reason, got, row.local)
		}
		if row.other == (told{}) || row.outcome == invitation.Canceled {
			for _, device := range []invitation.Device{"phone", "tablet"} {
				if got := remoteOf(v, device); got != row.chosen {
					t.Errorf("%s %s: %s is told %v, want %v", row.outcome, row.reason, device, got, row.chosen)
				}
			}
		}
		if row.other != (told{}) {
			v.Chosen = "phone"
			if got := remoteOf(v, "phone"); got != row.chosen {
				t.Errorf("%s %s: the chosen device is told %v, want %v", row.outcome, row.reason, got, row.chosen)
			}
			if got := remoteOf(v, "tablet"); got != row.other {
				t.Errorf("%s %s: another device is told %v, want %v", row.outcome, row.reason, got, row.other)
			}
			if got := localOf(v); got != row.local {
				t.Errorf("%s %s: with a chosen device the caller is told %v, want %v", row.outcome, row.reason, got, row.local)
			}
		}
	}
	for o := invitation.Accepted; o < invitation.Outcomes; o++ {
		if !seen[o] {
			t.Errorf("no row for %s", o)
		}
	}
}

// TestLiveStages is what the sides are told before the end.
func TestLiveStages(t *testing.T) {
	elsewhere := told{"CANCELED", 0, invitation.AnsweredElsewhere}
	for stage, want := range map[invitation.Stage][3]told{
		invitation.Offering:  {{state: "SENT_TO_REMOTE"}, {state: "INVITATION_RECEIVED"}, {state: "INVITATION_RECEIVED"}},
		invitation.Ringing:   {{state: "RECEIVED_BY_REMOTE"}, {state: "INVITATION_RECEIVED"}, {state: "INVITATION_RECEIVED"}},
		invitation.Accepting: {{state: "RECEIVED_BY_REMOTE"}, {state: "ACCEPT_SENT_TO_LOCAL"}, elsewhere},
		invitation.Confirmed: {{state: "RECEIVED_BY_REMOTE"}, {state: "ACCEPTED"}, elsewhere},
	} {
		v := &invitation.View{Terms: &invitation.Terms{}, Stage: stage}
		if stage >= invitation.Accepting {
			v.Chosen = "phone"
		}
		if got := [3]told{localOf(v), remoteOf(v, "phone"), remoteOf(v, "tablet")}; got != want {
			t.Errorf("%s: the caller, the phone and the tablet are told %v, want %v", stage, got, want)
		}
	}
}

// TestNotices checks what is beside the state in a notice.
func TestNotices(t *testing.T) {
	terms := &invitation.Terms{
		ID: invitation.ID{1}, Caller: "alice", Device: "pad", Callee: "bob", Content: "text", ChannelID: "room",
		Timers: invitation.DefaultTimers,
	}
	now := invitation.Time(100 * time.Second)
	v := &invitation.View{
		Terms: terms, Stage: invitation.Accepting, Chosen: "phone", Response: "yes", Deadline: now.Add(7 * time.Second),
	}
	want := invitation.Notice{
		ID: terms.ID, Side: invitation.Caller, Peer: "bob", Response: "yes", Local: invitation.LocalReceivedByRemote, Confirm: "phone",
		Remaining: 7 * time.Second,
	}
	if got := v.Notice(invitation.Caller, "pad", now); got != want {
		t.Errorf("the caller is told %+v", got)
	}
	want = invitation.Notice{
		ID: terms.ID, Side: invitation.Callee, Peer: "alice", Content: "text", ChannelID: "room", Response: "yes",
		Remote: invitation.RemoteAcceptSentToLocal, Remaining: 7 * time.Second,
	}
	if got := v.Notice(invitation.Callee, "phone", now); got != want {
		t.Errorf("the callee's device is told %+v", got)
	}
	want = invitation.Notice{
		ID: terms.ID, Side: invitation.Callee, Peer: "alice", Content: "text", ChannelID: "room",
		Remote: invitation.RemoteCanceled, Reason: invitation.AnsweredElsewhere,
	}
	if got := v.Notice(invitation.Callee, "tablet", now); got != want {
		t.Errorf("the callee's other device is told %+v", got)
	}
	v = &invitation.View{Terms: terms, Stage: invitation.Confirmed, Chosen: "phone", Deadline: now.Add(time.Second)}
	if got := v.Notice(invitation.Caller, "pad", now); got.Confirm != "" || got.Remaining != time.Second {
		t.Errorf("after the confirm the caller is told %+v", got)
	}
	v = &invitation.View{Terms: terms, Stage: invitation.Ringing, Deadline: now.Add(-time.Second)}
	if got := v.Notice(invitation.Callee, "phone", now); got.Remaining != 0 {
		t.Errorf("after the deadline %s remain", got.Remaining)
	}
	v = &invitation.View{Terms: terms, Stage: invitation.Offering, Deadline: now.Add(time.Second)}
	if got := v.Notice(invitation.Callee, "phone", now); got.Remaining != 60*time.Second {
		t.Errorf("an offer has %s, which begin with the ack", got.Remaining)
	}
	v = &invitation.View{
		Terms: terms, Stage: invitation.Ended, Outcome: invitation.Accepted, Verdict: true, Settled: true, Deadline: now.Add(time.Minute),
	}
	if got := v.Notice(invitation.Caller, "pad", now); !got.Verdict || !got.Settled || got.Remaining != 0 {
		t.Errorf("of the end the caller is told %+v", got)
	}
	if got := v.Notice(invitation.Callee, "phone", now); got.Verdict || !got.Settled || got.Remaining != 0 {
		t.Errorf("of the end the callee's device is told %+v", got)
	}
}

func TestForgottenNotice(t *testing.T) {
	id := invitation.ID{7}
	want := invitation.Notice{
		ID: id, Side: invitation.Caller, Local: invitation.LocalFailure, Code: 3, Reason: invitation.OutcomeForgotten, Verdict: true, Settled: true,
	}
	if got := invitation.ForgottenNotice(id, invitation.Caller); got != want {
		t.Errorf("the caller is told %+v", got)
	}
	want.Side, want.Local, want.Remote = invitation.Callee, invitation.LocalIdle, invitation.RemoteFailure
	if got := invitation.ForgottenNotice(id, invitation.Callee); got != want {
		t.Errorf("the callee is told %+v", got)
	}
}
