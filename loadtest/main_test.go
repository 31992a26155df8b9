package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSelfHosted makes calls of every scenario against a node of its own.
func TestSelfHosted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "result.json")
	var out, errs bytes.Buffer
	if status := command(t.Context(), []string{"--self-host", "--calls", "200", "--users", "20", "--json", file}, &out, &errs); status != exitOK {
		t.Fatalf("status %d\n%s%s", status, &out, &errs)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var res result
	if err := json.Unmarshal(text, &res); err != nil {
		t.Fatal(err)
	}
	if res.Completed != 200 || res.Calls != 200 || res.Outcomes["accepted"] == 0 || res.Latency["send_to_ringing"].Count == 0 {
		t.Errorf("the result is %s", text)
	}
}

func TestOpenLoopOverJSON(t *testing.T) {
	var out, errs bytes.Buffer
	args := []string{"--self-host", "--rate", "200", "--calls", "100", "--users", "20", "--mix", "accept=1,refuse=1", "--json-protocol"}
	if status := command(t.Context(), args, &out, &errs); status != exitOK {
		t.Fatalf("status %d\n%s%s", status, &out, &errs)
	}
}

func TestWrongFlags(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", "--target"},
		{"--self-host --target ws://x", "either"},
		{"--self-host --users 1", "needs 2"},
		{"--self-host --users 100000000", "at most"},
		{"--self-host --mix accept", "mix"},
		{"--self-host --content-bytes 8193", "8192"},
		{"--self-host --rate -1", "negative"},
		{"--self-host extra", "extra"},
		{"--must-break --self-host", "--chaos"},
		{"--self-host --token x --token-file y", "want one of"},
		{"--self-host --token-file no-such-file", "no-such-file"},
		{"--self-host --jwt-key-file no-such-file", "no-such-file"},
		{"--self-host --jwt-audience x", "--jwt-key-file"},
		{"--self-host --jwt-lifetime 1s", "--jwt-lifetime"},
		{"--chaos --rate 1 --token x", "no tokens"},
		{"--chaos --self-host --rate 1", "either"},
		{"--chaos", "--rate"},
		{"--chaos --rate 1 --calls 5", "--calls"},
		{"--chaos --rate 1 --chaos-nodes 0", "--chaos-nodes"},
		{"--chaos --rate 1 --chaos-faults fire", "fire"},
		{"--chaos --rate 1 --chaos-every -1s", "negative"},
		{"--chaos --rate 1 --chaos-ping 0s", "--chaos-ping"},
		{"--chaos --rate 1 --node-binary x --node-tags y", "either"},
		{"--no-such-flag", "no-such-flag"},
	} {
		var out, errs bytes.Buffer
		if status := command(t.Context(), strings.Fields(test.args), &out, &errs); status != exitUsage || !strings.Contains(errs.String(), test.want) {
			t.Errorf("%q: status %d, %q; want 2 and %q in it", test.args, status, &errs, test.want)
		}
	}
}

func TestUnreachableTargetFails(t *testing.T) {
	var out, errs bytes.Buffer
	status := command(t.Context(), []string{"--target", "ws://127.0.0.1:1", "--users", "2"}, &out, &errs)
	if status != exitBroken || !strings.Contains(errs.String(), "log in") {
		t.Errorf("status %d, %q", status, &errs)
	}
}
