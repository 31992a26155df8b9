package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

const (
	lanes = 16    // independent parts of a wheel, each with a lock of its own
	slots = 4_096 // per lane: 204 s of deadlines per round at the default tick; later ones go around
	batch = 128   // timers that are fired in a row under a lane's lock
)

// wheel is a hashed timing wheel for all deadlines of a System. A timer is embedded in its owner, so
// arming, moving and canceling one costs O(1) and no memory.
//
// Time is cut into ticks, from the clock's zero. A timer fires at the first tick at or after its
// deadline: never early, and late by less than a tick plus what the machine is behind. A deadline
// beyond one round stays in its slot for as many rounds as it takes. While no timer is armed the
// wheel's goroutine sleeps on a channel. After a stall, of the process or of the machine, every timer
// that came due meanwhile fires at once.
type wheel struct {
	clock  Clock
	tick   time.Duration
	lanes  [lanes]lane
	behind func() bool // asked between batches: whether to let the owners catch up first
	parked atomic.Bool // the goroutine waits for wake, or is about to
	wake   chan struct{}
	quit   chan struct{}
	done   chan struct{}
}

// lane is a part of the wheel. A timer stays in one lane.
type lane struct {
	mu     sync.Mutex
	cursor int64 // the last tick whose slot was visited
	armed  int
	slots  [slots]*timer
	due    *timer // taken from their slots, about to fire
}

// timer is one deadline of its owner. It may not be copied once it was armed. All fields are guarded
// by the lane's lock, but lane and owner, which do not change.
type timer struct {
	next  *timer
	prev  **timer // what points to this timer; nil: not armed
	tick  int64   // when it fires
	lane  *lane
	owner expirer
}

// expirer owns a timer. expire is called under the lane's lock, so it may not block or arm a timer.
// Once disarm has returned, expire is not called any more.
type expirer interface{ expire() }

func newWheel(clock Clock, tick time.Duration, behind func() bool) *wheel {
	w := &wheel{
		clock: clock, tick: tick, behind: behind,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	now := w.now()
	for i := range w.lanes {
		w.lanes[i].cursor = now
	}
	go w.turn()
	return w
}

// bind makes t a timer of owner. Timers with the same number share a lane.
func (w *wheel) bind(t *timer, owner expirer, number uint64) {
	t.owner, t.lane = owner, &w.lanes[number%lanes]
}

// now returns the last tick that has passed.
func (w *wheel) now() int64 { return int64(w.clock.Now()) / int64(w.tick) }

// arm sets or moves t to a deadline, which is not 0. A deadline that has passed is due at the next
// tick.
func (w *wheel) arm(t *timer, deadline invitation.Time) {
	tick := int64(deadline-1)/int64(w.tick) + 1 // rounded up
	l := t.lane
	l.mu.Lock()
	tick = max(tick, l.cursor+1)
	if t.prev != nil {
		if t.tick == tick {
			l.mu.Unlock()
			return
		}
		t.unlink()
		l.armed--
	}
	t.tick = tick
	t.link(&l.slots[tick%slots])
	l.armed++
	l.mu.Unlock()
	if w.parked.Load() {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// disarm takes t out of the wheel. Nothing happens if it was not armed.
func (w *wheel) disarm(t *timer) {
	t.lane.mu.Lock()
	defer t.lane.mu.Unlock()
	if t.prev != nil {
		t.unlink()
		t.lane.armed--
	}
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

// stop ends the wheel's goroutine. Armed timers never fire.
func (w *wheel) stop() {
	close(w.quit)
	<-w.done
}

// turn is the wheel's goroutine.
func (w *wheel) turn() {
	defer close(w.done)
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	for {
		if !w.rest() {
			return
		}
		now := w.clock.Now()
		alarm.Reset(w.tick - time.Duration(now)%w.tick)
		select {
		case <-w.quit:
			return
		case <-alarm.C:
		}
		for i := range w.lanes {
			w.advance(&w.lanes[i], w.now())
		}
	}
}

// rest waits until a timer is armed; false: the wheel is to stop. Whoever arms a timer after its lane
// was found empty sees that the goroutine is parked.
func (w *wheel) rest() bool {
	w.parked.Store(true)
	defer w.parked.Store(false)
	for w.armed() == 0 {
		select {
		case <-w.quit:
			return false
		case <-w.wake:
		}
	}
	return true
}

// armed returns how many timers are armed.
func (w *wheel) armed() int {
	n := 0
	for i := range w.lanes {
		l := &w.lanes[i]
		l.mu.Lock()
		n += l.armed
		l.mu.Unlock()
	}
	return n
}

// advance fires what is due in l up to and including tick now. More than a round behind, each slot is
// visited once.
func (w *wheel) advance(l *lane, now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.cursor = max(l.cursor, now-slots); l.cursor < now; {
		l.cursor++
		l.collect(l.cursor%slots, now)
		for l.due != nil {
			l.fire()
			l.mu.Unlock() // let arm and disarm in
			for w.behind() {
				time.Sleep(time.Millisecond)
			}
			l.mu.Lock()
		}
	}
}

// collect moves the timers of a slot that are due from the slot to l.due.
func (l *lane) collect(slot, now int64) {
	for t := l.slots[slot]; t != nil; {
		next := t.next
		if t.tick <= now {
			t.unlink()
			t.link(&l.due)
		}
		t = next
	}
}

// fire fires up to a batch of the timers in l.due.
func (l *lane) fire() {
	for range batch {
		t := l.due
		if t == nil {
			return
		}
		t.unlink()
		l.armed--
		t.owner.expire()
	}
}
