package actors

import (
	"context"

	"github.com/ringfleet/ringfleet/actors/engine"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// calleeLost is told to each arbiter: the sessions of some shards were lost.
type calleeLost struct{ shards *invitation.ShardSet }

var arbiterCalleeLost = &invitation.Message{Kind: invitation.MsgCalleeLost}

// Lost tells all actors of the node that what lived on some shards is lost, with the node that had it, or may
// be. Sessions make the arbiters anew whose invitations they know, and arbiters tell the sessions anew what
// they were told. It takes each actor's mailbox once, some µs for each, and does not wait for them. It must not
// be called by an actor; the host keeps shards, which must not change.
func (h *Host) Lost(shards *invitation.ShardSet) {
	for id := range h.arbiters.Keys() {
		h.arbiters.TellLive(id, calleeLost{shards})
	}
	h.tellSessions(&session.Input{Kind: session.InLost, Shards: shards})
}

// NodeGone tells all sessions of the node that the connections of a gateway are lost: those up to a number or,
// if that is 0, all. It is like [Host.Lost] otherwise.
func (h *Host) NodeGone(node string, last uint64) {
	h.tellSessions(&session.Input{Kind: session.InNodeGone, Node: node, Conn: session.Conn{Number: last}})
}

// Parted tells all sessions of the node that others may have lived for a while that this node did not see. It is like
// [Host.Lost] otherwise.
func (h *Host) Parted() { h.tellSessions(&session.Input{Kind: session.InNodeGone}) }

func (h *Host) tellSessions(in *session.Input) {
	for user := range h.sessions.Keys() {
		told := h.inputs.Get().(*input)
		told.Input = *in
		h.sessions.TellLive(user, told)
	}
}

// Forget ends all actors of the node without a word: what they knew is known elsewhere, or stale. It returns when
// they have gone, or when ctx is done. It must not be called by an actor.
func (h *Host) Forget(ctx context.Context) error {
	return h.Export(ctx, func(invitation.Shard) bool { return true }, func(Record) {})
}

// calleeLost takes that some sessions were lost.
func (a *arbiterActor) calleeLost(c *engine.Context, msg calleeLost) {
	if msg.shards.Has(invitation.ShardOf(a.machine.View().Terms.Callee)) {
		a.step(c, arbiterCalleeLost)
	}
}
