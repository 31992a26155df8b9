// Package tracing makes spans of OpenTelemetry of a call, on each of the nodes that it concerns.
//
// Nodes tell each other nothing for this. The id of a trace is that of the invitation, sixteen bytes that every message
// has anyhow; whether it is sampled follows from the same bytes, so that all nodes decide alike; and so does the id of the
// root span, which is the parent of the others, whoever makes it. So a trace is whole, whichever nodes a call meets, and
// one that is lost leaves out its own spans only.
//
// A span is what one party of a call has to do with it, on one node: the arbiter (the root), the session of either side,
// a device's connection. What the party was told and said are its events. Spans of connections and sessions begin with
// the first thing that is noted, and end with the last; they are sent some time after that.
//
// No span has a user's name, a device's, or content.
package tracing

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/ringfleet/ringfleet/internal/logonce"
	"github.com/ringfleet/ringfleet/invitation"
)

// Config configures a [Tracer].
type Config struct {
	// Exporter takes the spans. nil: there are none. The tracer shuts it down.
	Exporter sdk.SpanExporter
	// Ratio of invitations that are traced, more than 0, at most 1. All nodes need the same.
	Ratio float64
	// Node and Build are told with each span.
	Node, Build string
	// Logger gets what goes wrong with the exporter, now and then.
	Logger *slog.Logger
}

// Check returns what is wrong with c.
func (c *Config) Check() error {
	if c.Exporter != nil && !(c.Ratio > 0 && c.Ratio <= 1) { // not a number is neither
		return fmt.Errorf("tracing: the ratio is %v: want more than 0, at most 1", c.Ratio)
	}
	return nil
}

// Party is who a span is of.
type Party uint8

// The parties. That of the arbiter is made by [Tracer.Invitation].
const (
	CallerConnection Party = iota
	CalleeConnection
	CallerSession
	CalleeSession
)

var partyNames = [...]string{"caller's connection", "callee's connection", "caller's session", "callee's session"}

// Tracer makes spans. A nil Tracer traces nothing. Its methods are safe for concurrent use and do not block.
type Tracer struct {
	provider  *sdk.TracerProvider
	tracer    trace.Tracer
	threshold uint64
	log       *logonce.Logger
	stop      chan struct{}
	stopped   sync.WaitGroup
	closing   sync.Once

	exported, failed, lost atomic.Uint64

	mu   sync.Mutex
	open map[part]*span // at most maxOpen
}

// part is a party of an invitation on this node.
type part struct {
	id    invitation.ID
	party Party
	conn  uint64 // of a connection
}

type span struct {
	trace.Span

	last time.Time // of its last event
	over bool      // the party knows the end
}

const (
	// maxOpen bounds the spans that have begun; what is over it is counted as lost.
	maxOpen = 16_384
	// sweepEvery is how often spans are looked at that may be over.
	sweepEvery = time.Second
	// endAfter is for how long nothing may have come of a party that knows the end, before its span is sent.
	endAfter = 2 * time.Second
	// abandonAfter is the same of one that does not: its node may not have been told.
	abandonAfter = invitation.MaxTimer + time.Minute
)

// New returns a tracer, nil for a Config without an Exporter.
func New(c Config) (*Tracer, error) {
	if c.Exporter == nil {
		return nil, c.Check() //nolint:nilnil // a nil Tracer is of use
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	t := &Tracer{
		threshold: uint64(c.Ratio * (1 << 63)), log: logonce.New(c.Logger), stop: make(chan struct{}), open: map[part]*span{},
	}
	t.provider = sdk.NewTracerProvider(
		sdk.WithBatcher(counting{c.Exporter, t}), sdk.WithIDGenerator(ids{}), sdk.WithSampler(sdk.AlwaysSample()),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "ringfleet"), attribute.String("service.instance.id", c.Node),
			attribute.String("service.version", c.Build),
		)),
	)
	t.tracer = t.provider.Tracer("github.com/ringfleet/ringfleet")
	t.stopped.Go(t.sweeps)
	return t, nil
}

// Traces reports whether an invitation is traced.
func (t *Tracer) Traces(id invitation.ID) bool {
	// As the sampler of OpenTelemetry's SDK decides by a trace's id. These bytes are of a hash.
	return t != nil && binary.BigEndian.Uint64(id[8:])>>1 < t.threshold && !id.IsZero()
}

// root returns the id of the root span of an invitation's trace.
func root(id invitation.ID) (s trace.SpanID) {
	copy(s[:], id[8:])
	s[0] |= 1 // it must not be zero
	return s
}

// Note notes that a party of an invitation that is traced was told or said something; over: it knows the end now. conn
// tells connections of one party apart.
func (t *Tracer) Note(id invitation.ID, party Party, conn uint64, now time.Time, event string, over bool, more ...attribute.KeyValue) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := part{id, party, conn}
	s := t.open[key]
	if s == nil {
		if len(t.open) >= maxOpen {
			t.lost.Add(1)
			return
		}
		parent := trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID(id), SpanID: root(id), TraceFlags: trace.FlagsSampled, Remote: true,
		})
		kind := trace.SpanKindInternal
		if party <= CalleeConnection {
			kind = trace.SpanKindServer
		}
		_, otel := t.tracer.Start(trace.ContextWithRemoteSpanContext(context.Background(), parent), partyNames[party],
			trace.WithTimestamp(now), trace.WithSpanKind(kind))
		s = &span{Span: otel}
		t.open[key] = s
	}
	s.AddEvent(event, trace.WithTimestamp(now), trace.WithAttributes(more...))
	s.last, s.over = now, s.over || over
}

// Stage is a part of an invitation's life.
type Stage struct {
	Name     string
	From, To time.Time
}

// Invitation makes the root span of an invitation that has ended, and below it those of its stages.
func (t *Tracer) Invitation(id invitation.ID, from, to time.Time, stages []Stage, about ...attribute.KeyValue) {
	ctx, span := t.tracer.Start(context.WithValue(context.Background(), rootOf{}, id), "invitation", trace.WithNewRoot(),
		trace.WithTimestamp(from), trace.WithAttributes(about...))
	for _, stage := range stages {
		_, part := t.tracer.Start(ctx, stage.Name, trace.WithTimestamp(stage.From))
		part.End(trace.WithTimestamp(stage.To))
	}
	span.End(trace.WithTimestamp(to))
}

func (t *Tracer) sweeps() {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			t.sweep(time.Now(), false)
		case <-t.stop:
			return
		}
	}
}

// sweep ends the spans that are over; all: the others, too.
func (t *Tracer) sweep(now time.Time, all bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, s := range t.open {
		idle := now.Sub(s.last)
		if all || s.over && idle > endAfter || idle > abandonAfter {
			s.End(trace.WithTimestamp(s.last))
			delete(t.open, key)
		}
	}
}

// Shutdown ends all spans and sends what is left, until ctx is done.
func (t *Tracer) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	t.closing.Do(func() { close(t.stop) })
	t.stopped.Wait()
	t.sweep(time.Now(), true)
	if err := t.provider.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("tracing: %w", err)
	}
	return nil
}

// rootOf is the key of a context with the invitation whose root span is made.
type rootOf struct{}

// ids gives root spans the ids of their invitations, and others random ones.
type ids struct{}

// NewIDs implements the SDK's IDGenerator.
func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id, _ := ctx.Value(rootOf{}).(invitation.ID) // only Invitation makes roots
	return trace.TraceID(id), root(id)
}

// NewSpanID implements the SDK's IDGenerator.
func (ids) NewSpanID(context.Context, trace.TraceID) (s trace.SpanID) {
	binary.BigEndian.PutUint64(s[:], rand.Uint64()|1)
	return s
}

// counting counts what is exported, and logs what is not.
type counting struct {
	sdk.SpanExporter

	t *Tracer
}

// ExportSpans implements the SDK's SpanExporter.
func (c counting) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := c.SpanExporter.ExportSpans(ctx, spans); err != nil {
		c.t.failed.Add(uint64(len(spans)))
		c.t.log.Log(slog.LevelWarn, "export", "traces could not be exported, and are lost", slog.Any("error", err))
		return nil // it is told, and the SDK would write to the standard error
	}
	c.t.exported.Add(uint64(len(spans)))
	return nil
}
