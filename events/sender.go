package events

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// dropCause is why an event was not delivered.
type dropCause uint8

const (
	causeFull  dropCause = 0 // more than may wait came after it
	causeAge   dropCause = 1 // it was too old
	causeBurst dropCause = 2 // they came faster than they could be queued
	causeStale dropCause = 3 // another node goes on with the invitation
	causes               = 4
)

// String returns the name, as used in metrics.
func (c dropCause) String() string { return [causes]string{"full", "age", "burst", "stale"}[c] }

// sender delivers events to one sink.
type sender struct {
	config SinkConfig
	stream *Stream
	kinds  uint8 // that it gets, a bit each
	log    *slog.Logger
	wake   chan struct{} // has room for one

	mu       sync.Mutex
	queue    *queue
	finished []*queued // to be told to the stream once mu is free
	flights  int
	fails    int       // deliveries that failed since the last that did not
	pause    time.Time // nothing is delivered before
	rest     time.Time // nothing but whole batches is
	disabled bool
	counts   counts
	burst    burst
}

// counts are what has happened to the events of a sink.
type counts struct {
	delivered, retried uint64
	dropped            [causes]uint64
}

// burst is a time in which events are dropped.
type burst struct {
	dropped uint64
	last    time.Time
}

// burstEnds is after what time without a drop a burst is over.
const burstEnds = 10 * time.Second

func newSender(s *Stream, config SinkConfig) *sender {
	n := &sender{config: config, stream: s, log: s.config.Logger.With("sink", config.Name), wake: make(chan struct{}, 1)}
	for _, k := range config.Kinds {
		n.kinds |= 1 << k
	}
	if len(config.Kinds) == 0 {
		n.kinds = 1<<invitation.EventKinds - 1
	}
	n.queue = newQueue(s.config.Queue, s.config.MaxAge, n.drop)
	return n
}

func (n *sender) wants(kind invitation.EventKind) bool { return n.kinds>>kind&1 != 0 }

// add queues events.
func (n *sender) add(events []*queued) {
	now := time.Now()
	n.mu.Lock()
	for _, e := range events {
		if n.wants(e.event.Kind) {
			n.queue.add(e, now)
		}
	}
	n.unlock()
	n.poke()
}

// unlock frees mu, and tells the stream what the sink has finished with.
func (n *sender) unlock() {
	finished := n.finished
	n.finished = nil
	n.mu.Unlock()
	n.stream.finish(finished)
}

func (n *sender) poke() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// drop counts an event that is dropped. It is called with mu held.
func (n *sender) drop(e *entry, cause dropCause) {
	n.counts.dropped[cause]++
	if n.burst.dropped == 0 {
		n.log.Warn("events are dropped, the oldest first", "cause", cause.String(), "queued", n.queue.count)
	}
	n.burst.dropped++
	n.burst.last = time.Now()
	n.finished = append(n.finished, e.queued)
}

// pace is how often a batch goes that has room for more: what comes meanwhile goes with the next, as a request costs more
// than the events in it.
const pace = 40 * time.Millisecond

// run starts deliveries until ctx is done, and then waits for them.
func (n *sender) run(ctx context.Context) {
	var flying sync.WaitGroup
	defer flying.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		now := time.Now()
		n.mu.Lock()
		for n.flights < n.room() && !n.disabled && !now.Before(n.pause) && (!now.Before(n.rest) || len(n.queue.ready) >= n.config.Batch) {
			batch := n.queue.take(now, n.config.Batch)
			if len(batch) == 0 {
				break
			}
			if len(batch) < n.config.Batch {
				n.rest = now.Add(pace)
			}
			n.flights++
			flying.Go(func() { n.deliver(ctx, batch) })
		}
		n.queue.expire(now)
		n.endBurst(now)
		at := n.next(now)
		n.unlock()
		if at.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(max(time.Until(at), 0))
		}
		select {
		case <-ctx.Done():
		case <-n.wake:
		case <-timer.C:
		}
	}
}

// room is how many deliveries may be under way: fewer, while they fail.
func (n *sender) room() int { return max(n.config.Parallel>>min(n.fails, 16), 1) }

// next returns when there is something to be done without being woken; the zero time: never.
func (n *sender) next(now time.Time) time.Time {
	var at time.Time
	if !n.disabled && n.flights < n.room() { // else the operator, or the end of a delivery, wakes
		at = n.queue.next(now)
		for _, not := range []time.Time{n.pause, n.rest} {
			if !at.IsZero() && at.Before(not) {
				at = not
			}
		}
	}
	if due := n.queue.due(); at.IsZero() || !due.IsZero() && due.Before(at) {
		at = due
	}
	if n.burst.dropped > 0 {
		if ends := n.burst.last.Add(burstEnds); at.IsZero() || ends.Before(at) {
			at = ends
		}
	}
	return at
}

func (n *sender) endBurst(now time.Time) {
	if n.burst.dropped == 0 || now.Sub(n.burst.last) < burstEnds {
		return
	}
	n.log.Warn("events were dropped", "events", n.burst.dropped)
	n.burst = burst{}
}

// deliver delivers a batch.
func (n *sender) deliver(ctx context.Context, batch []*entry) {
	encoded := make([]Encoded, len(batch))
	for i, e := range batch {
		encoded[i] = n.stream.config.encode(e.event)
	}
	limited, cancel := context.WithTimeout(ctx, n.config.Timeout)
	err := n.config.Sink.Deliver(limited, encoded)
	cancel()
	defer n.poke()
	n.mu.Lock()
	defer n.unlock()
	n.flights--
	if err == nil {
		n.fails = 0
		n.counts.delivered += uint64(len(batch))
		n.queue.delivered(batch)
		for _, e := range batch {
			if !e.moved {
				n.finished = append(n.finished, e.queued)
			}
		}
		return
	}
	if ctx.Err() == nil {
		n.fail(batch, err)
	}
}

// fail takes that a batch was not delivered.
func (n *sender) fail(batch []*entry, err error) {
	now := time.Now()
	n.fails++
	n.counts.retried += uint64(len(batch))
	if n.fails == 1 {
		n.log.Warn("events could not be delivered; they are tried again", "events", len(batch), "error", err)
	}
	rejected := errors.Is(err, ErrRejected)
	if retry, ok := errors.AsType[*RetryError](err); ok {
		n.pause = now.Add(min(retry.After, n.queue.maxAge))
	} else if n.fails >= failsPause && !rejected {
		n.pause = now.Add(n.wait(n.fails - failsPause + 1))
	}
	if errors.Is(err, ErrGone) {
		n.disabled = true
		n.log.Error("the sink is disabled, as its receiver is gone; events wait for it as long as they may. "+
			"Enable it when it is back: POST /events/enable?sink=NAME on the admin address of each node", "error", err)
	}
	n.queue.failed(batch, now, rejected && len(batch) > 1, n.wait)
}

// failsPause is after how many deliveries that failed one after the other the sink rests.
const failsPause = 4

// wait returns after what time to try for the next time after so many attempts.
func (n *sender) wait(attempts int) time.Duration {
	d := min(n.config.First<<min(attempts-1, 20), n.config.Longest)
	return d/2 + rand.N(d/2+1)
}

// enable ends that the sink is disabled, and reports whether it was.
func (n *sender) enable() bool {
	n.mu.Lock()
	was := n.disabled
	n.disabled, n.pause, n.fails = false, time.Time{}, 0
	n.mu.Unlock()
	n.poke()
	return was
}

// forget drops what another node goes on with: all but the outcomes, which are of use wherever they come from.
func (n *sender) forget() {
	n.mu.Lock()
	var stale []*entry
	for e := n.queue.oldest; e != nil; e = e.next {
		if !e.flying && e.event.Kind != invitation.EventEnded {
			stale = append(stale, e)
		}
	}
	for _, e := range slices.Backward(stale) {
		n.queue.remove(e)
		n.drop(e, causeStale)
	}
	n.unlock()
}
