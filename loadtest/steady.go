package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/loadtest/figures"
)

// steadyOptions bound how long invitations are held.
const (
	defaultHeld = 30 * time.Second
	heldMargin  = 15 * time.Second // for sending late, and answering
)

// steady is a run with --hold and without faults: many invitations ring, with calls beside if there are any, and are answered, but
// for one in four, which runs out.
type steady struct {
	run    *run
	expire time.Duration
	calls  sync.WaitGroup

	mu   sync.Mutex
	held []*call
}

// heldFor is how long invitations are held when all of them ring.
func (o *options) heldFor() time.Duration {
	if o.chaos.lasts > 0 {
		return o.chaos.lasts
	}
	return defaultHeld
}

// heldExpire is the time limit of the invitations that are held: they are sent, held and answered within it.
func (o *options) heldExpire() time.Duration {
	sending := time.Duration(float64(o.chaos.hold) / o.holdRate * float64(time.Second))
	return 2*sending + o.heldFor() + heldMargin
}

// checkHold returns what is wrong with a hold without faults.
func (o *options) checkHold() error {
	if o.mode() != "hold" {
		return nil
	}
	if expire := o.heldExpire(); expire > invitation.MaxTimer {
		return fmt.Errorf("--hold: to send %d invitations, hold them for %v and answer them takes %v at --hold-rate %.0f, and an invitation rings for %v at most: raise the rate or shorten --hold-lasts",
			o.chaos.hold, o.heldFor(), expire, o.holdRate, invitation.MaxTimer)
	}
	return nil
}

// steadyScenarios are what becomes of the invitations that are held, in turns.
func steadyScenarios(expire time.Duration) []*scenario {
	timers := invitation.Timers{Expire: expire}
	return []*scenario{
		{name: "hold-accept", about: "held, then accepted", timers: timers, outcomes: []invitation.Outcome{invitation.Accepted}},
		{name: "hold-refuse", about: "held, then refused", timers: timers, outcomes: []invitation.Outcome{invitation.Refused}},
		{name: "hold-cancel", about: "held, then canceled", timers: timers, outcomes: []invitation.Outcome{invitation.Canceled}},
		{name: "hold-expire", about: "held until it runs out", timers: timers, outcomes: []invitation.Outcome{invitation.Unanswered}},
	}
}

// holdSteady lets the invitations ring, holds them, and answers them.
func (r *run) holdSteady(ctx context.Context) {
	s := &steady{run: r, expire: r.options.heldExpire()}
	r.series.enter("sending")
	calling, cancel := context.WithCancel(ctx)
	defer cancel()
	var beside sync.WaitGroup
	if r.options.open() {
		beside.Go(func() { r.drive(calling) })
	}
	begin := time.Now()
	s.sendAll(ctx)
	held := &figures.Held{Invitations: int64(r.options.chaos.hold), Rang: int64(s.awaitRinging(ctx)), UntilS: time.Since(begin).Seconds()}
	r.held = held
	fmt.Fprintf(r.out, "%6.0f s  %d of %d invitations ring at once\n", time.Since(r.begin).Seconds(), held.Rang, held.Invitations)
	r.series.enter("holding")
	rang := time.Now()
	pause(ctx, r.options.heldFor())
	held.Seconds = time.Since(rang).Seconds()
	r.series.enter("answering")
	held.Answered = s.answerAll()
	r.series.enter("running out")
	s.calls.Wait()
	cancel()
	beside.Wait()
	r.judging.Wait()
}

// sendAll sends the invitations: of each pair the first user to the second, over and over.
func (s *steady) sendAll(ctx context.Context) {
	users := s.run.users
	pairs := len(users) / 2
	all := steadyScenarios(s.expire)
	s.run.pace(ctx, s.run.options.holdRate, s.run.options.chaos.hold, func(i int, due time.Time) {
		caller, callee := users[i%pairs], users[pairs+i%pairs]
		s.calls.Go(func() { s.run.makeHeld(ctx, all[i%len(all)], caller, callee, due, s.hold) })
	})
}

// hold notes a call that is held.
func (s *steady) hold(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = append(s.held, c)
}

// awaitRinging waits until all that were sent ring, and returns how many do.
func (s *steady) awaitRinging(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, heldMargin)
	defer cancel()
	for {
		s.mu.Lock()
		waiting := slices.Clone(s.held)
		s.mu.Unlock()
		silent := slices.DeleteFunc(slices.Clone(waiting), func(c *call) bool { return c.rings() || c.over.Load() })
		if len(silent) == 0 && len(waiting) == s.run.options.chaos.hold || !pause(ctx, 100*time.Millisecond) {
			if len(silent) > 0 {
				s.run.fail(errors.New("hold: not all invitations ring"))
			}
			return len(slices.DeleteFunc(waiting, func(c *call) bool { return !c.rings() }))
		}
	}
}

// answerAll does with each what its scenario is for, and returns to how many something was done.
func (s *steady) answerAll() int64 {
	var answers sync.WaitGroup
	var answered int64
	s.mu.Lock()
	held := slices.Clone(s.held)
	s.mu.Unlock()
	s.run.pace(context.Background(), s.run.options.holdRate, len(held), func(i int, due time.Time) {
		c := held[i]
		c.mu.Lock()
		defer c.mu.Unlock()
		local, remote := c.local, c.remote
		if local == nil || remote == nil || c.over.Load() {
			return // judged: it has no end, or has one already
		}
		switch c.history.scenario.outcomes[0] {
		case invitation.Accepted:
			c.acting = due
			answers.Go(func() { c.sayAccept(remote) })
		case invitation.Refused:
			c.acting = due
			answers.Go(func() { c.sayRefuse(remote) })
		case invitation.Canceled:
			c.cancel = due
			answers.Go(func() { c.sayCancel(local) })
		default:
			return
		}
		answered++
	})
	answers.Wait()
	return answered
}
