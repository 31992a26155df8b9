package sim

import (
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// What a client does when a node has forgotten what it knew, as package client has it.

// left returns the time until the state ends by itself, 0 if it was not told.
func (l *line) left(now Time) time.Duration {
	if l.until == 0 {
		return 0
	}
	return max(time.Millisecond, l.until.Sub(now))
}

// report returns what the device says of an invitation when it resumes, or is asked.
func (l *line) report(now Time) invitation.Word {
	if l.side == invitation.Caller {
		return l.local.Report(l.left(now))
	}
	return l.remote.Report(l.left(now), l.response)
}

// tellAll says what the device knows.
func (d *Device) tellAll() {
	for _, lines := range [...][]*line{d.live, d.ended} {
		for _, l := range slices.Clone(lines) {
			l.unheard = l.unheard || l.endedAt == 0
			if word := l.report(d.w.now); word.Kind != invitation.NoWord && !word.ID.IsZero() {
				d.sayWord(l, word)
			}
		}
	}
	d.auditSoon()
}

// retell answers what the server asks about one invitation.
func (d *Device) retell(r *invitation.Retell) {
	l := d.byID[r.ID]
	switch {
	case r.Side != invitation.Caller:
		if l != nil && l.side == r.Side {
			d.sayWord(l, l.report(d.w.now))
		} else if word, ok := d.find(r.ID, r.Side); ok {
			d.sayWord(nil, word)
		}
	case l == nil || l.side != invitation.Caller:
		if word, ok := d.find(r.ID, invitation.Caller); ok {
			d.sayWord(nil, word)
			return
		}
		for _, p := range d.calls {
			if p.call.Request == invitation.Send && p.line.record.id == r.ID {
				d.sayCall(p)
				return
			}
		}
		d.sayWord(nil, invitation.Word{ID: r.ID, Side: invitation.Caller, Kind: invitation.WordDone, Local: invitation.LocalFailure})
	case l.terminal():
		d.sayWord(l, l.word())
	default:
		for _, p := range d.calls {
			if p.call.Request == invitation.Send && p.line == l {
				d.sayCall(p)
				return
			}
		}
		call := *l.call
		call.Resumed = l.local.Resumed(l.left(d.w.now))
		d.begin(l, call)
	}
}

// answeredResumed takes the answer to a send by which the server learned of the invitation again.
func (d *Device) answeredResumed(l *line, a *invitation.Answer) {
	if n := a.Notice; n != nil && n.Side == invitation.Caller {
		d.step(l, n)
	}
	if a.Error != invitation.OK {
		d.act(l, l.local.Rejected(a.Error))
	}
}
