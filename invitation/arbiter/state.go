package arbiter

import (
	"cmp"

	"github.com/ringfleet/ringfleet/invitation"
)

// State is all that a [Machine] knows, so that it can go on elsewhere: [Machine.State] takes it, [Restore]
// makes a machine of it. It shares nothing with a machine that changes: views and terms never do. Its
// points in time are those of the machine's node. The fields are those of the machine.
type State struct {
	View *invitation.View

	Deadline Time // when the stage ends by itself; in Ended, the linger
	GoneAt   Time // when the sending device will have been away for the grace
	Patience Time // until when the named callee's device's word is awaited
	Warned   bool // the callee's side was asked once more
	LostAt   Time // when the chosen device's connection was lost
	RetryAt  Time // when what is unanswered is repeated
	Retries  uint8

	Placed       bool
	Taken        bool
	CalleeHeard  uint64
	CallerOnline bool
	Connected    bool
	Absent       bool
	CalleeOnline bool
	CallerDone   bool
	Committed    bool
	Concluded    bool

	Confirmed invitation.Device
	Said      invitation.Device
	Denied    invitation.Device

	Asking   bool
	Vouched  bool
	Informed bool
	HoldAt   Time // when the callee's side will have been silent for too long

	SendID   uint64
	CancelID uint64
	AnswerID uint64
}

// State returns what the machine knows. O(1).
func (m *Machine) State() State {
	return State{
		View: m.view, Deadline: m.deadline, GoneAt: m.goneAt, Patience: m.patience, Warned: m.warned, LostAt: m.lostAt, RetryAt: m.retryAt,
		Retries: m.retries, Placed: m.placed, Taken: m.taken, CalleeHeard: m.calleeHeard, CallerOnline: m.callerOnline,
		Connected: m.connected, Absent: m.absent, CalleeOnline: m.calleeOnline, CallerDone: m.callerDone,
		Committed: m.committed, Concluded: m.concluded, Confirmed: m.confirmed, Said: m.said, Denied: m.denied,
		Asking: m.asking, Vouched: m.vouched, Informed: m.informed, HoldAt: m.holdAt,
		SendID: m.sendID, CancelID: m.cancelID, AnswerID: m.answerID,
	}
}

// Restore returns a machine that goes on where the one that s was taken of was. s must have a view with
// terms. Of options see [New].
func Restore(s State, options ...Option) *Machine {
	m := New(s.View.Terms, options...)
	m.view, m.deadline, m.goneAt, m.patience, m.lostAt, m.retryAt = s.View, s.Deadline, s.GoneAt, s.Patience, s.LostAt, s.RetryAt
	m.retries, m.placed, m.taken, m.calleeHeard, m.callerOnline = s.Retries, s.Placed, s.Taken, s.CalleeHeard, s.CallerOnline
	m.connected, m.absent, m.calleeOnline, m.callerDone = s.Connected, s.Absent, s.CalleeOnline, s.CallerDone
	m.committed, m.concluded, m.confirmed, m.said = s.Committed, s.Concluded, s.Confirmed, s.Said
	m.warned = s.Warned
	m.denied, m.asking, m.vouched, m.informed, m.holdAt = s.Denied, s.Asking, s.Vouched, s.Informed, s.HoldAt
	m.sendID, m.cancelID, m.answerID = s.SendID, s.CancelID, s.AnswerID
	return m
}

// Merge takes the state of another machine of the same invitation: while the nodes' views disagreed, two
// nodes each had one, and now one of them goes on alone. It appends what is to be done to out.
//
// The reasoning: the devices decide, an arbiter only spreads what they said; so the merged machine must
// know all that either of the two was told, and must not undo what either has said.
//
//   - One that recovers knows less than one that does not. Of two that recover each asks on.
//   - Else the one that is further counts: ended with the verdict of a callee's device, ended, confirmed, and
//     so on down to offering; of two verdicts, that the device accepted. A stage is never left for one
//     before it, as a side may have been told of it.
//   - Of the other one it takes what was heard: what the caller's device confirmed, what the callee's
//     device said, who has acknowledged the end, that the send was answered. If that decides more than
//     the one that counts knew, for instance that the callee's device has accepted what here ended
//     unconfirmed, it is decided now, by the same rules as when the word itself comes late.
//   - Of each side's presence the later report counts, by its number.
//   - A time limit that runs is never begun anew: of two for one stage the earlier counts.
//
// Both sides are told the result, with a version that is higher than any that either of the two has
// used, so that both take it.
func (m *Machine) Merge(now Time, s State, out []Effect) []Effect {
	if s.View == nil || s.View.Version == 0 {
		return out // it was never told to begin
	}
	kept, other := Restore(m.State(), Option{noTimer: m.noTimer}), Restore(s, Option{noTimer: m.noTimer})
	if other.further(kept) {
		kept, other = other, kept
	}
	*m = *kept
	m.hear(other)
	if m.asking {
		m.above(other.view.Version)
		return m.conclusion(now, m.ask(out))
	}
	v := m.move(m.view.Stage, m.deadline)
	v.Version = max(v.Version, other.view.Version+1)
	v.Deadline = kept.view.Deadline
	if other.view.Stage == v.Stage {
		v.Deadline = invitation.Earliest(v.Deadline, other.view.Deadline)
	}
	v.Permit, v.Heard = max(v.Permit, other.view.Permit), max(v.Heard, other.view.Heard)
	out = m.decide(m.tellBoth(out))
	if !m.noTimer {
		m.retryAt = 0
		m.scheduleRetry(now)
	}
	return out
}

// further reports whether m counts before other when both are merged.
func (m *Machine) further(other *Machine) bool {
	rank := func(m *Machine) int {
		n := 4 * int(m.view.Stage)
		if !m.asking {
			n += 4 * invitation.Stages
		}
		if m.view.Verdict {
			n++
			if m.view.Outcome == invitation.Accepted {
				n++
			}
		}
		if m.view.Settled {
			n++
		}
		return n
	}
	return cmp.Compare(rank(m), rank(other)) > 0
}

// hear takes what other, which is not further, was told.
func (m *Machine) hear(other *Machine) {
	sameStage, sameChosen := m.view.Stage == other.view.Stage, m.view.Chosen == other.view.Chosen
	m.placed, m.taken = m.placed || other.placed, m.taken || other.taken
	m.sendID = cmp.Or(m.sendID, other.sendID)
	m.cancelID = cmp.Or(m.cancelID, other.cancelID)
	if sameChosen {
		m.answerID = cmp.Or(m.answerID, other.answerID)
	}
	m.confirmed = cmp.Or(m.confirmed, other.confirmed)
	m.said, m.denied = m.about(m.said, other.said), m.about(m.denied, other.denied)
	m.vouched, m.informed, m.holdAt = m.vouched || other.vouched, m.informed || other.informed, invitation.Earliest(m.holdAt, other.holdAt)
	m.committed = m.committed || other.committed
	m.callerDone, m.concluded = m.callerDone || other.callerDone, m.concluded || other.concluded

	if other.view.Heard > m.view.Heard {
		m.callerOnline, m.connected, m.goneAt = other.callerOnline, other.connected, earlierOf(m.goneAt, other.goneAt)
	}
	m.absent = m.absent && !m.callerOnline && (other.view.Stage < invitation.Accepting || other.absent)
	if other.calleeHeard > m.calleeHeard {
		m.calleeHeard, m.calleeOnline = other.calleeHeard, other.calleeOnline
		m.view.HeardCallee = m.calleeHeard
		if sameChosen {
			m.lostAt = earlierOf(m.lostAt, other.lostAt)
		}
	}
	if sameStage {
		m.deadline = invitation.Earliest(m.deadline, other.deadline)
	}
	m.patience = invitation.Earliest(m.patience, other.patience)
	if !m.asking {
		m.vouched, m.informed, m.holdAt = false, false, 0
	}
	m.warned = false
	if m.view.Stage < invitation.Confirmed || m.view.Verdict || m.callerDone {
		m.patience = 0
	}
}

// about returns the one of two devices whose word was heard that matters: the one that the caller's has confirmed.
func (m *Machine) about(ours, theirs invitation.Device) invitation.Device {
	if m.confirmed != "" && theirs == m.confirmed {
		return theirs
	}
	return cmp.Or(ours, theirs)
}

// earlierOf returns the newer value, but the older one where it says since when the same holds.
func earlierOf(older, newer Time) Time {
	if newer == 0 {
		return 0
	}
	return invitation.Earliest(older, newer)
}

// decide decides what two machines together know and neither knew alone, as confirmLate, conclude and
// settle do for a word.
func (m *Machine) decide(out effects) effects {
	v := m.view
	if v.Stage != invitation.Ended {
		return out
	}
	if v.Settled {
		return append(out, Effect{Kind: Stop})
	}
	if m.confirmed != "" && !v.Verdict {
		switch {
		case m.said == m.confirmed:
			out = m.accepted(out)
		case m.denied == m.confirmed:
			out = m.verdict(out)
		}
	}
	return m.settle(out)
}
