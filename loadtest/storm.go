package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/loadtest/figures"
)

// storms logs a user in, again until it is taken, for as long as a user may be away.
func (r *run) storms(ctx context.Context, u *user, due time.Time) {
	ctx, cancel := context.WithDeadline(ctx, due.Add(r.options.reconnectTimeout))
	defer cancel()
	switch err := u.loginUntil(ctx); {
	case err == nil:
		r.connected(time.Since(due))
	case !errors.Is(err, client.ErrClosed):
		u.fail(fmt.Errorf("a user could not log in within %v: %w", r.options.reconnectTimeout, err))
	}
}

// weather lets users come and cuts them off, with calls beside if there are any.
func (r *run) weather(ctx context.Context) error {
	storm := &figures.Storm{Rate: r.options.connectRate}
	r.storm = storm
	r.series.enter("connect")
	begin := time.Now()
	if err := r.connect(ctx); err != nil {
		return err
	}
	storm.Seconds = time.Since(begin).Seconds()
	r.series.enter("connected")
	calling, cancel := context.WithCancel(ctx)
	defer cancel()
	var calls sync.WaitGroup
	if r.options.open() {
		calls.Go(func() { r.drive(calling) })
	}
	random := rand.New(rand.NewPCG(r.options.seed, cutting))
	for range r.options.cuts {
		if !pause(ctx, r.options.cutEvery) {
			break
		}
		storm.Cuts = append(storm.Cuts, r.cut(ctx, random, len(storm.Cuts)+1))
	}
	switch {
	case r.options.duration > 0:
		pause(ctx, time.Until(r.begin.Add(r.options.duration)))
	case r.options.cuts > 0:
		pause(ctx, r.options.cutEvery)
	case !r.options.open():
	default:
		calls.Wait()
	}
	cancel()
	calls.Wait()
	r.judging.Wait()
	return nil
}

// cutting keeps these draws apart from others.
const cutting = 1 << 35

// cut cuts connections off at one moment, and waits until their users are back, until the next cut at most.
func (r *run) cut(ctx context.Context, random *rand.Rand, n int) figures.Cut {
	r.series.enter(fmt.Sprintf("cut %d", n))
	begin := time.Now()
	one := figures.Cut{T: begin.Sub(r.begin).Seconds()}
	var gone []*user
	for _, u := range r.users {
		if random.Float64() < r.options.cutShare && u.place.cut() {
			gone = append(gone, u)
		}
	}
	one.Users = int64(len(gone))
	for {
		gone = slices.DeleteFunc(gone, func(u *user) bool { return u.client.Connected() })
		one.Seconds = time.Since(begin).Seconds()
		if len(gone) == 0 || time.Since(begin) > r.options.cutEvery || !pause(ctx, backInterval) {
			break
		}
	}
	one.Back = one.Users - int64(len(gone))
	r.series.enter("connected")
	fmt.Fprintf(r.out, "%6.0f s  cut %d: %d connections, %d users back within %.2f s\n", one.T, n, one.Users, one.Back, one.Seconds)
	return one
}

// backInterval is how often is asked who is back.
const backInterval = 10 * time.Millisecond
