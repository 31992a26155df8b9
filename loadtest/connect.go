package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// connecting is how many logins are under way at once, where they are not made on schedule.
const connecting = 64

// connect logs the users in.
func (r *run) connect(ctx context.Context) error {
	r.users = make([]*user, r.options.users)
	for i := range r.users {
		r.users[i] = r.newUser(invitation.User(fmt.Sprintf("%s-%d", r.prefix, i)), uint64(i))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	login := func(i int, due time.Time) {
		u := r.users[i]
		if r.options.storm {
			r.storms(ctx, u, due)
			return
		}
		if err := u.login(ctx); err != nil {
			cancel(fmt.Errorf("log in user %d of %d: %w", i+1, len(r.users), err))
			return
		}
		r.connected(time.Since(due))
	}
	if r.options.connectRate > 0 || r.options.storm {
		r.connectOnSchedule(ctx, login)
	} else {
		r.connectInTurn(ctx, login)
	}
	for _, n := range r.nodes {
		n.placed = n.sessions.Load()
	}
	return context.Cause(ctx)
}

// connectInTurn keeps a number of logins under way.
func (r *run) connectInTurn(ctx context.Context, login func(int, time.Time)) {
	next := make(chan int)
	var workers sync.WaitGroup
	for range connecting {
		workers.Go(func() {
			for i := range next {
				login(i, time.Now())
			}
		})
	}
	for i := range r.users {
		select {
		case next <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	workers.Wait()
}

// connectOnSchedule logs users in at a rate, or all at once.
func (r *run) connectOnSchedule(ctx context.Context, login func(int, time.Time)) {
	var logins sync.WaitGroup
	begin := time.Now()
	for i := range r.users {
		due := begin
		if rate := r.options.connectRate; rate > 0 {
			due = begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		}
		if !r.await(ctx, due) {
			break
		}
		logins.Go(func() { login(i, due) })
	}
	logins.Wait()
}

// disconnect logs the users out.
func (r *run) disconnect() {
	next := make(chan *user)
	var workers sync.WaitGroup
	for range connecting {
		workers.Go(func() {
			for u := range next {
				r.leave(u)
			}
		})
	}
	for _, u := range r.users {
		if u != nil {
			next <- u
		}
	}
	close(next)
	workers.Wait()
}
