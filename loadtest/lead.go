package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/crew"
	"github.com/ringfleet/ringfleet/loadtest/figures"
	"github.com/ringfleet/ringfleet/loadtest/stats"
)

// How long workers have to join, to log their users in, and to end.
const (
	endTime   = 2 * time.Minute
	joinTime  = 5 * time.Minute
	readyTime = 10 * time.Minute
)

// tokenVariable is the environment's name for what a worker must know to join.
const tokenVariable = "LOADTEST_JOIN_TOKEN"

// leading is a run whose calls workers make.
type leading struct {
	options *options
	out     *screen
	door    *crew.Door
	local   []*exec.Cmd
	workers []*crew.Worker
	nodes   meters

	mu       sync.Mutex
	progress []*crew.Progress // of each worker, the last
	results  []*figures.Run
}

// lead lets workers make the calls, and makes one result of theirs.
func (o *options) lead(ctx context.Context, out *screen) (*result, error) {
	l := &leading{options: o, out: out}
	address := o.listen
	if address == "" {
		address = "127.0.0.1:0"
	}
	var err error
	if l.door, err = crew.Open(address, os.Getenv(tokenVariable)); err != nil {
		return nil, err
	}
	defer l.close()
	if err := l.gather(ctx); err != nil {
		return nil, err
	}
	_, l.nodes = o.newNodes()
	if err := l.nodes.begin(ctx); err != nil {
		return nil, err
	}
	if err := l.ready(ctx); err != nil {
		return nil, err
	}
	if err := l.watch(ctx); err != nil {
		return nil, err
	}
	_ = l.nodes.read(context.WithoutCancel(ctx)) // a node that is gone by now was read before
	res := &result{Run: *figures.Merge(l.results)}
	o.describe(&res.Run)
	res.finish(l.nodes, o)
	return res, o.deliver(res, out)
}

// close lets the workers go, and waits for those that were started here.
func (l *leading) close() {
	_ = l.door.Close()
	for _, w := range l.workers {
		_ = w.Close() // which ends what it still does
	}
	for _, c := range l.local {
		late := time.AfterFunc(endTime, func() { _ = c.Process.Kill() })
		_ = c.Wait() // what it came to it has said
		late.Stop()
	}
}

// gather starts workers, and waits until all have joined.
func (l *leading) gather(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start workers: %w", err)
	}
	for range l.options.workers {
		c := exec.Command(self, "worker", "--leader", l.door.Address())
		c.Env = append(os.Environ(), tokenVariable+"="+l.door.Token)
		c.Stderr = l.out
		if err := c.Start(); err != nil {
			return fmt.Errorf("start workers: %w", err)
		}
		l.local = append(l.local, c)
	}
	if n := l.options.awaited; n > 0 {
		fmt.Fprintf(l.out, "waiting for %d workers, to be started with\n  %s=%s loadtest worker --leader %s\n", n, tokenVariable, l.door.Token,
			l.door.Address())
	}
	joining, cancel := context.WithTimeoutCause(ctx, joinTime, fmt.Errorf("not within %v", joinTime))
	defer cancel()
	l.workers, err = l.door.Gather(joining, l.options.workers+l.options.awaited, func(err error) {
		fmt.Fprintf(l.out, "a worker was sent away: %v\n", err)
	})
	return err
}

// ready tells each its part, waits until all can begin, and lets them.
func (l *leading) ready(ctx context.Context) error {
	fmt.Fprintf(l.out, "%d workers log in %d users at %v\n", len(l.workers), l.options.users, l.options.targets)
	ctx, cancel := context.WithTimeoutCause(ctx, readyTime, fmt.Errorf("not ready within %v", readyTime))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		for _, w := range l.workers {
			_ = w.Close()
		}
	})
	defer stop()
	for i, w := range l.workers {
		job := &crew.Job{Args: l.options.args, Targets: l.options.targets, Seed: l.options.seed, Part: i, Parts: len(l.workers)}
		if err := w.Send(&crew.Message{Job: job}); err != nil {
			return l.lost(i, err)
		}
	}
	for i, w := range l.workers {
		for {
			m, err := w.Receive()
			if err != nil {
				return errors.Join(context.Cause(ctx), l.lost(i, err))
			}
			if m.Ready {
				break
			}
			l.hear(i, m)
		}
	}
	for i, w := range l.workers {
		if err := w.Send(&crew.Message{Start: true}); err != nil {
			return l.lost(i, err)
		}
	}
	return nil
}

func (l *leading) lost(i int, err error) error {
	h := l.workers[i].Hello
	return fmt.Errorf("worker %d (process %d on %s): %w", i, h.PID, h.Host, err)
}

// watch listens to the workers until all have told what it came to.
func (l *leading) watch(ctx context.Context) error {
	l.progress, l.results = make([]*crew.Progress, len(l.workers)), make([]*figures.Run, len(l.workers))
	begin := time.Now()
	watching, cancel := context.WithCancel(context.Background())
	defer cancel()
	halt := func() {
		for _, w := range l.workers {
			_ = w.Send(&crew.Message{Stop: true}) // one that has ended needs none
		}
	}
	stop := context.AfterFunc(ctx, halt)
	defer stop()
	var watchers, workers sync.WaitGroup
	watchers.Go(func() { l.show(watching, begin) })
	watchers.Go(func() { l.nodes.follow(watching, begin, l.options.scrapeEvery) })
	errs := make([]error, len(l.workers))
	for i, w := range l.workers {
		workers.Go(func() {
			for l.results[i] == nil {
				m, err := w.Receive()
				if err != nil {
					errs[i] = l.lost(i, err)
					halt() // a run without its part is none
					return
				}
				l.hear(i, m)
			}
		})
	}
	workers.Wait()
	cancel()
	watchers.Wait()
	l.out.end()
	return errors.Join(errs...)
}

// hear takes what a worker says.
func (l *leading) hear(i int, m *crew.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case m.Text != "":
		_, _ = io.WriteString(l.out, m.Text) // a screen that takes nothing has nobody to tell
	case m.Progress != nil && m.Progress.Ringing != nil:
		if before := l.progress[i]; before != nil && before.Ringing != nil { // not shown yet
			m.Progress.Ringing.Merge(before.Ringing)
		}
		l.progress[i] = m.Progress
	case m.Result != nil:
		l.results[i] = m.Result
	}
}

// show tells how it goes now and then, until ctx is done.
func (l *leading) show(ctx context.Context, begin time.Time) {
	last, lastAt := int64(0), begin
	for pause(ctx, max(l.out.interval(), workerInterval)) {
		sum := &crew.Progress{Ringing: &stats.Histogram{}}
		l.mu.Lock()
		for _, p := range l.progress {
			if p != nil {
				sum.Add(p)
				p.Ringing = nil
			}
		}
		l.mu.Unlock()
		now := time.Now()
		l.out.show(statusOf(sum, now.Sub(begin), now.Sub(lastAt), last))
		last, lastAt = sum.Completed, now
	}
}
