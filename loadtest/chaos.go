package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/internal/faultproxy"
	"github.com/ringfleet/ringfleet/internal/fleet"
	"github.com/ringfleet/ringfleet/loadtest/chaos"
)

// chaosRun is the part of a run that starts nodes and hurts them.
type chaosRun struct {
	options  *chaosOptions
	seed     uint64 // of the calls
	binaries *fleet.Binaries
	fleet    *fleet.Fleet
	log      chaos.Log
	setups   setups
	out      io.Writer
	nodes    map[string]*node // by the name of their process
	before   []resources      // of each node, before anybody connected
}

// noise is what becomes of messages between nodes all the time.
var noise = faultproxy.Rule{
	Only: fleet.Peers, Delay: time.Millisecond, Jitter: 3 * time.Millisecond, Drop: 0.002, Duplicate: 0.005, Reorder: 0.005,
}

// startFleet starts the nodes, and makes them the targets.
func (o *options) startFleet(ctx context.Context, out io.Writer) (*chaosRun, error) {
	c := &chaosRun{options: &o.chaos, seed: o.seed, out: out, nodes: map[string]*node{}}
	if err := c.start(ctx, o); err != nil {
		c.close()
		return nil, err
	}
	for _, n := range c.fleet.Nodes() {
		o.targets = append(o.targets, n.ClientURL())
		o.metrics = append(o.metrics, n.AdminURL()+"/metrics")
	}
	return c, nil
}

func (c *chaosRun) start(ctx context.Context, o *options) error {
	binary := c.options.binary
	if binary == "" {
		fmt.Fprintln(c.out, "building cmd/node")
		build := fleet.BuildOptions{}
		if c.options.tags != "" {
			build.Flags = []string{"-tags", c.options.tags}
		}
		var err error
		if c.binaries, err = fleet.Build(ctx, build); err != nil {
			return err
		}
		binary = c.binaries.Path("node")
	}
	var err error
	c.fleet, err = fleet.New(fleet.Config{
		Binary: binary, Dir: c.options.dir, Proxied: c.options.proxied(), Seed: c.options.seed, Args: nodeFlags(o),
	})
	if err != nil {
		return err
	}
	for i := range c.options.nodes {
		if _, err = c.fleet.Add(ctx, fleet.NodeOptions{Name: "node-" + strconv.Itoa(i+1)}); err != nil {
			return err
		}
	}
	settling, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err = c.fleet.Settled(settling); err != nil {
		return err
	}
	c.before, err = c.usage(ctx)
	return err
}

// nodeFlags are the flags of all nodes: the time limits that are not their default.
func nodeFlags(o *options) []string {
	t := o.timers
	return []string{
		"--no-response", t.NoResponse.String(), "--expire", t.Expire.String(), "--accept-window", t.AcceptWindow.String(),
		"--grace", t.Grace.String(), "--linger", t.Linger.String(),
	}
}

// close ends the nodes.
func (c *chaosRun) close() {
	if c.fleet != nil {
		c.fleet.Close()
	}
	if c.binaries != nil {
		c.binaries.Remove()
	}
}

// meet tells which process each target is.
func (c *chaosRun) meet(nodes []*node) {
	for i, n := range c.fleet.Nodes() {
		c.nodes[n.Name()] = nodes[i]
	}
}

// warmUp is how long all is well before the first fault, besides its wait: what is normal is measured then.
const warmUp = 10 * time.Second

// hurt injects faults until there were as many as asked for, or none that fits ends before end (if not zero), or ctx
// is done; then all is well for a while. Something that should not happen to the nodes is an error of the run. It
// reports whether the run is over before end.
func (c *chaosRun) hurt(ctx context.Context, r *run, end time.Time) (over bool) {
	injector := c.injector(r)
	injector.Begin()
	r.series.enter("calm")
	if !pause(ctx, warmUp) {
		return true
	}
	more := func(f chaos.Fault) bool {
		over = f.N > c.options.count
		return !over && (end.IsZero() || time.Now().Add(f.Wait+f.Lasts+endCalm).Before(end))
	}
	if err := injector.Run(ctx, chaos.NewSchedule(c.schedule()), more); err != nil {
		r.fail(fmt.Errorf("chaos: %w", err))
		return true
	}
	pause(ctx, endCalm)
	return over
}

func (c *chaosRun) injector(r *run) *chaos.Injector {
	i := &chaos.Injector{Fleet: c.fleet, Log: &c.log, Changed: func(f chaos.Record) { c.changed(r, f) }}
	if c.options.noise {
		i.Noise = noise
	}
	return i
}

func (c *chaosRun) schedule() chaos.ScheduleConfig {
	return chaos.ScheduleConfig{
		Seed: c.options.seed, Nodes: c.options.nodes, Weights: c.options.weights, Every: c.options.every, Longest: c.options.longest,
	}
}

// endCalm is how long all is well after the last fault.
const endCalm = 10 * time.Second

// changed notes that a fault has begun or ended.
func (c *chaosRun) changed(r *run, f chaos.Record) {
	at := time.Since(r.begin).Seconds()
	if f.Ended.IsZero() {
		fmt.Fprintf(r.out, "%6.0f s  fault %v\n", at, f.Fault)
		r.series.enter(f.Kind.String())
	} else {
		fmt.Fprintf(r.out, "%6.0f s  fault %v is ended\n", at, f.Fault)
		r.series.enter("after a fault")
	}
	if f.Kind != chaos.Pause {
		return
	}
	if n := c.nodes[f.Node]; f.Ended.IsZero() {
		n.stall(f.Began)
	} else {
		n.unstall(f.Ended)
	}
}

// repeat returns the command that repeats the schedule and the draws of this run.
func (c *chaosRun) repeat() string {
	args := slices.Clone(c.options.command)
	for _, seed := range []struct {
		flag  string
		value uint64
	}{{"--chaos-seed", c.options.seed}, {"--seed", c.seed}} {
		named := func(arg string) bool {
			name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
			return strings.HasPrefix(arg, "-") && name == strings.TrimLeft(seed.flag, "-")
		}
		if !slices.ContainsFunc(args, named) {
			args = append(args, seed.flag, strconv.FormatUint(seed.value, 10))
		}
	}
	return "go run ./loadtest " + strings.Join(args, " ")
}

// Bounds of what is shown around a violation.
const (
	aroundTime  = 2 * time.Second
	aroundLines = 40 // of all nodes' logs
)

// around tells what happened to the nodes about the time of a call that broke a promise.
func (c *chaosRun) around(r *run, h *history) string {
	var b strings.Builder
	from, to := h.span()
	from, to = from.Add(-aroundTime), to.Add(aroundTime)
	relative := func(at time.Time) string {
		if at.IsZero() {
			return "-"
		}
		return fmt.Sprintf("%.3f s", at.Sub(r.begin).Seconds())
	}
	b.WriteString("faults about that time, from the begin of the run:\n")
	for _, f := range c.log.Between(from.Add(-time.Minute), to) {
		fmt.Fprintf(&b, "  %v: %v began %s, ended %s, all was well %s (%.3f ms of the call)\n", f.Fault, name(f.Node), relative(f.Began),
			relative(f.Ended), relative(f.Settled), float64(f.Began.Sub(h.sent).Microseconds())/1000)
	}
	b.WriteString("the nodes' logs about that time:\n")
	lines, more := c.logged(from, to)
	for _, line := range lines {
		b.WriteString("  " + line + "\n")
	}
	if more > 0 {
		fmt.Fprintf(&b, "  and %d lines more\n", more)
	}
	fmt.Fprintf(&b, "to repeat the schedule of faults:\n  %s\n", c.repeat())
	return b.String()
}

func name(node string) string {
	if node == "" {
		return "all"
	}
	return node
}

// logged returns lines of the nodes' logs between two times, in their order, and how many there are besides.
func (c *chaosRun) logged(from, to time.Time) (lines []string, more int) {
	type entry struct {
		at   time.Time
		text string
	}
	var found []entry
	for _, n := range c.fleet.Nodes() {
		all, err := n.Log().Lines("time=")
		if err != nil {
			return []string{err.Error()}, 0
		}
		for _, line := range all {
			_, rest, _ := strings.Cut(line, "time=")
			stamp, _, _ := strings.Cut(rest, " ")
			if at, err := time.Parse(time.RFC3339, stamp); err == nil && !at.Before(from) && !at.After(to) {
				found = append(found, entry{at, n.Name() + ": " + line})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b entry) int { return a.at.Compare(b.at) })
	for _, e := range found[:min(len(found), aroundLines)] {
		lines = append(lines, e.text)
	}
	return lines, max(len(found)-aroundLines, 0)
}

// judgeLogs counts panics and the like of nodes as errors.
func (c *chaosRun) judgeLogs(r *run) {
	for _, n := range c.fleet.Nodes() {
		for _, bad := range []string{"panic", "fatal error:", "DATA RACE"} {
			lines, err := n.Log().Lines(bad)
			if err != nil || len(lines) > 0 {
				r.fail(fmt.Errorf("chaos: the log of %s has %d lines with %q: %w", n.Name(), len(lines), bad, errOr(err, lines)))
			}
		}
	}
}

func errOr(err error, lines []string) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("the first is %s", lines[0])
}

// driveHurt makes the calls while the nodes are hurt, until there were as many faults as asked for, or the time is
// over.
func (r *run) driveHurt(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var end time.Time
	if d := r.options.duration; d > 0 {
		end = r.begin.Add(d)
	}
	var hurting sync.WaitGroup
	hurting.Go(func() {
		if r.chaos.hurt(ctx, r, end) {
			cancel()
		}
	})
	if r.options.chaos.breaks {
		hurting.Go(func() {
			for pause(ctx, progressInterval/4) {
				if r.broken() {
					r.chaos.caught(r)
					cancel()
					return
				}
			}
		})
	}
	r.drive(ctx)
	cancel()
	hurting.Wait()
}

// caught tells how long it took to find that the nodes are broken.
func (c *chaosRun) caught(r *run) {
	faults := c.log.All()
	if len(faults) == 0 {
		return
	}
	fmt.Fprintf(r.out, "%6.0f s  a promise was broken, as it must be: %.1f s after the first of %d faults\n", time.Since(r.begin).Seconds(),
		time.Since(faults[0].Began).Seconds(), len(faults))
}

// broken reports whether a promise was broken.
func (r *run) broken() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.violations > 0
}

// after logs the users out, and says what came of the faults and what is left on the nodes.
func (r *run) after(ctx context.Context, held *holding) *chaosResult {
	c := r.chaos
	fmt.Fprintf(r.out, "logging the users out, and waiting until nothing is left on the nodes\n")
	r.disconnect()
	res := c.result(r.begin)
	if held != nil {
		res.Hold = held.result()
	}
	if c.options.breaks {
		return res
	}
	res.After = c.outlive(ctx, r.options)
	for i := range res.After {
		if left := res.After[i].Left; left != "" {
			res.Left++
			r.fail(fmt.Errorf("chaos: something is left on %s: %s", res.After[i].Node, left))
		}
	}
	c.judgeLogs(r)
	c.judgeExcuses(r)
	return res
}
