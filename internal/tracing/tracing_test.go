package tracing_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/ringfleet/ringfleet/internal/tracing"
	"github.com/ringfleet/ringfleet/invitation"
)

// kept is an exporter that keeps what it gets.
type kept struct {
	mu    sync.Mutex
	spans []sdk.ReadOnlySpan
	fault error
}

func (k *kept) ExportSpans(_ context.Context, spans []sdk.ReadOnlySpan) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fault == nil {
		k.spans = append(k.spans, spans...)
	}
	return k.fault
}

func (*kept) Shutdown(context.Context) error { return nil }

func (k *kept) names() (names []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.spans {
		names = append(names, s.Name())
	}
	return names
}

func id(i int) invitation.ID { return invitation.NewID("alice", "phone", fmt.Sprint(i)) }

func open(t *testing.T, c tracing.Config) *tracing.Tracer {
	t.Helper()
	tracer, err := tracing.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return tracer
}

// TestTraces: all tracers of a ratio choose the same invitations, that many of them, and none without an exporter.
func TestTraces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := open(t, tracing.Config{Exporter: new(kept), Ratio: .2}), open(t, tracing.Config{Exporter: new(kept), Ratio: .2})
		none, every := open(t, tracing.Config{}), open(t, tracing.Config{Exporter: new(kept), Ratio: 1})
		traced := 0
		for i := range 10_000 {
			if a.Traces(id(i)) != b.Traces(id(i)) || none.Traces(id(i)) || !every.Traces(id(i)) {
				t.Fatalf("of %v they differ", id(i))
			}
			if a.Traces(id(i)) {
				traced++
			}
		}
		if math.Abs(float64(traced)-2_000) > 200 {
			t.Errorf("of 10,000, %d are traced", traced)
		}
		for _, tracer := range []*tracing.Tracer{a, b, none, every} {
			if err := tracer.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestSpans: nodes that do not know of each other make spans of one trace.
func TestSpans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := new(kept), new(kept)
		a, b := open(t, tracing.Config{Exporter: one, Ratio: 1, Node: "a"}), open(t, tracing.Config{Exporter: other, Ratio: 1, Node: "b"})
		begin := time.Now()
		a.Note(id(1), tracing.CalleeConnection, 7, begin, "told", false)
		a.Note(id(1), tracing.CalleeConnection, 8, begin, "told", false)
		time.Sleep(time.Second)
		a.Note(id(1), tracing.CalleeConnection, 7, time.Now(), "said", true)
		b.Invitation(id(1), begin, begin.Add(time.Minute), []tracing.Stage{{Name: "ringing", From: begin, To: begin.Add(time.Second)}})
		time.Sleep(10 * time.Second) // what is over is ended and sent meanwhile
		if names := one.names(); len(names) != 1 {
			t.Errorf("exported %v, want the connection that knows the end", names)
		}
		if err := errors.Join(a.Shutdown(t.Context()), b.Shutdown(t.Context()), a.Shutdown(t.Context())); err != nil {
			t.Error(err)
		}
		if len(one.spans) != 2 || len(other.spans) != 2 {
			t.Fatalf("exported %v and %v", one.names(), other.names())
		}
		root := other.spans[1]
		if root.SpanContext().TraceID().String() != id(1).TraceID() || id(1).TraceID() != hex.EncodeToString(id1()) || root.Parent().IsValid() {
			t.Errorf("the root is %v below %v", root.SpanContext(), root.Parent())
		}
		for _, s := range append(one.spans, other.spans[0]) {
			if s.SpanContext().TraceID() != root.SpanContext().TraceID() || s.Parent().SpanID() != root.SpanContext().SpanID() {
				t.Errorf("%s is %v below %v", s.Name(), s.SpanContext(), s.Parent())
			}
		}
		if s := one.spans[0]; s.EndTime().Sub(s.StartTime()) != time.Second || len(s.Events()) != 2 {
			t.Errorf("from %v to %v, %v", s.StartTime(), s.EndTime(), s.Events())
		}
	})
}

func id1() []byte {
	one := id(1)
	return one[:]
}

// TestBounds: neither those that begin and never end nor a collector that is away do harm.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		k := &kept{fault: errors.New("away")}
		tracer := open(t, tracing.Config{Exporter: k, Ratio: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for i := range 20_000 {
			tracer.Note(id(i), tracing.CallerSession, 0, time.Now(), "device: send", false)
		}
		const want = `
			# HELP ringfleet_trace_spans_open Spans that have begun and not ended.
			# TYPE ringfleet_trace_spans_open gauge
			ringfleet_trace_spans_open 16384
		`
		if err := testutil.CollectAndCompare(tracer, strings.NewReader(want), "ringfleet_trace_spans_open"); err != nil {
			t.Error(err)
		}
		time.Sleep(invitation.MaxTimer + 2*time.Minute)
		if err := testutil.CollectAndCompare(tracer, strings.NewReader(strings.Replace(want, "16384", "0", 1)), "ringfleet_trace_spans_open"); err != nil {
			t.Error(err)
		}
		if err := tracer.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if n := strings.Count(log.String(), "could not be exported"); n != 1 {
			t.Errorf("it was logged %d times: %s", n, log.String())
		}
	})
}

func TestCheck(t *testing.T) {
	for _, ratio := range []float64{-1, 0, 1.1, math.NaN()} {
		if _, err := tracing.New(tracing.Config{Exporter: new(kept), Ratio: ratio}); err == nil {
			t.Errorf("a ratio of %v is taken", ratio)
		}
	}
}
