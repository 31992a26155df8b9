package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// funcs is a behavior made of functions.
type funcs struct {
	receive func(c *Context, msg any)
	onPanic func(c *Context, recovered any, stack []byte, msg any)
}

func (f *funcs) Receive(c *Context, msg any) { f.receive(c, msg) }

func (f *funcs) OnPanic(c *Context, recovered any, stack []byte, msg any) {
	f.onPanic(c, recovered, stack, msg)
}

// always activates a behavior of receive for every key.
func always[K comparable](receive func(c *Context, key K, msg any)) func(K, any) Behavior {
	return func(key K, _ any) Behavior {
		return &funcs{receive: func(c *Context, msg any) { receive(c, key, msg) }}
	}
}

// newSystem starts a system that is stopped at the end of the test.
func newSystem(t testing.TB, options Options) *System {
	t.Helper()
	sys := New(options)
	t.Cleanup(func() { stop(t, sys) })
	return sys
}

func stop(t testing.TB, sys *System) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := sys.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func TestDeadlineInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newSystem(t, Options{})
		start := time.Now()
		var fired time.Duration
		dir := NewDirectory(sys, DirectoryOptions[string]{Activate: always(func(c *Context, _ string, msg any) {
			switch msg := msg.(type) {
			case invitation.Time:
				c.Arm(msg)
			case Tick:
				fired = time.Since(start)
				c.Leave()
			}
		})})
		if err := dir.Tell("a", sys.Now().Add(30*time.Second)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if fired < 30*time.Second || fired > 30*time.Second+50*time.Millisecond {
			t.Errorf("fired after %v", fired)
		}
		if n := dir.Len(); n != 0 {
			t.Errorf("%d actors are live", n)
		}
	})
}
