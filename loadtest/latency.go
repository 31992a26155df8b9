package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/figures"
	"github.com/ringfleet/ringfleet/loadtest/stats"
)

// timings are the latencies of each step, by its name. The steps are there from the begin.
type timings map[string]*stats.Histogram

func newTimings() timings {
	t := timings{}
	for _, step := range figures.Steps {
		t[step] = &stats.Histogram{}
	}
	return t
}

func (r *run) took(step string, d time.Duration) { r.steps[step].Record(d) }

// lag is by how much the generator itself is late: when it shares its machine, what it is told late is
// not the node's fault.
type lag struct{ max atomic.Int64 }

const lagInterval = 20 * time.Millisecond

// watch measures until ctx is done.
func (l *lag) watch(ctx context.Context) {
	for {
		before := time.Now()
		if !pause(ctx, lagInterval) {
			return
		}
		if late := time.Since(before) - lagInterval; int64(late) > l.max.Load() {
			l.max.Store(int64(late))
		}
	}
}

// worst returns the largest lag seen.
func (l *lag) worst() time.Duration { return time.Duration(l.max.Load()) }
