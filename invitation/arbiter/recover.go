package arbiter

import (
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// Recovery. An arbiter that was lost left its knowledge with the devices, and what it told the sessions
// with them. A machine that is made by a resumed start, or by a MsgRecover, asks both sides, and until it
// knows it is [Machine.asking]: it takes words and tells nobody anything, answers no request (devices
// repeat those that are not answered), shows nothing, and lets no stage run out that the callee's side may
// know to be over. The stage that it has meanwhile is the furthest that any word stands for; it counts, and
// is told, when both sides have been heard.
//
// It waits for the callee's side for holdFor, and for the caller's device for the grace: without that device
// there is nothing to recover. A deadline that runs out after holdFor ends the invitation as ever.

// holdFor is how long the callee's side may be silent: its session may be a new one, too, and its devices
// have to come back first.
const holdFor = 3 * time.Second

// soon is by how much later than the other one a side may take the time of an invitation to be over.
const soon = time.Second

// recovered is the first version of a machine that recovers; known versions are rounded up to a multiple
// of it, so that what it says counts before all that the lost one said.
const recovered = 1 << 16

// begins reports whether a message makes a machine that recovers.
func (m *Machine) begins(msg *invitation.Message) bool {
	return m.view.Version == 0 && (msg.Kind == invitation.MsgRecover || msg.Kind == invitation.MsgStart && msg.Resumed != nil)
}

// Asking reports whether the machine recovers: it asks both sides how the invitation stands, and has decided nothing.
func (m *Machine) Asking() bool { return m.asking }

func (m *Machine) begin(now Time) {
	m.hide().Version = recovered
	m.asking, m.holdAt = true, now.Add(holdFor)
	m.goneAt = now.Add(m.view.Terms.Timers.Grace)
}

// hide replaces the view by a copy that nobody is told yet, and returns it.
func (m *Machine) hide() *invitation.View {
	v := *m.view
	m.view = &v
	return m.view
}

// above makes the version higher than any of the activation that said v.
func (m *Machine) above(version uint32) {
	if version >= m.view.Version {
		m.hide().Version = (version/recovered + 1) * recovered
	}
}

// learn takes a message while the machine asks, which it does since this message if it has begun by it.
func (m *Machine) learn(now Time, msg *invitation.Message, begun bool, out effects) effects {
	switch msg.Kind {
	case invitation.MsgStart:
		m.sendID, m.vouched = msg.RequestID, true
		m.callerPresent(now, msg)
		m.resume(now, msg.Resumed)
	case invitation.MsgConfirm:
		m.vouched, m.confirmed = true, msg.Named
	case invitation.MsgCallerDone:
		if m.view.Stage == invitation.Ended { // by what the callee's side knows: this device has been told
			m.vouched, m.callerDone = true, true
		} else {
			out, _ = callerQuit(m, now, msg, out)
		}
	case invitation.MsgCaller:
		m.callerPresent(now, msg)
		if msg.Ask && m.connected && !m.vouched {
			out = append(out, Effect{Kind: TellCaller, View: m.question()})
		}
	case invitation.MsgCancel:
		if msg.RequestID == 0 && m.view.Stage < invitation.Ended { // of a device that will not come back
			out, _ = cancel(m, now, msg, out)
		}
	case invitation.MsgSeen, invitation.MsgAccept, invitation.MsgCalleeDone:
		m.hearCallee(now, msg)
	case invitation.MsgCallee:
		m.calleePresent(now, msg)
		if msg.Ask && !m.informed { // a device has spoken
			out = append(out, Effect{Kind: TellCallee, View: m.question()})
		}
	case invitation.MsgRecover:
		m.absorb(now, msg)
	case invitation.MsgCalleeLost:
		out, _ = calleeLost(m, now, msg, out)
	case invitation.MsgAbort:
		if m.view.Stage == invitation.Ended { // it is known how
			return m.stand(now, out)
		}
		out, _ = abort(m, now, msg, out)
	case invitation.MsgTick:
		out, _ = tick(m, now, msg, out)
	case invitation.MsgResend:
		return m.ask(out)
	case invitation.MsgRefuse: // it is repeated
	}
	if begun && m.asking {
		out = m.ask(out)
	}
	return m.conclusion(now, out)
}

// conclusion ends the questions when both sides have been heard.
func (m *Machine) conclusion(now Time, out effects) effects {
	if m.asking && m.vouched && m.informed {
		return m.stand(now, out)
	}
	if hasty && m.asking { // who has not spoken yet is taken for gone
		return m.end(now, invitation.Canceled, invitation.CallerGone, out)
	}
	return out
}

// question is what a machine that recovers says.
func (m *Machine) question() *invitation.View {
	return &invitation.View{Terms: m.view.Terms, Recovering: true}
}

func (m *Machine) ask(out effects) effects {
	caller, callee := m.owed()
	if caller {
		out = append(out, Effect{Kind: TellCaller, View: m.question()})
	}
	if callee {
		out = append(out, Effect{Kind: TellCallee, View: m.question()})
	}
	return out
}

// resume takes what the caller's device says: of its own word, and of the time that was left. It is believed
// about nothing that the callee's side did, but that it was rung: which only makes its time another.
func (m *Machine) resume(now Time, r *invitation.Resumed) {
	if r == nil {
		r = &invitation.Resumed{}
	}
	t := m.view.Terms.Timers
	if r.Confirmed != "" {
		m.confirmed = r.Confirmed
	}
	switch r.Local {
	case invitation.LocalReceivedByRemote:
		m.reach(invitation.Ringing, now.Add(min(r.Remaining, t.Expire)))
	case invitation.LocalSentToRemote:
		m.reach(invitation.Offering, now.Add(min(r.Remaining, t.NoResponse)))
	default:
		m.reach(invitation.Offering, now.Add(t.NoResponse))
	}
}

// reach takes that a stage was reached, which ends by itself at the deadline. Of two times the earlier counts:
// recovering gives nobody more.
func (m *Machine) reach(stage invitation.Stage, deadline Time) bool {
	if m.view.Stage > stage {
		return false
	}
	moved := m.view.Stage < stage
	if moved || m.deadline == 0 {
		m.deadline = deadline
	}
	m.deadline = invitation.Earliest(m.deadline, deadline)
	v := m.hide()
	v.Stage, v.Deadline = stage, m.deadline
	return moved
}

// left returns what is left of the time of a stage that a word of a callee's device begins: all of it, unless another
// arbiter may have heard the word before this one, and told how long it has: one that was lost, or one on a node that
// was cut off and lives.
func (m *Machine) left(most time.Duration, msg *invitation.Message) time.Duration {
	if msg.Remaining != 0 {
		return min(most, msg.Remaining)
	}
	return most
}

// hearCallee takes the word of a callee's device.
func (m *Machine) hearCallee(now Time, msg *invitation.Message) {
	t := m.view.Terms.Timers
	m.taken = true
	switch {
	case msg.Kind == invitation.MsgSeen:
		m.calleeOnline = true
		m.reach(invitation.Ringing, now.Add(m.left(t.Expire, msg)))
	case msg.Kind == invitation.MsgAccept:
		m.calleeOnline = true
		if m.reach(invitation.Accepting, now.Add(m.left(t.AcceptWindow, msg))) {
			m.view.Chosen, m.view.Response = msg.Device, msg.Response
		}
		if m.view.Chosen == msg.Device && m.answerID == 0 {
			m.answerID = msg.RequestID
		}
	default:
		m.hears(msg)
		if msg.Remote == invitation.RemoteRefused && m.reach(invitation.Ended, now.Add(t.Linger)) {
			m.view.Chosen, m.view.Response, m.view.Outcome = msg.Device, "", invitation.Refused
		}
		m.concluded = m.concluded || msg.Concluded
	}
}

// absorb takes what a session knows: the newest view of an arbiter that was lost. A confirm counts by the
// word of the caller's device only, and an ending without a verdict not against that word.
func (m *Machine) absorb(now Time, msg *invitation.Message) {
	v := msg.View
	m.above(v.Version)
	if msg.User == m.view.Terms.Callee {
		m.calleePresent(now, msg)
		m.informed, m.concluded = m.informed || !msg.Fresh, m.concluded || msg.Concluded
	}
	if v.Version == 0 {
		return // nothing is known there
	}
	stage, deadline := v.Stage, v.Deadline
	if stage == invitation.Confirmed {
		stage = invitation.Accepting
	}
	if stage == invitation.Ended && !v.Verdict && m.confirmed != "" {
		return
	}
	if deadline == 0 {
		t := m.view.Terms.Timers
		deadline = now.Add([...]time.Duration{t.NoResponse, t.Expire, t.AcceptWindow, t.AcceptWindow, t.Linger}[stage])
	}
	if m.reach(stage, deadline) || m.view.Stage == stage && m.view.Chosen == "" && stage != invitation.Ended {
		m.view.Chosen, m.view.Response = v.Chosen, v.Response
		m.view.Outcome, m.view.Reason, m.view.Verdict = v.Outcome, v.Reason, v.Verdict
		if v.Outcome == invitation.Accepted {
			m.said = v.Chosen
		}
	}
}

// tickAsking takes that a time is over while the machine asks.
func (m *Machine) tickAsking(now Time, out effects) effects {
	switch {
	case m.holdAt != 0 && m.holdAt <= now:
		m.holdAt, m.informed = 0, true
		return m.conclusion(now, out)
	case m.retryAt != 0 && m.retryAt <= now:
		m.retried(now)
		return m.ask(out)
	case m.holdAt != 0:
		return out
	case m.view.Stage == invitation.Ended && (m.deadline <= now || m.goneAt != 0 && m.goneAt <= now):
		return m.stand(now, out)
	case m.deadline != 0 && m.deadline <= now:
		return m.expire(now, out)
	case m.goneAt != 0 && m.goneAt <= now:
		return m.end(now, invitation.Canceled, invitation.CallerGone, out)
	}
	return out
}

// stand ends the questions: what is known now counts, and is told.
func (m *Machine) stand(now Time, out effects) effects {
	m.asking, m.vouched, m.informed, m.holdAt = false, false, false, 0
	m.taken = false // the question was answered, the view is not
	v := m.view
	switch {
	case m.confirmed != "" && !v.Verdict && m.said == m.confirmed:
		out = m.agreed(now, out)
	case m.confirmed != "" && !v.Verdict && m.denied == m.confirmed:
		out = m.end(now, invitation.Unconfirmed, invitation.AcceptNotConfirmed, out)
		m.view.Chosen, m.view.Verdict = m.denied, true
	case m.confirmed != "" && !v.Verdict:
		out = m.commit(now, m.confirmed, out)
	case v.Stage == invitation.Ended:
		linger := now.Add(v.Terms.Timers.Linger)
		m.move(invitation.Ended, linger)
		m.goneAt = 0
		out = m.tellBoth(m.place(invitation.OK, out))
	case m.concluded && m.deadline != 0 && m.deadline <= now.Add(soon): // by the callee's side its time was over
		out = m.expire(now, out)
	case m.concluded && v.Stage == invitation.Offering && v.Terms.Timers.Expire < v.Terms.Timers.Grace:
		out = m.end(now, invitation.Unanswered, invitation.Expired, out) // it rang, and ran out before the grace did
	case m.concluded:
		out = m.end(now, invitation.Canceled, invitation.CallerGone, out) // so were its devices told
	default:
		m.absent = v.Stage == invitation.Accepting && !m.callerOnline
		m.move(v.Stage, m.deadline)
		out = m.tellBoth(m.place(invitation.OK, out))
	}
	return m.settle(out)
}

// commit tells the device that the caller's device has confirmed so, and awaits its word.
func (m *Machine) commit(now Time, named invitation.Device, out effects) effects {
	window := now
	if m.view.Stage == invitation.Accepting {
		window = m.deadline
	}
	v := m.move(invitation.Confirmed, window)
	if v.Chosen != named {
		v.Chosen, v.Response = named, ""
	}
	v.Outcome, v.Reason = invitation.NoOutcome, invitation.NoReason
	m.confirmed, m.committed, m.deadline = named, true, 0
	m.await(max(now, window))
	return m.tellCallee(m.place(invitation.OK, out))
}

// calleeQuit takes what devices were told of an invitation which rings, by an arbiter that was lost: that one of them
// has refused; or, while there was none, that the caller's device has not come back. That a device has accepted says
// that the caller's has confirmed that to another arbiter: it is kept until that is heard here, or both are merged.
func calleeQuit(m *Machine, now Time, msg *invitation.Message, out effects) (effects, invitation.CallError) {
	if msg.Remote == invitation.RemoteAccepted {
		m.said = msg.Device
		return out, invitation.OK
	}
	if msg.Remote == invitation.RemoteRefused {
		out = m.end(now, invitation.Refused, invitation.NoReason, out)
		m.view.Chosen = msg.Device
		return m.calleeConcluded(msg, out), invitation.OK
	}
	if !msg.Concluded || msg.Remote != invitation.RemoteCanceled {
		return out, invitation.OK
	}
	m.concluded = true
	return m.end(now, invitation.Canceled, invitation.CallerGone, out), invitation.OK
}

// told takes what a session knows of an invitation that has an arbiter: this one was not lost, or is already
// another. What it did not know it takes, and then both sides hear from it.
func told(m *Machine, now Time, msg *invitation.Message, out effects) (effects, invitation.CallError) {
	before := m.view.Version
	if msg.View.Version <= before {
		if msg.User == m.view.Terms.Caller {
			return m.tellCaller(out), invitation.OK
		}
		m.calleePresent(now, msg)
		return m.tellCallee(out), invitation.OK
	}
	stage := m.view.Stage
	if stage < invitation.Confirmed {
		m.absorb(now, msg)
	} else {
		m.above(msg.View.Version)
	}
	if stage < invitation.Ended && m.view.Stage == invitation.Ended {
		m.goneAt, m.deadline = 0, now.Add(m.view.Terms.Timers.Linger)
	}
	m.retries = 0
	return m.settle(m.tellBoth(m.place(invitation.OK, out))), invitation.OK
}

// calleeLost takes that the callee's session was lost: the one to come is told everything again.
func calleeLost(m *Machine, _ Time, _ *invitation.Message, out effects) (effects, invitation.CallError) {
	m.taken, m.informed, m.concluded, m.retries = false, false, false, 0
	if m.asking {
		return append(out, Effect{Kind: TellCallee, View: m.question()}), invitation.OK
	}
	return m.tellCallee(out), invitation.OK
}
