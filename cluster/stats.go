package cluster

import "sync/atomic"

// Stats are the counts of a [Router] since it was made.
type Stats struct {
	Local     uint64 // messages of this node delivered on this node
	Remote    uint64 // given to the link, those passed on included
	Bytes     uint64 // of the envelopes in Remote
	Received  uint64 // from peers, for this node
	Aged      uint64 // of them, those that were held back on the way, so that time went by in them
	Forwarded uint64 // from peers, passed on to another node
	Relayed   uint64 // given to another member, as the right one could not be reached

	// What was dropped, by cause.
	Refused     uint64 // by Deliver
	Busy        uint64 // the peer's queue was full
	Unreachable uint64 // no connection to the peer
	NoOwner     uint64 // for a shard without an owner, or for a node that is not in the view
	HopLimit    uint64 // passed on too often
	TooLarge    uint64 // over Config.MaxEnvelope
	Malformed   uint64 // not an envelope, or not a message
	Unknown     uint64 // of a version, kind or message that is not known
	Panics      uint64 // panics of the codec or of Deliver
}

type counts struct {
	local, remote, bytes, received, aged, forwarded, relayed atomic.Uint64
	refused, busy, unreachable, noOwner, hopLimit            atomic.Uint64
	tooLarge, malformed, unknown, panics                     atomic.Uint64
}

// Stats returns the counts. They are read one after the other, not at one instant.
func (r *Router) Stats() Stats {
	c := &r.counts
	return Stats{
		Local: c.local.Load(), Remote: c.remote.Load(), Bytes: c.bytes.Load(), Received: c.received.Load(),
		Aged:      c.aged.Load(),
		Forwarded: c.forwarded.Load(), Relayed: c.relayed.Load(), Refused: c.refused.Load(), Busy: c.busy.Load(),
		Unreachable: c.unreachable.Load(), NoOwner: c.noOwner.Load(), HopLimit: c.hopLimit.Load(),
		TooLarge: c.tooLarge.Load(), Malformed: c.malformed.Load(), Unknown: c.unknown.Load(), Panics: c.panics.Load(),
	}
}
