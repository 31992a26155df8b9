package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/internal/fleet"
)

// several starts a command with --nodes 3, and returns the operators' URLs of its table.
func several(t *testing.T) (*process, []string) {
	t.Helper()
	p := newProcess(t, slices.Concat(freePorts, []string{"--name", "n", "--nodes", "3", "--shutdown-timeout", "20s"})...)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`^n-\d +ws://\S+/v1/connect +(http://127\.\S+) +127\.\S+ +127\.\S+ +http://127\.\S+$`)
	var operators []string
	for s := bufio.NewScanner(out); len(operators) < 3; {
		if !s.Scan() {
			_ = p.cmd.Wait() // what it said tells more
			t.Fatalf("it said no more; %s", p.stderr.String())
		}
		m := row.FindStringSubmatch(s.Text())
		switch {
		case m != nil:
			operators = append(operators, m[1])
		case !strings.HasPrefix(s.Text(), "NODE "):
			t.Errorf("the table has %q", s.Text())
		}
	}
	return p, operators
}

// gone waits until nobody answers at any of the addresses.
func gone(ctx context.Context, t *testing.T, operators []string) {
	t.Helper()
	for _, url := range operators {
		if err := fleet.Until(ctx, func(ctx context.Context) error {
			if _, err := fetch(ctx, url+"/healthz"); err != nil {
				return nil
			}
			return errors.New(url + " still answers")
		}); err != nil {
			t.Error(err)
		}
	}
}

// TestNodes starts three nodes with one command. They are one cluster, and end in order with it.
func TestNodes(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	p, operators := several(t)
	for i, s := range settled(ctx, t, 3, operators...) {
		if want := "n-" + string(rune('0'+i)); s.Node != want {
			t.Errorf("row %d is of %s, want %s", i, s.Node, want)
		}
	}
	if code := p.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("exit status %d; %s", code, p.stderr.String())
	}
	gone(ctx, t, operators)
	for _, node := range []string{"n-0", "n-1", "n-2"} {
		if !regexp.MustCompile(`(?m)^` + node + ` \| .*msg=stopped$`).MatchString(p.stderr.String()) {
			t.Errorf("%s did not end in order: %s", node, p.stderr.String())
		}
	}
}

// TestNodesEndWithParent kills the command: its nodes end, too.
func TestNodesEndWithParent(t *testing.T) {
	if endsWithParent() == nil {
		t.Skip("this system does not tell of a parent's death")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	p, operators := several(t)
	settled(ctx, t, 3, operators...)
	if code := p.stop(os.Kill); code == exitOK {
		t.Error("it was not killed")
	}
	gone(ctx, t, operators)
}

// TestNodesDoNotStart ends the nodes that have started when one cannot.
func TestNodesDoNotStart(t *testing.T) {
	p := newProcess(t, slices.Concat(freePorts, []string{"--nodes", "2", "--name", strings.Repeat("n", 63)})...)
	err := p.cmd.Run()
	if code := p.cmd.ProcessState.ExitCode(); err == nil || code != exitError {
		t.Errorf("status %d, %v", code, err)
	}
	if said := p.stderr.String(); !strings.Contains(said, "-0 did not start") || !strings.Contains(said, "-0 | node: ") {
		t.Errorf("it says %q", said)
	}
}

func TestLines(t *testing.T) {
	var got []string
	l := &lines{each: func(line string) { got = append(got, line) }}
	for _, text := range []string{"a\nb", "c\n", "", "\n", strings.Repeat("x", maxLine+1), "y\n"} {
		if n, err := l.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatalf("wrote %d, %v", n, err)
		}
	}
	if want := []string{"a", "bc", "", strings.Repeat("x", maxLine+1), "y"}; !slices.Equal(got, want) {
		t.Errorf("got %d lines: %.80q", len(got), got)
	}
}
