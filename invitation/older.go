package invitation

import "time"

// overdue is what remains of a time that is over: 0 says that what remains is not known.
const overdue = time.Microsecond

// Left returns what remains until end for one who is told: of a time that is over a microsecond, as 0 would say that it
// is not known, and less does not travel.
func Left(end, now Time) time.Duration { return max(overdue, end.Sub(now)) }

// Older returns what remains of a time of which so much more is over: 0, which says that it is not known, of 0, and
// else a microsecond at least.
func Older(remaining, by time.Duration) time.Duration {
	if remaining == 0 {
		return 0
	}
	return max(remaining-by, min(remaining, overdue))
}

// Older lets time go by for a message that has waited. Its times are those that remained when it was said.
func (m *Message) Older(by time.Duration) {
	m.Remaining = Older(m.Remaining, by)
	m.Resumed = m.Resumed.older(by)
}

// older returns a copy for which time has gone by.
func (r *Resumed) older(by time.Duration) *Resumed {
	if r == nil {
		return nil
	}
	older := *r
	older.Remaining = Older(r.Remaining, by)
	return &older
}

// Older returns a copy of a call that has waited.
func (c *Call) Older(by time.Duration) *Call {
	if c == nil || c.Resumed == nil {
		return c
	}
	older := *c
	older.Resumed = c.Resumed.older(by)
	return &older
}

// Older returns a copy of a word that has waited.
func (w *Word) Older(by time.Duration) *Word {
	if w == nil || w.Remaining == 0 {
		return w
	}
	older := *w
	older.Remaining = Older(w.Remaining, by)
	return &older
}

// Older lets time go by for a notice that has waited. One that offers an invitation is as it was: the time that it tells
// begins with the device's ack.
func (n *Notice) Older(by time.Duration) {
	if n != nil && n.Remote != RemoteInvitationReceived {
		n.Remaining = Older(n.Remaining, by)
	}
}

// Older returns a copy of a login that has waited.
func (l *Login) Older(by time.Duration) *Login {
	if l == nil || by == 0 {
		return l
	}
	older := *l
	older.Age += by
	older.Words = make([]Word, len(l.Words))
	for i := range l.Words {
		older.Words[i] = *l.Words[i].Older(by)
	}
	return &older
}
