package arbiter

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ringfleet/ringfleet/invitation"
)

// after returns a machine that was given messages.
func after(kinds ...invitation.MessageKind) *Machine {
	m := New(terms)
	give(m, began, kinds...)
	return m
}

const (
	started   = invitation.MsgStart
	seenBy    = invitation.MsgSeen
	acceptBy  = invitation.MsgAccept
	confirmBy = invitation.MsgConfirm
	doneBy    = invitation.MsgCalleeDone
	cancelBy  = invitation.MsgCancel
	callerEnd = invitation.MsgCallerDone
	aborted   = invitation.MsgAbort
)

// TestMerge merges what came of one invitation on two nodes, either way.
func TestMerge(t *testing.T) {
	for name, c := range map[string]struct {
		one, other []invitation.MessageKind
		stage      invitation.Stage
		outcome    invitation.Outcome
		verdict    bool
	}{
		"the further one counts":           {[]invitation.MessageKind{started}, []invitation.MessageKind{started, seenBy}, invitation.Ringing, 0, false},
		"an end counts before a ringing":   {[]invitation.MessageKind{started, seenBy}, []invitation.MessageKind{started, cancelBy}, invitation.Ended, invitation.Canceled, false},
		"a commit stays":                   {[]invitation.MessageKind{started, acceptBy, confirmBy}, []invitation.MessageKind{started, acceptBy}, invitation.Confirmed, 0, false},
		"an end that was not committed to": {[]invitation.MessageKind{started, acceptBy, confirmBy}, []invitation.MessageKind{started, aborted}, invitation.Ended, invitation.Forgotten, false},
		"what the device said counts": {
			[]invitation.MessageKind{started, acceptBy, confirmBy, doneBy},
			[]invitation.MessageKind{started, aborted},
			invitation.Ended, invitation.Unconfirmed, true,
		},
		"one who was never told to begin": {nil, []invitation.MessageKind{started, seenBy}, invitation.Ringing, 0, false},
	} {
		for _, way := range [][2][]invitation.MessageKind{{c.one, c.other}, {c.other, c.one}} {
			m, from := after(way[0]...), after(way[1]...)
			if m.view.Version == 0 {
				continue // it comes to be with its first message
			}
			before := max(m.view.Version, from.view.Version)
			out := m.Merge(began, from.State(), nil)
			v := m.View()
			if v.Stage != c.stage || v.Outcome != c.outcome || v.Verdict != c.verdict {
				t.Errorf("%s: %s %s %v, want %s %s %v", name, v.Stage, v.Outcome, v.Verdict, c.stage, c.outcome, c.verdict)
			}
			if from.view.Version != 0 && (v.Version <= before || len(out) < 2 || out[0].Kind != TellCaller || out[1].Kind != TellCallee) {
				t.Errorf("%s: version %d after %d, and does %+v", name, v.Version, before, out)
			}
		}
	}
}

// TestMergeDecides: what the one knew the caller to have confirmed, and the other the callee's device to have
// said, makes it accepted.
func TestMergeDecides(t *testing.T) {
	one := after(started, acceptBy, confirmBy) // confirmed, and the callee's device told
	other := after(started, aborted)
	done := message(doneBy)
	done.Remote, done.Concluded = invitation.RemoteAccepted, true
	other.Step(began, &done, nil)
	if other.view.Verdict {
		t.Fatal("decided without the confirm")
	}
	for _, way := range [][2]*Machine{{one, other}, {other, one}} {
		m := Restore(way[0].State())
		m.Merge(began, way[1].State(), nil)
		if v := m.View(); v.Outcome != invitation.Accepted || !v.Verdict || v.Chosen != done.Device || m.patience != 0 {
			t.Errorf("comes to %s of %q, verdict %v", v.Outcome, v.Chosen, v.Verdict)
		}
	}
}

// TestMergeSettles: each side has acknowledged the end to one of the two.
func TestMergeSettles(t *testing.T) {
	one, other := after(started, cancelBy, callerEnd), after(started, cancelBy)
	done := message(doneBy)
	done.Remote, done.Concluded = invitation.RemoteCanceled, true
	other.Step(began, &done, nil)
	out := one.Merge(began, other.State(), nil)
	if last := out[len(out)-1]; !one.view.Settled || last.Kind != Stop {
		t.Errorf("settled %v, does %+v", one.view.Settled, out)
	}
}

// TestMergeRestartsNoDeadline: the time that one of the two has begun to count does not begin anew.
func TestMergeRestartsNoDeadline(t *testing.T) {
	early, late := after(started, seenBy), New(terms)
	give(late, began.Add(20*time.Second), started, seenBy)
	want := early.deadline
	for _, way := range [][2]*Machine{{early, late}, {late, early}} {
		m := Restore(way[0].State())
		m.Merge(began.Add(30*time.Second), way[1].State(), nil)
		if m.deadline != want || m.view.Deadline != want {
			t.Errorf("ends at %d, the view says %d, want %d", m.deadline, m.view.Deadline, want)
		}
	}
}

// TestMergeProperties merges any two machines of one invitation: nothing that either has said is taken back,
// both ways come to the same, and what comes of it ends by itself.
func TestMergeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, now := drawWords(t), began
		draw := func() *Machine {
			m := New(terms)
			msg := message(started)
			m.Step(now, &msg, nil)
			for range rapid.IntRange(0, 12).Draw(t, "steps") {
				if m.view.Settled {
					break
				}
				m.Step(now, drawMessage(t, w), nil)
			}
			return m
		}
		one, other := draw(), draw()
		if one.view.Settled || other.view.Settled {
			t.Skip("has stopped")
		}
		m, back := Restore(one.State()), Restore(other.State())
		out := m.Merge(now, other.State(), nil)
		back.Merge(now, one.State(), nil)
		v := m.view
		for _, of := range []*Machine{one, other} {
			switch {
			case v.Version <= of.view.Version, v.Stage < of.view.Stage, of.view.Verdict && !v.Verdict:
				t.Fatalf("%+v comes to %+v", *of.view, *v)
			case of.callerDone && !m.callerDone, of.concluded && !m.concluded, of.committed && !m.committed, of.placed && !m.placed:
				t.Fatalf("%+v comes to %+v, which forgets", *of, *m)
			case of.view.Stage == v.Stage && of.deadline != 0 && of.deadline < m.deadline:
				t.Fatalf("the deadline %d comes to %d", of.deadline, m.deadline)
			case of.view.Verdict && of.view.Outcome == invitation.Accepted && v.Outcome != invitation.Accepted:
				t.Fatalf("accepted comes to %s", v.Outcome)
			}
		}
		if v.Outcome == invitation.Accepted && (m.confirmed == "" || m.said != m.confirmed) {
			t.Fatal("accepted without both devices' words")
		}
		if back.view.Stage != v.Stage || back.view.Verdict != v.Verdict || back.view.Settled != v.Settled {
			t.Fatalf("one way comes to %+v, the other to %+v", *v, *back.view)
		}
		if again := Restore(m.State()); !reflect.DeepEqual(again, m) {
			t.Fatal("what was merged cannot be moved")
		}
		limit := now.Add(10 * time.Minute)
		for tick := message(invitation.MsgTick); !m.view.Settled; {
			if now = max(now, m.Deadline()); m.Deadline() == 0 || now > limit {
				t.Fatalf("still in %s after %s", m.view.Stage, now.Sub(began))
			}
			out = m.Step(now, &tick, out[:0])
		}
	})
}

// TestMergeOfAnAcceptHeardElsewhere: an arbiter that was paused heard that a device has accepted, and not the confirm; it
// ended as nobody had answered. Merged with the one that has confirmed, it is accepted. A confirm that comes to it does the same.
func TestMergeOfAnAcceptHeardElsewhere(t *testing.T) {
	said := &invitation.Message{Kind: doneBy, User: terms.Callee, Device: "desk", Remote: invitation.RemoteAccepted}
	confirm := &invitation.Message{Kind: confirmBy, User: terms.Caller, Device: terms.Device, Named: "desk"}
	paused, other, late := after(started), after(started), after(started, seenBy)
	paused.Step(began, said, nil)
	for paused.view.Stage != invitation.Ended {
		paused.Step(paused.Deadline(), &invitation.Message{Kind: invitation.MsgTick}, nil)
	}
	other.Step(began, confirm, nil)
	late.Step(began, said, nil)
	late.Step(began, confirm, nil)
	other.Merge(began.Add(time.Minute), paused.State(), nil)
	for name, m := range map[string]*Machine{"merged": other, "confirmed": late} {
		if v := m.View(); v.Stage != invitation.Ended || v.Outcome != invitation.Accepted || v.Chosen != "desk" || !v.Verdict {
			t.Errorf("%s: %v %v by %q, verdict %v", name, v.Stage, v.Outcome, v.Chosen, v.Verdict)
		}
	}
}
