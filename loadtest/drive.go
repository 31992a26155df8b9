package main

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// drive makes the calls, until as many were made, or as long, as was asked for.
func (r *run) drive(ctx context.Context) {
	if r.options.duration > 0 && (r.chaos == nil || r.options.chaos.hold == 0) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.options.duration)
		defer cancel()
	}
	if r.options.open() {
		r.open(ctx)
	} else {
		r.closed(ctx)
	}
	r.judging.Wait()
}

// closed keeps a number of calls under way.
func (r *run) closed(ctx context.Context) {
	var begun atomic.Int64
	var workers sync.WaitGroup
	for w := range r.options.concurrency {
		random := mathrand.New(mathrand.NewPCG(r.options.seed, uint64(w)))
		workers.Go(func() {
			for ctx.Err() == nil && (r.options.calls == 0 || begun.Add(1) <= r.options.calls) {
				s, caller, callee := r.draw(random)
				r.make(ctx, s, caller, callee, time.Now())
			}
		})
	}
	workers.Wait()
}

// maxInFlight bounds the calls of an open loop that are under way. A node that is so far behind is not
// given more; the calls that were due are counted as errors.
const maxInFlight = 200_000

// open makes calls on schedule, whether or not earlier ones have ended. A call that the generator makes
// late is timed from when it was due.
func (r *run) open(ctx context.Context) {
	random := mathrand.New(mathrand.NewPCG(r.options.seed, 0))
	var calls sync.WaitGroup
	plan := r.options.plan()
	schedule := plan.Schedule()
	begin, last := time.Now(), -1
	for n := int64(0); r.options.calls == 0 || n < r.options.calls; n++ {
		at, stage, more := schedule.Next()
		if !more {
			break
		}
		due := begin.Add(at)
		if !r.await(ctx, due) {
			break
		}
		if stage != last {
			r.enterStage(stage)
			last = stage
		}
		if r.inFlight.Load() >= maxInFlight {
			r.fail(errors.New("the nodes are too far behind: a call that was due was not made"))
			r.failCall("not made: too far behind")
			continue
		}
		s, caller, callee := r.draw(random)
		calls.Go(func() { r.make(ctx, s, caller, callee, due) })
	}
	if lasts := plan.Lasts(); lasts > 0 && ctx.Err() == nil { // what is left of the last stage
		pause(ctx, time.Until(begin.Add(lasts)))
	}
	calls.Wait()
}

// await waits until a time, and reports whether ctx was not done meanwhile.
func (r *run) await(ctx context.Context, due time.Time) bool {
	early := time.Duration(0)
	if r.options.exact {
		early = napping
	}
	if wait := time.Until(due) - early; wait > 0 && !pause(ctx, wait) {
		return false
	}
	if left := time.Until(due); early > 0 && left > 0 {
		nap(left)
	}
	return ctx.Err() == nil
}

// enterStage begins the phase of a stage, where phases are not of something else.
func (r *run) enterStage(stage int) {
	stages := r.options.ramps
	if len(stages) < 2 || r.options.mark != "" || r.options.mode() != "calls" {
		return
	}
	r.series.enter(fmt.Sprintf("%d: %v", stage+1, stages[stage]))
}

// draw draws a scenario and two users.
func (r *run) draw(random *mathrand.Rand) (s *scenario, caller, callee *user) {
	s = r.options.mix.pick(random)
	i := random.IntN(len(r.users))
	j := random.IntN(len(r.users) - 1)
	if j >= i {
		j++
	}
	if caller = r.users[i]; s.callee == connected {
		callee = r.users[j]
	}
	return s, caller, callee
}
