package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/loadtest/figures"
	"github.com/ringfleet/ringfleet/loadtest/stats"
)

// run is one run of the generator.
type run struct {
	options *options
	out     *screen // for people
	prefix  string  // of user names: no two runs share a user
	timers  invitation.Timers
	nodes   []*node // that users connect to
	all     meters  // with those that only metrics were named of
	users   []*user
	calls   sync.Map // tag → *call, of calls that are not judged

	started, completed, abandoned, limited, repeats, reconnects atomic.Int64

	inFlight atomic.Int64
	judging  sync.WaitGroup
	lag      lag
	online   atomic.Int64 // users who have a session
	steps    timings
	recent   stats.Histogram // set-ups since the status was told
	begin    time.Time       // when the first call was to be made
	storm    *figures.Storm  // nil: there is none
	held     *figures.Held   // nil: none are held, or with --chaos
	series   series
	slowest  slowest
	chaos    *chaosRun // nil: nobody hurts the nodes

	mu         sync.Mutex
	outcomes   map[string]int64            // by outcome
	scenarios  map[string]map[string]int64 // by scenario and outcome
	violations int64
	errors     map[string]int64 // by text
	codes      map[string]int64 // errors by the node's word for them
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
		options: o, out: onScreen(out), prefix: "load-" + strings.ToLower(rand.Text()[:6]), timers: o.timers,
		outcomes: map[string]int64{}, codes: map[string]int64{}, scenarios: map[string]map[string]int64{}, errors: map[string]int64{},
		losses: map[string]int64{}, failed: map[string]int64{}, excused: map[string]int64{}, allowed: map[string]int64{}, kept: map[string]int64{}, alike: map[string]int64{},
		slowest: slowest{most: o.slowLog}, steps: newTimings(),
	}
	r.series.width, r.series.parts = o.windows, o.parts > 0
	r.series.gauges = func() (inFlight, online int64) { return r.inFlight.Load(), r.online.Load() }
	r.nodes, r.all = o.newNodes()
	return r
}

// onScreen returns a screen for people, which shows how it goes line by line unless it is one already.
func onScreen(out io.Writer) *screen {
	if s, ok := out.(*screen); ok {
		return s
	}
	return newScreen(out, "lines")
}

// content returns the content of call n: a tag, filled up to the bytes asked for.
func (r *run) content(n int64) string {
	tag := fmt.Sprintf("%s/%d/", r.prefix, n)
	if fill := r.options.contentBytes - len(tag); fill > 0 {
		tag += strings.Repeat(".", fill)
	}
	return tag
}
