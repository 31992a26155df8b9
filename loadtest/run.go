package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// run is one run of the generator.
type run struct {
	options *options
	out     io.Writer // for people
	prefix  string    // of user names: no two runs share a user
	timers  invitation.Timers
	nodes   []*node // that users connect to
	all     []*node // with those that only metrics were named of
	users   []*user
	calls   sync.Map // tag → *call, of calls that are not judged

	started, completed, abandoned, limited, repeats, reconnects atomic.Int64

	inFlight atomic.Int64
	judging  sync.WaitGroup
	lag      lag
	steps    [steps]latencies
	begin    time.Time // when the first call was to be made
	series   series
	slowest  slowest
	chaos    *chaosRun // nil: nobody hurts the nodes

	mu         sync.Mutex
	outcomes   map[string]int64            // by outcome
	scenarios  map[string]map[string]int64 // by scenario and outcome
	violations int64
	errors     map[string]int64 // by text
	losses     map[string]int64 // connections lost, by cause
	failed     map[string]int64 // failed calls, by cause
	excused    map[string]int64 // calls with an outcome that their scenario rules out, by what excuses it
	allowed    map[string]int64 // calls that ended as a fault allows, by what it allows
	kept       map[string]int64 // calls of which a client kept something from its application, by what it was
	delayed    int64            // calls during which a side was away
	shown      int              // violations whose history was printed
	alike      map[string]int64 // violations, by the way in which a promise was broken
}

func newRun(o *options, out io.Writer) *run {
	r := &run{
		options: o, out: &lockedWriter{w: out}, prefix: "load-" + strings.ToLower(rand.Text()[:6]), timers: o.timers,
		outcomes: map[string]int64{}, scenarios: map[string]map[string]int64{}, errors: map[string]int64{},
		losses: map[string]int64{}, failed: map[string]int64{}, excused: map[string]int64{}, allowed: map[string]int64{}, kept: map[string]int64{}, alike: map[string]int64{},
		series: series{width: o.windows}, slowest: slowest{most: o.slowLog},
	}
	for i := range r.steps {
		r.steps[i].init()
	}
	r.newNodes()
	return r
}

// lockedWriter lets several goroutines write whole lines to one writer.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// content returns the content of call n: a tag, filled up to the bytes asked for.
func (r *run) content(n int64) string {
	tag := fmt.Sprintf("%s/%d/", r.prefix, n)
	if fill := r.options.contentBytes - len(tag); fill > 0 {
		tag += strings.Repeat(".", fill)
	}
	return tag
}

// connecting is how many logins are under way at once.
const connecting = 64

// connect logs the users in.
func (r *run) connect(ctx context.Context) error {
	r.users = make([]*user, r.options.users)
	next := make(chan int)
	failed := make(chan error, connecting)
	var workers sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range connecting {
		workers.Go(func() {
			for i := range next {
				u := r.newUser(invitation.User(fmt.Sprintf("%s-%d", r.prefix, i)), uint64(i))
				r.users[i] = u
				if err := u.login(ctx); err != nil {
					failed <- fmt.Errorf("log in user %d of %d: %w", i+1, len(r.users), err)
					cancel()
					return
				}
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
	select {
	case err := <-failed:
		return err
	default:
	}
	for _, n := range r.nodes {
		n.placed = n.sessions.Load()
	}
	return context.Cause(ctx)
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

// drive makes the calls, until as many were made, or as long, as was asked for.
func (r *run) drive(ctx context.Context) {
	if r.options.duration > 0 && r.options.chaos.hold == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.options.duration)
		defer cancel()
	}
	if r.options.rate > 0 {
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

// open makes calls at a rate, whether or not earlier ones have ended. A call that the generator makes
// late is timed from when it was due.
func (r *run) open(ctx context.Context) {
	random := mathrand.New(mathrand.NewPCG(r.options.seed, 0))
	interval := time.Duration(float64(time.Second) / r.options.rate)
	var calls sync.WaitGroup
	begin := time.Now()
	for n := int64(0); r.options.calls == 0 || n < r.options.calls; n++ {
		due := begin.Add(time.Duration(n) * interval)
		if wait := time.Until(due); wait > 0 && !pause(ctx, wait) || ctx.Err() != nil {
			break
		}
		if r.inFlight.Load() >= maxInFlight {
			r.fail(errors.New("the nodes are too far behind: a call that was due was not made"))
			r.failCall("not made: too far behind")
			continue
		}
		s, caller, callee := r.draw(random)
		calls.Go(func() { r.make(ctx, s, caller, callee, due) })
	}
	calls.Wait()
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
