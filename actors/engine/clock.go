package engine

import (
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// Clock tells the node's monotonic time. Implementations must be safe for concurrent use, must never
// go backwards and must never return 0, which means "never".
type Clock interface {
	Now() invitation.Time
}

// NewClock returns a clock that starts at 1 s and runs on the process's monotonic clock, so a step of
// the wall clock does not move it. Made inside a synctest bubble it follows the bubble's time; 1 s is a
// whole number of usual ticks, so that a deadline of whole ticks in a test is kept to the nanosecond.
func NewClock() Clock { return monotonic{start: time.Now().Add(-time.Second)} }

type monotonic struct{ start time.Time }

// Now implements Clock.
func (c monotonic) Now() invitation.Time { return invitation.Time(time.Since(c.start)) }
