package plan

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const whole = `
version: 1
about: everything at once
users: 40
calls: 5
concurrency: 3
workers: 2
duration: 1m
rate: 12.5
content_bytes: 100
seed: 18446744073709551615
arrivals: poisson
stages:
  - {rate: 100, for: 30s}
  - {from: 100, to: 500, for: 1m}
mix: {accept: 3, slow: 1}
scenarios:
  slow:
    about: slowly
    callee: late
    answer: accept
    after: {least: 1s, most: 2s}
    timers: {expire: 9s}
  off:
    callee: absent
    cancel: at-once
  fast:
    answer: refuse
    after: 100ms
fail_if:
  - setup.p99 > 5ms
hold: {invitations: 7, rate: 3, for: 4s}
storm: {connect_rate: 5, cuts: 1, every: 3s, share: 0.5}
`

func TestWholePlan(t *testing.T) {
	p, err := Parse([]byte(whole), false)
	if err != nil {
		t.Fatal(err)
	}
	want := []Flag{
		{"users", "40"},
		{"calls", "5"},
		{"concurrency", "3"},
		{"workers", "2"},
		{"duration", "1m"},
		{"rate", "12.5"},
		{"content-bytes", "100"},
		{"seed", "18446744073709551615"},
		{"arrivals", "poisson"},
		{"stages", "100/30s,100..500/1m"},
		{"hold", "7"},
		{"hold-rate", "3"},
		{"hold-lasts", "4s"},
		{"storm", "true"},
		{"connect-rate", "5"},
		{"storm-cuts", "1"},
		{"storm-every", "3s"},
		{"storm-share", "0.5"},
	}
	if !slices.Equal(p.Flags, want) {
		t.Errorf("flags\n%v, want\n%v", p.Flags, want)
	}
	if len(p.Scenarios) != 3 || p.About != "everything at once" || p.Rules[0] != "setup.p99 > 5ms" || p.Mix[1].Scenario != "slow" || p.Mix[1].Weight != 1 {
		t.Errorf("%+v", p)
	}
	slow, fast := p.Scenarios[0], p.Scenarios[2]
	if slow.Callee != "late" || slow.Most != 2*time.Second || slow.Expire != 9*time.Second || slow.Cancel != "never" || fast.Least != 100*time.Millisecond {
		t.Errorf("%+v, %+v", slow, fast)
	}
}

// TestStrict wants each mistake to be told with its line and with what would be right.
func TestStrict(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", "empty"},
		{"version: [", "neither YAML nor JSON"},
		{"- 1", "want an object"},
		{"users: 4", "want version: 1"},
		{"version: 2", `line 1: version: "2": want 1`},
		{"version: 1\nuesrs: 4", `line 2: there is no key "uesrs" here: want one of about,`},
		{"version: 1\nuesrs: 4", "did you mean users?"},
		{"version: 1\nusers: 4\nusers: 5", "line 3: users is there twice"},
		{"version: 1\nusers: many", `line 2: users: "many": want a whole number`},
		{"version: 1\nusers: -4", "want a whole number"},
		{"version: 1\nrate: fast", "want a number"},
		{"version: 1\nrate: .nan", "want a number"},
		{"version: 1\nduration: 30", `"30": want a time with its unit`},
		{"version: 1\nstages: 5", "want a list"},
		{"version: 1\nstages: []", "want a list"},
		{"version: 1\nstages:\n  - {rate: 5}", "line 3: stages"},
		{"version: 1\nstages:\n  - {for: 5s}", "{rate: R, for: TIME}"},
		{"version: 1\nstages:\n  - {rate: 5, from: 1, to: 2, for: 5s}", "{rate: R, for: TIME}"},
		{"version: 1\nstages:\n  - {rate: 5, until: 5s}", `no key "until"`},
		{"version: 1\nmix: {accept: lots}", "want a whole number"},
		{"version: 1\nmix: {accept: -1}", "want a weight from 0"},
		{"version: 1\nscenarios:\n  x: {answer: yes}", "want accept, or refuse, or none"},
		{"version: 1\nscenarios:\n  x: {answr: accept}", "did you mean answer?"},
		{"version: 1\nscenarios:\n  x: {answer: accept, after: {least: 5s, most: 1s}}", "want least, then most"},
		{"version: 1\nscenarios:\n  x: {callee: absent, answer: accept}", "none, as the callee is absent"},
		{"version: 1\nscenarios:\n  x: {callee: late, cancel: ringing}", "never or at-once"},
		{"version: 1\nscenarios:\n  x: {cancel: at-once}", "is luck"},
		{"version: 1\nscenarios:\n  x: {answer: refuse, cancel: ringing}", "where the callee refuses"},
		{"version: 1\nscenarios:\n  x: {after: 5s}", "nobody answers or cancels"},
		{"version: 1\nstorm: {cuts: 1, evry: 5s}", "did you mean every?"},
		{"version: 1\nfail_if: setup", "want a list"},
	} {
		_, err := Parse([]byte(test.text), false)
		var key *KeyError
		var value *ValueError
		var syntax *SyntaxError
		if !errors.As(err, &key) && !errors.As(err, &value) && !errors.As(err, &syntax) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q in it", test.text, err, test.want)
		}
	}
}

func TestJSON(t *testing.T) {
	p, err := Parse([]byte("{\n\t\"version\": 1,\n\t\"users\": 4,\n\t\"mix\": {\"accept\": 1}\n}"), true)
	if err != nil || len(p.Flags) != 1 || len(p.Mix) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	var syntax *SyntaxError
	if _, err := Parse([]byte("version: 1"), true); !errors.As(err, &syntax) {
		t.Errorf("YAML was taken for JSON: %v", err)
	}
	if _, err := Parse([]byte("{\n\"version\": 1,\n\"usrs\": 4}"), true); err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Error(err)
	}
	if _, err := Parse(make([]byte, maxFile+1), false); !errors.As(err, &syntax) {
		t.Error(err)
	}
}

func TestReadNamesTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "plan.yaml")
	if err := os.WriteFile(file, []byte("version: 9"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Error(err)
	}
	if _, err := Read("no-such-file"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
