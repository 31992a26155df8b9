package phone

import (
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// What a phone does when the server has forgotten what it knew.

// left returns the time until the state ends by itself, 0 if it was not told.
func (l *Line) left(now invitation.Time) time.Duration {
	if l.Until == 0 {
		return 0
	}
	return max(1, l.Until.Sub(now))
}

// report returns what the phone says of an invitation when it resumes, or is asked.
func (l *Line) report(now invitation.Time) invitation.Word {
	if l.Local != nil {
		return l.Local.Report(l.left(now))
	}
	return l.Remote.Report(l.left(now), l.Reply)
}

// again returns a call as it is repeated: a send tells that it is.
func (p *Phone) again(c *pending) invitation.Call {
	call := c.call
	if l := p.Keyed(c.key); call.Request == invitation.Send && l != nil {
		call.Resumed = l.Local.Resumed(l.left(p.Now))
	}
	return call
}

// tell says what the phone knows.
func (p *Phone) tell(out *Output) {
	for _, l := range p.lines {
		if w := l.report(p.Now); w.Kind != invitation.NoWord && !w.ID.IsZero() {
			out.Ups = append(out.Ups, invitation.Up{Word: &w})
		}
	}
}

// retell says what the phone knows of an invitation that it sent. One that lives it sends again.
func (p *Phone) retell(r *invitation.Retell, out *Output) {
	if r.Side != invitation.Caller {
		return
	}
	for i := range p.calls {
		if l := p.Keyed(p.calls[i].key); p.calls[i].call.Request == invitation.Send && l != nil && p.id(l) == r.ID {
			call := p.again(&p.calls[i])
			out.Ups = append(out.Ups, invitation.Up{Call: &call})
			return
		}
	}
	l := p.Line(r.ID, invitation.Caller)
	switch {
	case l != nil && !l.Local.State().Terminal():
		call := l.Send
		call.Resumed = l.Local.Resumed(l.left(p.Now))
		p.call(l, call, out)
	case l != nil:
		w := l.word()
		out.Ups = append(out.Ups, invitation.Up{Word: &w})
	default:
		w, ok := p.remembered(r.ID, invitation.Caller)
		if !ok {
			w = invitation.Word{ID: r.ID, Side: invitation.Caller, Kind: invitation.WordDone, Local: invitation.LocalFailure}
		}
		out.Ups = append(out.Ups, invitation.Up{Word: &w})
	}
}

func (p *Phone) id(l *Line) invitation.ID { return invitation.NewID(p.User, p.Device, l.Key) }
