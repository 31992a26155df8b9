package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ringfleet/ringfleet/loadtest/crew"
	"github.com/ringfleet/ringfleet/loadtest/figures"
)

// TestMain lets this program be a worker, as --workers starts it.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		os.Exit(command(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// TestWorkers lets two processes make the calls of one run, and wants a result in which everything adds up.
func TestWorkers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "result.json")
	var out, errs bytes.Buffer
	args := []string{
		"--self-host", "--workers", "2", "--users", "21", "--calls", "301", "--rate", "150", "--mix", "accept=3,refuse=1", "--seed", "5",
		"--scrape-every", "200ms", "--slow-log", "3", "--json", file, "--fail-if", "setup.p99 > 60s",
	}
	if status := command(t.Context(), args, &out, &errs); status != exitOK {
		t.Fatalf("status %d\n%s%s", status, &out, &errs)
	}
	run, err := figures.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	addsUp(t, &result{Run: *run})
	if run.Calls != 301 || run.Completed != 301 || run.Users != 21 || run.Workers != 2 || run.Seed != 5 || !run.SelfHosted || len(run.Nodes) != 1 {
		t.Errorf("%+v", run)
	}
	if run.Histograms[figures.Ringing].Count() != 301 || run.Latency[figures.Ringing].P99 == 0 || run.CPUPerCall == nil || len(run.Nodes[0].Samples) == 0 ||
		run.Verdict != figures.Pass || len(run.Checks) != 1 || len(run.Slowest) != 6 {
		t.Errorf("%+v", run)
	}
	for _, w := range run.Windows {
		if w.Counted != nil {
			t.Error("the windows' histograms are still there")
		}
	}
}

// TestWorkersFromElsewhere lets a worker join by its address.
func TestWorkersFromElsewhere(t *testing.T) {
	t.Setenv(tokenVariable, "shared")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	var worker bytes.Buffer
	var joined sync.WaitGroup
	joined.Go(func() {
		if status := command(t.Context(), []string{"worker", "--leader", address}, &worker, &worker); status != exitOK {
			t.Errorf("the worker ends with %d: %s", status, &worker)
		}
	})
	res, out := runs(t, exitOK, "--self-host", "--listen", address, "--await", "1", "--workers", "1", "--users", "10", "--calls", "40", "--concurrency", "4", "--mix", "accept=1")
	joined.Wait()
	if res.Calls != 40 || res.Workers != 2 || res.Loop != "closed" || !strings.Contains(out, "loadtest worker --leader "+address) {
		t.Errorf("%d calls of %d workers\n%s", res.Calls, res.Workers, out)
	}
}

// TestAWorkerThatCannotIsAnError has targets that nobody listens at.
func TestAWorkerThatCannotIsAnError(t *testing.T) {
	var out, errs bytes.Buffer
	args := []string{"--target", "ws://127.0.0.1:1", "--workers", "2", "--users", "4", "--calls", "4"}
	if status := command(t.Context(), args, &out, &errs); status != exitBroken || !strings.Contains(errs.String(), "log in user") {
		t.Errorf("status %d, %s", status, &errs)
	}
}

// TestShareOfAJob divides users, calls and connections so that nothing is lost, and draws nothing twice.
func TestShareOfAJob(t *testing.T) {
	args := []string{"--self-host", "--users", "100", "--calls", "1001", "--rate", "90", "--connect-rate", "30"}
	users, calls, seeds := 0, int64(0), map[uint64]bool{}
	for i := range 3 {
		o, err := parseShare(args, nil, job(i, 3))
		if err != nil {
			t.Fatal(err)
		}
		users, calls = users+o.users, calls+o.calls
		seeds[o.seed] = true
		if o.selfHost || o.targets[0] != "ws://x" || o.connectRate != 10 || o.plan().Stages[0].From != 30 {
			t.Errorf("%+v", o)
		}
	}
	if users != 100 || calls != 1001 || len(seeds) != 3 {
		t.Errorf("%d users, %d calls, seeds %v", users, calls, seeds)
	}
}

func job(part, parts int) *crew.Job {
	return &crew.Job{Targets: []string{"ws://x"}, Seed: 7, Part: part, Parts: parts}
}
