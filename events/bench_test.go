package events_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/invitation"
)

// nowhere is a sink that takes everything, or nothing.
type nowhere struct{ err error }

// Deliver implements events.Sink.
func (n nowhere) Deliver(context.Context, []events.Encoded) error { return n.err }

// BenchmarkEmit is what an actor pays for an event; the rest is the goroutines'.
func BenchmarkEmit(b *testing.B) {
	s, err := events.New(events.Config{Sinks: []events.SinkConfig{{Name: "nowhere", Sink: nowhere{}}}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	all := make([]*invitation.Event, b.N)
	for i := range all {
		all[i] = event(i, invitation.EventSent)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Emit(all[0])
		all = all[min(1, len(all)-1):]
	}
}

// BenchmarkDead is what events cost that wait for a receiver which is dead: memory, at the default bound.
func BenchmarkDead(b *testing.B) {
	for b.Loop() {
		heap := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		before := heap()
		s, err := events.New(events.Config{Sinks: []events.SinkConfig{{Name: "dead", Sink: nowhere{errors.New("dead")}}}})
		if err != nil {
			b.Fatal(err)
		}
		const calls = 90_000 // 270,000 events: five minutes of 300 calls a second
		for call := range calls {
			for _, kind := range life {
				e := event(0, kind)
				e.ID = invitation.NewID("alice", "phone", fmt.Sprint(call))
				e.Caller, e.Callee = invitation.User(fmt.Sprint("user", call)), invitation.User(fmt.Sprint("user", call+1))
				s.Emit(e)
			}
			if call%10_000 == 0 {
				time.Sleep(20 * time.Millisecond) // until they are queued
			}
		}
		time.Sleep(200 * time.Millisecond)
		status := s.Status()[0]
		b.ReportMetric(float64(heap()-before)/float64(status.Queued), "B/event")
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
		b.ReportMetric(float64(status.Queued), "queued")
		b.ReportMetric(float64(status.Dropped["full"]+status.Dropped["burst"]), "dropped")
		s.Close()
	}
}
