package gateway

import (
	"errors"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

const (
	defaultPace = 20_000                 // re-attaches per second
	busyPause   = 100 * time.Millisecond // before those are tried again for which the backend was busy
	maxWaiting  = 64                     // calls of Reattach that wait; more are taken for "everybody"
)

// reattacher is the state of [Gateway.Reattach].
type reattacher struct {
	mu      sync.Mutex
	running bool
	next    []func(invitation.User) bool // of calls that the goroutine has not begun with
	pace    int

	once sync.Once
	stop chan struct{} // closed by Shutdown
}

// Reattach logs in once more for each device that is connected and whose user of accepts: their sessions
// were lost with a node, and nobody else would tell the new ones who is connected. The backend gets an
// Attach with Login.Reattach and the stamp of the device's last Welcome. What the new session answers is
// passed on if it is a Welcome with Tell, or no Welcome; the device notices nothing else. One whose
// session is not lost may be re-attached too.
//
// It goes at a rate of pace per second, 20,000 if pace is 0 or less, in a goroutine that ends when all are
// attached, or with Shutdown. Those for which the backend is busy are tried again until it is not, or they
// are gone. of is called from that goroutine; nil stands for everybody. A call while an earlier one is at
// it is done after that, together with others that wait, at the highest pace of them. Reattach does not
// block.
//
// A connection whose first Welcome has not come is left alone: its device gives up waiting and logs in
// again.
func (g *Gateway) Reattach(of func(invitation.User) bool, pace int) {
	if of == nil {
		of = everybody
	}
	if pace <= 0 {
		pace = defaultPace
	}
	r := &g.reattacher
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.next) == maxWaiting {
		r.next, of = r.next[:0], everybody
	}
	r.next = append(r.next, of)
	r.pace = max(r.pace, pace)
	if !r.running {
		r.running = true
		go g.reattachAll()
	}
}

func everybody(invitation.User) bool { return true }

// take returns whom to re-attach now, nil for nobody more, and how fast. Without new ones and busy ones the
// goroutine has to end.
func (r *reattacher) take(busy bool) (of func(invitation.User) bool, pace int, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next, pace := r.next, r.pace
	r.next = nil
	if len(next) == 0 {
		if !busy {
			r.running, r.pace = false, 0
		}
		return nil, pace, busy
	}
	return func(user invitation.User) bool {
		for _, of := range next {
			if of(user) {
				return true
			}
		}
		return false
	}, pace, true
}

// pause waits, and reports whether to go on.
func (r *reattacher) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.stop:
		return false
	}
}

// reattachAll is the goroutine of Reattach.
func (g *Gateway) reattachAll() {
	r := &g.reattacher
	var busy, part []receiver
	for {
		of, pace, more := r.take(len(busy) > 0)
		if !more {
			return
		}
		batch := max(pace/100, 1)
		p := pass{batch: batch, wait: time.Second * time.Duration(batch) / time.Duration(pace), pause: r.pause}
		p.run(busy, everybody)
		for i := range g.conns.parts {
			if of == nil {
				break
			}
			part = g.conns.part(i, part[:0])
			p.run(part, of)
		}
		clear(part[:cap(part)])
		if busy = p.busy; p.stopped || len(busy) > 0 && !r.pause(busyPause) {
			return // for good: Shutdown was called
		}
	}
}

// Remind logs in once more, as [Gateway.Reattach] does, for each device that is connected and whose user of accepts: in
// case that its session has lost it. After each it calls next, which may wait, and goes on while that is true. It
// returns when it is through; those for which the backend is busy are left out.
func (g *Gateway) Remind(of func(invitation.User) bool, next func() bool) {
	var part []receiver
	for i := range g.conns.parts {
		part = g.conns.part(i, part[:0])
		for _, c := range part {
			if c.reattach(of) != notMeant && !next() {
				return
			}
		}
	}
}

// pass is one pass over connections.
type pass struct {
	batch   int           // so many at once
	wait    time.Duration // then this pause
	pause   func(time.Duration) bool
	n       int
	busy    []receiver
	stopped bool
}

func (p *pass) run(list []receiver, of func(invitation.User) bool) {
	for _, c := range list {
		if p.stopped {
			return
		}
		switch c.reattach(of) {
		case notMeant:
			continue
		case wasBusy:
			p.busy = append(p.busy, c)
		case wasAttached:
		}
		if p.n++; p.n%p.batch == 0 {
			p.stopped = !p.pause(p.wait)
		}
	}
}

// attaching is what came of an attempt to re-attach.
type attaching uint8

const (
	notMeant    attaching = iota // another user's, or not logged in
	wasAttached                  // or ended, as the backend refused it
	wasBusy                      // to be tried again
)

// tried tells what came of an attempt that gave err; ended is called with the end that it stands for.
func tried(err error, ended func(invitation.End)) attaching {
	var end invitation.End
	switch {
	case err == nil:
		return wasAttached
	case errors.As(err, &end):
		ended(end)
		return wasAttached
	}
	return wasBusy
}

// reattach implements receiver.
func (c *conn) reattach(of func(invitation.User) bool) attaching {
	c.backend.Lock()
	defer c.backend.Unlock()
	if !c.backend.attached || c.backend.detached || !of(c.user) {
		return notMeant
	}
	c.mu.Lock()
	stamp, greeted := c.stamp, c.greeted
	c.mu.Unlock()
	if !greeted {
		return notMeant
	}
	err := c.g.backend.Attach(c.id, invitation.Login{User: c.user, Device: c.device, Resume: true, Reattach: true, Stamp: stamp})
	return tried(err, func(end invitation.End) { c.finish(invitation.Ending{End: end}, "") })
}

// greet takes a Welcome, and reports whether the device is to hear of it.
func (c *conn) greet(w *invitation.Welcome) bool {
	c.mu.Lock()
	first := !c.greeted
	c.stamp, c.greeted = w.Stamp, true
	c.mu.Unlock()
	if first {
		c.g.loggedIn(c.id, 0)
	}
	return first || w.Tell
}

// reattach implements receiver. A Detach that the backend heard meanwhile is said again, as the Attach may
// have come after it.
func (l *Local) reattach(of func(invitation.User) bool) attaching {
	stamp := l.stamp.Load()
	if stamp == 0 || l.closed.Load() != nil || !of(l.user) {
		return notMeant
	}
	err := l.g.backend.Attach(l.id, invitation.Login{User: l.user, Device: l.device, Resume: true, Reattach: true, Stamp: stamp})
	if l.closed.Load() != nil && err == nil {
		l.g.backend.Detach(l.id, l.user, l.device)
	}
	return tried(err, func(end invitation.End) { l.deliver(invitation.Down{Ending: &invitation.Ending{End: end}}) })
}

// greet is that of a conn.
func (l *Local) greet(w *invitation.Welcome) bool {
	first := l.stamp.Swap(w.Stamp) == 0
	if first {
		l.g.loggedIn(l.id, 0)
	}
	return first || w.Tell
}
