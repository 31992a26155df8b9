package engine

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// jumpy is a clock that can be set forward, as a process that is stopped sees it.
type jumpy struct {
	Clock
	ahead atomic.Int64
}

func (c *jumpy) Now() invitation.Time { return c.Clock.Now().Add(time.Duration(c.ahead.Load())) }

type flag struct{ at atomic.Int64 }

func (f *flag) expire() { f.at.Add(1) }

// TestStall: a standstill is told before a deadline of that time is due; a shorter one is not.
func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := &jumpy{Clock: NewClock()}
		w := makeWheel(clock, defaultTick, func() bool { return false })
		var owner flag
		var told []time.Duration
		w.stallAfter, w.stall = defaultStall, func(d time.Duration) {
			if owner.at.Load() != 0 {
				t.Error("a deadline was due before the standstill was told")
			}
			told = append(told, d.Round(time.Second))
		}
		go w.turn()
		defer w.stop()
		due := timer{owner: &owner}
		w.arm(&due, clock.Now().Add(time.Minute))
		time.Sleep(time.Second)
		clock.ahead.Store(int64(2 * time.Second))
		time.Sleep(time.Second)
		synctest.Wait()
		if len(told) != 0 {
			t.Errorf("told of %v", told)
		}
		clock.ahead.Add(int64(2 * time.Minute))
		time.Sleep(time.Second)
		synctest.Wait()
		if len(told) != 1 || told[0] != 2*time.Minute || owner.at.Load() != 1 {
			t.Errorf("told of %v, %d deadlines were due", told, owner.at.Load())
		}
	})
}
