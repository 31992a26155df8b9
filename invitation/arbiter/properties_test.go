package arbiter

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ringfleet/ringfleet/invitation"
)

// words are the last words of the callee's devices, and the one that the caller's device confirms:
// devices are truthful, so only that one can say that it accepted, and each says one thing.
type words struct {
	named invitation.Device
	last  map[invitation.Device]invitation.RemoteState
}

func drawWords(t *rapid.T) words {
	ended := rapid.SampledFrom([]invitation.RemoteState{invitation.RemoteFailure, invitation.RemoteCanceled, invitation.RemoteRefused})
	w := words{named: rapid.SampledFrom([]invitation.Device{"phone", "tablet"}).Draw(t, "named"), last: map[invitation.Device]invitation.RemoteState{}}
	for _, d := range []invitation.Device{"phone", "tablet"} {
		w.last[d] = ended.Draw(t, "last")
	}
	if rapid.Bool().Draw(t, "accepts") {
		w.last[w.named] = invitation.RemoteAccepted
	}
	return w
}

// drawMessage draws a message of any kind, mostly one that its sender may say.
func drawMessage(t *rapid.T, w words) *invitation.Message {
	kind := rapid.SampledFrom([]invitation.MessageKind{
		invitation.MsgStart, invitation.MsgCancel, invitation.MsgConfirm, invitation.MsgCallerDone, invitation.MsgCaller, invitation.MsgSeen,
		invitation.MsgAccept, invitation.MsgAccept, invitation.MsgRefuse, invitation.MsgCalleeDone, invitation.MsgCalleeDone,
		invitation.MsgCallee, invitation.MsgAbort, invitation.MsgTick, invitation.MsgResend,
	}).Draw(t, "kind")
	msg := message(kind)
	devices := rapid.SampledFrom([]invitation.Device{"phone", "tablet"})
	chance := func(name string, in int) bool { return rapid.IntRange(1, in).Draw(t, name) == 1 }
	if msg.User == bob {
		msg.Device = devices.Draw(t, "device")
	}
	if msg.RequestID != 0 {
		msg.RequestID = rapid.Uint64Range(0, 3).Draw(t, "request")
	}
	switch kind {
	case invitation.MsgConfirm:
		msg.Named = w.named
	case invitation.MsgStart, invitation.MsgCaller, invitation.MsgCallee:
		msg.Online = chance("online", 2)
		msg.Connected = msg.Online && chance("connected", 2)
		msg.Ask = chance("ask", 3)
		msg.Permit = rapid.Uint64Range(0, 4).Draw(t, "permit")
		msg.Chosen = rapid.SampledFrom([]invitation.Device{"", "phone", "tablet"}).Draw(t, "chosen")
		msg.Full = kind == invitation.MsgCallee && chance("full", 20)
		msg.Concluded = kind == invitation.MsgCallee && chance("concluded", 4)
	case invitation.MsgCalleeDone:
		msg.Remote = w.last[msg.Device]
		msg.Concluded = chance("concluded", 2)
	}
	if chance("stranger", 30) {
		msg.User = rapid.SampledFrom([]invitation.User{alice, bob, "mallory"}).Draw(t, "user")
	}
	return &msg
}

// history is what an arbiter has said and done so far.
type history struct {
	view    invitation.View // the last
	stopped bool
	placed  int
}

// check checks what a step did: versions grow, stages do not go back, an outcome stays, with the one
// exception of docs/adr/0002-devices-decide.md: the callee's device's own word that it accepted.
func (h *history) check(m *Machine, out []Effect) error {
	before, after := h.view, *m.view
	switch {
	case after.Version < before.Version:
		return fmt.Errorf("version %d after %d", after.Version, before.Version)
	case after.Version == before.Version && (after.Stage != before.Stage || after.Outcome != before.Outcome || after.Verdict != before.Verdict):
		return fmt.Errorf("another state under the same version")
	case after.Stage < before.Stage:
		return fmt.Errorf("%s after %s", after.Stage, before.Stage)
	case (after.Stage == invitation.Ended) != (after.Outcome != invitation.NoOutcome):
		return fmt.Errorf("outcome %s in %s", after.Outcome, after.Stage)
	case before.Verdict && !after.Verdict || before.Settled && !after.Settled:
		return fmt.Errorf("a verdict or a settlement was taken back")
	case before.Verdict && after.Version != before.Version && after.Settled == before.Settled:
		return fmt.Errorf("something new after the verdict")
	case before.Stage == invitation.Ended && after.Outcome != before.Outcome:
		if after.Outcome != invitation.Accepted || before.Verdict || !after.Verdict || m.confirmed == "" || m.said != m.confirmed {
			return fmt.Errorf("outcome %s after %s", after.Outcome, before.Outcome)
		}
	case after.Outcome == invitation.Accepted && (m.confirmed == "" || m.said != m.confirmed || !after.Verdict):
		return fmt.Errorf("accepted without both devices' words")
	case before.Chosen != "" && after.Chosen != before.Chosen && after.Outcome != invitation.Accepted && after.Chosen != m.confirmed:
		return fmt.Errorf("chosen %s after %s", after.Chosen, before.Chosen)
	}
	for _, e := range out {
		switch {
		case e.Kind == Stop && h.stopped:
			return fmt.Errorf("stops twice")
		case e.Kind == Stop:
			h.stopped = true
		case e.Kind == ReplyCaller && e.Reply.Request == invitation.Send && e.Reply.Error != invitation.OK:
			h.placed++
		case e.View != nil && (e.View.Version < before.Version || e.View.Version > after.Version):
			return fmt.Errorf("says version %d between %d and %d", e.View.Version, before.Version, after.Version)
		}
	}
	if after.Settled != h.stopped && m.view.Stage == invitation.Ended {
		return fmt.Errorf("settled %v, stopped %v", after.Settled, h.stopped)
	}
	h.view = after
	return nil
}

// TestProperties gives arbiters any sequence of messages at any times.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, now := New(terms), began
		var h history
		w := drawWords(t)
		step := func(msg *invitation.Message) {
			t.Helper()
			view := *m.view
			rule := rules[view.Stage][msg.Kind]
			out := m.Step(now, msg, nil)
			if err := h.check(m, out); err != nil {
				t.Fatalf("%s in %s: %v", msg.Kind, view.Stage, err)
			}
			if m.view.Stage != view.Stage && !slices.Contains(rule.to, m.view.Stage) {
				t.Fatalf("%s moved from %s to %s, which the table does not have", msg.Kind, view.Stage, m.view.Stage)
			}
		}
		start := message(invitation.MsgStart)
		step(&start)
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			if h.stopped {
				break
			}
			if d := m.Deadline(); d == 0 {
				t.Fatalf("no deadline in %s: nothing would end it", m.view.Stage)
			}
			if rapid.IntRange(0, 3).Draw(t, "wait") == 0 {
				wait(t, m, &h, &now, step)
				continue
			}
			step(drawMessage(t, w))
		}
		// Left alone, it comes to its end by its timers.
		limit := now.Add(10 * time.Minute)
		for tick := message(invitation.MsgTick); !h.stopped; {
			if now = max(now, m.Deadline()); m.Deadline() == 0 || now > limit {
				t.Fatalf("still in %s after %s", m.view.Stage, now.Sub(began))
			}
			step(&tick)
		}
	})
}

// wait lets time pass up to the deadline, somewhat further or less far, and gives the ticks that are
// due. It fails if the machine asks for ticks without end.
func wait(t *rapid.T, m *Machine, h *history, now *Time, step func(*invitation.Message)) {
	tick := message(invitation.MsgTick)
	late := rapid.SampledFrom([]time.Duration{0, 0, 0, time.Millisecond, time.Second, time.Hour, -time.Millisecond}).Draw(t, "late")
	*now = max(*now, m.Deadline().Add(late))
	for n := 0; !h.stopped && m.Deadline() <= *now; n++ {
		if n > 8 {
			t.Fatalf("ticks without end in %s: the deadline stays %d at %d", m.view.Stage, m.Deadline(), *now)
		}
		step(&tick)
	}
}
