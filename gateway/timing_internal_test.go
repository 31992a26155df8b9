package gateway

import (
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// measured returns how many sends were, and how long they took together.
func measured(t *timing) (n uint64, took time.Duration) {
	d := &t.took[invitation.Send][resultOK]
	for i := range d.counts {
		n += d.counts[i].Load()
	}
	return n, time.Duration(d.sum.Load())
}

// TestTimingIsBounded: of requests that are never answered the oldest make room, and what is answered is measured still.
func TestTimingIsBounded(t *testing.T) {
	timing := newTiming()
	now := invitation.Time(1)
	clock := func() invitation.Time { return now }
	for i := range uint64(4 * slotCount) {
		now++
		timing.begin(i%100, i, now)
	}
	for i := range uint64(100) {
		timing.begin(7, 1<<40+i, now)
	}
	now = now.Add(time.Millisecond)
	for i := range uint64(100) {
		timing.end(7, 1<<40+i, invitation.Send, resultOK, clock)
		timing.end(7, 1<<40+i, invitation.Send, resultOK, clock) // an answer that is told twice counts once
	}
	if n, took := measured(&timing); n != 100 || took != 100*time.Millisecond || len(timing.slots) != slotCount {
		t.Errorf("%d measured, %v, in %d slots", n, took, len(timing.slots))
	}
	timing.end(0, 0, invitation.Send, resultOK, clock) // it had to make room
	if n, _ := measured(&timing); n != 100 {
		t.Errorf("%d measured", n)
	}
}

// TestTimingKeepsWhatFits: as many as a busy node has at once are all measured, all but a few.
func TestTimingKeepsWhatFits(t *testing.T) {
	timing := newTiming()
	const busy = 3000
	for i := range uint64(busy) {
		timing.begin(i, 1, 1)
	}
	for i := range uint64(busy) {
		timing.end(i, 1, invitation.Send, resultOK, func() invitation.Time { return 2 })
	}
	if n, _ := measured(&timing); n < busy*99/100 {
		t.Errorf("%d of %d were measured", n, busy)
	}
}

// TestTimingOfARepeat is from the first time that it was said.
func TestTimingOfARepeat(t *testing.T) {
	timing := newTiming()
	timing.begin(1, 2, 10)
	timing.begin(1, 2, 20)
	timing.end(1, 2, invitation.Send, resultOK, func() invitation.Time { return 25 })
	if n, took := measured(&timing); n != 1 || took != 15 {
		t.Errorf("%d measured, %v", n, took)
	}
}

// TestTimingAllocatesNothing, as it is done for each request.
func TestTimingAllocatesNothing(t *testing.T) {
	timing := newTiming()
	now := invitation.Time(0)
	clock := func() invitation.Time { return now }
	if n := testing.AllocsPerRun(1000, func() {
		now++
		timing.begin(1, uint64(now), now)
		timing.end(1, uint64(now), invitation.Send, resultOK, clock)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestResults(t *testing.T) {
	for code, want := range map[invitation.CallError]result{
		invitation.OK: resultOK, invitation.NotFound: resultRefused, invitation.AlreadyEnd: resultRefused,
		invitation.Unavailable: resultRetry, invitation.LimitExceeded: resultRetry,
	} {
		if got := resultOf(code); got != want {
			t.Errorf("%v is %v, want %v", code, got, want)
		}
		if retry := code.Row().Retryable; retry != (want == resultRetry) {
			t.Errorf("%v is retryable: %v", code, retry)
		}
	}
	for end, want := range map[invitation.End]result{
		0: resultOK, invitation.EndUnauthorized: resultRefused, invitation.EndOverloaded: resultRetry,
	} {
		if got := resultOfLogin(end); got != want {
			t.Errorf("%v is %v, want %v", end, got, want)
		}
	}
}
