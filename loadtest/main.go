// Command loadtest is the load generator: it makes calls over WebSockets through the public client
// and judges the contract's promises P1 to P5, with --chaos P1 to P7, on every one of them, from both clients' side. It can
// start a node of its own. docs/loadtest.md explains it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// The exit statuses.
const (
	exitOK     = 0
	exitBroken = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "loadtest: %v (see --help)\n", err)
		return exitUsage
	}
	res, err := o.run(ctx, stdout)
	if err != nil {
		fmt.Fprintf(stderr, "loadtest: %v\n", err)
		return exitBroken
	}
	if o.chaos.breaks {
		if res.Violations > 0 {
			return exitOK
		}
		fmt.Fprintln(stderr, "loadtest: no promise was broken, by nodes that are broken")
		return exitBroken
	}
	if res.Violations > 0 || res.Errors > 0 || res.Failed > 0 {
		return exitBroken
	}
	return exitOK
}

// run makes the calls and prints the result. When ctx is done it begins no more calls, waits for those
// under way, and ends like any run.
func (o *options) run(ctx context.Context, out io.Writer) (*result, error) {
	if o.selfHost {
		stop, err := o.startNode()
		if err != nil {
			return nil, err
		}
		defer func() {
			if err := stop(); err != nil {
				fmt.Fprintf(out, "stop the node: %v\n", err)
			}
		}()
	}
	var hurt *chaosRun
	if o.chaos.on {
		var err error
		if hurt, err = o.startFleet(ctx, out); err != nil {
			return nil, err
		}
		defer hurt.close()
	}
	r := newRun(o, out)
	r.chaos = hurt
	return r.run(ctx)
}

// run connects the users, makes the calls and prints the result.
func (r *run) run(ctx context.Context) (*result, error) {
	o := r.options
	watching, cancel := context.WithCancel(context.Background())
	var watchers sync.WaitGroup
	stopWatching := func() {
		cancel()
		watchers.Wait()
	}
	defer stopWatching()
	watchers.Go(func() { r.lag.watch(watching) })
	fmt.Fprintf(r.out, "logging in %d users at %v\n", o.users, o.targets)
	defer r.disconnect()
	if err := r.connect(ctx); err != nil {
		return nil, err
	}
	if err := r.readMeters(watching); err != nil {
		return nil, err
	}
	r.begin = time.Now()
	r.series.start(r.begin)
	watchers.Go(func() { r.progress(watching, r.begin) })
	watchers.Go(func() { r.meterAll(watching) })
	if o.mark != "" {
		watchers.Go(func() { r.series.follow(watching, o.mark) })
	}
	var held *holding
	switch {
	case r.chaos == nil:
		r.drive(ctx)
	case o.chaos.hold > 0:
		r.chaos.meet(r.nodes)
		held = r.hold(ctx)
	default:
		r.chaos.meet(r.nodes)
		r.driveHurt(ctx)
	}
	took := time.Since(r.begin)
	stopWatching()
	_ = r.readMeters(context.WithoutCancel(ctx)) // a node that is gone by now was read before
	r.judgeAway(time.Now())
	var afterwards *chaosResult
	if r.chaos != nil {
		afterwards = r.after(context.WithoutCancel(ctx), held)
	}
	res := r.result(took)
	res.Chaos = afterwards
	res.print(r.out)
	if o.jsonFile != "" {
		return res, res.write(o.jsonFile)
	}
	return res, nil
}

// progressInterval is how often a running run tells how it is going.
const progressInterval = 2 * time.Second

// progress prints a line now and then, until ctx is done.
func (r *run) progress(ctx context.Context, begin time.Time) {
	last, lastAt := int64(0), begin
	for pause(ctx, progressInterval) {
		now, done := time.Now(), r.completed.Load()
		p := r.steps[stepRinging].percentiles()
		r.mu.Lock()
		violations, failed := r.violations, sum(r.failed)
		r.mu.Unlock()
		fmt.Fprintf(r.out, "%6.0f s  %9d calls  %7.0f/s  %6d in flight  ringing p50 %.2f ms p99 %.2f ms  "+
			"%d lost connections  %d violations  %d failed  %d errors\n",
			now.Sub(begin).Seconds(), done, float64(done-last)/now.Sub(lastAt).Seconds(), r.inFlight.Load(), p.P50, p.P99,
			r.reconnects.Load(), violations, failed, r.errorCount())
		last, lastAt = done, now
	}
}
