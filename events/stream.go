package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// Config is what a [Stream] is made of.
type Config struct {
	// Sinks are where events are delivered to.
	Sinks []SinkConfig
	// Source is the source of all events, the same for all nodes of a deployment. The default is "/ringfleet".
	Source string
	// Content says that events have the content of the invitation and the response to it, which users have written.
	Content bool
	// Queue bounds the events that wait for a sink. The default is 100,000.
	Queue int
	// MaxAge bounds for how long one waits. The default is 15 min.
	MaxAge time.Duration
	// Links makes the link in callee_offline events. The default is none: there is no link.
	Links *Links
	// Peers are the other nodes of the cluster. The default is none. Package ringfleet sets it.
	Peers Peers
	// Logger gets bursts of drops and sinks that fail. The default is to discard.
	Logger *slog.Logger
}

const (
	defaultQueue  = 100_000
	defaultMaxAge = 15 * time.Minute
	defaultSource = "/ringfleet"

	maxSinks = 64

	// gather is for how long events are gathered before they are queued, so that what comes together goes together; and
	// often is how often that happens at most, where no sink gets its events one by one.
	gather = 5 * time.Millisecond
	often  = 20 * time.Millisecond
	// maxGathered bounds how many come in that time.
	maxGathered = 1 << 16
)

func (c Config) withDefaults() Config {
	if c.Source == "" {
		c.Source = defaultSource
	}
	if c.Queue == 0 {
		c.Queue = defaultQueue
	}
	if c.MaxAge == 0 {
		c.MaxAge = defaultMaxAge
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	sinks := make([]SinkConfig, len(c.Sinks))
	for i := range c.Sinks {
		sinks[i] = c.Sinks[i].withDefaults()
	}
	c.Sinks = sinks
	return c
}

// Check returns what is wrong with the configuration, all reasons joined; nil if nothing is. [New] calls it.
func (c Config) Check() error {
	errs := []error{c.Links.check()}
	if c.Queue < 0 || c.MaxAge < 0 {
		errs = append(errs, fmt.Errorf("events: Queue is %d and MaxAge %v: want more than 0", c.Queue, c.MaxAge))
	}
	if len(c.Sinks) > maxSinks {
		errs = append(errs, fmt.Errorf("events: %d sinks: want at most %d", len(c.Sinks), maxSinks))
	}
	names := map[string]bool{}
	for _, s := range c.Sinks {
		errs = append(errs, s.check())
		if names[s.Name] {
			errs = append(errs, fmt.Errorf("events: two sinks have the name %q", s.Name))
		}
		names[s.Name] = true
	}
	return errors.Join(errs...)
}

// Stream delivers events to sinks. Make it with [New].
type Stream struct {
	config  Config
	senders []*sender
	cancel  context.CancelFunc
	running sync.WaitGroup
	flush   *time.Timer
	drained chan struct{} // has room for one: something has finished
	hasty   bool          // a sink gets its events one by one

	mu       sync.Mutex
	closed   bool
	gathered []*queued
	next     time.Time // gathered is not distributed before
	waiting  int       // events that some sink has not finished with
	copies   copies
}

// New starts a stream. It runs a goroutine for each sink, those of its deliveries, and one more, until [Stream.Close].
func New(config Config) (*Stream, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Stream{config: config.withDefaults(), cancel: cancel, drained: make(chan struct{}, 1)}
	s.copies.init()
	s.flush = time.AfterFunc(time.Hour, s.distribute)
	s.flush.Stop()
	for _, sink := range s.config.Sinks {
		n := newSender(s, sink)
		s.senders = append(s.senders, n)
		s.hasty = s.hasty || sink.Batch == 1
		s.running.Go(func() { n.run(ctx) })
	}
	if s.config.Peers != nil {
		s.running.Go(func() { s.keepCopies(ctx) })
	}
	return s, nil
}

// Emit takes an event, to be delivered to each sink that wants it. It never waits. The stream keeps e, which must not
// be changed any more. An outcome is copied to another node of the cluster before Emit returns.
func (s *Stream) Emit(e *invitation.Event) { s.emit(&queued{event: e, since: time.Now()}) }

func (s *Stream) emit(q *queued) {
	for _, n := range s.senders {
		if n.wants(q.event.Kind) {
			q.left++
		}
	}
	if q.left == 0 {
		return
	}
	if q.event.Kind == invitation.EventEnded {
		s.copy(q, true)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.waiting++
	if len(s.gathered) == 0 {
		s.flush.Reset(max(gather, time.Until(s.next)))
	}
	if len(s.gathered) >= maxGathered {
		oldest := s.gathered[0]
		s.gathered = s.gathered[1:]
		go s.overflow(oldest)
	}
	s.gathered = append(s.gathered, q)
}

// overflow drops an event that was not queued.
func (s *Stream) overflow(q *queued) {
	for _, n := range s.senders {
		if n.wants(q.event.Kind) {
			n.mu.Lock()
			n.drop(&entry{queued: q}, causeBurst)
			n.unlock()
		}
	}
}

// distribute gives what was gathered to the senders.
func (s *Stream) distribute() {
	s.mu.Lock()
	gathered := s.gathered
	s.gathered = nil
	if !s.hasty {
		s.next = time.Now().Add(often)
	}
	s.mu.Unlock()
	for _, n := range s.senders {
		n.add(gathered)
	}
}

// finish takes that a sink has delivered or dropped events.
func (s *Stream) finish(finished []*queued) {
	if len(finished) == 0 {
		return
	}
	s.mu.Lock()
	for _, q := range finished {
		if q.left--; q.left > 0 {
			continue
		}
		s.waiting--
		if q.event.Kind == invitation.EventEnded {
			s.copies.release(q)
		}
	}
	s.mu.Unlock()
	select {
	case s.drained <- struct{}{}:
	default:
	}
}

// Enable ends that a sink is disabled, on this node. It reports whether there is such a sink.
func (s *Stream) Enable(name string) bool {
	for _, n := range s.senders {
		if n.config.Name == name {
			n.enable()
			return true
		}
	}
	return false
}

// Drain waits until nothing waits any more, or ctx is done; the error says how much is left then.
func (s *Stream) Drain(ctx context.Context) error {
	for {
		s.mu.Lock()
		left := s.waiting
		s.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("events: %d were not delivered: %w", left, context.Cause(ctx))
		case <-s.drained:
		}
	}
}

// Close ends the stream, deliveries that are under way too. What waits is lost, but for what other nodes have copies of.
func (s *Stream) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.flush.Stop()
	s.cancel()
	s.running.Wait()
}

// Forget drops what waits about invitations that another node goes on with, but for outcomes. It is for a node that
// stood still, or was cut off.
func (s *Stream) Forget() {
	s.distribute()
	for _, n := range s.senders {
		n.forget()
	}
}
