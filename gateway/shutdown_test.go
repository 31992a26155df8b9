package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

func TestShutdown(t *testing.T) {
	bubble(t, nil, func(w *world) {
		logged, pending := w.online("alice"), w.connect(wire.JSON)
		l, e := w.open("bob")
		done := make(chan error, 1)
		go func() { done <- w.g.Shutdown(w.t.Context()) }()
		synctest.Wait()
		w.refused(http.StatusServiceUnavailable)
		if _, err := w.g.Open(invitation.Login{User: "carol", Device: "desk"}, e); !errors.Is(err, invitation.EndShutdown) {
			t.Errorf("open: %v", err)
		}
		if err := l.Say(invitation.Up{Logout: true}); !errors.Is(err, invitation.EndShutdown) {
			t.Errorf("say: %v", err)
		}
		if down, n := e.last(); n != 2 || down.Ending == nil || down.Ending.End != invitation.EndShutdown {
			t.Errorf("got %d, the last is %+v", n, down)
		}
		select {
		case err := <-done:
			t.Errorf("shut down with a connection open: %v", err)
		default:
		}
		if e := logged.ends(invitation.EndShutdown); e.RetryAfter != time.Second {
			t.Errorf("retry after %v", e.RetryAfter)
		}
		pending.ends(invitation.EndShutdown)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := w.g.Shutdown(w.t.Context()); err != nil {
			t.Errorf("a second time: %v", err)
		}
	})
}

// TestShutdownIsSpread: ten connections at twenty per second.
func TestShutdownIsSpread(t *testing.T) {
	bubble(t, func(c *gateway.Config) { c.DrainRate = 20 }, func(w *world) {
		ended := make(chan time.Duration, 10)
		start := time.Now()
		for range 10 {
			c := w.online("alice")
			go func() {
				c.ends(invitation.EndShutdown)
				ended <- time.Since(start)
			}()
		}
		synctest.Wait() // a connection that Shutdown overtakes is ended at once
		if err := w.g.Shutdown(w.t.Context()); err != nil {
			t.Error(err)
		}
		for i := range 10 {
			if at := <-ended; at != time.Duration(i)*50*time.Millisecond {
				t.Errorf("connection %d ended after %v", i, at)
			}
		}
	})
}

// TestShutdownInAHurry: clients that do not answer are cut off when the context is done.
func TestShutdownInAHurry(t *testing.T) {
	bubble(t, func(c *gateway.Config) { c.DrainRate = 1 }, func(w *world) {
		var closed []<-chan struct{}
		for range 10 {
			closed = append(closed, w.online("alice").drain())
		}
		ctx, cancel := context.WithTimeout(w.t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if err := w.g.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		after(t, start, 3*time.Second)
		for _, c := range closed {
			<-c
		}
		synctest.Wait()
		detached := 0
		for _, line := range w.backend.said() {
			if line[0] == 'd' {
				detached++
			}
		}
		if detached != 10 {
			t.Errorf("%d detached", detached)
		}
	})
}

func TestShutdownOverLoopback(t *testing.T) {
	w := loopback(t, nil)
	c := w.online("alice")
	done := make(chan error, 1)
	go func() { done <- w.g.Shutdown(w.t.Context()) }()
	c.ends(invitation.EndShutdown)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
