package sim

import (
	"slices"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
)

// hear takes what the server says.
func (d *Device) hear(down *invitation.Down) {
	if d.w.hooks.Device != nil {
		d.w.hooks.Device(d, down, d.take)
		return
	}
	d.take(down)
}

func (d *Device) take(down *invitation.Down) {
	if d.w.wantsUser(d.user) {
		d.w.noteDown(d, down)
	}
	switch {
	case down.Retell != nil:
		d.retell(down.Retell)
	case down.Notice != nil:
		d.noticed(down.Notice)
	case down.Answer != nil:
		d.answered(down.Answer)
	case down.Welcome != nil:
		d.welcomed(down.Welcome)
		d.tryLogout()
	case down.Ending != nil:
		d.ending(down.Ending.End)
	}
}

func (d *Device) noticed(n *invitation.Notice) {
	l := d.byID[n.ID]
	switch {
	case l != nil && l.side == n.Side:
		d.step(l, n)
	case l != nil:
	case n.Side == invitation.Callee:
		d.offered(n)
	default:
		d.unknownLocal(n)
	}
}

func (d *Device) step(l *line, n *invitation.Notice) {
	l.unheard = false
	l.id = n.ID
	var out device.Output
	if l.side == invitation.Caller {
		out = l.local.Notice(n)
	} else {
		out = l.remote.Notice(n)
	}
	if l.side == invitation.Caller && l.local.Current(n) || l.side == invitation.Callee && l.remote.Current(n) {
		l.until = d.w.now.Add(n.Remaining)
	}
	d.act(l, out)
}

// find returns the last word of an invitation that is settled.
func (d *Device) find(id invitation.ID, side invitation.Side) (invitation.Word, bool) {
	for i := range d.past {
		if d.past[i].ID == id && d.past[i].Side == side {
			return d.past[i], true
		}
	}
	return invitation.Word{}, false
}

// offered takes a notice of an incoming invitation that the device does not have.
func (d *Device) offered(n *invitation.Notice) {
	if word, ok := d.find(n.ID, invitation.Callee); ok {
		if !n.Settled {
			d.sayWord(nil, word)
		}
		return
	}
	l := &line{side: invitation.Callee, id: n.ID, record: d.w.records[n.ID]}
	if n.Remote != invitation.RemoteIdle && n.Remote != invitation.RemoteInvitationReceived {
		if n.Settled {
			return
		}
		word := l.remote.Notice(n).Word
		d.remember(word)
		d.sayWord(nil, word)
		return
	}
	if d.leaving {
		return
	}
	d.live = append(d.live, l)
	d.step(l, n)
}

// unknownLocal takes a notice of an outgoing invitation that the device does not have: an earlier
// program's.
func (d *Device) unknownLocal(n *invitation.Notice) {
	if n.Settled || n.ID.IsZero() {
		return
	}
	if word, ok := d.find(n.ID, invitation.Caller); ok {
		d.sayWord(nil, word)
		return
	}
	if !n.Local.Terminal() {
		return
	}
	if slices.ContainsFunc(d.calls, func(p *pending) bool { return p.call.Request == invitation.Send }) {
		return
	}
	d.sayWord(nil, invitation.Word{ID: n.ID, Side: invitation.Caller, Kind: invitation.WordDone, Local: n.Local})
}

func (d *Device) answered(a *invitation.Answer) {
	i := slices.IndexFunc(d.calls, func(p *pending) bool { return p.call.RequestID == a.RequestID })
	if i < 0 || a.Error == invitation.Unavailable && a.Request != invitation.Send { // it is repeated
		return
	}
	p := d.calls[i]
	d.calls = slices.Delete(d.calls, i, i+1)
	if p.call.Request == invitation.Send && !p.line.id.IsZero() {
		d.answeredResumed(p.line, a)
	} else if p.call.Request == invitation.Send {
		d.answeredSend(p.line, a)
	} else {
		d.answeredAbout(p, a)
	}
}

func (d *Device) answeredSend(l *line, a *invitation.Answer) {
	if n := a.Notice; n != nil && n.Side == invitation.Caller && (n.Local.Terminal() || a.Error == invitation.OK) {
		d.step(l, n)
	} else if a.Error == invitation.OK {
		d.step(l, &invitation.Notice{ID: a.ID, Side: invitation.Caller, Local: invitation.LocalSentToRemote})
	}
	if a.Error == invitation.OK {
		return
	}
	d.act(l, l.local.Rejected(a.Error))
	if l.endedAt == 0 {
		d.live = without(d.live, l)
		d.w.withdrawn(l)
	}
}

func (d *Device) answeredAbout(p *pending, a *invitation.Answer) {
	l := p.line
	if n := a.Notice; n != nil && n.Side == l.side && n.ID == l.id {
		d.step(l, n)
	}
	over := a.Error == invitation.AlreadyEnd || a.Error == invitation.NotFound
	live := l.endedAt == 0
	switch {
	case p.call.Request == invitation.Query && over && live:
		d.act(l, l.forget())
	case p.call.Request == invitation.Query:
	default:
		if a.Error == invitation.AlreadyEnd && p.call.Request != invitation.Cancel && l.won(p.call.Request) {
			a = &invitation.Answer{Request: a.Request, RequestID: a.RequestID, ID: a.ID, Notice: a.Notice}
		}
		d.w.answered(d, l, p.call, a.Error)
		l.part.recorded = l.part.recorded || p.call.Request == invitation.Accept && a.Error == invitation.OK
		if a.Error != invitation.OK && l.side == invitation.Caller {
			d.act(l, l.local.Rejected(a.Error))
		} else if a.Error != invitation.OK {
			d.act(l, l.remote.Rejected(a.Error))
		}
	}
	if over && l.endedAt == 0 {
		l.unheard = true
		d.auditSoon()
	}
}
