package invitation

import "time"

// EventKind is what the deployment's back-end is told of an invitation (docs/events.md).
type EventKind uint8

// The kinds of event. Of each kind an invitation has at most one, but for repeats; EventEnded is the last one.
const (
	EventSent          EventKind = 1 // the send was taken
	EventCalleeOffline EventKind = 2 // no device of the callee is connected
	EventRinging       EventKind = 3 // a device of the callee has acknowledged
	EventClose         EventKind = 4 // after EventCalleeOffline: a notification that is shown is to be closed
	EventEnded         EventKind = 5 // the outcome
)

// EventKinds is the number of kinds of event, 0 included.
const EventKinds = 6

// String returns the kind's name, as it is part of an event's id and type.
func (k EventKind) String() string {
	return name([]string{"none", "sent", "callee_offline", "ringing", "close", "ended"}, int(k))
}

// Event is one step of an invitation's life, for the deployment's back-end.
type Event struct {
	Kind         EventKind
	ID           ID
	At           int64 // wall clock, in µs since 1970
	Caller       User
	CallerDevice Device
	Callee       User
	CalleeDevice Device // that answered; "" if none did
	ChannelID    string
	Content      string // "" where the deployment keeps it to itself
	Response     string // ended: likewise

	Remaining time.Duration // sent, offline, ringing: until that state ends by itself

	// Close: what a device that did not answer is told. Ended: what the caller is told.
	Remote  RemoteState
	Outcome Outcome
	Local   LocalState
	Code    LocalError
	Reason  Reason

	// Ended: from the send to the first ack, from there to the answer or, without one, to the end, and from the
	// send to the end. 0: did not happen.
	SetUp, Ring, Total time.Duration
	// Recovered says that the node which took the send was lost: the durations, which it knew, are 0.
	Recovered bool
}
