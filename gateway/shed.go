package gateway

import (
	"sync/atomic"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// A shedder knows how late the node is, and refuses new sends while that is too late: a call costs ten times what
// its refusal does, so that a node with twice the work that it can do would do hardly any in time. Steps of calls
// that are under way are never refused.
//
// How late it is, is measured with a probe that takes the way of what a client says: through the queue of a poller
// in the kernel, and that of the actors behind it. There is one at a time, and only while sends come, so that a node
// without any does nothing for this.
type shedder struct {
	limit time.Duration // 0 or less: nothing is refused
	send  func()        // sends a probe, which comes back to back; set once

	taken  atomic.Bool  // by whoever sends a probe, until it comes back
	began  atomic.Int64 // when the last one was sent
	came   atomic.Int64 // when one came back last; before began: one is under way
	delay  atomic.Int64 // of that one
	late   atomic.Int64 // since when each was late; 0: the last one was not
	active atomic.Int64 // until when what is late is refused at once

	refused atomic.Uint64
}

const (
	// probeEvery is the time between two probes.
	probeEvery = 10 * time.Millisecond
	// latePatience is for how long a node has to be late before it refuses anything: collecting garbage, or a burst that
	// is over soon, is no overload.
	latePatience = 100 * time.Millisecond
	// lateMemory is for how long after a refusal there is no such patience.
	lateMemory = time.Second
)

// refuses reports whether a new send is to be refused.
func (s *shedder) refuses(now invitation.Time) bool {
	if s.limit <= 0 {
		return false
	}
	if began := invitation.Time(s.began.Load()); now >= began.Add(probeEvery) && s.taken.CompareAndSwap(false, true) {
		s.began.Store(int64(now))
		s.send()
	}
	if s.lateness(now) <= s.limit {
		return false
	}
	if now > invitation.Time(s.active.Load()) {
		since := s.late.Load()
		if since == 0 {
			since = s.began.Load()
		}
		if now < invitation.Time(since).Add(latePatience) {
			return false
		}
	}
	s.active.Store(int64(now.Add(lateMemory)))
	s.refused.Add(1)
	return true
}

// lateness returns how late the node is: what the last probe found, or for how long this one has been under way. What
// was found long ago does not count.
func (s *shedder) lateness(now invitation.Time) time.Duration {
	var found, waits time.Duration
	came, began := invitation.Time(s.came.Load()), invitation.Time(s.began.Load())
	if now < came.Add(lateMemory) {
		found = time.Duration(s.delay.Load())
	}
	if came < began {
		waits = now.Sub(began)
	}
	return max(found, waits)
}

// back takes a probe that has come back.
func (s *shedder) back(now invitation.Time) {
	began := s.began.Load()
	delay := now.Sub(invitation.Time(began))
	switch {
	case delay <= s.limit:
		s.late.Store(0)
	case s.late.Load() == 0:
		s.late.Store(began)
	}
	s.delay.Store(int64(delay))
	s.came.Store(int64(now))
	s.taken.Store(false)
}

// Busy reports whether a call is a new send, and is to be refused with UNAVAILABLE: what comes in waits for longer than
// Config.MaxDelay. A send that was said before may have been taken. It counts the refusal, so it is to be asked once for
// each call, also for those that did not come by a connection of this gateway.
func (g *Gateway) Busy(call *invitation.Call) bool {
	return call.Request == invitation.Send && call.Resumed == nil && g.shed.refuses(g.now())
}

// startShedding makes the way of the probes.
func (g *Gateway) startShedding() {
	back := func() { g.shed.back(g.now()) }
	act := back
	if turns := g.config.Turns; turns != nil {
		act = func() { turns.Run(back) }
	}
	g.probed = act
	var turn atomic.Int64
	g.shed.limit = g.config.MaxDelay
	g.shed.send = func() {
		if !g.probe(int(turn.Add(1))) {
			act()
		}
	}
}

// probe sends a probe through the queue of one of the pollers, and reports whether there is one.
func (g *Gateway) probe(turn int) bool {
	g.pollMu.Lock()
	defer g.pollMu.Unlock()
	return len(g.pollers) > 0 && g.pollers[turn%len(g.pollers)].probe()
}
