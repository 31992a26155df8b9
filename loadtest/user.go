package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/loadtest/figures"
)

// user is one logged-in user and what its client is told of calls under way.
type user struct {
	run      *run
	name     invitation.User
	place    *place
	client   *client.Client
	absences absences
	left     atomic.Bool // or is about to

	// The observer's.
	on     *node // that the user has a session with now
	moving bool  // it has lost its connection, and is coming back

	mu     sync.Mutex
	placed map[*client.LocalInvitation]*call // calls this user makes
	rung   map[invitation.ID]*call           // calls this user was offered
}

// newUser makes a user who is not logged in. number tells it from others in the draws.
func (r *run) newUser(name invitation.User, number uint64) *user {
	u := &user{
		run: r, name: name, place: r.newPlace(number),
		placed: map[*client.LocalInvitation]*call{}, rung: map[invitation.ID]*call{},
	}
	u.client = client.New(u.place, client.Options{
		User: name, Device: "load", Observer: u.observe, OnEvent: func(client.Event) {},
		DialTimeout: max(r.options.reconnectTimeout/3, time.Second),
		MaxBackoff:  max(r.options.reconnectTimeout/3, time.Second),
	})
	return u
}

// login logs the user in at the first node of its order that takes it.
func (u *user) login(ctx context.Context) error {
	var err error
	for range u.place.order {
		if err = u.client.Login(ctx); err == nil {
			u.client.Connected() // it answers when the observer has been told
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
	}
	return err
}

// loginUntil logs the user in, trying again until ctx is done. From a first attempt that failed on, the
// user counts as away.
func (u *user) loginUntil(ctx context.Context) error {
	for first := true; ; first = false {
		begin := time.Now()
		err := u.login(ctx)
		if err == nil || errors.Is(err, client.ErrClosed) {
			return err
		}
		if first {
			u.absences.begin(begin)
		}
		if !pause(ctx, reloginAfter) {
			return err
		}
	}
}

// reloginAfter is how long a user waits when no node took its first login.
const reloginAfter = 250 * time.Millisecond

// fail counts an error of the user, and of the node that it uses.
func (u *user) fail(err error) {
	u.place.node().errors.Add(1)
	u.run.fail(err)
}

// observe is called by the client, locked, with each step of its protocol.
func (u *user) observe(o client.Observation) {
	switch o.Step {
	case client.StepEvent:
		u.session(o)
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

// session notes what an event says about the session.
func (u *user) session(o client.Observation) {
	switch o.Event {
	case client.SessionConnected:
		u.on = u.place.node()
		u.on.sessions.Add(1)
		u.run.online.Add(1)
		u.on.users.Store(u, true)
		if away, was := u.absences.end(o.At); was {
			u.judgeAbsence(away)
			u.run.reconnected(away)
		}
		if u.moving {
			u.on.gained.Add(1)
			u.moving = false
		}
	case client.SessionReconnecting:
		u.leave()
		u.moving = true
		u.absences.begin(o.At)
		u.run.lost(u, o.Err)
	case client.SessionEnded:
		u.leave()
		if !errors.Is(o.Err, invitation.EndLoggedOut) {
			u.fail(fmt.Errorf("a session ended: %w", o.Err))
		}
	default:
	}
}

// leave notes that the user has no session with its node any more.
func (u *user) leave() {
	if u.on != nil {
		u.on.sessions.Add(-1)
		u.run.online.Add(-1)
		u.on.users.Delete(u)
		u.on = nil
	}
}

// judgeAbsence counts an absence that was too long as an error.
func (u *user) judgeAbsence(away time.Duration) {
	if limit := u.run.options.reconnectTimeout; away > limit {
		u.fail(fmt.Errorf("a user could not connect for longer than %v", limit))
	}
}

// connected counts a login that was taken.
func (r *run) connected(took time.Duration) {
	r.took(figures.Connect, took)
	r.series.add(func(t *tally) { t.counted.Connects.Record(took) })
}

// reconnected counts a user who came back.
func (r *run) reconnected(away time.Duration) {
	r.took(figures.Reconnect, away)
	r.series.add(func(t *tally) { t.counted.Connects.Record(away) })
}

// lost counts a connection that was lost.
func (r *run) lost(u *user, cause error) {
	u.place.node().lost.Add(1)
	r.reconnects.Add(1)
	r.series.add(func(t *tally) { t.reconnects++ })
	name := "broken"
	var end invitation.End
	switch {
	case errors.As(cause, &end):
		name = end.String()
	case errors.Is(cause, errCut):
		name = "cut off by the generator"
	}
	r.mu.Lock()
	r.losses[name]++
	r.mu.Unlock()
	if !r.options.allowReconnects {
		u.fail(fmt.Errorf("a connection was lost (%s), and there is no --allow-reconnects", name))
	}
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

// makes notes that l is a call of the user.
func (u *user) makes(l *client.LocalInvitation, c *call) {
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
