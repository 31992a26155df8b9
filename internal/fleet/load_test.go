package fleet_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/internal/fleet"
	"github.com/ringfleet/ringfleet/loadtest/figures"
)

// report is what the load generator says of a run.
type report struct{ figures.Run }

// output is what a process has said.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// load is the load generator at work.
type load struct {
	t       *testing.T
	command *exec.Cmd
	said    output
	dir     string
	ended   chan struct{}
	err     error // after ended
}

// startLoad starts the load generator at nodes.
func startLoad(t *testing.T, nodes []*fleet.Node, args ...string) *load {
	t.Helper()
	l := &load{t: t, dir: t.TempDir(), ended: make(chan struct{})}
	all := []string{"--json", l.file("result.json"), "--mark", l.file("phase"), "--seed", strconv.FormatUint(*seed, 10)}
	for _, n := range nodes {
		all = append(all, "--target", n.ClientURL(), "--metrics", n.AdminURL()+"/metrics")
	}
	l.command = exec.Command(built(t).Path("loadtest"), slices.Concat(all, args)...)
	l.command.Stdout, l.command.Stderr = &l.said, &l.said
	l.phase("begin")
	if err := l.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		l.err = l.command.Wait()
		close(l.ended)
	}()
	t.Cleanup(func() {
		_ = l.command.Process.Kill() // it has ended if that fails
		<-l.ended
	})
	return l
}

func (l *load) file(name string) string { return filepath.Join(l.dir, name) }

// phase says what happens from now on.
func (l *load) phase(name string) {
	l.t.Helper()
	next := l.file("phase.next")
	if err := errors.Join(os.WriteFile(next, []byte(name), 0o644), os.Rename(next, l.file("phase"))); err != nil {
		l.t.Fatal(err)
	}
}

// running waits until calls are made.
func (l *load) running() {
	l.t.Helper()
	l.until("making calls", func() bool { return strings.Contains(l.said.String(), " calls ") })
}

func (l *load) until(what string, holds func() bool) {
	l.t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for late := time.After(time.Minute); !holds(); {
		select {
		case <-ticker.C:
		case <-l.ended:
			l.t.Fatalf("the load ended before it was %s: %v\n%s", what, l.err, l.said.String())
		case <-late:
			l.t.Fatalf("the load is not %s\n%s", what, l.said.String())
		}
	}
}

// lasts lets the load go on for a while.
func (l *load) lasts(d time.Duration) {
	l.t.Helper()
	select {
	case <-time.After(d):
	case <-l.ended:
		l.t.Fatalf("the load ended: %v\n%s", l.err, l.said.String())
	}
}

// stop makes no more calls, waits for those that were made, and returns the report.
func (l *load) stop() *report {
	l.t.Helper()
	if err := l.command.Process.Signal(syscall.SIGINT); err != nil {
		l.t.Fatalf("the load ended: %v\n%s", err, l.said.String())
	}
	return l.wait()
}

// longest is how long a run of the load generator may take.
const longest = 20 * time.Minute

// wait waits until all calls were made, and returns the report.
func (l *load) wait() *report {
	l.t.Helper()
	select {
	case <-l.ended:
	case <-time.After(longest):
		l.t.Fatalf("the load does not end\n%s", l.said.String())
	}
	r := new(report)
	text, err := os.ReadFile(l.file("result.json"))
	if err == nil {
		err = json.Unmarshal(text, r)
	}
	if err != nil {
		l.t.Fatalf("%v, %v\n%s", l.err, err, l.said.String())
	}
	return r
}

// flawless wants a run in which nothing went wrong, and nothing had to be excused.
func (l *load) flawless(r *report) {
	l.t.Helper()
	l.t.Log(r)
	if r.Violations+r.Errors+r.Failed+r.Excused > 0 || r.Completed == 0 || r.Completed != r.Calls {
		l.t.Errorf("not flawless:\n%s", l.said.String())
	}
}

// String says what matters of a report on one line, and the phases on one each.
func (r *report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d calls in %.1f s, %d completed, %d violations, %d errors, %d failed, %d excused; %d connections lost %v, %d requests repeated; generator lag %.0f ms; seed %d",
		r.Calls, r.Seconds, r.Completed, r.Violations, r.Errors, r.Failed, r.Excused, r.Reconnects, r.Losses, r.Repeats, r.LagMs, r.Seed)
	for _, p := range r.Phases {
		fmt.Fprintf(&b, "\n%-34s %5.1f s %6d calls  set-up p50 %7.1f p99 %7.1f max %7.1f ms, of the connected p99 %7.1f ms, accept p99 %7.1f ms  %3d lost %d failed %d errors",
			p.Phase, p.Seconds, p.Begun, p.Setup.P50, p.Setup.P99, p.Setup.Max, p.Connected.P99, p.Accept.P99, p.Reconnects, p.Failed, p.Errors)
	}
	return b.String()
}
