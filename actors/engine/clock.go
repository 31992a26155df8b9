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

// NewClock returns a clock that starts at 1 ns and runs on the process's monotonic clock, so a step
// of the wall clock does not move it. Inside a synctest bubble it follows the bubble's time, if it was
// made there.
func NewClock() Clock { return monotonic{start: time.Now()} }

type monotonic struct{ start time.Time }

func (c monotonic) Now() invitation.Time { return invitation.Time(time.Since(c.start)) + 1 }
