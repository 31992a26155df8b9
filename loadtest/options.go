package main

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/loadtest/chaos"
	"github.com/ringfleet/ringfleet/loadtest/crew"
)

const usage = `loadtest: makes calls against ringfleet nodes and judges every one of them.

  go run ./loadtest --self-host --calls 20000 --users 200
  go run ./loadtest --target ws://127.0.0.1:8080 --users 1000 --duration 1m --rate 500
  go run ./loadtest --self-host --users 400 --stages 50..500/30s,500/1m --arrivals poisson --html report.html
  go run ./loadtest --self-host --storm --users 2000 --storm-cuts 3
  go run ./loadtest --self-host --hold 5000 --users 1000 --hold-lasts 1m --rate 100
  go run ./loadtest --chaos --users 300 --duration 2m --rate 100
  go run ./loadtest compare before.json after.json
  go run ./loadtest report result.json report.html

It connects users over WebSockets, lets them call each other in a mix of
scenarios, and checks the promises P1 to P5 (with --chaos, to P7) of docs/spec.md from both clients'
side on every call. It exits with 0 if there was no violation, no failed call and
no error, and no --fail-if holds, 1 if there was, 2 if the flags are wrong. docs/loadtest.md explains the result.

Flags:
`

// options are the flags.
type options struct {
	targets      []string
	selfHost     bool
	users        int
	calls        int64
	duration     time.Duration
	rate         float64
	concurrency  int
	mix          mix
	jsonFile     string
	json         bool
	contentBytes int
	seed         uint64
	metrics      []string
	timers       invitation.Timers

	allowReconnects  bool
	reconnectTimeout time.Duration
	takeover         time.Duration
	windows          time.Duration
	mark             string // file
	slowLog          int

	shapeOptions
	chaos  chaosOptions
	tokens tokenOptions

	dialer func(target string) client.Carrier // nil: a WebSocket
	exact  bool                               // calls are made as near to when they are due as the system can
}

// carrier returns what connects to a target.
func (o *options) carrier(target string) client.Carrier {
	if o.dialer != nil {
		return o.dialer(target)
	}
	w := &client.WebSocket{URLs: []string{target}, JSON: o.json, TokenFor: o.tokens.source()}
	if o.chaos.on {
		w.PingAfter, w.PongTimeout = o.chaos.pingTime, o.chaos.pingTime
	}
	return w
}

// list is a flag that may be given several times.
type list []string

// String implements flag.Value.
func (l *list) String() string { return "" }

// Set implements flag.Value.
func (l *list) Set(s string) error {
	*l = append(*l, s)
	return nil
}

func parseOptions(args []string, help io.Writer) (*options, error) {
	return parseShare(args, help, nil)
}

// parseShare reads the flags, and takes one generator's part of them; nil: there is one alone.
func parseShare(args []string, help io.Writer, part *crew.Job) (*options, error) {
	o := &options{timers: invitation.DefaultTimers}
	var mixText string
	f := flag.NewFlagSet("loadtest", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Var((*list)(&o.targets), "target", "`URL` of a node, as ws://127.0.0.1:8080; may be given several times: users spread over them at random, and move to another when they lose their connection")
	f.BoolVar(&o.selfHost, "self-host", false, "start a node in this process, on a loopback port of its own")
	f.IntVar(&o.users, "users", 100, "users that are logged in")
	f.Int64Var(&o.calls, "calls", 0, "calls to make; default 1,000 if no duration is given")
	f.DurationVar(&o.duration, "duration", 0, "how long to make calls")
	f.Float64Var(&o.rate, "rate", 0, "calls per second, made on schedule (open loop); default: as fast as they end (closed loop)")
	f.IntVar(&o.concurrency, "concurrency", 0, "calls under way at once in the closed loop; default: half the users")
	f.StringVar(&mixText, "mix", "", "weights of the scenarios, as accept=80,refuse=20, or a `file` with one a line")
	f.StringVar(&o.jsonFile, "json", "", "`file` for the result as JSON")
	f.BoolVar(&o.json, "json-protocol", false, "speak the JSON subprotocol instead of protobuf")
	f.IntVar(&o.contentBytes, "content-bytes", 64, "size of the content of an invitation")
	f.Uint64Var(&o.seed, "seed", 0, "seed of the draws; default: a random one, which is printed")
	f.Var((*list)(&o.metrics), "metrics", "`URL` of a node's metrics, as http://127.0.0.1:9090/metrics, to report its CPU and memory, or discover, to look for those of each target; the first is the first --target's, and so on; more than targets are of nodes that no user connects to")
	f.BoolVar(&o.allowReconnects, "allow-reconnects", false, "a connection that is lost is no error, as long as its user comes back")
	f.DurationVar(&o.reconnectTimeout, "reconnect-timeout", 15*time.Second, "a user that cannot connect for longer is an error")
	f.DurationVar(&o.takeover, "takeover", 0, "by how much events may be later than promised besides: set it where nodes are killed")
	f.DurationVar(&o.windows, "windows", time.Second, "length of the windows of the result's time series")
	f.StringVar(&o.mark, "mark", "", "`file` that whoever moves the nodes writes the name of the current phase to; the result tells each phase apart")
	f.IntVar(&o.slowLog, "slow-log", 0, "how many of the slowest calls to print with their histories")
	f.DurationVar(&o.timers.NoResponse, "no-response", o.timers.NoResponse, "the nodes' time limit, if it is not the default")
	f.DurationVar(&o.timers.Expire, "expire", o.timers.Expire, "the nodes' time limit, if it is not the default")
	f.DurationVar(&o.timers.AcceptWindow, "accept-window", o.timers.AcceptWindow, "the nodes' time limit, if it is not the default")
	f.DurationVar(&o.timers.Grace, "grace", o.timers.Grace, "the nodes' time limit, if it is not the default")
	f.DurationVar(&o.timers.Linger, "linger", o.timers.Linger, "the nodes' time limit, if it is not the default")
	o.tokens.register(f)
	o.chaos.register(f)
	o.register(f)
	err := f.Parse(args)
	o.chaos.command, o.args = args, args
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(help, usage)
		f.SetOutput(help)
		f.PrintDefaults()
		fmt.Fprintln(help, "\nScenarios, with their weights in the default mix, and in that of --chaos:")
		for _, s := range scenarios {
			fmt.Fprintf(help, "  %-14s %3d %3d  %s\n", s.name, s.weight, s.chaotic, s.about)
		}
		fmt.Fprintf(help, "\nKinds of faults, with their default weights:\n%s", chaos.Help())
		return nil, flag.ErrHelp
	case err != nil:
		return nil, err
	case f.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if err := o.readPlan(f); err != nil {
		return nil, err
	}
	if part != nil {
		o.join(part)
	}
	if err := o.complete(mixText); err != nil {
		return nil, err
	}
	if part != nil {
		o.share()
	}
	return o, o.checkFiles()
}

// complete fills in what was left to default, and returns what is wrong.
func (o *options) complete(mixText string) error {
	if o.calls == 0 && o.duration == 0 && o.stages == "" && o.mode() == "calls" {
		o.calls = 1000
	}
	if o.concurrency == 0 {
		o.concurrency = max(o.users/2, 1)
	}
	if o.seed == 0 {
		var b [8]byte
		rand.Read(b[:]) // never fails
		o.seed = binary.LittleEndian.Uint64(b[:])
	}
	err := o.tokens.complete()
	if err == nil {
		err = o.chaos.complete(o)
	}
	if err == nil {
		err = o.shapeOptions.complete(o)
	}
	if err != nil {
		return err
	}
	if mixText != "" {
		if o.mix, err = parseMix(mixText); err != nil {
			return err
		}
	} else if o.mix.total == 0 {
		o.mix = defaultMix(o.chaos.on)
	}
	switch {
	case count(o.selfHost, o.chaos.on, len(o.targets) > 0) != 1:
		return errors.New("want either --target URL, --self-host or --chaos")
	case o.users < 2:
		return fmt.Errorf("--users %d: a call needs 2", o.users)
	case o.calls < 0 || o.duration < 0 || o.rate < 0 || o.concurrency < 0:
		return errors.New("--calls, --duration, --rate and --concurrency cannot be negative")
	case o.concurrency > maxInFlight:
		return fmt.Errorf("--concurrency %d: want at most %d", o.concurrency, maxInFlight)
	case len(o.targets) > maxNodes || len(o.metrics) > maxNodes:
		return fmt.Errorf("at most %d --target and --metrics each", maxNodes)
	case o.reconnectTimeout < time.Second || o.takeover < 0:
		return errors.New("--reconnect-timeout: want 1s or more; --takeover: 0 or more")
	case o.windows < minWindow:
		return fmt.Errorf("--windows %v: want %v or more", o.windows, minWindow)
	case o.slowLog < 0 || o.slowLog > maxSlowLog:
		return fmt.Errorf("--slow-log %d: want 0 to %d", o.slowLog, maxSlowLog)
	case o.contentBytes < 0 || o.contentBytes > invitation.MaxContent:
		return fmt.Errorf("--content-bytes %d: want 0 to %d", o.contentBytes, invitation.MaxContent)
	case o.chaos.on && o.tokens.source() != nil:
		return errors.New("--chaos starts nodes that take no tokens")
	case !o.timers.InBounds():
		return fmt.Errorf("timers: want %v to %v each", invitation.MinTimer, invitation.MaxTimer)
	}
	return nil
}

// count returns how many are true.
func count(all ...bool) int {
	n := 0
	for _, one := range all {
		if one {
			n++
		}
	}
	return n
}

// Bounds of the flags.
const (
	maxNodes   = 1_000
	minWindow  = 50 * time.Millisecond
	maxSlowLog = 1_000
)

// Files that are open beside the users' connections.
const otherFiles = 256

// checkFiles refuses more users than the process may have open files for.
func (o *options) checkFiles() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	each := 1
	if o.selfHost {
		each = 2 // both ends are in this process
	}
	here, word := o.users, ""
	if o.workers+o.awaited > 0 && o.parts == 0 { // the users are those of other processes
		if here = 0; o.selfHost {
			here, each = o.users, 1
		}
		word = " of the node"
	}
	if fits := (int(min(limit.Cur, 1<<30)) - otherFiles) / each; here > fits {
		return fmt.Errorf("--users %d is more than this process%s has open files for: at most %d fit (the limit of open files is %d; ulimit -n raises it, --workers divides the users)",
			o.users, word, fits, limit.Cur)
	}
	return nil
}
