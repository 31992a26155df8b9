package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringfleet/ringfleet/loadtest/figures"
	"github.com/ringfleet/ringfleet/loadtest/plan"
)

// runs runs the command, wants a status, and returns its result and what it said.
func runs(t *testing.T, status int, args ...string) (*figures.Run, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "result.json")
	var out, errs bytes.Buffer
	if got := command(t.Context(), append(args, "--json", file), &out, &errs); got != status {
		t.Fatalf("status %d, want %d\n%s%s", got, status, &out, &errs)
	}
	res, err := figures.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	return res, out.String()
}

func TestStages(t *testing.T) {
	res, _ := runs(t, exitOK, "--self-host", "--users", "20", "--stages", "20..60/1s,100/1s", "--arrivals", "poisson", "--seed", "3", "--mix", "accept=1")
	if res.Loop != "open" || res.Arrivals != "poisson" || len(res.Stages) != 2 || res.Stages[0].To != 60 || res.Mode != "calls" {
		t.Errorf("%s %s %v", res.Loop, res.Arrivals, res.Stages)
	}
	if res.Calls < 100 || res.Calls > 180 || len(res.Phases) != 2 || res.Phases[0].Phase != "1: 20..60/1s" || res.Phases[1].Phase != "2: 100/1s" ||
		res.Phases[0].Begun+res.Phases[1].Begun != res.Calls || res.Phases[0].Begun >= res.Phases[1].Begun {
		t.Errorf("%d calls, phases %+v", res.Calls, res.Phases)
	}
	if res.Latency[figures.Sent].Count != res.Calls || res.Latency[figures.Service].P99 > res.Latency[figures.Ringing].P99 {
		t.Errorf("%+v", res.Latency)
	}
}

func TestStorm(t *testing.T) {
	res, out := runs(t, exitOK, "--self-host", "--users", "60", "--storm", "--connect-rate", "200", "--storm-cuts", "1", "--storm-every", "2s", "--rate", "20",
		"--mix", "accept=1,refuse=1")
	s := res.Storm
	if res.Mode != "storm" || s == nil || len(s.Cuts) != 1 || s.Cuts[0].Users != 60 || s.Cuts[0].Back != 60 || s.Rate != 200 || s.Seconds < 0.29 {
		t.Fatalf("%+v\n%s", s, out)
	}
	if res.Latency[figures.Connect].Count != 60 || res.Latency[figures.Reconnect].Count != 60 || res.Losses["cut off by the generator"] != 60 || res.Calls == 0 {
		t.Errorf("%+v, %v, %d calls", res.Latency, res.Losses, res.Calls)
	}
}

func TestHold(t *testing.T) {
	res, out := runs(t, exitOK, "--self-host", "--users", "20", "--hold", "40", "--hold-lasts", "500ms", "--hold-rate", "400", "--rate", "20", "--mix", "accept=1",
		"--accept-window", "3s")
	h := res.Held
	if res.Mode != "hold" || h == nil || h.Invitations != 40 || h.Rang != 40 || h.Answered != 30 || h.Seconds < 0.5 {
		t.Fatalf("%+v\n%s", h, out)
	}
	for name, outcome := range map[string]string{"hold-accept": "accepted", "hold-refuse": "refused", "hold-cancel": "canceled", "hold-expire": "expired"} {
		if res.Scenarios[name][outcome] != 10 {
			t.Errorf("%s: %v", name, res.Scenarios[name])
		}
	}
	if res.Scenarios["accept"]["accepted"] == 0 || res.Latency[figures.Late].Count < 10 {
		t.Errorf("%v, %+v", res.Scenarios, res.Latency[figures.Late])
	}
}

// TestThresholds passes the verdict, and fails for what was not measured.
func TestThresholds(t *testing.T) {
	res, out := runs(t, exitOK, "--self-host", "--users", "10", "--calls", "20", "--mix", "accept=1", "--fail-if", "setup.p99 > 60s", "--fail-if", "violations > 0")
	if res.Verdict != figures.Pass || len(res.Checks) != 2 || !strings.Contains(out, "threshold holds") {
		t.Errorf("%s, %+v", res.Verdict, res.Checks)
	}
	res, out = runs(t, exitBroken, "--self-host", "--users", "10", "--calls", "20", "--mix", "accept=1", "--fail-if", "setup.p50 > 1us", "--fail-if", "refuse.p99 > 60s")
	if res.Verdict != figures.Fail || !res.Checks[0].Fails || !res.Checks[1].Fails || !strings.Contains(out, "not measured") {
		t.Errorf("%s, %+v\n%s", res.Verdict, res.Checks, out)
	}
}

// TestFiles renders and compares results that were written.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	a, page := filepath.Join(dir, "a.json"), filepath.Join(dir, "a.html")
	var out, errs bytes.Buffer
	args := []string{"--self-host", "--users", "10", "--calls", "30", "--json", a, "--html", page, "--token", "hush", "--scrape-every", "100ms"}
	if status := command(t.Context(), args, &out, &errs); status != exitOK {
		t.Fatalf("status %d\n%s%s", status, &out, &errs)
	}
	first, err := os.ReadFile(page)
	if err != nil || !bytes.Contains(first, []byte("<svg")) || bytes.Contains(first, []byte("hush")) {
		t.Errorf("%v, a page of %d bytes", err, len(first))
	}
	if status := command(t.Context(), []string{"report", a, page}, &out, &errs); status != exitOK {
		t.Errorf("status %d: %s", status, &errs)
	}
	if second, err := os.ReadFile(page); err != nil || !bytes.Equal(first, second) {
		t.Errorf("%v: the page of the file is another than that of the run", err)
	}
	for _, test := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"compare", a, a}, exitOK, "not worse"},
		{[]string{"compare", "--fail-if", "setup.p99 > +10%", a, a}, exitOK, "threshold holds"},
		{[]string{"compare", "--fail-if", "setup.p99 > 1us", a, a}, exitBroken, "FAILED"},
		{[]string{"compare", a}, exitUsage, "BEFORE.json AFTER.json"},
		{[]string{"compare", "--fail-if", "x > 1", a, a}, exitUsage, "no figure"},
		{[]string{"compare", a, "no-such-file"}, exitUsage, "no-such-file"},
		{[]string{"compare", "--help"}, exitOK, "tolerance"},
		{[]string{"report", a}, exitUsage, "want RESULT.json"},
		{[]string{"report", "no-such-file", page}, exitUsage, "no-such-file"},
		{[]string{"worker"}, exitUsage, "--leader"},
	} {
		var out bytes.Buffer
		if status := command(t.Context(), test.args, &out, &out); status != test.status || !strings.Contains(out.String(), test.want) {
			t.Errorf("%v: status %d, %s; want %d and %q", test.args, status, &out, test.status, test.want)
		}
	}
}

// TestExamples runs each example, cut short.
func TestExamples(t *testing.T) {
	short := map[string][]string{
		"evening.yaml": {"--users", "20", "--stages", "10/2s"},
		"smoke.json":   nil,
		"hold.yaml":    {"--users", "20", "--hold", "40", "--hold-lasts", "1s"},
		"storm.yaml":   {"--users", "60", "--storm-every", "2s", "--storm-cuts", "1"},
	}
	files, err := filepath.Glob(filepath.Join("examples", "*.[yj]*"))
	if err != nil || len(files) != len(short) {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			// The plan itself, with nothing changed.
			if _, err := parseOptions([]string{"--target", "ws://127.0.0.1:8080", "--plan", file}, nil); err != nil {
				t.Fatal(err)
			}
			p, err := plan.Read(file)
			if err != nil {
				t.Fatal(err)
			}
			res, _ := runs(t, exitOK, append([]string{"--self-host", "--plan", file, "--fail-if", "violations > 0"}, short[filepath.Base(file)]...)...)
			if res.About != p.About || res.Completed == 0 {
				t.Errorf("%q, %d calls", res.About, res.Completed)
			}
			for _, s := range p.Scenarios {
				if res.Mode == "calls" && s.Name == "answered" && res.Scenarios[s.Name]["accepted"] == 0 {
					t.Errorf("%v", res.Scenarios)
				}
			}
		})
	}
}

func TestWrongPlans(t *testing.T) {
	for text, want := range map[string]string{
		"version: 1\nusers: 1":                                                              "needs 2",
		"version: 1\nmix: {acept: 1}":                                                       "accept",
		"version: 1\nmix: {accept: 0}":                                                      "above 0",
		"version: 1\nscenarios: {accept: {}}":                                               "a name that no scenario",
		"version: 1\nfail_if: [x > 1]":                                                      "no figure",
		"version: 1\narrivals: sometimes":                                                   "constant or poisson",
		"version: 1\nconcurrency: 99999999999999999":                                        "concurrency",
		"version: 1\nscenarios: {x: {answer: accept, after: 70s}}":                          "it expires",
		"version: 1\nscenarios: {x: {answer: accept, after: 2s, timers: {expire: 2500ms}}}": "it expires",
		"version: 1\nscenarios: {x: {timers: {expire: 1ms}}}":                               "1s to 10m",
	} {
		file := filepath.Join(t.TempDir(), "plan.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		if status := command(t.Context(), []string{"--self-host", "--plan", file}, &out, &errs); status != exitUsage || !strings.Contains(errs.String(), want) {
			t.Errorf("%q: status %d, %q; want 2 and %q in it", text, status, &errs, want)
		}
	}
}
