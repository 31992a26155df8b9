package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/crew"
)

// workerInterval is how often a worker tells how it goes.
const workerInterval = time.Second

// work is a worker: it joins a leader, and makes its part of the calls.
func work(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("loadtest worker", flag.ContinueOnError)
	f.SetOutput(stdout)
	leader := f.String("leader", "", "`address` of the leader, as it says; the environment has its token as "+tokenVariable)
	wait := f.Duration("wait", 30*time.Second, "how long to wait for the leader")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil || *leader == "" || f.NArg() > 0:
		fmt.Fprintln(stderr, "loadtest worker: want --leader ADDRESS, and the environment variable "+tokenVariable)
		return exitUsage
	}
	joining, cancel := context.WithTimeout(ctx, *wait)
	conn, job, err := crew.Join(joining, *leader, os.Getenv(tokenVariable))
	cancel()
	if err != nil {
		fmt.Fprintf(stderr, "loadtest worker: %v\n", err)
		return exitBroken
	}
	defer conn.Close()
	if err := workFor(ctx, conn, job); err != nil {
		_ = conn.Send(&crew.Message{Error: err.Error()}) // if it is there no more, it knows
		fmt.Fprintf(stderr, "loadtest worker: %v\n", err)
		return exitBroken
	}
	return exitOK
}

// said hands on to the leader what a run writes for people.
type said struct{ conn *crew.Conn }

// Write implements io.Writer.
func (s said) Write(p []byte) (int, error) {
	return len(p), s.conn.Send(&crew.Message{Text: string(p)})
}

// workFor does a job.
func workFor(ctx context.Context, conn *crew.Conn, job *crew.Job) error {
	o, err := parseShare(job.Args, io.Discard, job)
	if err != nil {
		return err
	}
	o.exact = true
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	started := make(chan struct{})
	go listen(conn, started, cancel)
	r := newRun(o, newScreen(said{conn}, "none"))
	defer r.disconnect()
	telling, stop := context.WithCancel(context.Background())
	var teller sync.WaitGroup
	p, err := r.perform(ctx, func() error {
		if err := conn.Send(&crew.Message{Ready: true}); err != nil {
			return err
		}
		select {
		case <-started:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		teller.Go(func() {
			for pause(telling, workerInterval) {
				if err := conn.Send(&crew.Message{Progress: r.now()}); err != nil {
					cancel(err)
					return
				}
			}
		})
		return nil
	})
	stop()
	teller.Wait()
	if err != nil {
		return err
	}
	r.judgeAway(time.Now())
	return conn.Send(&crew.Message{Result: r.figures(p.took)})
}

// listen takes what the leader says, and ends the run when it says so or is there no more.
func listen(conn *crew.Conn, started chan<- struct{}, cancel context.CancelCauseFunc) {
	for {
		m, err := conn.Receive()
		switch {
		case err != nil:
			cancel(fmt.Errorf("the leader: %w", err))
			return
		case m.Start && started != nil:
			close(started)
			started = nil
		case m.Stop:
			cancel(context.Canceled)
		}
	}
}

// join takes what the leader decides for all.
func (o *options) join(job *crew.Job) {
	o.part, o.parts = job.Part, job.Parts
	o.targets, o.selfHost, o.metrics = job.Targets, false, nil
	o.jsonFile, o.html, o.failIf, o.seed = "", "", nil, job.Seed
	o.workers, o.awaited, o.listen = 0, 0, ""
}

// share takes this generator's part of what all are to do. The rate of calls is divided with their schedule.
func (o *options) share() {
	part := func(n int) int { return n*(o.part+1)/o.parts - n*o.part/o.parts }
	o.users, o.concurrency, o.chaos.hold = part(o.users), part(o.concurrency), part(o.chaos.hold)
	o.calls = int64(part(int(o.calls)))
	o.connectRate /= float64(o.parts)
	o.holdRate /= float64(o.parts)
	o.seed += uint64(o.part)
}
