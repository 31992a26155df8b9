package arbiter

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/table"
)

const (
	alice invitation.User = "alice"
	bob   invitation.User = "bob"
	began                 = Time(time.Hour)
)

var terms = &invitation.Terms{
	ID: invitation.NewID(alice, "pad", "key"), Caller: alice, Device: "pad", Callee: bob, Timers: invitation.DefaultTimers,
}

// message returns a message of a kind as the side that may say it says it.
func message(kind invitation.MessageKind) invitation.Message {
	msg := invitation.Message{Kind: kind, ID: terms.ID, User: alice, Device: "pad", Online: true, Connected: true}
	switch kind {
	case invitation.MsgStart:
		msg.Terms, msg.RequestID = terms, 1
	case invitation.MsgCancel:
		msg.RequestID, msg.Reason = 2, invitation.CallerCanceled
	case invitation.MsgConfirm:
		msg.Named = "phone"
	case invitation.MsgCallerDone:
		msg.Local = invitation.LocalFailure
	case invitation.MsgSeen, invitation.MsgAccept, invitation.MsgRefuse, invitation.MsgCalleeDone, invitation.MsgCallee,
		invitation.MsgRecover:
		msg.User, msg.Device, msg.Chosen = bob, "phone", "phone"
		switch kind {
		case invitation.MsgRecover:
			msg.View = &invitation.View{Terms: terms, Version: 9, Stage: invitation.Ringing, Deadline: began.Add(time.Second)}
		case invitation.MsgAccept, invitation.MsgRefuse:
			msg.RequestID, msg.Response = 3, "response"
		case invitation.MsgCalleeDone:
			msg.Remote, msg.Concluded = invitation.RemoteFailure, true
		}
	}
	return msg
}

// give steps m at now with messages of the kinds, and returns the effects of the last.
func give(m *Machine, now Time, kinds ...invitation.MessageKind) (out []Effect) {
	for _, kind := range kinds {
		msg := message(kind)
		out = m.Step(now, &msg, nil)
	}
	return out
}

// to the stages, by the shortest way.
var ways = [invitation.Stages][]invitation.MessageKind{
	invitation.Offering:  {invitation.MsgStart, invitation.MsgCallee},
	invitation.Ringing:   {invitation.MsgStart, invitation.MsgCallee, invitation.MsgSeen},
	invitation.Accepting: {invitation.MsgStart, invitation.MsgCallee, invitation.MsgSeen, invitation.MsgAccept},
	invitation.Confirmed: {invitation.MsgStart, invitation.MsgCallee, invitation.MsgSeen, invitation.MsgAccept, invitation.MsgConfirm},
	invitation.Ended:     {invitation.MsgStart, invitation.MsgCallee, invitation.MsgSeen, invitation.MsgRefuse},
}

// at returns a machine in a stage.
func at(stage invitation.Stage) *Machine {
	m := New(terms, WithoutRetry())
	give(m, began, ways[stage]...)
	return m
}

// TestEveryCell gives each stage each kind of message, at once and after every timer.
func TestEveryCell(t *testing.T) {
	for stage := range invitation.Stage(invitation.Stages) {
		for kind := range invitation.MessageKind(invitation.MessageKinds) {
			for _, later := range []time.Duration{0, time.Hour} {
				m := at(stage)
				if m.view.Stage != stage {
					t.Fatalf("a machine in %s is in %s", stage, m.view.Stage)
				}
				msg := message(kind)
				if err := checkStep(m, began.Add(later), &msg); err != nil {
					t.Errorf("%s in %s after %s: %v", kind, stage, later, err)
				}
			}
		}
	}
}

// checkStep steps m and checks the cell's verdict against what it does.
func checkStep(m *Machine, now Time, msg *invitation.Message) error {
	rule := rules[m.view.Stage][msg.Kind]
	before, view := *m, *m.view
	out := m.Step(now, msg, nil)
	if !m.noTimer {
		before.retryAt, before.retries = m.retryAt, m.retries // when something is repeated is not what a cell is about
	}
	changed := *m != before || *m.view != view
	reply, replies := replyOf(out)
	switch {
	case rule.verdict == table.Hole || rule.do == nil:
		return fmt.Errorf("a hole")
	case rule.verdict == table.Reject && (changed || len(out) != 1 || replies != 1 || reply == invitation.OK):
		return fmt.Errorf("rejected, but %s, changed %v, %d effects", reply.String(), changed, len(out))
	case rule.verdict == table.Ignore && (changed || len(out) != replies):
		return fmt.Errorf("ignored, but changed %v, %d effects", changed, len(out))
	case rule.verdict == table.Repeat && (m.view.Stage != view.Stage || m.view.Outcome != view.Outcome || m.view.Settled != view.Settled):
		return fmt.Errorf("repeated, but from %s %s to %s %s", view.Stage, view.Outcome, m.view.Stage, m.view.Outcome)
	case m.view.Stage != view.Stage && !slices.Contains(rule.to, m.view.Stage):
		return fmt.Errorf("moved from %s to %s, which the table does not have", view.Stage, m.view.Stage)
	case (msg.RequestID != 0 && msg.Kind != invitation.MsgStart) != (replies == 1):
		return fmt.Errorf("request %d got %d replies", msg.RequestID, replies)
	}
	return nil
}

// replyOf returns the error of the reply to a request other than the send, and how many there are.
func replyOf(out []Effect) (err invitation.CallError, n int) {
	for _, e := range out {
		if e.Kind == ReplyCallee || e.Kind == ReplyCaller && e.Reply.Request != invitation.Send {
			err = e.Reply.Error
			n++
		}
	}
	return err, n
}

// TestReject: what breaks a rule is answered with its error.
func TestReject(t *testing.T) {
	for _, c := range []struct {
		stage invitation.Stage
		kind  invitation.MessageKind
		want  invitation.CallError
	}{
		{invitation.Confirmed, invitation.MsgCancel, invitation.AlreadyEnd},
		{invitation.Ended, invitation.MsgCancel, invitation.AlreadyEnd},
		{invitation.Accepting, invitation.MsgAccept, invitation.AlreadyAccept},
		{invitation.Accepting, invitation.MsgRefuse, invitation.AlreadyAccept},
		{invitation.Confirmed, invitation.MsgAccept, invitation.AlreadyAccept},
		{invitation.Confirmed, invitation.MsgRefuse, invitation.AlreadyAccept},
		{invitation.Ended, invitation.MsgAccept, invitation.AlreadyEnd},
		{invitation.Ended, invitation.MsgRefuse, invitation.AlreadyEnd},
	} {
		m := at(c.stage)
		msg := message(c.kind)
		msg.RequestID = 99
		if got, n := replyOf(m.Step(began, &msg, nil)); got != c.want || n != 1 {
			t.Errorf("%s in %s: %s, want %s", c.kind, c.stage, got, c.want)
		}
	}
}

// TestConfirmOfAnother: a device that another activation of the arbiter asked has confirmed another accept than
// the one recorded here. It will confirm no other, so the device that it names is asked for its word.
func TestConfirmOfAnother(t *testing.T) {
	m := at(invitation.Accepting)
	msg := message(invitation.MsgConfirm)
	msg.Named = "tablet"
	out := m.Step(began, &msg, nil)
	if m.view.Stage != invitation.Confirmed || m.view.Chosen != "tablet" || m.view.Response != "" || len(out) != 1 || out[0].Kind != TellCallee {
		t.Errorf("in %s by %s, %d effects", m.view.Stage, m.view.Chosen, len(out))
	}
}

// TestStrangers: nobody but the caller and the callee is believed, and of the caller's devices only the
// one that sent.
func TestStrangers(t *testing.T) {
	for stage := range invitation.Stage(invitation.Stages) {
		for kind := range invitation.MsgAbort {
			for _, who := range []struct {
				user   invitation.User
				device invitation.Device
			}{{"mallory", "pad"}, {"mallory", "phone"}, {bob, "pad"}, {alice, "phone"}} {
				msg := message(kind)
				if msg.User == who.user && (msg.Device == who.device || msg.User == bob || kind == invitation.MsgStart || kind == invitation.MsgCaller) {
					continue
				}
				msg.User, msg.Device = who.user, who.device
				m := at(stage)
				before, view := *m, *m.view
				out := m.Step(began, &msg, nil)
				reply, n := replyOf(out)
				if *m != before || *m.view != view || len(out) != n || n == 1 && reply != invitation.NotFound {
					t.Errorf("%s of %s's %s in %s: %s, %d effects", kind, who.user, who.device, stage, reply, len(out))
				}
			}
		}
	}
}

func TestTable(t *testing.T) {
	tab := Table()
	for s, row := range tab.Verdicts {
		for k, v := range row {
			if v == table.Hole {
				t.Errorf("a hole: %s in %s", tab.Inputs[k], tab.States[s])
			}
		}
	}
	reached := map[string]bool{}
	for _, e := range Edges() {
		reached[e.To] = true
	}
	if len(reached) != invitation.Stages-1 {
		t.Errorf("the edges reach %v", reached)
	}
}
