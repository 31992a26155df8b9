package session

import (
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// rang notes when an invitation began to ring, so far as is known here.
func (e *entry) rang(now Time, remaining time.Duration) {
	at := now
	if remaining != 0 {
		at = now.Add(remaining - e.view.Terms.Timers.Expire)
	}
	e.seenAt = invitation.Earliest(e.seenAt, min(at, now))
}

// remind takes since when what a device speaks of rings, as it may be told so before its words are heard: that it was
// shown it may be known here, and its "seen" only on a node that was cut off.
func (m *Machine) remind(now Time, words []invitation.Word) {
	for i := range words {
		w := &words[i]
		if w.Side != invitation.Callee || w.Kind != invitation.WordSeen || w.Remaining == 0 {
			continue
		}
		if e := m.entry(w.ID); e != nil && e.side == invitation.Callee {
			e.rang(now, w.Remaining)
		}
	}
}
