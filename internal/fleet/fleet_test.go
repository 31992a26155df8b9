package fleet_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/internal/faultproxy"
	"github.com/ringfleet/ringfleet/internal/fleet"
)

// limit is how long anything may take in these tests.
const limit = 30 * time.Second

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// newFleet returns a fleet that ends with the test.
func newFleet(t *testing.T, config fleet.Config) *fleet.Fleet {
	t.Helper()
	f, err := fleet.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func add(t *testing.T, f *fleet.Fleet, name string, args ...string) *fleet.Node {
	t.Helper()
	n, err := f.Add(within(t, limit), fleet.NodeOptions{Name: name, Args: args})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestStartAndStop: the ways in which a process ends, and starts again at the same addresses and at new ones.
func TestStartAndStop(t *testing.T) {
	t.Setenv("RINGFLEET_EXPIRE", "leaks")
	config := pretending()
	config.Env = append(config.Env, "FLEET_TEST_WORD=a word")
	f := newFleet(t, config)
	ctx := within(t, limit)
	n := add(t, f, "a")
	if said, err := n.Log().Lines("a pretends", "after"); err != nil || len(said) != 1 || !strings.HasSuffix(said[0], "after a word") {
		t.Errorf("it said %q, %v", said, err)
	}
	if err := n.Start(ctx, fleet.StartOptions{}); err == nil {
		t.Error("started twice")
	}
	admin, first := n.AdminURL(), n.GossipAddress()
	if exit, err := n.Term(ctx); err != nil || exit.Code != 7 || exit.Took <= 0 {
		t.Errorf("asked to end: %+v, %v", exit, err)
	}
	if n.Running() || n.PID() != 0 || n.Pause() == nil {
		t.Error("it runs after its end")
	}
	if err := n.Start(ctx, fleet.StartOptions{}); err != nil || n.GossipAddress() != first {
		t.Errorf("at the same address: %v, at %s, was %s", err, n.GossipAddress(), first)
	}
	gone := n.Exited()
	if err := errors.Join(n.Pause(), n.Kill(), n.Kill()); err != nil {
		t.Error(err)
	}
	select {
	case <-gone:
	default:
		t.Error("killed, and not gone")
	}
	if err := n.Start(ctx, fleet.StartOptions{NewAddress: true}); err != nil || n.GossipAddress() == first || n.AdminURL() != admin {
		t.Errorf("at a new address: %v, at %s and %s, was %s and %s", err, n.GossipAddress(), n.AdminURL(), first, admin)
	}
	if err := f.Settled(ctx); err != nil {
		t.Error(err)
	}
	if s, err := n.Status(ctx); err != nil || s.Node != "a" || s.Cluster.Members[0].Build != n.GossipAddress() {
		t.Errorf("status %+v, %v; the seeds should be %s", s, err, n.GossipAddress())
	}
	if m, err := n.Metrics(ctx); err != nil || m[`answers{to="all that"}`] != 42 || m["level"] != 1000 || len(m) != 2 {
		t.Errorf("metrics %v, %v", m, err)
	}
	if text, err := os.ReadFile(n.Log().Path()); err != nil || strings.Count(string(text), "--- start") != 3 {
		t.Errorf("the log is %q, %v", text, err)
	}
	f.Close()
	if n.Running() || n.Launch(fleet.StartOptions{}) == nil {
		t.Error("it runs after its fleet")
	}
	if _, err := os.Stat(f.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder: %v", err)
	}
}

// TestPause: a node that is paused does not answer, and goes on as if nothing had been.
func TestPause(t *testing.T) {
	f := newFleet(t, pretending())
	n := add(t, f, "a")
	if err := n.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(within(t, 200*time.Millisecond)); err == nil {
		t.Error("a node that is paused answers")
	}
	if !n.Running() {
		t.Error("a node that is paused has ended")
	}
	if err := errors.Join(n.Continue(), fleet.Until(within(t, limit), n.Ready)); err != nil {
		t.Error(err)
	}
}

// TestStartFails: the error says why, with what the node has said, and nothing is left.
func TestStartFails(t *testing.T) {
	config := pretending()
	config.ReadyIn = 300 * time.Millisecond
	f := newFleet(t, config)
	for mood, want := range map[string]string{"ends": "no mood to serve", "late": "not ready"} {
		n, err := f.Add(within(t, limit), fleet.NodeOptions{Name: mood, Args: []string{"--mood", mood}})
		if err == nil || !strings.Contains(err.Error(), want) || n.Running() {
			t.Errorf("%s: %v", mood, err)
		}
	}
	if _, err := f.Add(within(t, limit), fleet.NodeOptions{Name: "ends"}); err == nil {
		t.Error("a name was taken twice")
	}
}

// TestStubborn: what does not end when asked is killed.
func TestStubborn(t *testing.T) {
	f := newFleet(t, pretending())
	n := add(t, f, "a", "--mood", "stubborn")
	if err := fleet.Until(within(t, limit), n.Ready); err != nil {
		t.Fatal(err)
	}
	exit, err := n.Term(within(t, 300*time.Millisecond))
	if n.Running() {
		t.Error("it still runs")
	}
	if err == nil && exit.Code != 7 { // it may have been asked before it was stubborn
		t.Errorf("it ended with %+v", exit)
	}
}

// TestProxyKnowsWho: datagrams and connections of nodes are told apart, and bound by the rules of their sender.
func TestProxyKnowsWho(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the proxy finds processes on Linux only")
	}
	config := pretending()
	config.Proxied = true
	f := newFleet(t, config)
	a, b, c := add(t, f, "a"), add(t, f, "b"), add(t, f, "c")
	taker, err := net.Listen("tcp", c.GossipAddress())
	if err != nil {
		t.Fatal(err)
	}
	defer taker.Close()
	go func() {
		for {
			conn, err := taker.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadFull(conn, make([]byte, len("stream"))) // what was not sent is not counted
			_ = conn.Close()
		}
	}()
	door, _ := c.Advertised()
	tell := func(n *fleet.Node) error {
		answer, err := http.Get(n.AdminURL() + "/say?to=" + door)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(answer.Body)
			return fmt.Errorf("%s: %s", answer.Status, text)
		}
		return nil
	}
	if err := errors.Join(tell(a), tell(b), tell(b)); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]uint64{"a": 1, "b": 2} {
		s := f.Proxy().Stats()[faultproxy.Pair{From: name, To: "c"}]
		if s.Connections != want || s.Passed != 2*want {
			t.Errorf("from %s: %+v, want %d datagrams and as many connections", name, s, want)
		}
	}
	f.Proxy().Set("a", "c", faultproxy.Rule{Reset: true})
	if tell(a) == nil || tell(b) != nil {
		t.Error("the rule for a does not bind a alone")
	}
	if moved := c.Start(within(t, limit), fleet.StartOptions{NewAddress: true}); moved == nil {
		t.Error("a node that runs was moved")
	}
	if err := errors.Join(c.Kill(), c.Start(within(t, limit), fleet.StartOptions{NewAddress: true})); err != nil {
		t.Fatal(err)
	}
	if now, _ := c.Advertised(); now == door {
		t.Error("a node that has moved has its old door")
	}
	if conn, err := net.Dial("tcp", door); err == nil {
		_ = conn.Close()
		t.Error("the old door is open")
	}
}

// TestNothingOutlives: when a program with a fleet is killed, so are the nodes.
func TestNothingOutlives(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the kernel does this on Linux only")
	}
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), pretendEnv+"=parent")
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	var pid, dir string
	if _, scanErr := fmt.Sscan(line, &pid, &dir); err != nil || scanErr != nil {
		t.Errorf("it said %q, %v", line, err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	_ = command.Process.Kill()
	_ = command.Wait() // was killed
	if dir == "" {
		return
	}
	err = fleet.Until(within(t, limit), func(context.Context) error {
		stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		if _, state, ok := strings.Cut(string(stat), ") "); err != nil || ok && state[0] == 'Z' {
			return nil // gone, or nobody has asked for its exit status
		}
		return fmt.Errorf("process %s lives", pid)
	})
	if err != nil {
		t.Error(err)
	}
}

// TestLog: a long log is kept in its file, lines are found by their parts.
func TestLog(t *testing.T) {
	f := newFleet(t, pretending())
	log := add(t, f, "a").Log()
	for i := range 1_000 {
		if _, err := fmt.Fprintf(log, "line %d\nand half", i); err != nil {
			t.Fatal(err)
		}
	}
	if lines, err := log.Lines("half", "line"); err != nil || len(lines) != 999 {
		t.Errorf("%d lines, %v", len(lines), err)
	}
	if tail := log.Tail(2); tail != "and halfline 998\nand halfline 999" {
		t.Errorf("the tail is %q", tail)
	}
}
