package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
)

// user is one logged-in user and what its client is told of calls under way.
type user struct {
	run    *run
	name   invitation.User
	target int // the index of the --target the client connects to
	client *client.Client

	mu     sync.Mutex
	placed map[*client.LocalInvitation]*call // calls this user makes
	rung   map[invitation.ID]*call           // calls this user was offered
}

// call is one call, from the decision to make it to the verdict on it.
type call struct {
	run      *run
	tag      string // the content, by which the callee's client finds the call
	caller   *user
	callee   invitation.User
	intended time.Time // when it was to be made; latencies count from here
	done     chan struct{}
	over     atomic.Bool

	mu      sync.Mutex
	history history
	cancel  time.Time // when the cancel was said
}

// newUser makes a user who is not logged in.
func (r *run) newUser(name invitation.User, target int) *user {
	u := &user{
		run: r, name: name, target: target,
		placed: map[*client.LocalInvitation]*call{}, rung: map[invitation.ID]*call{},
	}
	u.client = client.New(r.carriers[target], client.Options{
		User: name, Device: "load", Observer: u.observe, OnEvent: func(client.Event) {},
	})
	return u
}

// observe is called by the client, locked, with each step of its protocol.
func (u *user) observe(o client.Observation) {
	switch o.Step {
	case client.StepEvent:
		if o.Event == client.SessionReconnecting {
			u.run.reconnects.Add(1)
		}
		if o.Event == client.SessionEnded && !errors.Is(o.Err, invitation.EndLoggedOut) {
			u.run.fail(fmt.Errorf("user %s: session ended: %w", u.name, o.Err))
		}
	case client.StepRepeated:
		u.run.repeats.Add(1)
	default:
	}
	c := u.find(o)
	if c == nil {
		return
	}
	c.observe(o)
}

// find returns the call that an observation is of, nil for none, or one that was judged.
func (u *user) find(o client.Observation) *call {
	u.mu.Lock()
	defer u.mu.Unlock()
	if o.Side == invitation.Caller {
		return u.placed[o.Local]
	}
	c := u.rung[o.ID]
	if c == nil && o.Step == client.StepNoticed && o.Notice != nil && o.Notice.Side == invitation.Callee {
		if found, ok := u.run.calls.Load(o.Notice.Content); ok {
			if c, ok = found.(*call); ok {
				u.rung[o.ID] = c
			}
		}
	}
	return c
}

func (u *user) place(l *client.LocalInvitation, c *call) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.placed[l] = c
}

// forget drops a call that was judged.
func (u *user) forget(c *call) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for l, other := range u.placed {
		if other == c {
			delete(u.placed, l)
		}
	}
	for id, other := range u.rung {
		if other == c {
			delete(u.rung, id)
		}
	}
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
		if s.callee == connected {
			c.run.took(stepRinging, o.At.Sub(c.intended))
		}
		if s.cancel == onRinging {
			local := o.Local
			go c.run.request(func(ctx context.Context) error { return local.Cancel(ctx) })
		}
	case client.RemoteInvitationReceived:
		remote := o.Remote
		switch s.answer {
		case invitation.Accept:
			accept := func() {
				c.run.request(func(ctx context.Context) error { return remote.Accept(ctx, "ok") })
			}
			if s.cancel == never {
				go accept()
				break
			}
			time.AfterFunc(rand.N(raceSpread), accept)
		case invitation.Refuse:
			go c.run.request(func(ctx context.Context) error { return remote.Refuse(ctx, "no") })
		default:
		}
	case client.LocalInvitationAccepted:
		c.run.took(stepCallerAccepted, o.At.Sub(c.history.accepted))
	case client.RemoteInvitationAccepted:
		c.run.took(stepCalleeAccepted, o.At.Sub(c.history.accepted))
	case client.LocalInvitationCanceled:
		c.run.took(stepCanceled, o.At.Sub(c.cancel))
	case client.LocalInvitationFailure:
		if from, limit := c.history.timer(o.Reason); !from.IsZero() {
			c.run.took(stepLate, o.At.Sub(from)-limit)
		}
	default:
	}
}

// raceSpread is within what time an accept that races with a cancel comes: about as long as the
// cancel takes to come.
const raceSpread = 2 * time.Millisecond

// make makes one call and waits until it is over or overdue.
func (r *run) make(ctx context.Context, s *scenario, caller, callee *user, intended time.Time) {
	n := r.started.Add(1)
	c := &call{
		run: r, tag: r.content(n), caller: caller, intended: intended, done: make(chan struct{}),
		history: history{scenario: s, timers: s.timers.Or(r.timers)},
	}
	switch s.callee {
	case connected:
		c.callee = callee.name
	case absent:
		c.callee = invitation.User(fmt.Sprintf("%s-absent-%d", r.prefix, n))
	case late:
		callee = r.newUser(invitation.User(fmt.Sprintf("%s-late-%d", r.prefix, n)), caller.target)
		c.callee = callee.name
		defer r.leave(callee)
	}
	r.calls.Store(c.tag, c)
	r.inFlight.Add(1)
	defer r.inFlight.Add(-1)
	if !r.send(ctx, c) {
		c.forget(callee)
		return
	}
	if s.callee == late {
		go r.comeLate(ctx, callee)
	}
	r.wait(c)
	r.judge(c, callee)
}

// forget drops what is kept of a call. callee is nil where nobody was called.
func (c *call) forget(callee *user) {
	c.run.calls.Delete(c.tag)
	c.caller.forget(c)
	if callee != nil {
		callee.forget(c)
	}
}

// send sends the call's invitation, and cancels it at once if so it is to be. It reports whether there
// is a call.
func (r *run) send(ctx context.Context, c *call) bool {
	for {
		l := c.caller.client.NewLocalInvitation(c.callee)
		err := errors.Join(l.SetContent(c.tag), l.SetTimers(c.history.scenario.timers))
		if err == nil {
			c.caller.place(l, c)
			err = l.Send(ctx)
		}
		var retry *client.RetryError
		switch {
		case err == nil:
			if c.history.scenario.cancel == atOnce {
				go r.request(func(ctx context.Context) error { return l.Cancel(ctx) })
			}
			return true
		case ctx.Err() != nil:
			r.abandoned.Add(1)
			return false
		case errors.As(err, &retry) && errors.Is(err, invitation.LimitExceeded):
			r.limited.Add(1)
			if !pause(ctx, max(retry.After, 10*time.Millisecond)) {
				r.abandoned.Add(1)
				return false
			}
			c.mu.Lock()
			c.history.moments, c.history.caller = nil, c.history.callee
			c.mu.Unlock()
		default:
			r.fail(fmt.Errorf("send: %w", err))
			return false
		}
	}
}

// request makes a request of an application; that it lost its race is no error.
func (r *run) request(do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	if err := do(ctx); err != nil && !errors.Is(err, invitation.AlreadyEnd) && !errors.Is(err, client.ErrClosed) {
		r.fail(err)
	}
}

const requestTimeout = 30 * time.Second

// comeLate logs a late callee in.
func (r *run) comeLate(ctx context.Context, u *user) {
	if !pause(ctx, lateBy) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := u.client.Login(ctx); err != nil {
		r.fail(fmt.Errorf("late callee: %w", err))
	}
}

func (r *run) leave(u *user) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	_ = u.client.Logout(ctx) // one that never logged in says so
	_ = u.client.Close()
}

// settleTime is how long a call that is over is watched for events that must not come.
const settleTime = 50 * time.Millisecond

// wait waits until the call is over and nothing more has come of it, or until it is overdue.
func (r *run) wait(c *call) {
	for {
		c.mu.Lock()
		due := c.history.due().Add(r.lag.worst())
		c.mu.Unlock()
		timer := time.NewTimer(time.Until(due))
		select {
		case <-c.done:
			timer.Stop()
			r.completed.Add(1)
			return
		case <-timer.C:
		}
		c.mu.Lock()
		overdue := !time.Now().Before(c.history.due().Add(r.lag.worst()))
		c.mu.Unlock()
		if overdue {
			return
		}
	}
}

// judge hands the call to the judges, after a while in which more may come of it.
func (r *run) judge(c *call, callee *user) {
	r.judging.Add(1)
	verdict := func() {
		defer r.judging.Done()
		c.forget(callee)
		c.mu.Lock()
		defer c.mu.Unlock()
		r.outcome(&c.history, c.history.finish(time.Now(), r.lag.worst()))
	}
	if c.over.Load() {
		time.AfterFunc(settleTime, verdict)
		return
	}
	verdict()
}

// pause waits for d, and reports whether ctx was not done meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
