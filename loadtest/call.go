package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/loadtest/figures"
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
	acting  time.Time // when the callee is to answer; zero: nothing is to be done, or by somebody else
	cancel  time.Time // when the caller is to cancel
	noted   bool      // when its users were away is in the history
}

// observe notes a step of one side and does what the scenario says.
func (c *call) observe(o client.Observation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.Step == client.StepRequested && o.Request == invitation.Send {
		c.history.begin(o.At)
		c.run.took(figures.Sent, o.At.Sub(c.intended))
	}
	c.history.take(o.Side, o)
	switch {
	case o.Step == client.StepAnswered && o.Request == invitation.Send && o.Err == nil:
		c.run.took(figures.Taken, o.At.Sub(c.intended))
	case o.Step == client.StepRequested && o.Request == invitation.Cancel:
		c.cancel = due(c.cancel, o.At)
	case o.Step == client.StepRequested && o.Request == invitation.Refuse:
		c.acting = due(c.acting, o.At)
	case o.Step == client.StepEvent:
		c.event(o)
	}
	if c.history.over() && c.over.CompareAndSwap(false, true) {
		close(c.done)
	}
}

// due returns when something was to be done: when it was done, if nobody had said before when.
func due(planned, done time.Time) time.Time {
	if planned.IsZero() {
		return done
	}
	return planned
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
			c.cancel = c.later(o.At, func() { c.sayCancel(local) })
		}
	case client.RemoteInvitationReceived:
		c.remote = o.Remote
		c.answer(o.At, o.Remote)
	case client.LocalInvitationAccepted:
		c.accepted(figures.CallerAccepted, o.At)
	case client.RemoteInvitationAccepted:
		c.accepted(figures.CalleeAccepted, o.At)
	case client.LocalInvitationRefused:
		c.ended(figures.CallerRefused, c.acting, o.At)
	case client.RemoteInvitationRefused:
		c.ended(figures.CalleeRefused, c.acting, o.At)
	case client.LocalInvitationCanceled:
		c.ended(figures.CallerCanceled, c.cancel, o.At)
	case client.RemoteInvitationCanceled:
		c.ended(figures.CalleeCanceled, c.cancel, o.At)
	case client.LocalInvitationFailure:
		if from, _, limit := c.history.timer(o.Reason); !from.IsZero() {
			c.run.took(figures.Late, o.At.Sub(from)-limit)
		}
	default:
	}
}

// ended times an ending from when it was to be brought about; one that nobody asked for is not timed.
func (c *call) ended(step string, from, at time.Time) {
	if !from.IsZero() {
		c.run.took(step, at.Sub(from))
	}
}

// answer does what the callee does when it rings.
func (c *call) answer(at time.Time, remote *client.RemoteInvitation) {
	s := c.history.scenario
	switch s.answer {
	case invitation.Accept:
		accept := func() {
			c.sayAccept(remote)
		}
		if s.cancel == never || s.wait.most > 0 {
			c.acting = c.later(at, accept)
			break
		}
		spread := rand.N(raceSpread)
		c.acting = at.Add(spread)
		time.AfterFunc(spread, accept)
	case invitation.Refuse:
		c.acting = c.later(at, func() { c.sayRefuse(remote) })
	default:
	}
}

func (c *call) sayAccept(remote *client.RemoteInvitation) {
	c.request(c.peer, func(ctx context.Context) error { return remote.Accept(ctx, "ok") })
}

func (c *call) sayRefuse(remote *client.RemoteInvitation) {
	c.request(c.peer, func(ctx context.Context) error { return remote.Refuse(ctx, "no") })
}

func (c *call) sayCancel(local *client.LocalInvitation) {
	c.request(c.caller, func(ctx context.Context) error { return local.Cancel(ctx) })
}

// request makes a request of one of the call's users. What comes of one that fails is printed with the call's history, once
// more has come of the call.
func (c *call) request(u *user, do func(context.Context) error) {
	if err := u.request(do); err != nil {
		time.AfterFunc(settleTime, func() { c.run.explain(c, err) })
	}
}

// later does something now, or where the scenario has them wait some time later, which is drawn. It returns when it is
// due: what the generator does late is timed from then, too.
func (c *call) later(now time.Time, do func()) time.Time {
	w := c.history.scenario.wait
	if w.most == 0 {
		go do()
		return now
	}
	random := rand.New(rand.NewPCG(c.run.options.seed, patience+uint64(c.number)))
	wait := w.least + time.Duration(random.Int64N(int64(w.most-w.least)+1))
	time.AfterFunc(time.Until(now.Add(wait)), do)
	return now.Add(wait)
}

// patience keeps the draws of those who wait apart from others.
const patience = 1 << 33

// ringing notes that the caller was told that it rings.
func (c *call) ringing(at time.Time) {
	d := at.Sub(c.intended)
	if ch := c.run.chaos; ch != nil {
		ch.setups.add(c.intended, d)
	}
	disturbed := c.met(at).disturbed()
	c.history.slowest = max(c.history.slowest, d)
	c.run.took(figures.Ringing, d)
	c.run.took(figures.Service, at.Sub(c.history.sent))
	c.node.setup.Record(d)
	c.run.recent.Record(d)
	c.run.series.add(func(t *tally) {
		t.counted.Setup.Record(d)
		if !disturbed {
			t.counted.Connected.Record(d)
		}
	})
}

// accepted notes that a side was told that the call was accepted.
func (c *call) accepted(step string, at time.Time) {
	d := at.Sub(due(c.acting, c.history.accepted))
	c.history.slowest = max(c.history.slowest, d)
	c.run.took(step, d)
	c.node.accept.Record(d)
	c.run.series.add(func(t *tally) { t.counted.Accept.Record(d) })
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
