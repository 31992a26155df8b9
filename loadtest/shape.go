package main

import (
	"errors"
	"flag"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/arrivals"
	"github.com/ringfleet/ringfleet/loadtest/plan"
	"github.com/ringfleet/ringfleet/loadtest/threshold"
)

// shapeOptions are the flags about when calls and connections come, and what is made of the result.
type shapeOptions struct {
	planFile string
	about    string // by the plan's file
	stages   string
	ramps    []arrivals.Stage // of stages
	process  arrivals.Process

	storm       bool
	connectRate float64
	cuts        int
	cutEvery    time.Duration
	cutShare    float64
	holdRate    float64

	html        string // file
	failIf      list
	rules       []threshold.Rule
	scrapeEvery time.Duration
	progress    string

	workers int
	listen  string
	awaited int // workers that start elsewhere and join

	part, parts int      // which of several generators this is; parts is 0 for one alone
	args        []string // as given
	given       map[string]bool
}

func (s *shapeOptions) register(f *flag.FlagSet) {
	f.StringVar(&s.planFile, "plan", "", "YAML or JSON `file` with users, rates, scenarios and thresholds; flags that are given count instead of what it says")
	f.StringVar(&s.stages, "stages", "", "rates one after the other instead of --rate, as `100/30s,100..500/1m,500..800+100/30s`: hold, ramp, steps; the run ends with them")
	f.TextVar(&s.process, "arrivals", arrivals.Constant, "how calls of the open loop follow each other: constant or poisson")
	f.BoolVar(&s.storm, "storm", false, "time connections: users log in at --connect-rate, and are cut off --storm-cuts times; calls are made only with --rate or --stages")
	f.Float64Var(&s.connectRate, "connect-rate", 0, "logins per second, on schedule; default: 64 at a time, with --storm all at once")
	f.IntVar(&s.cuts, "storm-cuts", 0, "how often connections are cut off, all at one moment")
	f.DurationVar(&s.cutEvery, "storm-every", 15*time.Second, "time between two cuts, and before the first and after the last")
	f.Float64Var(&s.cutShare, "storm-share", 1, "share of the connections that a cut takes, 0 to 1")
	f.Float64Var(&s.holdRate, "hold-rate", defaultHold, "with --hold and without --chaos: invitations sent, and answered, per second; --rate is that of calls beside")
	f.StringVar(&s.html, "html", "", "`file` for a report with plots, as a page that needs nothing else")
	f.Var(&s.failIf, "fail-if", "`rule` that fails the run, as 'setup.p99 > 5ms'; may be given several times")
	f.DurationVar(&s.scrapeEvery, "scrape-every", time.Second, "how often --metrics are read")
	f.StringVar(&s.progress, "progress", "auto", "how to show how it goes: line (one, which is written over), lines, none; auto: line on a terminal, else lines")
	f.IntVar(&s.workers, "workers", 0, "processes that share users and calls; each may have as many users as open files")
	f.StringVar(&s.listen, "listen", "", "`address` where workers from other machines join")
	f.IntVar(&s.awaited, "await", 0, "how many workers from elsewhere are waited for")
}

// Bounds of the flags.
const (
	maxWorkers  = 256
	maxCuts     = 1_000
	minScrape   = 100 * time.Millisecond
	minCutEvery = time.Second
)

// complete reads what is written as text, and returns what is wrong.
func (s *shapeOptions) complete(o *options) error {
	var err error
	if s.storm {
		o.allowReconnects = true
	}
	if s.stages != "" {
		if s.ramps, err = arrivals.ParseStages(s.stages); err != nil {
			return fmt.Errorf("--stages: %w", err)
		}
	}
	for _, text := range s.failIf {
		rule, err := threshold.Parse(text)
		if err != nil {
			return fmt.Errorf("--fail-if: %w", err)
		}
		if rule.Relative {
			return fmt.Errorf("--fail-if %q: a change in percent is for loadtest compare", text)
		}
		s.rules = append(s.rules, rule)
	}
	switch {
	case s.stages != "" && (o.rate > 0 || o.calls > 0 || o.duration > 0):
		return errors.New("--stages say how fast and for how long: give neither --rate, --duration nor --calls with them")
	case o.rate > arrivals.MaxRate || s.connectRate < 0 || s.connectRate > arrivals.MaxRate || !(s.holdRate > 0) || s.holdRate > arrivals.MaxRate:
		return fmt.Errorf("--rate, --connect-rate and --hold-rate: want at most %.0f", arrivals.MaxRate)
	case count(s.storm, o.chaos.on, o.chaos.hold > 0 && !o.chaos.on) > 1:
		return errors.New("want one of --storm, --hold and --chaos")
	case s.cuts < 0 || s.cuts > maxCuts:
		return fmt.Errorf("--storm-cuts %d: want 0 to %d", s.cuts, maxCuts)
	case s.cuts > 0 && !s.storm:
		return errors.New("--storm-cuts are for --storm")
	case s.cutEvery < minCutEvery || !(s.cutShare > 0) || s.cutShare > 1:
		return fmt.Errorf("--storm-every: want %v or more; --storm-share: more than 0, at most 1", minCutEvery)
	case s.scrapeEvery < minScrape:
		return fmt.Errorf("--scrape-every %v: want %v or more", s.scrapeEvery, minScrape)
	case !slices.Contains([]string{"auto", "line", "lines", "none"}, s.progress):
		return fmt.Errorf("--progress %q: want auto, line, lines or none", s.progress)
	}
	if err := o.checkHold(); err != nil {
		return err
	}
	return s.completeWorkers(o)
}

func (s *shapeOptions) completeWorkers(o *options) error {
	all := s.workers + s.awaited
	switch {
	case s.workers < 0 || s.awaited < 0 || all > maxWorkers:
		return fmt.Errorf("--workers and --await: want %d at most", maxWorkers)
	case (s.awaited > 0) != (s.listen != ""):
		return errors.New("--await and --listen belong together: how many workers join, and where")
	case all == 0:
		return nil
	case o.chaos.on:
		return errors.New("--workers: calls of --chaos are judged by faults that only this process sees")
	case o.calls > 0 && o.calls < int64(all) || o.mode() == "hold" && o.chaos.hold < all:
		return fmt.Errorf("--calls, --hold: each of %d workers needs 1", all)
	case o.users < 2*all:
		return fmt.Errorf("--users %d: each of %d workers needs 2", o.users, all)
	case !o.open() && o.concurrency < all && o.calling():
		return fmt.Errorf("--concurrency %d: each of %d workers needs 1", o.concurrency, all)
	}
	return nil
}

// readPlan reads the plan's file, and takes what it says for the flags that were not given.
func (o *options) readPlan(f *flag.FlagSet) error {
	o.given = map[string]bool{}
	f.Visit(func(one *flag.Flag) { o.given[one.Name] = true })
	if o.planFile == "" {
		return nil
	}
	p, err := plan.Read(o.planFile)
	if err != nil {
		return err
	}
	o.about = p.About
	for _, one := range p.Flags {
		given := func(name string) bool { return o.given[name] }
		if given(one.Name) || slices.Contains(pace, one.Name) && slices.ContainsFunc(pace, given) {
			continue
		}
		if err := f.Set(one.Name, one.Value); err != nil {
			return fmt.Errorf("--plan %s: %s: %w", o.planFile, one.Name, err)
		}
	}
	if len(o.failIf) == 0 {
		o.failIf = p.Rules
	}
	if o.mix, err = mixOf(p); err != nil {
		return fmt.Errorf("--plan %s: %w", o.planFile, err)
	}
	return nil
}

// pace are flags of which one that is given counts instead of all that a plan says of them.
var pace = []string{"rate", "stages", "calls", "duration"}

// open reports whether calls are made on schedule.
func (o *options) open() bool { return o.rate > 0 || len(o.ramps) > 0 }

// mode names what the run is about.
func (o *options) mode() string {
	switch {
	case o.chaos.on:
		return "chaos"
	case o.storm:
		return "storm"
	case o.chaos.hold > 0:
		return "hold"
	default:
		return "calls"
	}
}

// calling reports whether a mix of calls is made.
func (o *options) calling() bool { return o.mode() == "calls" || o.mode() == "chaos" || o.open() }

// plan returns when calls of the open loop are due.
func (o *options) plan() arrivals.Plan {
	p := arrivals.At(o.rate, o.process, o.seed)
	if len(o.ramps) > 0 {
		p.Stages = o.ramps
	}
	if o.parts > 0 {
		p = p.Share(o.part, o.parts)
	}
	return p
}

// secret are the flags whose values are shown to nobody.
var secret = []string{"token"}

// shown returns the flags as they were given, without secrets.
func (o *options) shown() []string {
	args := slices.Clone(o.args)
	for i, arg := range args {
		name, _, joined := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !strings.HasPrefix(arg, "-") || !slices.Contains(secret, name) {
			continue
		}
		if joined {
			args[i] = "--" + name + "=…"
		} else if i+1 < len(args) {
			args[i+1] = "…"
		}
	}
	return args
}

// build returns of what version of the source this program is, as far as it knows.
func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	text := info.Main.Version
	if revision := settings["vcs.revision"]; revision != "" {
		text = revision[:min(len(revision), 12)]
		if settings["vcs.modified"] == "true" {
			text += " (changed)"
		}
	}
	return strings.TrimSpace(text + " " + info.GoVersion)
}
