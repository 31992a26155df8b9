package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/loadtest/arrivals"
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
		r.inTurn(ctx, func(i int) { login(i, time.Now()) })
	}
	for _, n := range r.nodes {
		n.placed = n.sessions.Load()
	}
	return context.Cause(ctx)
}

// inTurn calls do for each user, a number of them at once, until ctx is done.
func (r *run) inTurn(ctx context.Context, do func(i int)) {
	next := make(chan int)
	var workers sync.WaitGroup
	for range connecting {
		workers.Go(func() {
			for i := range next {
				do(i)
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

// pace calls do for 0 to n-1, when each is due at a rate, 0 for all at once, until ctx is done.
func (r *run) pace(ctx context.Context, rate float64, n int, do func(i int, due time.Time)) {
	schedule := arrivals.At(rate, arrivals.Constant, 0).Schedule()
	begin := time.Now()
	for i := range n {
		at, _, _ := schedule.Next() // it has no end
		due := begin.Add(at)
		if !r.await(ctx, due) {
			return
		}
		do(i, due)
	}
}

// connectOnSchedule logs users in at a rate, or all at once.
func (r *run) connectOnSchedule(ctx context.Context, login func(int, time.Time)) {
	var logins sync.WaitGroup
	r.pace(ctx, r.options.connectRate, len(r.users), func(i int, due time.Time) { logins.Go(func() { login(i, due) }) })
	logins.Wait()
}

// disconnect logs the users out.
func (r *run) disconnect() {
	r.inTurn(context.Background(), func(i int) { r.leave(r.users[i]) })
}
