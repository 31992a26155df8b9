package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// funcs is a behavior made of functions.
type funcs struct {
	receive func(c *Context, msg any)
	onPanic func(c *Context, recovered any, stack []byte, msg any)
}

func (f *funcs) Receive(c *Context, msg any) { f.receive(c, msg) }

func (f *funcs) OnPanic(c *Context, recovered any, stack []byte, msg any) {
	if f.onPanic == nil {
		panic(recovered)
	}
	f.onPanic(c, recovered, stack, msg)
}

// always activates a behavior of receive for every key.
func always[K comparable](receive func(c *Context, key K, msg any)) func(K, any) Behavior {
	return func(key K, _ any) Behavior {
		return &funcs{receive: func(c *Context, msg any) { receive(c, key, msg) }}
	}
}

// newSystem starts a system that is stopped at the end of the test. In a bubble that also shows that
// no goroutine is left, for the bubble fails on one.
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

// bubble runs f in a bubble with a system. What f leaves undone deadlocks the bubble, which fails the
// test with the goroutines' stacks.
func bubble(t *testing.T, options Options, f func(t *testing.T, sys *System)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newSystem(t, options)) })
}

// tell fails the test if the message is refused.
func tell[K comparable](t *testing.T, d *Directory[K], key K, msg any) {
	t.Helper()
	if err := d.Tell(key, msg); err != nil {
		t.Fatalf("Tell(%v, %v): %v", key, msg, err)
	}
}
