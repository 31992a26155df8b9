package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
)

// make makes one call and waits until it is over or overdue. When ctx is done, a call that was not taken
// for a limit is not tried again; all else goes on.
func (r *run) make(ctx context.Context, s *scenario, caller, callee *user, intended time.Time) {
	r.makeHeld(ctx, s, caller, callee, intended, func(*call) {})
}

// makeHeld is make, and tells of the call before its invitation is sent.
func (r *run) makeHeld(ctx context.Context, s *scenario, caller, callee *user, intended time.Time, begun func(*call)) {
	n := r.started.Add(1)
	c := &call{
		run: r, number: n, tag: r.content(n), node: caller.place.node(), caller: caller, peer: callee, intended: intended,
		done: make(chan struct{}),
	}
	c.history = c.newHistory(s)
	switch s.callee {
	case connected:
		c.callee = callee.name
	case absent:
		c.callee = invitation.User(fmt.Sprintf("%s-absent-%d", r.prefix, n))
	case late:
		c.peer = r.newUser(invitation.User(fmt.Sprintf("%s-late-%d", r.prefix, n)), lateNumbers+uint64(n))
		c.callee = c.peer.name
		defer r.leave(c.peer)
	}
	r.calls.Store(c.tag, c)
	begun(c)
	c.node.calls.Add(1)
	r.series.add(func(t *tally) { t.begun++ })
	r.inFlight.Add(1)
	defer r.inFlight.Add(-1)
	if !r.send(ctx, c) {
		c.forget()
		return
	}
	if s.callee == late {
		go r.comeLate(c.peer)
	}
	r.wait(c)
	r.judge(c)
}

func (c *call) newHistory(s *scenario) history {
	return history{scenario: s, timers: s.timers.Or(c.run.timers), content: c.tag}
}

// lateNumbers are the numbers of late callees in the draws of places.
const lateNumbers = 1 << 40

// forget drops what is kept of a call.
func (c *call) forget() {
	c.run.calls.Delete(c.tag)
	c.caller.forget(c)
	if c.peer != nil {
		c.peer.forget(c)
	}
}

// send sends the call's invitation, and cancels it at once if so it is to be. It reports whether there
// is a call.
func (r *run) send(ctx context.Context, c *call) bool {
	for {
		l, err := r.sendOnce(c)
		var retry *client.RetryError
		switch {
		case err == nil:
			if c.history.scenario.cancel == atOnce {
				go c.sayCancel(l)
			}
			return true
		case errors.As(err, &retry) && errors.Is(err, invitation.LimitExceeded):
			r.limited.Add(1)
			if !pause(ctx, max(retry.After, 10*time.Millisecond)) {
				r.abandoned.Add(1)
				return false
			}
			c.mu.Lock()
			c.history = c.newHistory(c.history.scenario)
			c.mu.Unlock()
		default:
			c.caller.fail(fmt.Errorf("send: %w", err))
			r.failCall(c.history.scenario.name + ": could not be made")
			return false
		}
	}
}

// sendOnce sends the call's invitation.
func (r *run) sendOnce(c *call) (*client.LocalInvitation, error) {
	ctx, cancel := context.WithTimeout(context.Background(), r.requestTimeout())
	defer cancel()
	l := c.caller.client.NewLocalInvitation(c.callee)
	if err := errors.Join(l.SetContent(c.tag), l.SetTimers(c.history.scenario.timers)); err != nil {
		return nil, err
	}
	c.caller.makes(l, c)
	return l, l.Send(ctx)
}

// request makes a request of an application; that it lost its race is no error. It returns the error that it has counted.
func (u *user) request(do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), u.run.requestTimeout())
	defer cancel()
	err := do(ctx)
	switch {
	case err == nil, errors.Is(err, invitation.AlreadyEnd), errors.Is(err, client.ErrClosed):
		return nil
	case errors.Is(err, client.ErrNotLoggedIn) && u.left.Load(): // its call was over before it had the answer
		return nil
	default:
		u.fail(err)
		return err
	}
}

// requestTimeout is how long a request may take, with a reconnect on the way, or with a node lost: one that takes its place
// says for the grace that it does not know yet.
func (r *run) requestTimeout() time.Duration {
	return max(invitation.DefaultTimers.Grace+15*time.Second, 2*r.options.reconnectTimeout)
}

// comeLate logs a late callee in.
func (r *run) comeLate(u *user) {
	ctx, cancel := context.WithTimeout(context.Background(), lateBy+r.options.reconnectTimeout)
	defer cancel()
	if !pause(ctx, lateBy) {
		return
	}
	if err := u.loginUntil(ctx); err != nil && !errors.Is(err, client.ErrClosed) {
		u.fail(fmt.Errorf("late callee: %w", err))
	}
}

func (r *run) leave(u *user) {
	ctx, cancel := context.WithTimeout(context.Background(), r.requestTimeout())
	defer cancel()
	u.left.Store(true)
	_ = u.client.Logout(ctx) // one that never logged in says so
	_ = u.client.Close()
}

// settleTime is how long a call that is over is watched for events that must not come.
const settleTime = 50 * time.Millisecond

// wait waits until the call is over and nothing more has come of it, or until it is overdue.
func (r *run) wait(c *call) {
	for {
		remaining := time.Until(c.due())
		if remaining <= 0 {
			return
		}
		timer := time.NewTimer(remaining)
		select {
		case <-c.done:
			timer.Stop()
			r.completed.Add(1)
			r.series.add(func(t *tally) { t.completed++ })
			return
		case <-timer.C:
		}
	}
}

// due returns by when the call must have ended, as far as it has come.
func (c *call) due() time.Time {
	met := c.met(time.Now())
	c.mu.Lock()
	defer c.mu.Unlock()
	return met.allow(c.history.due())
}

// judge hands the call to the judges, after a while in which more may come of it.
func (r *run) judge(c *call) {
	r.judging.Add(1)
	verdict := func() {
		defer r.judging.Done()
		c.forget()
		now := time.Now()
		met := c.met(now)
		c.mu.Lock()
		defer c.mu.Unlock()
		r.outcome(c, met, c.history.finish(now, met))
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
