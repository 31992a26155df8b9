package invitation

import "time"

// WordKind is what a device says about an invitation by itself, without its user's doing.
type WordKind uint8

// The words. A device's word about an invitation only moves forward.
const (
	NoWord        WordKind = 0
	WordSeen      WordKind = 1 // callee: the offer was shown (the ack)
	WordConfirmed WordKind = 2 // caller: the accept of Word.Named is confirmed; no cancel can follow
	WordDone      WordKind = 3 // both: the terminal event has fired with the state given
	WordSent      WordKind = 4 // caller: it was sent and lives; said only to a server that may have forgotten it
	WordAccepting WordKind = 5 // callee: this device asked to accept, with Word.Response; said only likewise
)

// String returns the word's name.
func (k WordKind) String() string {
	return name([]string{"NONE", "SEEN", "CONFIRMED", "DONE", "SENT", "ACCEPTING"}, int(k))
}

// Word is a device's own word about an invitation, the register that agreement rests on.
type Word struct {
	ID     ID
	Side   Side
	Kind   WordKind
	Named  Device      // confirmed: the callee's device whose accept is meant
	Local  LocalState  // done, caller: the terminal state
	Remote RemoteState // done, callee: the terminal state

	Response  string        // accepting
	Remaining time.Duration // sent, seen, accepting, on a resume or when asked: until that state ends by itself, as told last
}

// Request is one of the requests a device makes for its user.
type Request uint8

// The requests.
const (
	NoRequest Request = 0
	Send      Request = 1
	Cancel    Request = 2
	Accept    Request = 3
	Refuse    Request = 4
	Query     Request = 5
)

// Requests is the number of requests, NoRequest included.
const Requests = 6

// String returns the request's name.
func (r Request) String() string {
	return name([]string{"none", "send", "cancel", "accept", "refuse", "query"}, int(r))
}

// Call is a request of a device, with an id of the device's choice by which it is answered. Calls
// are idempotent: repeated with the same request id, a call repeats its answer.
type Call struct {
	Request   Request
	RequestID uint64 // not 0; unique per device, over reconnects too
	ID        ID     // all but send: the invitation
	Response  string // accept, refuse

	// For send:
	Key       string // chosen by the device; the same key is the same invitation
	Callee    User
	Content   string
	ChannelID string
	Timers    Timers   // zero fields: the deployment's
	Resumed   *Resumed // it was sent before; nil: this is the first time
}

// About returns the id of the invitation that a call of a user's device is about: a send's follows from its key.
func (c *Call) About(user User, device Device) ID {
	if c.Request == Send {
		return NewID(user, device, c.Key)
	}
	return c.ID
}

// Resumed is what a device says of an invitation that it sent before, to a server that may have forgotten it:
// when a [Retell] asks for it, and whenever it repeats a send that was not answered. A server that knows the
// invitation pays no attention to it; one that does not makes it again, where it stood.
type Resumed struct {
	Local     LocalState    // IDLE: the send was not answered; else SENT_TO_REMOTE or RECEIVED_BY_REMOTE
	Remaining time.Duration // until that state ends by itself; bounded by the timers; not used with IDLE
	Confirmed Device        // the callee's device whose accept this device has confirmed; "": none
}

// Answer is the answer to a [Call].
type Answer struct {
	Request    Request
	RequestID  uint64
	Error      CallError
	ID         ID            // the invitation; set for a send that was accepted
	RetryAfter time.Duration // with LimitExceeded and Unavailable: when to try again; 0 when unknown
	Notice     *Notice       // the state at the time of the answer, where the invitation is known
}

// MessageKind is what a session tells an arbiter.
type MessageKind uint8

// The kinds of message from a session to an arbiter: the columns of the arbiter's table.
const (
	MsgStart      MessageKind = 0  // caller: the sending device sent
	MsgCancel     MessageKind = 1  // caller: the device canceled, or its session did (Reason)
	MsgConfirm    MessageKind = 2  // caller: the device's word "confirmed"
	MsgCallerDone MessageKind = 3  // caller: the device's word "done"
	MsgCaller     MessageKind = 4  // caller: presence of the caller's side
	MsgSeen       MessageKind = 5  // callee: a device's word "seen"; answers the offer
	MsgAccept     MessageKind = 6  // callee: a device accepts
	MsgRefuse     MessageKind = 7  // callee: a device refuses
	MsgCalleeDone MessageKind = 8  // callee: a device's word "done"
	MsgCallee     MessageKind = 9  // callee: presence of the callee's side; answers an offer that no device is shown, or that is repeated
	MsgAbort      MessageKind = 10 // host: the actor panicked; end as a failure
	MsgTick       MessageKind = 11 // host: the deadline is due
	MsgResend     MessageKind = 12 // host: repeat what is unanswered now
	MsgRecover    MessageKind = 13 // either side: what its session knows of an invitation whose arbiter was lost
	MsgCalleeLost MessageKind = 14 // host: the callee's session was lost; what it was told has to be told again
)

// MessageKinds is the number of kinds.
const MessageKinds = 15

// String returns the kind's name.
func (k MessageKind) String() string {
	return name([]string{
		"START", "CANCEL", "CONFIRM", "CALLER_DONE", "CALLER", "SEEN", "ACCEPT", "REFUSE", "CALLEE_DONE", "CALLEE",
		"ABORT", "TICK", "RESEND", "RECOVER", "CALLEE_LOST",
	}, int(k))
}

// Message is what a session tells an arbiter. One flat type for all kinds, as the fields are few
// and shared; which are set is said beside each. It is comparable.
type Message struct {
	Kind      MessageKind
	ID        ID
	User      User   // who says so: an arbiter believes only its caller and its callee
	Device    Device // whose word or request it is
	RequestID uint64 // start, cancel, accept, refuse: 0 for one that wants no answer

	Terms     *Terms        // start
	Resumed   *Resumed      // start: it was sent before, to an arbiter that was lost
	View      *View         // recover: the newest that is known
	Response  string        // accept, refuse
	Remaining time.Duration // seen, accept: of the device's Word.Remaining; 0: not said
	Named     Device        // confirm
	Local     LocalState    // caller done
	Remote    RemoteState   // callee done
	Reason    Reason        // cancel

	Online    bool   // start, caller, callee, seen: some device of the user is connected
	Connected bool   // start, caller: the sending device is; callee: the chosen device is
	Chosen    Device // callee: the chosen device that Connected is about
	Full      bool   // callee: the offer is over the callee's bound
	Fresh     bool   // callee: the session is new and may not know yet what its devices were shown
	Concluded bool   // callee, callee done: every device that was shown the invitation is done
	Ask       bool   // caller, callee: wants the current view
	Permit    uint64 // start, caller, callee, seen: the number of the user's last change of presence; names the question that Ask puts
}

// Reply is what an arbiter answers to a message that carried a request id.
type Reply struct {
	ID        ID
	Device    Device
	Request   Request
	RequestID uint64
	Error     CallError
	View      *View // the view at the time of the answer
}
