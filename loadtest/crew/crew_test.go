package crew

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/figures"
	"github.com/ringfleet/ringfleet/loadtest/stats"
)

func open(t *testing.T) *Door {
	t.Helper()
	d, err := Open("127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// gather lets workers in until n have joined, and returns them with the reasons for which others were sent away.
func gather(t *testing.T, d *Door, n int) (join func() ([]*Worker, []error)) {
	t.Helper()
	var workers []*Worker
	var refused []error
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		workers, err = d.Gather(t.Context(), n, func(e error) { refused = append(refused, e) })
	}()
	return func() ([]*Worker, []error) {
		<-done
		if err != nil {
			t.Fatal(err)
		}
		return workers, refused
	}
}

func TestJoinAndWork(t *testing.T) {
	d := open(t)
	wait := gather(t, d, 2)
	var joining sync.WaitGroup
	for range 2 {
		joining.Go(func() {
			conn, job, err := Join(t.Context(), d.Address(), d.Token)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			h := &stats.Histogram{}
			h.Record(time.Duration(job.Part+1) * time.Millisecond)
			if err := conn.Send(&Message{Progress: &Progress{Begun: 3, Ringing: h}}); err != nil {
				t.Error(err)
			}
			if err := conn.Send(&Message{Result: &figures.Run{Calls: int64(job.Part), Targets: job.Targets}}); err != nil {
				t.Error(err)
			}
		})
	}
	workers, _ := wait()
	sum := Progress{Ringing: &stats.Histogram{}}
	for i, w := range workers {
		if err := w.Send(&Message{Job: &Job{Part: i, Parts: 2, Targets: []string{"ws://x"}}}); err != nil {
			t.Fatal(err)
		}
		m, err := w.Receive()
		if err != nil || m.Progress == nil {
			t.Fatalf("%+v, %v", m, err)
		}
		sum.Add(m.Progress)
		if m, err = w.Receive(); err != nil || m.Result == nil || m.Result.Calls != int64(i) || m.Result.Targets[0] != "ws://x" {
			t.Fatalf("%+v, %v", m, err)
		}
		if _, err = w.Receive(); err == nil {
			t.Error("the connection is not closed")
		}
	}
	if sum.Begun != 6 || sum.Ringing.Count() != 2 || sum.Ringing.Max() < 2*time.Millisecond {
		t.Errorf("%+v, %v", sum, sum.Ringing.Quick())
	}
	joining.Wait()
}

// TestStrangersAreSentAway lets only those in who know the token and speak the same version.
func TestStrangersAreSentAway(t *testing.T) {
	d := open(t)
	wait := gather(t, d, 1)
	say := func(m *Message) error {
		raw, err := net.Dial("tcp", d.Address())
		if err != nil {
			t.Fatal(err)
		}
		c := &Conn{conn: raw}
		defer c.Close()
		if err := c.Send(m); err != nil {
			t.Fatal(err)
		}
		_, err = c.Receive()
		return err
	}
	for _, test := range []struct {
		m    *Message
		want string
	}{
		{&Message{Hello: &Hello{Protocol: Protocol, Token: "guess"}}, "token"},
		{&Message{Hello: &Hello{Protocol: Protocol + 1, Token: d.Token}}, "same loadtest"},
		{&Message{Ready: true}, "hello first"},
	} {
		if err := say(test.m); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q in it", test.m, err, test.want)
		}
	}
	if _, _, err := Join(t.Context(), d.Address(), "guess"); err == nil || !strings.Contains(err.Error(), "token") {
		t.Error(err)
	}
	raw, err := net.Dial("tcp", d.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.Write(binary.BigEndian.AppendUint32(nil, maxHello+1)); err != nil {
		t.Fatal(err)
	}
	go func() {
		conn, _, err := Join(t.Context(), d.Address(), d.Token)
		if err == nil {
			conn.Close()
		}
	}()
	workers, refused := wait()
	if len(workers) != 1 || len(refused) != 5 {
		t.Errorf("%d joined, %d were sent away: %v", len(workers), len(refused), refused)
	}
	_ = workers[0].Close()
}

func TestGatherEndsWithItsContext(t *testing.T) {
	d := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Gather(ctx, 1, func(error) {}); err == nil || !strings.Contains(err.Error(), "0 of 1") {
		t.Error(err)
	}
}

func TestJoinGivesUp(t *testing.T) {
	d := open(t)
	address := d.Address()
	d.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := Join(ctx, address, "x"); err == nil {
		t.Error("joined a leader that is not there")
	}
}

func TestAnErrorOfTheOtherEndIsOne(t *testing.T) {
	a, b := net.Pipe()
	from, to := &Conn{conn: a}, &Conn{conn: b}
	go func() { _ = from.Send(&Message{Error: "no open files left"}) }()
	if _, err := to.Receive(); err == nil || err.Error() != "no open files left" {
		t.Error(err)
	}
}
