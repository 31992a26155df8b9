package session

import (
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// A session may know less than devices do: one that takes the place of a session that was lost, and one that lived
// while nodes did not see each other, as the user may have had another one. For the grace it concludes nothing for
// want of a device that was shown it.

// fresh reports whether devices may have more to say that a lost session knew.
func (m *Machine) fresh(now Time) bool { return m.freshAt > now }

// notFound answers a call about an invitation that is not known here. While a lost session may have known it, or after
// a device has spoken of it, it is to be said again, until it is known here or the grace is over.
func notFound(m *Machine, now Time, _ *entry, in *Input, out []Effect) []Effect {
	d := m.device(in.Device)
	if in.ID.IsZero() || d.telling <= now && !m.fresh(now) && !m.claimed(in.ID) {
		return m.answer(now, in, invitation.NotFound, nil, out)
	}
	out = m.answer(now, in, invitation.Unavailable, nil, out)
	out[len(out)-1].Down.Answer.RetryAfter = askAgain / 2 // no later than it would be repeated without an answer
	return out
}

// renew takes that devices may know more than this session: while nodes did not see each other, the user may have
// had another one. What was offered since is known here from its begin.
func (m *Machine) renew(now Time) {
	m.freshAt = max(m.freshAt, now.Add(m.config.Timers.Grace))
	for _, e := range m.entries {
		e.whole = false
	}
}

// premature reports whether a view says that an accept was confirmed, and was given before its arbiter heard of this
// session. The one that was lost may have said meanwhile, for a device whose login was over, that it has not accepted:
// a commit counts only if the arbiter stands by it now.
func (m *Machine) premature(now Time, v *invitation.View) bool {
	return v.Stage == invitation.Confirmed && v.Terms.Callee == m.user && m.fresh(now) && v.HeardCallee < m.first
}

// askAnew asks an arbiter how an invitation stands.
func (m *Machine) askAnew(now Time, v *invitation.View, out []Effect) []Effect {
	return append(out, m.report(now, &entry{view: v, side: invitation.Callee}, true))
}

// bornTime is how much younger than the loss an invitation has to look for nobody else to have been offered it
// before: its age is told with the delay of messages.
const bornTime = time.Second

// bornHere reports whether an invitation that is offered now is younger than what may be known elsewhere.
func (m *Machine) bornHere(v *invitation.View) bool {
	sent := v.Deadline.Add(-v.Terms.Timers.NoResponse)
	return v.Stage == invitation.Offering && v.Version <= stale && sent > m.freshAt.Add(bornTime-m.config.Timers.Grace)
}

// offerCommit tells a device that its accept was confirmed, where a session was lost that may have told it so: only the
// device's own word says what came of that, also when its login is over.
func (m *Machine) offerCommit(now Time, e *entry, out []Effect) []Effect {
	v, d := e.view, m.device(e.view.Chosen)
	if v.Stage != invitation.Confirmed || !m.fresh(now) || d == nil || !d.connected || d.agent() || e.showing(d.name) != nil {
		return out
	}
	e.shown = append(e.shown, showing{device: d.name, told: true})
	return m.notify(now, e, d, out)
}

// tellChosen tells a device that its accept was confirmed, of an invitation that this session does not keep: only its
// own word says what came of that. One whose login is over is asked for it.
func (m *Machine) tellChosen(now Time, v *invitation.View, out []Effect) []Effect {
	d := m.device(v.Chosen)
	if v.Stage < invitation.Confirmed || v.Verdict || d == nil {
		return out
	}
	if d.why != 0 && d.connected {
		return append(out, Effect{Kind: ToDevice, Conn: d.conn, Down: invitation.Down{
			Retell: &invitation.Retell{ID: v.Terms.ID, Side: invitation.Callee},
		}})
	}
	return m.inform(d.name, v.Notice(invitation.Callee, d.name, now), out)
}
