package gateway

import (
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// The wheel looks at each connection when it has to: to end it, to ping it, or to find that it has
// been heard since and to look later. That a connection is heard from costs the wheel nothing. A
// look is at most wheelTick late and never early. There is no timer while there is no connection.
const (
	wheelTick  = 100 * time.Millisecond
	wheelSlots = 512 // a look that is further away than all slots is taken early, and put off
)

// wheel is a hashed timing wheel (Varghese and Lauck 1987, scheme 6) of connections, each in a list
// of its slot. All operations are O(1), a tick O(connections that are due).
type wheel struct {
	now  func() invitation.Time
	look func(c *conn, now invitation.Time) invitation.Time // when to look again; 0: never

	mu    sync.Mutex
	slots [wheelSlots]*conn
	done  int64 // the tick that was looked at last
	count int
	armed bool // a tick will come, or is at work
}

// place is a connection's place in the wheel, guarded by wheel.mu.
type place struct {
	next, prev *conn
	slot       int16
	in         bool
}

// put has c looked at when due has come, and not when it was said before.
func (w *wheel) put(c *conn, due invitation.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.take(c)
	if !w.armed {
		w.armed = true
		w.done = int64(w.now()) / int64(wheelTick)
		w.arm()
	}
	w.link(c, due)
}

// drop takes c out.
func (w *wheel) drop(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.take(c)
}

// link puts c where due is found: at the first tick that is not before it, less than a turn away, so
// that the slot that is being looked at gets nothing new.
func (w *wheel) link(c *conn, due invitation.Time) {
	tick := (int64(due) + int64(wheelTick) - 1) / int64(wheelTick)
	slot := max(w.done+1, min(tick, w.done+wheelSlots-1)) % wheelSlots
	c.place = place{next: w.slots[slot], slot: int16(slot), in: true}
	if c.place.next != nil {
		c.place.next.place.prev = c
	}
	w.slots[slot] = c
	w.count++
}

func (w *wheel) take(c *conn) {
	if !c.place.in {
		return
	}
	if c.place.next != nil {
		c.place.next.place.prev = c.place.prev
	}
	if c.place.prev != nil {
		c.place.prev.place.next = c.place.next
	} else {
		w.slots[c.place.slot] = c.place.next
	}
	c.place = place{}
	w.count--
}

func (w *wheel) arm() {
	next := invitation.Time((w.done + 1) * int64(wheelTick))
	time.AfterFunc(max(next.Sub(w.now()), 0), w.tick)
}

// tick looks at the connections of the slots that have come up since the last.
func (w *wheel) tick() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.done < int64(w.now())/int64(wheelTick) {
		w.done++
		for c := w.slots[w.done%wheelSlots]; c != nil; c = w.slots[w.done%wheelSlots] {
			w.take(c)
			w.lookAt(c)
		}
	}
	if w.armed = w.count > 0; w.armed {
		w.arm()
	}
}

// lookAt looks at c without the lock, as the look may write or end c.
func (w *wheel) lookAt(c *conn) {
	w.mu.Unlock()
	again := w.look(c, w.now())
	w.mu.Lock()
	if again != 0 && !c.place.in {
		w.link(c, again)
	}
}
