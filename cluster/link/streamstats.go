package link

import "sync/atomic"

// StreamStats are the counts of a [Stream] since it was made.
type StreamStats struct {
	Peers     int    // members to connect to
	Connected int    // of them, those that a connection stands to
	Inbound   int    // peers that are connected to this node
	Queued    int    // bytes that wait for all peers
	Sent      uint64 // envelopes that were written
	Writes    uint64 // system calls that it took
	Bytes     uint64 // that were written
	Received  uint64 // envelopes
	Dropped   uint64 // envelopes that waited when a connection broke or a peer went
	Busy      uint64 // envelopes refused as a queue was full
	Broken    uint64 // connections that broke or could not be made
	Refused   uint64 // connections of others that were refused
	Skipped   uint64 // frames of an unknown type
}

type streamCounts struct {
	sent, writes, bytes, received, dropped, busy, broken, refused, skipped atomic.Uint64
}

// Stats returns the counts. They are read one after the other, not at one instant.
func (s *Stream) Stats() StreamStats {
	c := &s.counts
	stats := StreamStats{
		Sent: c.sent.Load(), Writes: c.writes.Load(), Bytes: c.bytes.Load(), Received: c.received.Load(),
		Dropped: c.dropped.Load(), Busy: c.busy.Load(), Broken: c.broken.Load(), Refused: c.refused.Load(),
		Skipped: c.skipped.Load(),
	}
	for _, p := range *s.peers.Load() {
		queued, up := p.load()
		stats.Peers++
		stats.Queued += queued
		if up {
			stats.Connected++
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stats.Inbound = len(s.inbound)
	return stats
}
