package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

const (
	slots = 4_096 // 204 s of deadlines per round at the default tick; later ones go around
	batch = 128   // timers that are fired in a row under the lock
)

// wheel is a hashed timing wheel for all deadlines of a System (Varghese and Lauck, 1987, scheme 6). A
// timer is embedded in its owner, so arming, moving and canceling one costs O(1) and no memory.
//
// Time is cut into ticks, from the clock's zero. A timer fires at the first tick at or after its
// deadline: never early, and late by less than a tick plus what the machine is behind. A deadline
// beyond one round stays in its slot for as many rounds as it takes. While no timer is armed the
// wheel's goroutine sleeps on a channel. After a stall, of the process or of the machine, every timer
// that came due meanwhile fires at once.
//
// There is one lock: it is held for some 50 ns, and sixteen wheels side by side, each with a lock of
// its own, were no faster on two cores (0.5 to 1.0 times, for the slots no longer fit the cache). Only
// timers that are due at the same tick hold it longer: 10 to 20 ms for a million.
type wheel struct {
	clock  Clock
	tick   time.Duration
	behind func() bool // asked between batches: whether to let the owners catch up first
	parked atomic.Bool // the goroutine waits for wake, or is about to
	wake   chan struct{}
	quit   chan struct{}
	done   chan struct{}

	stall      func(time.Duration) // told of a standstill of at least stallAfter; nil: nobody is
	stallAfter time.Duration

	mu     sync.Mutex
	cursor int64 // the last tick whose slot was visited
	armed  int
	slots  [slots]*timer
	due    *timer // taken from their slots, about to fire
}

// timer is one deadline of its owner, which is set before it is first armed. It may not be copied from
// then on. The other fields are guarded by the wheel's lock.
type timer struct {
	next  *timer
	prev  **timer // what points to this timer; nil: not armed
	tick  int64   // when it fires
	owner expirer
}

// expirer owns a timer. expire is called under the wheel's lock, so it may not block or arm a timer.
// Once disarm has returned, expire is not called any more.
type expirer interface{ expire() }

// newWheel starts a wheel, which runs a goroutine until it is stopped.
func newWheel(clock Clock, tick time.Duration, behind func() bool) *wheel {
	w := makeWheel(clock, tick, behind)
	go w.turn()
	return w
}

// makeWheel returns a wheel that does not turn yet.
func makeWheel(clock Clock, tick time.Duration, behind func() bool) *wheel {
	w := &wheel{
		clock: clock, tick: tick, behind: behind,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	w.cursor = w.passed()
	return w
}

// passed returns the last tick that has passed.
func (w *wheel) passed() int64 { return int64(w.clock.Now()) / int64(w.tick) }

// arm sets or moves t to a deadline, which is not 0. A deadline that has passed is due at the next
// tick.
func (w *wheel) arm(t *timer, deadline invitation.Time) {
	tick := int64(deadline-1)/int64(w.tick) + 1 // rounded up
	w.mu.Lock()
	tick = max(tick, w.cursor+1)
	if t.prev == nil || t.tick != tick {
		if t.prev != nil {
			w.remove(t)
		}
		t.tick = tick
		t.link(&w.slots[tick%slots])
		w.armed++
	}
	w.mu.Unlock()
	if w.parked.Load() {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// disarm takes t out of the wheel. Nothing happens if it was not armed.
func (w *wheel) disarm(t *timer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.prev != nil {
		w.remove(t)
	}
}

// size returns how many timers are armed.
func (w *wheel) size() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.armed
}

// stop ends the wheel's goroutine. Armed timers never fire.
func (w *wheel) stop() {
	close(w.quit)
	<-w.done
}

// turn is the wheel's goroutine.
func (w *wheel) turn() {
	defer close(w.done)
	alarm := time.NewTimer(w.tick)
	defer alarm.Stop()
	for w.rest() {
		rested := w.clock.Now()
		alarm.Reset(w.tick - time.Duration(rested)%w.tick)
		select {
		case <-w.quit:
			return
		case <-alarm.C:
			now := w.clock.Now()
			if late := now.Sub(rested); w.stall != nil && late >= w.stallAfter {
				w.stall(late)
			}
			w.advance(int64(now) / int64(w.tick))
		}
	}
}

// rest waits until a timer is armed; false: the wheel is to stop. Whoever arms a timer after the wheel
// was found empty finds parked set.
func (w *wheel) rest() bool {
	if w.size() != 0 {
		return true
	}
	w.parked.Store(true)
	defer w.parked.Store(false)
	for w.size() == 0 {
		select {
		case <-w.quit:
			return false
		case <-w.wake:
		}
	}
	return true
}

// advance fires what is due up to and including tick now. More than a round behind, each slot is
// visited once.
func (w *wheel) advance(now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.cursor = max(w.cursor, now-slots); w.cursor < now; {
		w.cursor++
		w.collect(&w.slots[w.cursor%slots], now)
		for w.due != nil {
			w.fire()
			w.mu.Unlock() // let arm and disarm in
			for w.behind() {
				time.Sleep(time.Millisecond)
			}
			w.mu.Lock()
		}
	}
}

// collect moves the timers of a slot that are due to w.due.
func (w *wheel) collect(slot **timer, now int64) {
	for t := *slot; t != nil; {
		next := t.next
		if t.tick <= now {
			t.unlink()
			t.link(&w.due)
		}
		t = next
	}
}

// fire fires up to a batch of the timers in w.due.
func (w *wheel) fire() {
	for range batch {
		t := w.due
		if t == nil {
			return
		}
		w.remove(t)
		t.owner.expire()
	}
}

func (w *wheel) remove(t *timer) {
	t.unlink()
	w.armed--
}

func (t *timer) link(head **timer) {
	t.next, t.prev = *head, head
	if t.next != nil {
		t.next.prev = &t.next
	}
	*head = t
}

func (t *timer) unlink() {
	*t.prev = t.next
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.next, t.prev = nil, nil
}
