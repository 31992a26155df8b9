package events

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// Sink is where events are delivered to: [Webhook], or a broker as in package events/jetstream.
type Sink interface {
	// Deliver delivers events of different invitations, and returns nil when all were acknowledged. It must return
	// when ctx is done. It is called by several goroutines at once, as SinkConfig.Parallel says. The bodies are its
	// own from then on.
	//
	// After an error all of them are tried again: later, or after the time of a [RetryError]; [ErrGone] stops the
	// sink; after [ErrRejected] each is tried alone.
	Deliver(ctx context.Context, batch []Encoded) error
}

// The errors of [Sink.Deliver] that make a difference.
var (
	// ErrGone: the receiver wants nothing any more. The sink is disabled until [Stream.Enable].
	ErrGone = errors.New("events: the receiver is gone")
	// ErrRejected: the receiver does not take one of the events, or what they came as.
	ErrRejected = errors.New("events: the receiver does not take it")
)

// RetryError is returned by [Sink.Deliver] where the receiver says when to try again.
type RetryError struct {
	After time.Duration
	Err   error
}

// Error implements error.
func (e *RetryError) Error() string { return fmt.Sprintf("%v; again in %v", e.Err, e.After) }

// Unwrap returns what went wrong.
func (e *RetryError) Unwrap() error { return e.Err }

// SinkConfig is a sink, and how it is delivered to.
type SinkConfig struct {
	// Name names the sink in metrics, logs and for [Stream.Enable]: stable, and the same on all nodes. Required.
	Name string
	// Sink is required.
	Sink Sink
	// Kinds are the kinds of event that it gets. The default is all of them.
	Kinds []invitation.EventKind
	// Batch is how many events are delivered at once. The default is 100.
	Batch int
	// Parallel is how many deliveries are under way at once. The default is 8.
	Parallel int
	// Timeout is how long one may take. The default is 10 s.
	Timeout time.Duration
	// First is after what time a delivery that failed is tried again; the time doubles with each, up to Longest.
	// Each is a random time, half of it at least. The defaults are 500 ms and 30 s.
	First, Longest time.Duration
}

const (
	defaultBatch    = 100
	defaultParallel = 8
	defaultTimeout  = 10 * time.Second
	defaultFirst    = 500 * time.Millisecond
	defaultLongest  = 30 * time.Second

	maxParallel   = 256
	maxBatch      = 1_000
	maxBatchBytes = 512 << 10 // a batch that is as large takes no more events
	eventBytes    = 700       // of an event, beside its content
)

func (c SinkConfig) withDefaults() SinkConfig {
	or := func(d *time.Duration, other time.Duration) {
		if *d == 0 {
			*d = other
		}
	}
	if c.Batch == 0 {
		c.Batch = defaultBatch
	}
	if c.Parallel == 0 {
		c.Parallel = defaultParallel
	}
	or(&c.Timeout, defaultTimeout)
	or(&c.First, defaultFirst)
	or(&c.Longest, defaultLongest)
	return c
}

func (c SinkConfig) check() error {
	c = c.withDefaults()
	switch {
	case !invitation.Device(c.Name).Valid():
		return fmt.Errorf("events: a sink's name %q: want 1 to %d bytes of the characters of a user id", c.Name, invitation.MaxDevice)
	case c.Sink == nil:
		return fmt.Errorf("events: sink %s: Sink is not set", c.Name)
	case c.Batch < 0 || c.Batch > maxBatch:
		return fmt.Errorf("events: sink %s: Batch is %d: want 1 to %d", c.Name, c.Batch, maxBatch)
	case c.Parallel < 0 || c.Parallel > maxParallel:
		return fmt.Errorf("events: sink %s: Parallel is %d: want 1 to %d", c.Name, c.Parallel, maxParallel)
	case c.Timeout < 0 || c.First < 0 || c.Longest < c.First:
		return fmt.Errorf("events: sink %s: Timeout, First and Longest: want more than 0, and Longest at least First", c.Name)
	}
	for _, k := range c.Kinds {
		if k == 0 || k >= invitation.EventKinds {
			return fmt.Errorf("events: sink %s: there is no kind %d of event", c.Name, k)
		}
	}
	return nil
}
