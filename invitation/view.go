package invitation

import "time"

// Stage is where an invitation is, as its arbiter sees it.
type Stage uint8

// The stages, in order. An invitation only moves forward.
const (
	Offering  Stage = 0 // sent; no callee's device has acknowledged
	Ringing   Stage = 1 // acknowledged
	Accepting Stage = 2 // a callee's device accepted; the caller's device is asked
	Confirmed Stage = 3 // the caller's device confirmed; the callee's device is told, its word awaited
	Ended     Stage = 4 // decided; lingers until both sides have acknowledged
)

// Stages is the number of stages.
const Stages = 5

// String returns the stage's name.
func (s Stage) String() string {
	return name([]string{"OFFERING", "RINGING", "ACCEPTING", "CONFIRMED", "ENDED"}, int(s))
}

// Outcome is the kind of ending. What each side is told of it is [View.Local] and [View.Remote].
type Outcome uint8

// The outcomes (the rows of the table in docs/spec.md §5).
const (
	NoOutcome   Outcome = 0
	Accepted    Outcome = 1
	Refused     Outcome = 2
	Canceled    Outcome = 3
	Undelivered Outcome = 4 // not acknowledged in time
	Unanswered  Outcome = 5 // acknowledged, then neither canceled, accepted nor refused in time
	Unconfirmed Outcome = 6 // accepted, but the caller's device did not confirm in time
	Lost        Outcome = 7 // confirmed, but the callee's device stayed away longer than the grace
	Forgotten   Outcome = 8 // the server no longer knows
)

// Outcomes is the number of outcomes, NoOutcome included.
const Outcomes = 9

// String returns the outcome's name, as used in metrics and results.
func (o Outcome) String() string {
	return name([]string{
		"none", "accepted", "refused", "canceled", "undelivered", "expired", "unconfirmed", "callee_lost", "forgotten",
	}, int(o))
}

// View is what the arbiter of an invitation says about it, to the sessions of both sides. It is
// state, not a command: a receiver keeps the one with the higher version and may get it any number
// of times. Views are immutable and shared by pointer.
type View struct {
	Terms    *Terms
	Version  uint32 // grows with every change, within one activation of the arbiter
	Stage    Stage
	Chosen   Device  // the callee's device whose accept or refuse counts, from Accepting on
	Response string  // what that device responded
	Outcome  Outcome // when Ended
	Reason   Reason  // when Ended, the finer cause
	Verdict  bool    // when Ended: no callee's device can say "accepted" any more, or one has said it
	Settled  bool    // when Ended: both sides have acknowledged, words may be forgotten
	Permit   uint64  // the callee's session's last question that this answers (see session)
	Heard    uint64  // the caller's session's last change of presence that is known here
	Deadline Time    // when the current stage ends by itself

	HeardCallee uint64 // the callee's session's last change of presence that is known here
	// Recovering says that this is a question: an arbiter was lost, and this new one has to learn how the
	// invitation stands. Nothing else counts but Terms.
	Recovering bool
}

// Local returns what the caller's side is told: state, code and reason.
func (v *View) Local() (LocalState, LocalError, Reason) {
	switch v.Stage {
	case Offering:
		return LocalSentToRemote, LocalOK, NoReason
	case Ringing, Accepting, Confirmed:
		return LocalReceivedByRemote, LocalOK, NoReason
	case Ended:
	}
	switch v.Outcome {
	case Accepted:
		return LocalAcceptedByRemote, LocalOK, NoReason
	case Refused:
		return LocalRefusedByRemote, LocalOK, NoReason
	case Canceled:
		return LocalCanceled, LocalOK, v.Reason
	case Undelivered:
		if v.Reason == CalleeOffline {
			return LocalFailure, LocalRemoteOffline, v.Reason
		}
		return LocalFailure, LocalRemoteNoResponse, v.Reason
	default:
		return LocalFailure, LocalExpire, v.Reason
	}
}

// Remote returns what a device of the callee is told: state, code and reason.
func (v *View) Remote(device Device) (RemoteState, RemoteError, Reason) {
	if v.Chosen != "" && device != v.Chosen {
		if v.Outcome == Refused {
			return RemoteCanceled, RemoteOK, RejectedElsewhere
		}
		return RemoteCanceled, RemoteOK, AnsweredElsewhere
	}
	switch v.Stage {
	case Offering, Ringing:
		return RemoteInvitationReceived, RemoteOK, NoReason
	case Accepting:
		return RemoteAcceptSentToLocal, RemoteOK, NoReason
	case Confirmed:
		return RemoteAccepted, RemoteOK, NoReason
	case Ended:
	}
	switch v.Outcome {
	case Accepted:
		return RemoteAccepted, RemoteOK, NoReason
	case Refused:
		return RemoteRefused, RemoteOK, NoReason
	case Canceled:
		return RemoteCanceled, RemoteOK, v.Reason
	case Unconfirmed:
		if v.Reason == CallerOffline {
			return RemoteFailure, RemoteLocalOffline, v.Reason
		}
		return RemoteFailure, RemoteAcceptFailure, v.Reason
	default:
		return RemoteFailure, RemoteExpire, v.Reason
	}
}

// Notice is what one device is told about one invitation. Like a [View] it is state: a device may
// get it any number of times, and answers it with a [Word] where one is due.
type Notice struct {
	ID        ID
	Side      Side
	Peer      User   // the other side's user
	Content   string // callee: the caller's content
	ChannelID string // callee: the media channel
	Response  string // what the callee responded, once it has
	Local     LocalState
	Remote    RemoteState
	Code      uint8 // a LocalError or a RemoteError, by Side
	Reason    Reason
	Confirm   Device // caller: the callee's device whose accept awaits the confirm; "" when none does
	Verdict   bool   // caller: the callee's device's own word stands behind the ending
	Settled   bool   // both sides have concluded; the device may forget its word
	Remaining time.Duration
}

// Notice returns what the caller's sending device, or a device of the callee, is told of v at now.
func (v *View) Notice(side Side, device Device, now Time) Notice {
	n := Notice{ID: v.Terms.ID, Side: side, Response: v.Response, Settled: v.Settled}
	if v.Deadline > now && v.Stage != Ended {
		n.Remaining = v.Deadline.Sub(now)
	}
	if side == Caller {
		state, code, reason := v.Local()
		n.Peer, n.Local, n.Code, n.Reason = v.Terms.Callee, state, uint8(code), reason
		n.Verdict = v.Verdict
		if v.Stage == Accepting {
			n.Confirm = v.Chosen
		}
		return n
	}
	state, code, reason := v.Remote(device)
	if state.Terminal() {
		n.Remaining = 0
	}
	n.Peer, n.Remote, n.Code, n.Reason = v.Terms.Caller, state, uint8(code), reason
	n.Content, n.ChannelID = v.Terms.Content, v.Terms.ChannelID
	if device != v.Chosen {
		n.Response = ""
	}
	if v.Stage == Offering {
		n.Remaining = v.Terms.Timers.Expire // starts with this device's ack
	}
	return n
}

// ForgottenNotice is what a device is told of an invitation that the server no longer knows.
func ForgottenNotice(id ID, side Side) Notice {
	n := Notice{ID: id, Side: side, Reason: OutcomeForgotten, Verdict: true, Settled: true}
	if side == Caller {
		n.Local, n.Code = LocalFailure, uint8(LocalExpire)
	} else {
		n.Remote, n.Code = RemoteFailure, uint8(RemoteExpire)
	}
	return n
}
