package arbiter

import (
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// The caller's side.

// start is the first message: the no-response time runs from here.
func start(m *Machine, now Time, msg *invitation.Message, out effects) (effects, invitation.CallError) {
	if m.view.Version != 0 {
		return startAgain(m, now, msg, out)
	}
	m.sendID = msg.RequestID
	v := m.view // that New made: nobody was told it
	v.Version, v.Deadline, v.Heard = 1, now.Add(v.Terms.Timers.NoResponse), msg.Permit
	m.deadline = v.Deadline
	m.callerPresent(now, msg)
	return m.tellCallee(out), invitation.OK
}

// startAgain answers a repeated send: now, or with the first answer if that is still due.
func startAgain(m *Machine, now Time, msg *invitation.Message, out effects) (effects, invitation.CallError) {
	m.sendID = msg.RequestID
	m.callerPresent(now, msg)
	if !m.placed && m.view.Stage == invitation.Offering {
		return out, invitation.OK
	}
	return m.answerSend(invitation.OK, out), invitation.OK
}

func cancel(m *Machine, now Time, msg *invitation.Message, out effects) (effects, invitation.CallError) {
	m.cancelID = msg.RequestID
	return m.end(now, invitation.Canceled, msg.Reason, out), invitation.OK
}

func cancelAgain(m *Machine, _ Time, msg *invitation.Message, out effects) (effects, invitation.CallError) {
	if msg.RequestID != 0 && msg.RequestID == m.cancelID {
		return out, invitation.OK
	}
	return out, invitation.AlreadyEnd
}

// callerQuit takes "done" from a caller's device before the arbiter has decided anything: that
// device has given up on the invitation (docs/spec.md §5, OUTCOME_FORGOTTEN).
func callerQuit(m *Machine, now Time, _ *invitation.Message, out effects) (effects, invitation.CallError) {
	out = m.end(now, invitation.Canceled, invitation.CallerGone, out)
	m.callerDone = true
	return out, invitation.OK
}

// confirm takes the word of the caller's device. That it names a device whose accept is not the one that is
// recorded here, if any, means that another arbiter of this invitation asked it (see Machine.Merge): it will
// confirm no other, and the device that it names says what comes of it.
func confirm(m *Machine, now Time, msg *invitation.Message, out effects) (effects, invitation.CallError) {
	if m.said == msg.Named {
		m.confirmed = msg.Named
		return m.agreed(now, out), invitation.OK
	}
	return m.commit(now, msg.Named, out), invitation.OK
}

// confirmLate takes a confirm that comes after the arbiter decided otherwise. Whether the
// invitation was accepted is for the named device to say.
func confirmLate(m *Machine, now Time, msg *invitation.Message, out effects) (effects, invitation.CallError) {
	if m.confirmed == "" {
		m.confirmed = msg.Named
	}
	switch {
	case m.view.Verdict:
		return m.tellCaller(out), invitation.OK
	case m.said == m.confirmed:
		return m.accepted(out), invitation.OK
	case m.denied == m.confirmed:
		return m.verdict(out), invitation.OK
	case m.patience == 0:
		m.await(now)
	}
	if m.view.Chosen != m.confirmed {
		m.move(invitation.Ended, m.deadline).Chosen = m.confirmed
	}
	return m.tellCallee(out), invitation.OK
}

func callerDone(m *Machine, _ Time, _ *invitation.Message, out effects) (effects, invitation.CallError) {
	m.callerDone, m.patience = true, 0
	return m.settle(out), invitation.OK
}

// callerPresence takes the presence of the caller's devices.
func callerPresence(m *Machine, now Time, msg *invitation.Message, out effects) (effects, invitation.CallError) {
	m.callerPresent(now, msg)
	if msg.Ask {
		out = m.tellCaller(out)
	}
	return out, invitation.OK
}

// callerPresent notes the presence that a message of the caller's session tells, unless a later
// change is known.
func (m *Machine) callerPresent(now Time, msg *invitation.Message) {
	if msg.Permit < m.view.Heard {
		return
	}
	if msg.Permit > m.view.Heard {
		v := *m.view
		v.Heard = msg.Permit
		m.view = &v
	}
	m.callerOnline, m.connected = msg.Online, msg.Connected
	if m.callerOnline {
		m.absent = false
	}
	switch {
	case m.connected:
		m.goneAt = 0
	case m.goneAt == 0:
		m.goneAt = now.Add(m.view.Terms.Timers.Grace)
	}
}

// The callee's side.

// offerTaken takes the presence of the callee's side, which tells that its session has the offer,
// or that it is over its bound.
func offerTaken(m *Machine, now Time, msg *invitation.Message, out effects) (effects, invitation.CallError) {
	if msg.Full {
		if m.placed {
			m.concluded = true
			return m.end(now, invitation.Undelivered, invitation.NoResponse, out), invitation.OK
		}
		out = m.place(invitation.LimitExceeded, out)
		return append(out, Effect{Kind: Stop}), invitation.OK
	}
	return calleePresence(m, now, msg, m.place(invitation.OK, out))
}

func calleePresence(m *Machine, now Time, msg *invitation.Message, out effects) (effects, invitation.CallError) {
	m.calleePresent(now, msg)
	if msg.Concluded && m.view.Stage == invitation.Ended {
		return m.conclude(out), invitation.OK
	}
	if msg.Ask {
		v := *m.view
		v.Permit = msg.Permit
		m.view = &v
		out = m.tellCallee(out)
	}
	return out, invitation.OK
}

// calleePresent notes the presence that a message of the callee's session tells, unless a later change is known.
func (m *Machine) calleePresent(now Time, msg *invitation.Message) {
	m.taken = true
	if msg.Permit < m.calleeHeard {
		return
	}
	m.calleeHeard, m.calleeOnline = msg.Permit, msg.Online
	if m.view.HeardCallee != msg.Permit {
		m.hide().HeardCallee = msg.Permit
	}
	if m.view.Chosen != "" && (!msg.Online || msg.Chosen == m.view.Chosen) {
		m.chosenPresence(now, msg.Online && msg.Connected)
	}
}

// chosenPresence takes the presence of the callee's device whose word is awaited: the grace is
// counted from its loss, and anew from its return.
func (m *Machine) chosenPresence(now Time, connected bool) {
	switch {
	case connected && m.lostAt != 0:
		m.lostAt = 0
		if m.patience != 0 {
			m.await(now)
		}
	case !connected && m.lostAt == 0:
		m.lostAt = now
		if m.patience != 0 {
			m.await(now)
		}
	}
}

// await sets until when the named device's word is awaited: for the grace, from its loss or else
// from the given time.
func (m *Machine) await(from Time) {
	if m.lostAt != 0 {
		from = m.lostAt
	}
	m.patience, m.warned = from.Add(m.view.Terms.Timers.Grace), false
}

func seen(m *Machine, now Time, msg *invitation.Message, out effects) (effects, invitation.CallError) {
	m.taken, m.calleeOnline = true, true
	m.move(invitation.Ringing, now.Add(m.left(m.view.Terms.Timers.Expire, msg)))
	if msg.Online {
		m.calleePresent(now, msg)
	}
	if !m.placed {
		return m.place(invitation.OK, out), invitation.OK // the answer to the send tells the caller's session
	}
	return m.tellCaller(out), invitation.OK
}

// seenAgain answers a device that shows an invitation of which more is known. A device that answers
// the commit with "seen" has not asked to accept: telling it again at once would go on for ever.
func seenAgain(m *Machine, _ Time, msg *invitation.Message, out effects) (effects, invitation.CallError) {
	if m.view.Stage == invitation.Ringing || m.view.Stage == invitation.Confirmed && msg.Device == m.view.Chosen {
		return out, invitation.OK
	}
	return m.tellCallee(out), invitation.OK
}

func accept(m *Machine, now Time, msg *invitation.Message, out effects) (effects, invitation.CallError) {
	m.taken, m.calleeOnline, m.lostAt = true, true, 0
	out = m.place(invitation.OK, out)
	m.answerID = msg.RequestID
	m.absent = !m.callerOnline
	v := m.move(invitation.Accepting, now.Add(m.left(m.view.Terms.Timers.AcceptWindow, msg)))
	v.Chosen, v.Response = msg.Device, msg.Response
	return m.tellAnswered(msg, out), invitation.OK
}

// tellAnswered tells both sides what a callee's device has answered. The answer to its request is the callee's view.
func (m *Machine) tellAnswered(msg *invitation.Message, out effects) effects {
	if msg.RequestID != 0 {
		return m.tellCaller(out)
	}
	return m.tellBoth(out)
}

func refuse(m *Machine, now Time, msg *invitation.Message, out effects) (effects, invitation.CallError) {
	m.taken, m.calleeOnline = true, true
	m.answerID = msg.RequestID
	out = m.place(invitation.OK, out)
	out = m.over(now, invitation.Refused, invitation.NoReason, out)
	m.view.Chosen, m.view.Response = msg.Device, msg.Response
	return m.tellAnswered(msg, out), invitation.OK
}

// answerAgain answers an accept or a refuse when one has been recorded, or the invitation has
// ended.
func answerAgain(m *Machine, _ Time, msg *invitation.Message, out effects) (effects, invitation.CallError) {
	switch {
	case msg.Device == m.view.Chosen && m.answerID == 0 && (m.view.Outcome == invitation.Refused) == (msg.Kind == invitation.MsgRefuse):
		m.answerID = msg.RequestID // it was recorded by the device's word, or by an arbiter that was lost
		return out, invitation.OK
	case msg.Device == m.view.Chosen && msg.RequestID == m.answerID:
		return out, invitation.OK
	case msg.Device == m.view.Chosen && m.view.Stage == invitation.Confirmed:
		return m.tellCallee(out), invitation.AlreadyAccept // a new program of the device that accepted
	case msg.Device == m.view.Chosen && m.view.Stage != invitation.Ended:
		return out, invitation.AlreadyAccept
	}
	return m.tellCallee(out), invitation.AlreadyEnd
}

// verdict takes the word of the device that was told the commit.
func verdict(m *Machine, now Time, msg *invitation.Message, out effects) (effects, invitation.CallError) {
	if msg.Device != m.confirmed {
		return out, invitation.OK
	}
	m.patience = 0
	if msg.Remote != invitation.RemoteAccepted {
		out = m.end(now, invitation.Unconfirmed, invitation.AcceptNotConfirmed, out)
		m.view.Verdict = true
		return m.calleeConcluded(msg, out), invitation.OK
	}
	m.said = msg.Device
	out = m.tellCaller(m.over(now, invitation.Accepted, invitation.NoReason, out))
	if !msg.Concluded { // else its session knows
		out = m.tellCallee(out)
	}
	m.view.Verdict = true
	return m.calleeConcluded(msg, out), invitation.OK
}

// chosenQuit takes "done" from the chosen device before the caller's device has confirmed: that
// device has given up on the invitation.
func chosenQuit(m *Machine, now Time, msg *invitation.Message, out effects) (effects, invitation.CallError) {
	if msg.Remote == invitation.RemoteAccepted {
		m.said = msg.Device // see calleeQuit
		return out, invitation.OK
	}
	if msg.Device != m.view.Chosen {
		return out, invitation.OK
	}
	m.denied = msg.Device
	out = m.end(now, invitation.Unconfirmed, m.unconfirmedReason(), out)
	return m.calleeConcluded(msg, out), invitation.OK
}

// calleeDone takes a device's acknowledgement of the end.
func calleeDone(m *Machine, _ Time, msg *invitation.Message, out effects) (effects, invitation.CallError) {
	m.hears(msg)
	if msg.Device == m.confirmed && !m.view.Verdict {
		if m.said == m.confirmed {
			out = m.accepted(out)
		} else {
			out = m.verdict(out)
		}
	}
	return m.calleeConcluded(msg, out), invitation.OK
}

// hears notes a callee's device's last word.
func (m *Machine) hears(msg *invitation.Message) {
	switch {
	case msg.Remote == invitation.RemoteAccepted:
		m.said = msg.Device
	case msg.Device != "" && (msg.Device == m.view.Chosen || msg.Device == m.confirmed):
		m.denied = msg.Device
	}
}

func (m *Machine) calleeConcluded(msg *invitation.Message, out effects) effects {
	if msg.Concluded {
		return m.conclude(out)
	}
	return out
}

// Ending.

// end decides the outcome, as far as the arbiter can: see the package documentation.
func (m *Machine) end(now Time, outcome invitation.Outcome, reason invitation.Reason, out effects) effects {
	return m.tellBoth(m.over(now, outcome, reason, out))
}

// over is end, but for telling the sides.
func (m *Machine) over(now Time, outcome invitation.Outcome, reason invitation.Reason, out effects) effects {
	m.asking, m.vouched, m.informed, m.holdAt = false, false, false, 0
	out = m.place(invitation.OK, out)
	v := m.move(invitation.Ended, now.Add(m.view.Terms.Timers.Linger))
	v.Outcome, v.Reason = outcome, reason
	m.goneAt = 0
	return out
}

// agreed ends the invitation as accepted: the caller's device has confirmed the one that has said so.
func (m *Machine) agreed(now Time, out effects) effects {
	out = m.end(now, invitation.Accepted, invitation.NoReason, out)
	m.view.Chosen, m.view.Verdict = m.said, true
	return out
}

// accepted makes an ending what the callee's device says it was.
func (m *Machine) accepted(out effects) effects {
	v := m.move(invitation.Ended, m.deadline)
	v.Outcome, v.Reason, v.Chosen, v.Verdict = invitation.Accepted, invitation.NoReason, m.said, true
	m.patience = 0
	return m.tellBoth(out)
}

// verdict tells a caller's device that has confirmed that the callee's device will not accept.
func (m *Machine) verdict(out effects) effects {
	v := m.move(invitation.Ended, m.deadline)
	v.Verdict = true
	m.patience = 0
	return m.tellCaller(out)
}

// conclude takes that every device that was shown the invitation has ended it. How the one did that the caller's
// device has confirmed only its own word tells: another arbiter may have told it the commit.
func (m *Machine) conclude(out effects) effects {
	m.concluded = true
	return m.settle(out)
}

// settle tells both sides that both have concluded, once they have, and stops.
func (m *Machine) settle(out effects) effects {
	if !m.callerDone || !m.concluded {
		return out
	}
	m.move(invitation.Ended, m.deadline).Settled = true
	return append(m.tellBoth(out), Effect{Kind: Stop})
}

func abort(m *Machine, now Time, _ *invitation.Message, out effects) (effects, invitation.CallError) {
	out = m.end(now, invitation.Forgotten, invitation.OutcomeForgotten, out)
	return out, invitation.OK
}

// Time.

func tick(m *Machine, now Time, msg *invitation.Message, out effects) (effects, invitation.CallError) {
	switch {
	case m.asking:
		return m.tickAsking(now, out), invitation.OK
	case m.patience != 0 && m.patienceDue() <= now:
		out = m.lost(now, out)
	case m.deadline != 0 && m.deadline <= now:
		out = m.expire(now, out)
	case m.goneAt != 0 && m.goneAt <= now && m.view.Stage < invitation.Confirmed:
		out = m.end(now, invitation.Canceled, invitation.CallerGone, out)
	case m.retryAt != 0 && m.retryAt <= now:
		m.retried(now)
		return resend(m, now, msg, out)
	default:
		return out, invitation.OK
	}
	if !m.noTimer {
		m.retryAt = 0
		m.scheduleRetry(now)
	}
	return out, invitation.OK
}

// patienceDue returns when something is to be done about the patience: to ask a last time, then to give up.
func (m *Machine) patienceDue() Time {
	if m.patience == 0 || m.warned {
		return m.patience
	}
	return m.patience.Add(-m.lastHold())
}

func (m *Machine) lastHold() time.Duration { return min(holdFor, m.view.Terms.Timers.Grace/2) }

// lost gives up on the named device's word, once the callee's side has been asked a last time: what is known here of
// that device may be old, if this node was paused and another one has taken its place.
func (m *Machine) lost(now Time, out effects) effects {
	if !m.warned {
		m.warned, m.patience = true, max(m.patience, now.Add(m.lastHold()))
		return m.tellCallee(out)
	}
	if m.view.Stage == invitation.Ended {
		return m.verdict(out)
	}
	m.patience = 0
	out = m.end(now, invitation.Lost, invitation.CalleeLost, out)
	m.view.Verdict = true
	return out
}

func (m *Machine) expire(now Time, out effects) effects {
	switch m.view.Stage {
	case invitation.Offering:
		reason := invitation.NoResponse
		if !m.calleeOnline {
			reason = invitation.CalleeOffline
		}
		return m.end(now, invitation.Undelivered, reason, out)
	case invitation.Ringing:
		return m.end(now, invitation.Unanswered, invitation.Expired, out)
	case invitation.Accepting:
		return m.end(now, invitation.Unconfirmed, m.unconfirmedReason(), out)
	case invitation.Confirmed, invitation.Ended: // of Confirmed it is the patience that ends
	}
	v := m.move(invitation.Ended, 0)
	v.Settled, v.Verdict = true, true
	m.patience, m.retryAt = 0, 0
	return append(m.tellBoth(out), Effect{Kind: Stop})
}

func (m *Machine) unconfirmedReason() invitation.Reason {
	if m.absent {
		return invitation.CallerOffline
	}
	return invitation.AcceptNotConfirmed
}

// resend repeats the view to the sides that owe an answer to it.
func resend(m *Machine, _ Time, _ *invitation.Message, out effects) (effects, invitation.CallError) {
	if m.view.Stage == invitation.Offering {
		out = m.place(invitation.OK, out)
	}
	caller, callee := m.owed()
	if caller {
		out = m.tellCaller(out)
	}
	if callee {
		out = m.tellCallee(out)
	}
	return out, invitation.OK
}
