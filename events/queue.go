package events

import (
	"container/heap"
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// queued is an event that waits, in the queues of some sinks.
type queued struct {
	event *invitation.Event
	since time.Time // when it was queued first
	left  int32     // sinks that have not finished with it; guarded by Stream.mu
}

// entry is an event in the queue of one sink.
type entry struct {
	*queued
	chain      *chain
	prev, next *entry // in the order in which they came
	flying     bool   // it is being delivered
	moved      bool   // flying, and another node has it too: it is not tried again here
}

// chain is the events of one invitation that wait for a sink, in order. Only the first may be delivered.
type chain struct {
	id       invitation.ID
	entries  []*entry
	attempts int       // of the first, that failed
	alone    bool      // the first goes without others, as it was refused with others
	at       time.Time // waiting: when the first may be tried again
	place    int       // waiting: in the heap; else -1
	ready    bool      // it is in the list of those that are ready
}

// queue is what waits for one sink. It is not safe for concurrent use.
type queue struct {
	limit  int
	maxAge time.Duration
	drop   func(e *entry, cause dropCause)

	chains        map[invitation.ID]*chain
	oldest, newer *entry // both ends of the order
	count         int
	ready         []*chain // may have chains that are empty by now
	hollow        int      // of ready: those that are empty
	waiting       waiting
}

func newQueue(limit int, maxAge time.Duration, drop func(*entry, dropCause)) *queue {
	return &queue{limit: limit, maxAge: maxAge, drop: drop, chains: map[invitation.ID]*chain{}}
}

// add puts an event behind those of its invitation. Over the limit the oldest one that is not being delivered goes.
func (q *queue) add(e *queued, now time.Time) {
	n := &entry{queued: e, prev: q.newer}
	if q.newer == nil {
		q.oldest = n
	} else {
		q.newer.next = n
	}
	q.newer = n
	q.count++
	c := q.chains[e.event.ID]
	if c == nil {
		c = &chain{id: e.event.ID, place: -1}
		q.chains[c.id] = c
	}
	n.chain = c
	c.insert(n)
	if len(c.entries) == 1 {
		q.makeReady(c)
	}
	for q.count > q.limit && q.dropOldest(causeFull) {
	}
	q.expire(now)
}

// insert puts an entry at the end or, where another node brings an event of before, before those that came after it.
func (c *chain) insert(n *entry) {
	i := len(c.entries)
	for i > 0 && n.event.At < c.entries[i-1].event.At && !c.entries[i-1].flying {
		i--
	}
	c.entries = append(c.entries, nil)
	copy(c.entries[i+1:], c.entries[i:])
	c.entries[i] = n
}

func (q *queue) makeReady(c *chain) {
	if !c.ready {
		c.ready = true
		q.ready = append(q.ready, c)
	}
}

// dropOldest drops the oldest event that is not being delivered, and reports whether there was one.
func (q *queue) dropOldest(cause dropCause) bool {
	for e := q.oldest; e != nil; e = e.next {
		if !e.flying {
			q.remove(e)
			q.drop(e, cause)
			return true
		}
	}
	return false
}

// expire drops what is too old.
func (q *queue) expire(now time.Time) {
	for q.oldest != nil && !q.oldest.flying && now.Sub(q.oldest.since) >= q.maxAge {
		q.dropOldest(causeAge)
	}
}

// remove takes an entry out.
func (q *queue) remove(e *entry) {
	if e.prev == nil {
		q.oldest = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		q.newer = e.prev
	} else {
		e.next.prev = e.prev
	}
	q.count--
	e.prev, e.next = nil, nil // one that is still held would hold all that came after it
	c := e.chain
	for i, other := range c.entries {
		if other == e {
			c.entries = slices.Delete(c.entries, i, i+1)
			if i == 0 {
				c.attempts, c.alone = 0, false
			}
			break
		}
	}
	if len(c.entries) == 0 {
		delete(q.chains, c.id)
		if c.place >= 0 {
			heap.Remove(&q.waiting, c.place)
		}
		if c.ready {
			q.hollow++
			q.compact()
		}
	}
}

// minHollow is below what number of empty chains it is not worth while to look for them.
const minHollow = 1_024

// compact takes the empty chains out of those that are ready, when they are most of them: while a receiver is disabled
// or pauses, nothing else does.
func (q *queue) compact() {
	if q.hollow < minHollow || 2*q.hollow < len(q.ready) {
		return
	}
	q.ready = slices.DeleteFunc(q.ready, func(c *chain) bool { return len(c.entries) == 0 })
	q.hollow = 0
}

// take returns the first events of invitations whose turn it is, at most so many, marked as flying.
func (q *queue) take(now time.Time, limit int) (batch []*entry) {
	q.expire(now)
	for len(q.waiting) > 0 && !q.waiting[0].at.After(now) {
		q.makeReady(heap.Pop(&q.waiting).(*chain))
	}
	size := 0
	for len(batch) < limit && len(q.ready) > 0 && size < maxBatchBytes {
		c := q.ready[0]
		if len(c.entries) > 0 && now.Sub(c.entries[0].since) >= q.maxAge {
			e := c.entries[0]
			q.remove(e)
			q.drop(e, causeAge)
			continue
		}
		if len(c.entries) > 0 && c.alone && len(batch) > 0 {
			break
		}
		q.ready[0] = nil
		q.ready = q.ready[1:]
		c.ready = false
		if len(c.entries) == 0 {
			q.hollow--
			continue
		}
		e := c.entries[0]
		e.flying = true
		batch = append(batch, e)
		size += len(e.event.Content) + len(e.event.Response) + eventBytes
		if c.alone {
			break
		}
	}
	return batch
}

// delivered takes out what was acknowledged, and makes the next of each invitation ready.
func (q *queue) delivered(batch []*entry) {
	for _, e := range batch {
		c := e.chain
		q.remove(e)
		if len(c.entries) > 0 {
			q.makeReady(c)
		}
	}
}

// failed puts back what was not. Each is tried again after the time that wait returns for the number of its attempts.
func (q *queue) failed(batch []*entry, now time.Time, alone bool, wait func(attempts int) time.Duration) {
	for _, e := range batch {
		c := e.chain
		if e.moved {
			q.remove(e)
			if len(c.entries) > 0 {
				q.makeReady(c)
			}
			continue
		}
		e.flying = false
		c.attempts++
		c.alone = c.alone || alone
		c.at = now.Add(wait(c.attempts))
		heap.Push(&q.waiting, c)
	}
}

// export takes out what is about some invitations. What is being delivered stays until that is over.
func (q *queue) export(match func(invitation.ID) bool, take func(*queued)) {
	var next *entry
	for e := q.oldest; e != nil; e = next {
		next = e.next
		if e.moved || !match(e.event.ID) {
			continue
		}
		take(e.queued)
		if e.flying {
			e.moved = true
		} else {
			q.remove(e)
		}
	}
}

// next returns when something can be taken, the zero time if nothing can before something is added.
func (q *queue) next(now time.Time) time.Time {
	switch {
	case len(q.ready) > 0:
		return now
	case len(q.waiting) > 0:
		return q.waiting[0].at
	}
	return time.Time{}
}

// due returns when the oldest event is too old; the zero time if there is none, or if it is being delivered.
func (q *queue) due() time.Time {
	if e := q.oldest; e != nil && !e.flying {
		return e.since.Add(q.maxAge)
	}
	return time.Time{}
}

// waiting is a heap of chains by when they may be tried again.
type waiting []*chain

func (w waiting) Len() int           { return len(w) }
func (w waiting) Less(i, j int) bool { return w[i].at.Before(w[j].at) }
func (w waiting) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].place, w[j].place = i, j
}

func (w *waiting) Push(x any) {
	c := x.(*chain)
	c.place = len(*w)
	*w = append(*w, c)
}

func (w *waiting) Pop() any {
	c := (*w)[len(*w)-1]
	(*w)[len(*w)-1] = nil
	*w = (*w)[:len(*w)-1]
	c.place = -1
	return c
}
