package wake_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/internal/wake"
)

// TestNext: whenever two begin, they are at the same moments, once an interval.
func TestNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, begin := range []time.Duration{0, 100 * time.Millisecond, 499 * time.Millisecond, 501 * time.Millisecond, 999 * time.Millisecond} {
			time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second + begin)))
			for i := range 3 {
				wait := wake.Next(time.Second)
				if wait < time.Second/2 || wait > 3*time.Second/2 || i > 0 && wait != time.Second {
					t.Errorf("after %v, time %d: the next is in %v", begin, i, wait)
				}
				if time.Sleep(wait); time.Now().Nanosecond() != 0 {
					t.Errorf("after %v, time %d: at %v", begin, i, time.Now())
				}
			}
		}
	})
}
