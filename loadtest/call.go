package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
)

// call is one call, from the decision to make it to the verdict on it.
type call struct {
	run      *run
	number   int64  // from 1
	tag      string // the content, by which the callee's client finds the call
	node     *node  // that the caller was connected to
	caller   *user
	callee   invitation.User
	peer     *user     // the callee, nil for one who is not there
	intended time.Time // when it was to be made; latencies count from here
	done     chan struct{}
	over     atomic.Bool

	mu      sync.Mutex
	local   *client.LocalInvitation  // once it rings
	remote  *client.RemoteInvitation // once it is shown
	history history
	cancel  time.Time // when the cancel was said
}

// observe notes a step of one side and does what the scenario says.
func (c *call) observe(o client.Observation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.Step == client.StepRequested && o.Request == invitation.Send {
		c.history.begin(o.At)
	}
	c.history.take(o.Side, o)
	switch {
	case o.Step == client.StepAnswered && o.Request == invitation.Send && o.Err == nil:
		c.run.took(stepTaken, o.At.Sub(c.intended))
	case o.Step == client.StepRequested && o.Request == invitation.Cancel:
		c.cancel = o.At
	case o.Step == client.StepEvent:
		c.event(o)
	}
	if c.history.over() && c.over.CompareAndSwap(false, true) {
		close(c.done)
	}
}

func (c *call) event(o client.Observation) {
	s := c.history.scenario
	switch o.Event {
	case client.LocalInvitationReceivedByPeer:
		c.local = o.Local
		if s.callee == connected {
			c.ringing(o.At)
		}
		if s.cancel == onRinging {
			local := o.Local
			c.later(func() { c.caller.request(func(ctx context.Context) error { return local.Cancel(ctx) }) })
		}
	case client.RemoteInvitationReceived:
		c.remote = o.Remote
		c.answer(o.Remote)
	case client.LocalInvitationAccepted:
		c.accepted(stepCallerAccepted, o.At)
	case client.RemoteInvitationAccepted:
		c.accepted(stepCalleeAccepted, o.At)
	case client.LocalInvitationCanceled:
		c.run.took(stepCanceled, o.At.Sub(c.cancel))
	case client.LocalInvitationFailure:
		if from, _, limit := c.history.timer(o.Reason); !from.IsZero() {
			c.run.took(stepLate, o.At.Sub(from)-limit)
		}
	default:
	}
}

// answer does what the callee does when it rings.
func (c *call) answer(remote *client.RemoteInvitation) {
	s := c.history.scenario
	switch s.answer {
	case invitation.Accept:
		accept := func() {
			c.peer.request(func(ctx context.Context) error { return remote.Accept(ctx, "ok") })
		}
		if s.cancel == never {
			c.later(accept)
			break
		}
		time.AfterFunc(rand.N(raceSpread), accept)
	case invitation.Refuse:
		c.later(func() { c.peer.request(func(ctx context.Context) error { return remote.Refuse(ctx, "no") }) })
	default:
	}
}

// later does something now, or in the scenarios of the patient some time later, which is drawn.
func (c *call) later(do func()) {
	if !c.history.scenario.patient {
		go do()
		return
	}
	random := rand.New(rand.NewPCG(c.run.options.seed, patience+uint64(c.number)))
	time.AfterFunc(leastPatience+time.Duration(random.Int64N(int64(mostPatience-leastPatience))), do)
}

// patience keeps the draws of the patient apart from others.
const patience = 1 << 33

// ringing notes that the caller was told that it rings.
func (c *call) ringing(at time.Time) {
	d := at.Sub(c.intended)
	if ch := c.run.chaos; ch != nil {
		ch.setups.add(c.intended, d)
	}
	disturbed := c.met(at).disturbed()
	c.history.slowest = max(c.history.slowest, d)
	c.run.took(stepRinging, d)
	c.node.setup.record(d)
	c.run.series.add(func(t *tally) {
		t.setup.record(d)
		if !disturbed {
			t.connected.record(d)
		}
	})
}

// accepted notes that a side was told that the call was accepted.
func (c *call) accepted(s step, at time.Time) {
	d := at.Sub(c.history.accepted)
	c.history.slowest = max(c.history.slowest, d)
	c.run.took(s, d)
	c.node.accept.record(d)
	c.run.series.add(func(t *tally) { t.accept.record(d) })
}

// met returns what the call met up to a time.
func (c *call) met(at time.Time) circumstances {
	o := c.run.options
	m := circumstances{
		caller: c.caller.absences.during(c.intended, at), patience: 2 * o.reconnectTimeout, late: c.run.lag.worst() + o.takeover,
	}
	if c.peer != nil {
		m.callee = c.peer.absences.during(c.intended, at)
	}
	if ch := c.run.chaos; ch != nil {
		m.now, m.faults, m.noisy = at, ch.log.Between(c.intended, at), ch.options.noise
	}
	return m
}

// raceSpread is within what time an accept that races with a cancel comes: about as long as the
// cancel takes to come.
const raceSpread = 2 * time.Millisecond
