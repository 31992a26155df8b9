package main

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/chaos"
)

// chaosOptions are the flags of the chaos mode.
type chaosOptions struct {
	on       bool
	nodes    int
	seed     uint64
	faults   string
	weights  chaos.Weights
	every    time.Duration
	longest  time.Duration
	count    int
	noise    bool
	idle     time.Duration
	binary   string
	tags     string
	dir      string
	pingTime time.Duration
	breaks   bool
	hold     int
	lasts    time.Duration
	within   time.Duration // 0: when callers are answered again is told only
	excused  float64       // in thousandths of all calls; 0: how many are is told only
	command  []string      // the flags of this run, to be repeated
}

func (c *chaosOptions) register(f *flag.FlagSet) {
	f.BoolVar(&c.on, "chaos", false, "start nodes as processes of their own, and hurt one after the other (Linux)")
	f.IntVar(&c.nodes, "chaos-nodes", 3, "how many")
	f.Uint64Var(&c.seed, "chaos-seed", 0, "seed of the schedule of faults; default: --seed")
	f.StringVar(&c.faults, "chaos-faults", "all-kinds", "kinds of faults with their weights, as kill=2,pause=1,drain")
	f.DurationVar(&c.every, "chaos-every", 15*time.Second, "how long all is well between two faults: half of it to one and a half of it")
	f.DurationVar(&c.longest, "chaos-longest", 0, "bounds how long a fault lasts; default: as its kind has it")
	f.IntVar(&c.count, "chaos-count", 0, "end the run after this many faults; default: at --duration")
	f.BoolVar(&c.noise, "chaos-noise", true, "messages between nodes are lost, doubled, reordered and late all the time; not with --hold")
	f.DurationVar(&c.idle, "chaos-idle", 0, "how long to wait at the end until every node has collected its garbage, which an idle one does every 2 minutes, before its memory is judged; default: memory is told, not judged")
	f.StringVar(&c.binary, "node-binary", "", "`program` of the nodes; default: cmd/node is built")
	f.StringVar(&c.tags, "node-tags", "", "build tags of the nodes")
	f.StringVar(&c.dir, "chaos-logs", "", "`folder` that keeps the nodes' logs; default: none are kept")
	f.DurationVar(&c.pingTime, "chaos-ping", 4*time.Second, "silence after which clients ask whether the node is there, and how long it has to answer")
	f.BoolVar(&c.breaks, "must-break", false, "for nodes that are broken on purpose: end the run at the first violation, and fail if there is none")
	f.DurationVar(&c.lasts, "hold-lasts", 0, "how long that fault lasts; default: as drawn. Without --chaos: how long they ring; default: 30s")
	f.DurationVar(&c.within, "hold-within", 0, "fail if a caller is answered later than this after the fault began; default: it is told only")
	f.Float64Var(&c.excused, "chaos-excused", 0, "fail if more than so many thousandths of the calls are excused; default: it is told only")
	f.IntVar(&c.hold, "hold", 0, "let this many invitations ring, and answer every one of them; with --chaos, instead of a mix of calls, and a node is hurt once meanwhile")
}

// proxied reports whether the network between the nodes has to be led through a proxy, which costs this process time.
func (c *chaosOptions) proxied() bool { return c.nodes > 1 && (c.noise || c.weights.Network()) }

// Bounds of the flags.
const (
	maxChaosNodes = 20
	maxHold       = 1_000_000
)

// complete fills in what was left to default, and returns what is wrong.
func (c *chaosOptions) complete(o *options) error {
	if !c.on {
		if c.breaks {
			return errors.New("--must-break is for --chaos")
		}
		if c.hold < 0 || c.hold > maxHold {
			return fmt.Errorf("--hold %d: want 1 to %d", c.hold, maxHold)
		}
		return nil
	}
	if c.seed == 0 {
		c.seed = o.seed
	}
	if c.count == 0 && o.duration == 0 {
		c.count = 10
	}
	if c.count == 0 {
		c.count = maxFaults
	}
	o.allowReconnects = true
	c.noise = c.noise && c.hold == 0
	var err error
	if c.weights, err = chaos.ParseWeights(c.faults); err != nil {
		return fmt.Errorf("--chaos-faults: %w", err)
	}
	switch {
	case c.nodes < 1 || c.nodes > maxChaosNodes:
		return fmt.Errorf("--chaos-nodes %d: want 1 to %d", c.nodes, maxChaosNodes)
	case c.count < 0 || c.count > maxFaults:
		return fmt.Errorf("--chaos-count %d: want at most %d", c.count, maxFaults)
	case c.every < 0 || c.longest < 0 || c.idle < 0 || c.within < 0 || c.excused < 0:
		return errors.New("--chaos-every, --chaos-longest, --chaos-idle, --hold-within and --chaos-excused cannot be negative")
	case c.pingTime < time.Second:
		return fmt.Errorf("--chaos-ping %v: want 1s or more", c.pingTime)
	case c.hold < 0 || c.hold > maxHold:
		return fmt.Errorf("--hold %d: want 1 to %d", c.hold, maxHold)
	case o.calls > 0:
		return errors.New("--calls: a run with --chaos ends by --duration or --chaos-count")
	case o.rate == 0 && c.hold == 0:
		return errors.New("--chaos wants an open loop: --rate")
	case c.binary != "" && c.tags != "":
		return errors.New("want either --node-binary or --node-tags")
	}
	return nil
}

// maxFaults bounds the faults of a run.
const maxFaults = 10_000
