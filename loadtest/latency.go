package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// step is what is timed.
type step uint8

const (
	stepTaken          step = iota // from when the call was to be made, to the node's answer to the send
	stepRinging                    // from when the call was to be made, to ReceivedByPeer
	stepCallerAccepted             // from the accept, to LocalInvitationAccepted
	stepCalleeAccepted             // from the accept, to RemoteInvitationAccepted
	stepCanceled                   // from the cancel, to LocalInvitationCanceled
	stepLate                       // from when a timer was due, to the event that it caused
)

const steps = 6

var stepNames = [steps]string{
	"send_to_taken", "send_to_ringing", "accept_to_caller_accepted", "accept_to_callee_accepted", "cancel_to_canceled",
	"timer_lateness",
}

// latencies is the histogram of a step: 1 µs to 10 min, to three digits.
type latencies struct {
	mu        sync.Mutex
	histogram *hdrhistogram.Histogram
}

func (l *latencies) init() {
	l.histogram = hdrhistogram.New(1, (10 * time.Minute).Microseconds(), 3)
}

func (r *run) took(s step, d time.Duration) { r.steps[s].record(d) }

func (l *latencies) record(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.histogram.RecordValue(min(max(d.Microseconds(), 1), (10 * time.Minute).Microseconds())) // is in its range
}

// percentiles are those of a step, in milliseconds.
type percentiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p99_9_ms"`
	Max   float64 `json:"max_ms"`
}

func (l *latencies) percentiles() percentiles {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := func(q float64) float64 { return float64(l.histogram.ValueAtQuantile(q)) / 1000 }
	return percentiles{
		Count: l.histogram.TotalCount(), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9),
		Max: float64(l.histogram.Max()) / 1000,
	}
}

// quickReport is the short form of percentiles, in milliseconds.
type quickReport struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

func (l *latencies) quick() quickReport {
	p := l.percentiles()
	return quickReport{Count: p.Count, P50: p.P50, P99: p.P99, Max: p.Max}
}

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
