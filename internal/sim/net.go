package sim

import (
	"time"

	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/invitation"
)

// link is a device's connection: both ways first in, first out, with a random latency. When it
// breaks, what is on the way is lost, but for what the other end gets a little later.
type link struct {
	device *Device
	node   int  // of the gateway
	again  bool // it was attached again, elsewhere: a paused node has nothing to say on it any more
	taken  bool // its session has taken the login
	since  Time // when
	stamp  uint64
	upAt   Time // when the last thing that was said arrives
	downAt Time
	deadUp Time // what arrives later is lost
}

// forever is later than any run.
const forever = Time(1 << 62)

// The latency of connections, and up to which a message between session and arbiter is not late.
const (
	slowLink = 60 * time.Millisecond
	onTime   = 100 * time.Millisecond
)

// latency returns how long a thing takes over a connection.
func (w *world) latency() time.Duration {
	if w.Break == 0 {
		return time.Duration(w.random.Int64N(int64(time.Millisecond)))
	}
	return time.Duration(w.random.Int64N(int64(slowLink)))
}

// say puts what a device says on its connection.
func (w *world) say(l *link, conn uint64, u up) {
	l.upAt = max(l.upAt, w.now.Add(w.latency()))
	e := w.queue.put(l.upAt)
	e.what, e.who, e.conn, e.up = fromDevice, l.device.index, conn, u
}

// tell puts what a device is told on its connection.
func (w *world) tell(conn uint64, down *invitation.Down) {
	l := w.links[conn]
	if l == nil {
		return
	}
	if down.Welcome != nil {
		l.stamp = down.Welcome.Stamp
	}
	l.downAt = max(l.downAt, w.now.Add(w.latency()))
	e := w.queue.put(l.downAt)
	e.what, e.who, e.conn, e.down = toDevice, l.device.index, conn, *down
}

// carry carries a message between a session and an arbiter: late, twice, or not at all.
func (w *world) carry(id invitation.ID, e event) {
	e.said = w.now
	if !w.draining && (w.now < w.cutUntil || w.chance(w.Loss)) {
		w.faults["messages lost"]++
		w.lost(id)
		return
	}
	w.carryOnce(id, e)
	if !w.draining && w.chance(w.Double) {
		if w.wants(id) {
			w.note("        (twice)")
		}
		w.faults["messages doubled"]++
		w.carryOnce(id, e)
	}
}

// storm is how many messages between its sessions and its arbiter no invitation may take.
const storm = 10_000

func (w *world) carryOnce(id invitation.ID, e event) {
	if r := w.records[id]; r != nil {
		if r.carried++; r.carried > storm {
			w.fail(r, &judge.Violation{Promise: judge.P2, What: "its sessions and its arbiter talk to each other without end"})
			return
		}
	}
	d := w.Delay
	if w.draining || !w.chance(0.2) {
		d = min(d, 10*time.Millisecond) // most are quick
	}
	d = time.Duration(w.random.Int64N(int64(d)))
	if d > onTime {
		w.faults["messages late"]++
		w.late(id, w.now.Add(d))
	}
	*w.queue.put(w.now.Add(d)) = e
}
