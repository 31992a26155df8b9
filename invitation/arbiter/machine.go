package arbiter

import (
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// What an unanswered view is repeated after: the first times, then doubling, and at most. Repeating
// matters between nodes, where messages get lost; on one node the first repeat is hardly reached. Whoever is told
// by the third repeat is told within the second that the contract gives.
const (
	FirstRetry = 300 * time.Millisecond
	LastRetry  = 8 * time.Second

	quickRetries = 3 // so many before the time doubles
	maxRetries   = 8
)

// retryAfter returns after what time a view is repeated that was repeated so often.
func retryAfter(retries uint8) time.Duration {
	return min(FirstRetry<<(max(retries, quickRetries-1)-(quickRetries-1)), LastRetry)
}

// retried sets when the view is repeated next.
func (m *Machine) retried(now Time) {
	m.retries = min(m.retries+1, maxRetries)
	m.retryAt = now.Add(retryAfter(m.retries))
}

// EffectKind is what a host has to do.
type EffectKind uint8

// The kinds of effect.
const (
	TellCaller  EffectKind = 1 // give View to the caller's session
	TellCallee  EffectKind = 2 // give View to the callee's session
	ReplyCaller EffectKind = 3 // give Reply to the caller's session
	ReplyCallee EffectKind = 4 // give Reply to the callee's session
	Stop        EffectKind = 5 // drop the machine
)

// Effect is one thing that a host has to do after a Step.
type Effect struct {
	Kind  EffectKind
	View  *invitation.View
	Reply invitation.Reply
}

// Machine arbitrates one invitation. Make it with [New].
type Machine struct {
	view *invitation.View // what is said now; replaced at each move, never changed

	deadline Time // when the stage ends by itself; in Ended, the linger
	goneAt   Time // when the sending device will have been away for the grace; 0: it is connected
	patience Time // Confirmed and Ended: until when the named callee's device's word is awaited; 0: not awaited
	lostAt   Time // when the chosen device's connection was lost; 0: it is connected
	retryAt  Time // when what is unanswered is repeated; 0: nothing is
	retries  uint8
	noTimer  bool // retryAt is never set: the host gives MsgResend
	warned   bool // the callee's side was asked once more: the patience is over soon

	placed       bool // the send has been answered
	taken        bool // the callee's session has taken the offer
	callerOnline bool
	connected    bool // the sending device is
	absent       bool // no device of the caller was connected since the accept was recorded
	calleeOnline bool
	callerDone   bool // the sending device has acknowledged the outcome
	committed    bool // the confirmed device was told so: it may have accepted
	concluded    bool // every device of the callee that was shown the invitation has, too

	asking   bool // it is recovering: an arbiter was lost, and this one asks both sides how the invitation stands
	vouched  bool // asking: the caller's device has said so
	informed bool // asking: the callee's side has, or was silent for too long
	holdAt   Time // asking: when the callee's side will have been silent for too long; 0: no more

	calleeHeard uint64 // the callee's session's last change of presence that is known; the caller's is view.Heard

	confirmed invitation.Device // the callee's device that the caller's device confirmed
	said      invitation.Device // the callee's device that has said "accepted"
	denied    invitation.Device // the callee's device that answered, and has said that it did not accept

	sendID   uint64 // the request ids of what was carried out, to repeat the answer
	cancelID uint64
	answerID uint64 // of the accept or the refuse that counts; its device is view.Chosen
}

// Time is [invitation.Time].
type Time = invitation.Time

// Option changes how a [Machine] is made.
type Option struct{ noTimer bool }

// WithoutRetry makes a machine that repeats only on MsgResend: for explorers that treat repetition
// as an event of its own.
func WithoutRetry() Option { return Option{noTimer: true} }

// New returns the machine for an invitation whose first input is to be its first MsgStart. One that is resumed,
// or a MsgRecover, makes a machine that recovers what another one, which was lost, knew.
func New(terms *invitation.Terms, options ...Option) *Machine {
	m := &Machine{view: &invitation.View{Terms: terms}}
	for _, o := range options {
		m.noTimer = m.noTimer || o.noTimer
	}
	return m
}

// View returns what the machine says now.
func (m *Machine) View() *invitation.View { return m.view }

// Deadline returns when the host's timer is to be due; 0: no timer.
func (m *Machine) Deadline() Time {
	if m.holdAt != 0 {
		return invitation.Earliest(m.holdAt, m.retryAt)
	}
	d := invitation.Earliest(m.deadline, m.retryAt)
	if m.view.Stage < invitation.Confirmed || m.asking {
		d = invitation.Earliest(d, m.goneAt)
	}
	return invitation.Earliest(d, m.patienceDue())
}

// Placed reports whether the send was answered: it was taken or, if the machine stops before it has ended,
// refused.
func (m *Machine) Placed() bool { return m.placed }

// CalleeAway reports whether the callee's side is known to have no connected device.
func (m *Machine) CalleeAway() bool { return m.taken && !m.calleeOnline && !m.asking }

// Final reports whether the invitation has ended, and how it did cannot change any more: a caller's device whose
// accept was asked for has said its last word, or no device of the callee can say "accepted".
func (m *Machine) Final() bool {
	v := m.view
	if v.Stage != invitation.Ended || m.asking {
		return false
	}
	return v.Verdict || v.Settled || m.callerDone || m.concluded || v.Chosen == "" && m.confirmed == ""
}

// Step takes one message at now and appends what is to be done to out.
func (m *Machine) Step(now Time, msg *invitation.Message, out []Effect) []Effect {
	err, held := invitation.NotFound, false
	begun := m.begins(msg)
	if begun {
		m.begin(now)
	}
	switch {
	case !m.entitled(msg):
	case m.asking:
		out, held = m.learn(now, msg, begun, out), true
	default:
		out, err = rules[m.view.Stage][msg.Kind].do(m, now, msg, out)
	}
	if msg.RequestID != 0 && msg.Kind != invitation.MsgStart && !held {
		out = append(out, m.reply(msg, err))
	}
	if !m.noTimer && msg.Kind != invitation.MsgTick {
		m.scheduleRetry(now)
	}
	return out
}

// entitled reports whether a message comes from the side, and for the caller's words from the
// device, that may say it.
func (m *Machine) entitled(msg *invitation.Message) bool {
	terms := m.view.Terms
	switch msg.Kind {
	case invitation.MsgCancel, invitation.MsgConfirm, invitation.MsgCallerDone:
		return msg.User == terms.Caller && msg.Device == terms.Device
	case invitation.MsgStart, invitation.MsgCaller:
		return msg.User == terms.Caller
	case invitation.MsgSeen, invitation.MsgAccept, invitation.MsgRefuse, invitation.MsgCalleeDone, invitation.MsgCallee:
		return msg.User == terms.Callee
	case invitation.MsgRecover:
		return msg.View != nil && msg.View.Stage < invitation.Stages && (msg.User == terms.Caller || msg.User == terms.Callee)
	case invitation.MsgAbort, invitation.MsgTick, invitation.MsgResend, invitation.MsgCalleeLost:
	}
	return true // the host's own
}

var requests = [invitation.MessageKinds]invitation.Request{
	invitation.MsgCancel: invitation.Cancel,
	invitation.MsgAccept: invitation.Accept,
	invitation.MsgRefuse: invitation.Refuse,
}

func (m *Machine) reply(msg *invitation.Message, err invitation.CallError) Effect {
	kind := ReplyCallee
	if msg.Kind == invitation.MsgCancel {
		kind = ReplyCaller
	}
	return Effect{Kind: kind, Reply: invitation.Reply{
		ID: m.view.Terms.ID, Device: msg.Device, Request: requests[msg.Kind], RequestID: msg.RequestID,
		Error: err, View: m.view,
	}}
}

// Refused returns the request id of the send that the machine, which has stopped, has refused: nothing came of it. It
// returns 0 if it has not.
func (m *Machine) Refused() uint64 {
	if m.view.Stage == invitation.Ended {
		return 0
	}
	return m.sendID
}

// Anew reports whether a message is a send that was begun after the one that was refused, of the same invitation.
func Anew(msg *invitation.Message, refused uint64) bool {
	return refused != 0 && msg.Kind == invitation.MsgStart && int64(msg.RequestID-refused) > 0
}

// Stopped returns the answer to a MsgStart for an invitation whose machine was dropped: ALREADY_END, or LIMIT_EXCEEDED
// again, if the machine had refused a send (see [Machine.Refused]).
func Stopped(start *invitation.Message, refused uint64) *invitation.Reply {
	terms := start.Terms
	if refused != 0 {
		return &invitation.Reply{
			ID: terms.ID, Device: terms.Device, Request: invitation.Send, RequestID: start.RequestID,
			Error: invitation.LimitExceeded, View: &invitation.View{Terms: terms},
		}
	}
	return &invitation.Reply{
		ID: terms.ID, Device: terms.Device, Request: invitation.Send, RequestID: start.RequestID,
		Error: invitation.AlreadyEnd,
		View: &invitation.View{
			Terms: terms, Stage: invitation.Ended, Outcome: invitation.Forgotten, Reason: invitation.OutcomeForgotten,
			Verdict: true, Settled: true,
		},
	}
}

// place answers the send, once: the callee's session has taken the offer, or was silent.
func (m *Machine) place(err invitation.CallError, out []Effect) []Effect {
	if m.placed {
		return out
	}
	m.placed = true
	return m.answerSend(err, out)
}

func (m *Machine) answerSend(err invitation.CallError, out []Effect) []Effect {
	return append(out, Effect{Kind: ReplyCaller, Reply: invitation.Reply{
		ID: m.view.Terms.ID, Device: m.view.Terms.Device, Request: invitation.Send, RequestID: m.sendID,
		Error: err, View: m.view,
	}})
}

// move makes the next view: that of stage, with the next version.
func (m *Machine) move(stage invitation.Stage, deadline Time) *invitation.View {
	v := *m.view
	v.Version++
	v.Stage, v.Deadline = stage, deadline
	m.view, m.deadline = &v, deadline
	m.retries = 0
	return m.view
}

func (m *Machine) tellCaller(out []Effect) []Effect {
	return append(out, Effect{Kind: TellCaller, View: m.view})
}

func (m *Machine) tellCallee(out []Effect) []Effect {
	return append(out, Effect{Kind: TellCallee, View: m.view})
}

func (m *Machine) tellBoth(out []Effect) []Effect { return m.tellCallee(m.tellCaller(out)) }

// owed reports which side owes an answer to the current view. A side that is known to be away owes
// none: its return is reported, and asks.
func (m *Machine) owed() (caller, callee bool) {
	if m.asking {
		return !m.vouched && (m.connected || m.view.Heard == 0), !m.informed
	}
	if !m.taken && m.view.Stage != invitation.Ended {
		return m.view.Stage == invitation.Accepting && m.connected, true
	}
	switch m.view.Stage {
	case invitation.Offering:
		return false, m.calleeOnline
	case invitation.Accepting:
		return m.connected, false
	case invitation.Confirmed:
		return false, m.lostAt == 0
	case invitation.Ended:
		awaited := m.confirmed != "" && !m.view.Verdict // the confirmed device's own word
		return m.connected && !m.callerDone, (!m.concluded || awaited) && (m.calleeOnline || !m.taken)
	case invitation.Ringing:
	}
	return false, false
}

func (m *Machine) scheduleRetry(now Time) {
	caller, callee := m.owed()
	if !caller && !callee {
		m.retryAt = 0
		return
	}
	if m.retryAt == 0 || m.retries == 0 {
		m.retryAt = now.Add(retryAfter(m.retries))
	}
}
