package client

import (
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// Step is what an [Observation] is of.
type Step uint8

// The steps.
const (
	StepRequested Step = iota // a request was said for the first time: Request
	StepRepeated              // a request was said again: Request
	StepAnswered              // a request was answered: Request, Err
	StepNoticed               // the node told a state: Notice, exactly as it came, however often
	StepWord                  // the client said a word by itself: Word
	StepEvent                 // an event was queued for the application: Event, Err
	StepViolation             // the node told what the contract rules out: Violation, Notice
	StepIgnored               // an offer was not taken, as nobody listens or a bound is reached: Notice
)

// String returns the name of the step.
func (s Step) String() string {
	return [...]string{
		"requested", "repeated", "answered", "noticed", "word", "event", "violation", "ignored",
	}[s]
}

// Violation is something a node must not tell a device. The client's machines are built so that the
// application never notices; an observer does. All of them are excused where the contract promises
// nothing: to a device that was away for longer than the grace while its verdict was awaited, or
// longer than the linger.
type Violation uint8

// The violations.
const (
	NoViolation         Violation = iota
	OfferAfterEnd                 // an invitation that has ended is offered or rings again (P4)
	OtherEnding                   // an invitation that has ended is told to have ended in another state (P1)
	BackwardState                 // a state that comes before the one told earlier (P3)
	UnshownEnding                 // an ending of an invitation that this client was never shown (P4); excused after a restart of the program under the same device id
	AcceptedUnconfirmed           // the caller is told "accepted", but its device has not confirmed (P1)
	AcceptedUnasked               // the callee's device is told "accepted", but has not asked to accept (P1)
)

// String returns the name of the violation.
func (v Violation) String() string {
	return [...]string{
		"none", "offer after end", "other ending", "backward state", "ending of an unshown invitation",
		"accepted without confirm", "accepted without accept",
	}[v]
}

// Observation is one step of the protocol, as it happens in the client. It is how a test or a load
// generator checks the promises of the contract from outside.
type Observation struct {
	At   time.Time
	Step Step

	// Of which invitation. Local and Remote are nil where the client has no object of it; ID is zero
	// before the send was answered.
	ID     invitation.ID
	Side   invitation.Side
	Local  *LocalInvitation
	Remote *RemoteInvitation
	Peer   invitation.User

	// The invitation's state, as its methods tell it: when the step began for StepNoticed, StepAnswered
	// and StepViolation, else when it was done.
	LocalState  invitation.LocalState
	LocalCode   invitation.LocalError
	RemoteState invitation.RemoteState
	RemoteCode  invitation.RemoteError
	Reason      invitation.Reason

	Request   invitation.Request
	Err       error
	Notice    *invitation.Notice // not to be changed
	Word      invitation.Word
	Event     EventKind
	Violation Violation
}

// observe completes o and hands it to the observer. Callers check that there is one.
func (c *Client) observe(h *half, o Observation) {
	if o.At.IsZero() {
		o.At = time.Now()
	}
	switch {
	case h != nil:
		o.ID, o.Side, o.Peer, o.Local, o.Remote = h.id(), h.side, h.peer, h.local, h.remote
		if l := h.local; l != nil {
			o.LocalState, o.LocalCode, o.Reason = l.machine.State(), l.machine.Code(), l.machine.Reason()
		} else {
			r := &h.remote.machine
			o.RemoteState, o.RemoteCode, o.Reason = r.State(), r.Code(), r.Reason()
		}
	case o.Notice != nil:
		o.ID, o.Side, o.Peer = o.Notice.ID, o.Notice.Side, o.Notice.Peer
	}
	c.options.Observer(o)
}

func (c *Client) observeEvent(h *half, ev Event) {
	if c.options.Observer != nil {
		c.observe(h, Observation{Step: StepEvent, At: ev.At, Event: ev.Kind, Err: ev.Err})
	}
}

func (c *Client) observeViolation(h *half, v Violation, n *invitation.Notice) {
	if v != NoViolation && c.options.Observer != nil {
		c.observe(h, Observation{Step: StepViolation, Violation: v, Notice: n})
	}
}

// violation judges a notice before the machine takes it. What the client has ended by itself the node
// may well see otherwise, and a node may always forget.
func (h *half) violation(n *invitation.Notice) Violation {
	if h.own || n.Settled && n.Reason == invitation.OutcomeForgotten {
		return NoViolation
	}
	if h.side == invitation.Caller {
		return h.local.violation(n)
	}
	return h.remote.violation(n)
}

func (l *LocalInvitation) violation(n *invitation.Notice) Violation {
	state := l.machine.State()
	switch {
	case state.Terminal() && !n.Local.Terminal():
		return BackwardState
	case state.Terminal() && n.Local != state:
		return OtherEnding
	case state.Terminal():
		return NoViolation
	case n.Local == invitation.LocalAcceptedByRemote && l.machine.Confirmed() == "":
		return AcceptedUnconfirmed
	case n.Local < state:
		return BackwardState
	}
	return NoViolation
}

func (r *RemoteInvitation) violation(n *invitation.Notice) Violation {
	state := r.machine.State()
	switch {
	case state.Terminal() && !n.Remote.Terminal() && n.Remote != invitation.RemoteAcceptSentToLocal:
		return OfferAfterEnd
	case state.Terminal() && !n.Remote.Terminal():
		return BackwardState
	case state.Terminal() && n.Remote != state:
		return OtherEnding
	case state.Terminal():
		return NoViolation
	case n.Remote == invitation.RemoteAccepted && state != invitation.RemoteAcceptSentToLocal:
		return AcceptedUnasked
	}
	return NoViolation
}
