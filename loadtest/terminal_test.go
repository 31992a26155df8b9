package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/crew"
)

// TestStatusLine keeps what is written above the line that is written over, and takes that away at the end.
func TestStatusLine(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out, "line")
	s.show("  1 s   5 calls  0 lost connections  0 failed  0 errors")
	fmt.Fprintln(s, "a violation")
	s.show("2 s  9 calls  3 failed")
	s.end()
	want := "\r\x1b[K1 s 5 calls" + "\r\x1b[Ka violation\n1 s 5 calls" + "\r\x1b[K2 s 9 calls 3 failed" + "\r\x1b[K"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

func TestStatusLines(t *testing.T) {
	for progress, want := range map[string]string{"auto": "1 s\nx\n", "lines": "1 s\nx\n", "none": "x\n"} {
		var out bytes.Buffer
		s := newScreen(&out, progress)
		s.show("1 s")
		fmt.Fprintln(s, "x")
		s.end()
		if out.String() != want {
			t.Errorf("%s: %q, want %q", progress, out.String(), want)
		}
	}
}

func TestStatusTellsTheRateSinceTheLast(t *testing.T) {
	got := statusOf(&crew.Progress{Completed: 150, Online: 7, Violations: 1}, 10*time.Second, 2*time.Second, 50)
	for _, want := range []string{"10 s", "150 calls", "50/s", "7 online", "1 violations", "ringing -"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q has no %q", got, want)
		}
	}
}
