package events_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/invitation"
)

// TestDeadForFiveMinutes has 300 calls a second told to a receiver that answers nothing, or 410, with the default
// bounds: the queue stays within its bound, memory grows no more once it is full, and what is dropped is counted
// exactly. With -v it says how much memory it is.
func TestDeadForFiveMinutes(t *testing.T) {
	for name, err := range map[string]error{"dead": errors.New("dead"), "disabled": events.ErrGone} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { deadForFiveMinutes(t, err) })
		})
	}
}

func deadForFiveMinutes(t *testing.T, dead error) {
	t.Helper()
	const perSecond, bound = 300, 100_000
	before := heap()
	s := stream(t, events.Config{Sinks: []events.SinkConfig{{Name: "dead", Sink: nowhere{dead}}}})
	var full uint64 // what is taken once the queue is
	for second := 1; second <= 5*60; second++ {
		for call := (second - 1) * perSecond; call < second*perSecond; call++ {
			emitLife(s, call)
		}
		time.Sleep(time.Second)
		status, sent := s.Status()[0], second*perSecond*len(life)
		if status.Queued > bound || status.Queued+int(status.Dropped["full"]) != sent || status.Delivered != 0 {
			t.Fatalf("after %d s, of %d events: %+v", second, sent, status)
		}
		if second%60 != 0 {
			continue
		}
		took := heap() - before
		t.Logf("after %d min: %d events wait, %d are dropped, and %.1f MiB are taken",
			second/60, status.Queued, status.Dropped["full"], float64(took)/(1<<20))
		switch {
		case status.Queued == bound && full == 0:
			full = took
		case full != 0 && took > full+full/4 || took > 128<<20:
			t.Errorf("memory grows with the time: %d bytes, when the queue became full %d", took, full)
		}
	}
	if full == 0 {
		t.Error("the queue has never become full")
	}
}

// emitLife emits all events of a call between users of its own.
func emitLife(s *events.Stream, call int) {
	for _, kind := range life {
		e := event(0, kind)
		e.ID = invitation.NewID("alice", "phone", fmt.Sprint(call))
		e.Caller, e.Callee = invitation.User(fmt.Sprint("user", call)), invitation.User(fmt.Sprint("user", call+1))
		s.Emit(e)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
