// Package snapshot has what an actor is moved as from one node to another: the state of its machine, and
// what its host knows beside it. package peerwire puts it on the wire.
package snapshot

import (
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// Record is one thing that is moved. Exactly one field is set. Points in time are those of the node that
// has it.
type Record struct {
	Session *session.State
	Arbiter *Arbiter
	Past    invitation.ID // of an invitation that is over and must not start again
	Event   *Event
	Lost    *Loss

	Outcomes []Outcome // at most MaxOutcomes, of any users
}

// MaxOutcomes is how many outcomes a record has at most.
const MaxOutcomes = 1_024

// Outcome is how an invitation ended, for one of its sides, as it is remembered for who asks for a user's last calls.
type Outcome struct {
	ID           invitation.ID
	Side         invitation.Side
	Caller       invitation.User
	CallerDevice invitation.Device
	Callee       invitation.User
	CalleeDevice invitation.Device // that answered
	ChannelID    string
	Outcome      invitation.Outcome
	Local        invitation.LocalState
	Code         invitation.LocalError
	Reason       invitation.Reason
	Sent         int64 // Unix microseconds; 0: not known
	Ended        int64 // likewise, when the node that remembers it first was told
}

// User returns whose outcome it is.
func (o *Outcome) User() invitation.User {
	if o.Side == invitation.Caller {
		return o.Caller
	}
	return o.Callee
}

// Mirrored returns the outcome as the other side has it.
func (o *Outcome) Mirrored() Outcome {
	other := *o
	other.Side = invitation.Caller + invitation.Callee - o.Side
	return other
}

// Event is an event that was not delivered yet.
type Event struct {
	invitation.Event
	Age   time.Duration // since it was queued first
	Sinks []string      // those that it is to be delivered to
}

// Loss tells that shards were taken over without what had lived there. It is moved with them, as devices may know
// what sessions do not that are made only after the move.
type Loss struct {
	Shards invitation.ShardSet
	At     invitation.Time
}

// Arbiter is an arbiter, and what its host has told the observer of the invitation.
type Arbiter struct {
	State   arbiter.State
	Sent    invitation.Time  // when the send was taken
	Reached invitation.Time  // when the stage that was told last was reached
	Told    invitation.Stage // that stage

	Rang     invitation.Time // when the first ack came; 0: none has, or it is not known
	Answered invitation.Time // when it was accepted or refused; likewise
	Events   uint8           // the kinds of event that were told, a bit each
}

// Shard returns the shard that the record belongs to. It must not be that of a Loss, or of outcomes.
func (r *Record) Shard() invitation.Shard {
	switch {
	case r.Session != nil:
		return invitation.ShardOf(r.Session.User)
	case r.Arbiter != nil:
		return r.Arbiter.State.View.Terms.ID.Shard()
	}
	if r.Event != nil {
		return r.Event.ID.Shard()
	}
	return r.Past.Shard()
}
