package link

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"time"
)

// What is sent is stamped with the sender's clock, when it is put into the queue. The receiver keeps the least difference
// to its own clock that it has seen of late: that is by how much the clocks differ, plus the least time that anything
// takes. What a later stamp differs by in excess of it is for how long a message was held back: in the queue, by the
// network, or in a buffer of either node.

const (
	stampSize = 8
	// stampEvery is how old a stamp may be that holds for an envelope.
	stampEvery = 10 * time.Millisecond
	// tolerance is what a message may be under way for without aging, and by how much less than it was held back it ages:
	// no deadline may come early. It is more than what a stamp and the difference of the clocks may be wrong by.
	tolerance = 50 * time.Millisecond
	// window is for how long a difference counts at least, and half of for how long at most. So clocks may drift apart
	// by 300 ppm before a message seems older than it is, and what was held back for no longer than it ages by all of that.
	window = time.Minute
)

// ticks is a point in time on a node's clock, in microseconds; 0: none.
type ticks int64

func (t ticks) sub(u ticks) time.Duration { return time.Duration(t-u) * time.Microsecond }

// now returns what this node's clock says, by which it stamps what it sends.
func (s *Stream) now() ticks { return ticks(time.Since(s.began)/time.Microsecond) + 1 }

// offset is by how much less than this node's clock a peer's says, in one of the peer's starts.
type offset struct {
	boot uint64

	mu     sync.Mutex
	since  ticks         // when the window that lasts was begun; 0: nothing was heard
	least  time.Duration // the least difference in it
	before time.Duration // and in the one before it
}

// hear takes that a stamp has come now, and returns the least difference of late.
func (o *offset) hear(now, stamp ticks) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	difference := now.sub(stamp)
	switch lasted := now.sub(o.since); {
	case o.since == 0 || lasted >= 2*window:
		o.since, o.before, o.least = now, math.MaxInt64, difference
	case lasted >= window:
		o.since, o.before, o.least = now, o.least, difference
	default:
		o.least = min(o.least, difference)
	}
	return min(o.least, o.before)
}

// offset returns what is known of a peer's clock. It outlives the peer's connections, as the first that comes on a new one
// may have been held back, too.
func (s *Stream) offset(node string, boot uint64) *offset {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.offsets[node]
	if o == nil || o.boot != boot {
		if len(s.offsets) >= 2*s.config.MaxPeers {
			clear(s.offsets) // of names that have gone, most of them
		}
		o = &offset{boot: boot}
		s.offsets[node] = o
	}
	return o
}

// stampLocked puts a stamp before what is about to be put into the queue, unless the last one holds for it.
func (p *peer) stampLocked() {
	if p.unstamped {
		return
	}
	now := p.stream.now()
	if p.stamped != 0 && now.sub(p.stamped) < stampEvery {
		return
	}
	p.stamped = now
	var body [stampSize]byte
	binary.BigEndian.PutUint64(body[:], uint64(now))
	p.waiting.add(frameStamp, body[:])
}

// dated are the times of what comes on a connection.
type dated struct {
	offset *offset // nil: the peer stamps nothing
	stamp  ticks   // the last one; 0: none has come
	least  time.Duration
}

// read takes a stamp.
func (d *dated) read(now ticks, body []byte) error {
	if len(body) < stampSize {
		return fmt.Errorf("%w: a stamp of %d bytes", errGarbage, len(body))
	}
	stamp := binary.BigEndian.Uint64(body)
	if stamp == 0 || stamp > math.MaxInt64/uint64(time.Microsecond) {
		return fmt.Errorf("%w: a stamp that no clock says", errGarbage)
	}
	if d.offset != nil {
		d.stamp = ticks(stamp)
		d.least = d.offset.hear(now, d.stamp)
	}
	return nil
}

// age returns for how long what comes now was held back.
func (d *dated) age(now ticks) time.Duration {
	if d.stamp == 0 {
		return 0
	}
	return max(now.sub(d.stamp)-d.least-tolerance, 0)
}
