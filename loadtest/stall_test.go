package main

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/loadtest/figures"
)

// stalling is the way to a node that takes a millisecond for whatever it is told, and can stand still: what is said to it meanwhile
// it takes when it goes on.
type stalling struct {
	door

	from, to time.Time // it stands still
}

// stalled is a connection to it.
type stalled struct {
	client.Link

	said chan invitation.Up
	once sync.Once
	done chan struct{}
}

func (s *stalling) Dial(ctx context.Context, login invitation.Login, receiver client.Receiver) (client.Link, error) {
	link, err := s.door.Dial(ctx, login, receiver)
	l := &stalled{Link: link, said: make(chan invitation.Up, 4_096), done: make(chan struct{})}
	go l.carry(s)
	return l, err
}

// Say implements client.Link.
func (l *stalled) Say(up invitation.Up) error {
	select {
	case l.said <- up:
		return nil
	default:
		return errors.New("too much is under way")
	}
}

// Close implements client.Link.
func (l *stalled) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Link.Close()
}

func (l *stalled) carry(node *stalling) {
	for {
		select {
		case up := <-l.said:
			time.Sleep(time.Millisecond)
			if now := time.Now(); now.After(node.from) && now.Before(node.to) {
				time.Sleep(node.to.Sub(now))
			}
			_ = l.Link.Say(up) // a connection that is lost needs nothing more
		case <-l.done:
			return
		}
	}
}

// through runs calls for ten seconds, of which the node stands still for two, and returns the result.
func through(t *testing.T, args ...string) *figures.Run {
	var res *result
	synctest.Test(t, func(t *testing.T) {
		node := &stalling{door: door{node: startNodes(t, []string{"a"}, "")[0]}}
		args = append(args, "--target", "a", "--users", "20", "--mix", "accept=1", "--duration", "10s", "--seed", "1")
		o, err := parseOptions(args, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		o.dialer = func(string) client.Carrier { return node }
		node.from, node.to = time.Now().Add(5*time.Second), time.Now().Add(7*time.Second)
		if res, err = o.run(t.Context(), io.Discard); err != nil {
			t.Fatal(err)
		}
	})
	if res.Violations+res.Failed+res.Errors > 0 {
		t.Fatalf("%d violations, %v, %v", res.Violations, res.FailedBy, res.ErrorTexts)
	}
	return &res.Run
}

// above returns how many latencies were longer than a time.
func above(run *figures.Run, step string, d time.Duration) int {
	h := run.Histograms[step]
	n := int(h.Count())
	for i := range n {
		if h.At(float64(i)/float64(n)+1e-9) > d {
			return n - i
		}
	}
	return 0
}

// TestOmissionIsCorrected lets a node stand still for two of ten seconds. At 100 calls a second a fifth of all users wait, a
// tenth of all for a second or more, and so the open loop must say. The closed loop makes no calls meanwhile, and says that hardly
// anybody waits: what it cannot see is what the open loop is for.
func TestOmissionIsCorrected(t *testing.T) {
	open := through(t, "--rate", "100")
	if n := above(open, figures.Ringing, 20*time.Millisecond); open.Calls < 1000 || open.Calls > 1001 || n < 190 || n > 210 {
		t.Errorf("%d of %d calls waited, want 200 of 1000", n, open.Calls)
	}
	if n := above(open, figures.Ringing, time.Second); n < 95 || n > 105 {
		t.Errorf("%d calls waited for a second, want 100", n)
	}
	if p := open.Latency[figures.Ringing]; p.Max < 1900 || p.Max > 2100 || p.P99 < 1800 || p.P50 > 20 {
		t.Errorf("%+v", p)
	}
	closed := through(t, "--concurrency", "1")
	var longest float64
	for _, step := range []string{figures.Ringing, figures.CallerAccepted, figures.CalleeAccepted} {
		p := closed.Latency[step]
		longest = max(longest, p.Max)
		if closed.Loop != "closed" || p.Count < 1000 || p.P99 > 20 {
			t.Errorf("%s: %+v: want hardly anybody to have waited", step, p)
		}
	}
	if longest < 1900 {
		t.Errorf("the one call that was under way took %v ms", longest)
	}
}

// TestLateGeneratorIsCorrected makes a call long after it was due, as a generator that stood still itself: its latencies count
// from when it was due.
func TestLateGeneratorIsCorrected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := &door{node: startNodes(t, []string{"a"}, "")[0]}
		o, err := parseOptions([]string{"--target", "a", "--users", "2", "--rate", "1"}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		o.dialer = func(string) client.Carrier { return node }
		r := newRun(o, io.Discard)
		if err := r.connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.begin = time.Now()
		r.make(t.Context(), scenarioNamed("accept"), r.users[0], r.users[1], time.Now().Add(-3*time.Second))
		r.judging.Wait()
		r.disconnect()
		for _, step := range []string{figures.Sent, figures.Taken, figures.Ringing} {
			if p := r.steps[step].Percentiles(); p.Count != 1 || p.Max < 3000 || p.Max > 3100 {
				t.Errorf("%s: %+v", step, p)
			}
		}
		if p := r.steps[figures.Service].Percentiles(); p.Count != 1 || p.Max > 100 {
			t.Errorf("from when it was said: %+v", p)
		}
	})
}
