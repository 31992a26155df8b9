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

	"github.com/ringfleet/ringfleet/loadtest/crew"
	"github.com/ringfleet/ringfleet/loadtest/figures"
	"github.com/ringfleet/ringfleet/loadtest/stats"
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

// subcommands are what there is besides a run, by the first argument.
var subcommands = map[string]func(ctx context.Context, args []string, stdout, stderr io.Writer) int{
	"compare": compare, "report": render, "worker": work,
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && subcommands[args[0]] != nil {
		return subcommands[args[0]](ctx, args[1:], stdout, stderr)
	}
	o, err := parseOptions(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "loadtest: %v (see --help)\n", err)
		return exitUsage
	}
	o.exact = true
	res, err := o.run(ctx, newScreen(stdout, o.progress))
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
	if res.Verdict != figures.Pass {
		return exitBroken
	}
	return exitOK
}

// run makes the calls, and prints and writes the result. When ctx is done it begins no more calls, waits for those
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
	if err := o.findMetrics(ctx); err != nil {
		return nil, err
	}
	if o.workers+o.awaited > 0 {
		return o.lead(ctx, onScreen(out))
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

// run connects the users, makes the calls, and prints and writes the result.
func (r *run) run(ctx context.Context) (*result, error) {
	defer r.disconnect()
	p, err := r.perform(ctx, func() error { return r.all.begin(ctx) })
	if err != nil {
		return nil, err
	}
	_ = r.all.read(context.WithoutCancel(ctx)) // a node that is gone by now was read before
	r.judgeAway(time.Now())
	res := &result{}
	if r.chaos != nil {
		res.Chaos = r.after(context.WithoutCancel(ctx), p.held)
	}
	res.Run = *r.figures(p.took)
	res.finish(r.all, r.options)
	return res, r.options.deliver(res, r.out)
}

// performance is what a run was, beside what it has counted.
type performance struct {
	took time.Duration
	held *holding // with --chaos --hold
}

// perform connects the users and makes the calls, from when ready has returned.
func (r *run) perform(ctx context.Context, ready func() error) (*performance, error) {
	o := r.options
	watching, cancel := context.WithCancel(context.Background())
	var watchers sync.WaitGroup
	stopWatching := func() {
		cancel()
		watchers.Wait()
		r.out.end()
	}
	defer stopWatching()
	watchers.Go(func() { r.lag.watch(watching) })
	if !o.storm {
		if o.parts == 0 {
			fmt.Fprintf(r.out, "logging in %d users at %v\n", o.users, o.targets)
		}
		if err := r.connect(ctx); err != nil {
			return nil, err
		}
	}
	if err := ready(); err != nil {
		return nil, err
	}
	r.begin = time.Now()
	r.series.start(r.begin)
	if o.parts == 0 { // else the leader does
		watchers.Go(func() { r.progress(watching) })
		watchers.Go(func() { r.all.follow(watching, r.begin, o.scrapeEvery) })
	}
	if o.mark != "" {
		watchers.Go(func() { r.series.follow(watching, o.mark) })
	}
	p := &performance{}
	var err error
	switch o.mode() {
	case "storm":
		err = r.weather(ctx)
	case "hold":
		r.holdSteady(ctx)
	case "chaos":
		r.chaos.meet(r.nodes)
		if o.chaos.hold > 0 {
			p.held = r.hold(ctx)
		} else {
			r.driveHurt(ctx)
		}
	default:
		r.drive(ctx)
	}
	p.took = time.Since(r.begin)
	return p, err
}

// deliver prints the result, and writes the files that were asked for.
func (o *options) deliver(res *result, out io.Writer) error {
	res.print(out)
	if o.jsonFile != "" {
		if err := res.write(o.jsonFile); err != nil {
			return err
		}
	}
	if o.html == "" {
		return nil
	}
	return res.render(o.html)
}

// progress tells how it goes now and then, until ctx is done.
func (r *run) progress(ctx context.Context) {
	last, lastAt := int64(0), r.begin
	for pause(ctx, r.out.interval()) {
		now, p := time.Now(), r.now()
		r.out.show(statusOf(p, now.Sub(r.begin), now.Sub(lastAt), last))
		last, lastAt = p.Completed, now
	}
}

// now returns how it goes.
func (r *run) now() *crew.Progress {
	p := &crew.Progress{
		Begun: r.started.Load(), Completed: r.completed.Load(), InFlight: r.inFlight.Load(), Online: r.online.Load(), Lost: r.reconnects.Load(),
		Errors: r.errorCount(), Ringing: &stats.Histogram{},
	}
	p.Ringing.Merge(&r.recent)
	r.recent.Reset() // of what comes between the two nothing but this status knows less
	r.mu.Lock()
	defer r.mu.Unlock()
	p.Violations, p.Failed = r.violations, sum(r.failed)
	return p
}
