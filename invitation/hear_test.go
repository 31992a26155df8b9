package invitation_test

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ringfleet/ringfleet/invitation"
)

// hear takes what the server says to a phone.
func (p *phone) hear(d invitation.Down) {
	switch {
	case d.Welcome != nil:
		p.stamp = d.Welcome.Stamp
		p.w.print("%s < welcome", p.name)
		p.resumed()
		if d.Welcome.Tell {
			p.tell()
		}
		for _, c := range slices.Clone(p.pending) {
			p.say(c)
		}
	case d.Answer != nil:
		p.hearAnswer(d.Answer)
	case d.Notice != nil:
		p.w.print("%s < notice %s", p.name, p.w.notice(d.Notice))
		p.hearNotice(d.Notice)
	case d.Retell != nil:
		p.w.print("%s < retell %s", p.name, p.w.names[d.Retell.ID])
		p.retell(d.Retell)
	case d.Ending != nil:
		p.hearEnding(d.Ending.End)
	}
}

func (w *world) notice(n *invitation.Notice) string {
	state := n.Local.String()
	if n.Side == invitation.Callee {
		state = n.Remote.String()
	}
	s := w.names[n.ID] + " " + state
	if n.Code != 0 {
		s += fmt.Sprintf(" %d", n.Code)
	}
	if n.Reason != invitation.NoReason {
		s += " " + n.Reason.String()
	}
	if n.Confirm != "" {
		s += " confirm? " + string(n.Confirm)
	}
	s += quoted(n.Response)
	if n.Verdict {
		s += " verdict"
	}
	if n.Settled {
		s += " settled"
	}
	if n.Remaining != 0 {
		s += " " + seconds(n.Remaining) + " left"
	}
	return s
}

func (p *phone) hearAnswer(a *invitation.Answer) {
	s := fmt.Sprintf("%s < answer #%d %s %s", p.name, a.RequestID, a.Request, a.Error.String())
	if a.RetryAfter != 0 {
		s += " retry after " + seconds(a.RetryAfter)
	}
	if a.Notice != nil {
		s += ": " + p.w.notice(a.Notice)
	}
	p.w.print("%s", s)
	i := slices.IndexFunc(p.pending, func(c invitation.Call) bool { return c.RequestID == a.RequestID })
	if i >= 0 {
		c := p.pending[i]
		p.pending = slices.Delete(p.pending, i, i+1)
		if a.Error != invitation.OK {
			p.rejected(&c, a.Error)
		}
	}
	if a.Notice != nil {
		p.hearNotice(a.Notice)
	}
}

func (p *phone) rejected(c *invitation.Call, err invitation.CallError) {
	switch c.Request {
	case invitation.Send, invitation.Cancel:
		for _, name := range slices.Sorted(maps.Keys(p.locals)) {
			l := p.locals[name]
			if c.Request == invitation.Send && l.call.Key == c.Key || c.Request == invitation.Cancel && l.ID() == c.ID {
				p.performLocal(l, l.Rejected(err), invitation.OK, "")
			}
		}
	case invitation.Query:
		if l := p.locals[p.w.names[c.ID]]; l != nil && !l.State().Terminal() {
			p.performLocal(l, l.Forget(), invitation.OK, "")
		}
		if r := p.remotes[c.ID]; r != nil && !r.State().Terminal() {
			p.performRemote(r, nil, r.Forget())
		}
	case invitation.Accept, invitation.Refuse:
		if r := p.remotes[c.ID]; r != nil {
			p.performRemote(r, nil, r.Rejected(err))
		}
	}
}

func (p *phone) hearNotice(n *invitation.Notice) {
	delete(p.unheard, n.ID)
	if n.Side == invitation.Callee {
		r := p.remotes[n.ID]
		if r == nil {
			r = &remote{}
		}
		r.until = p.w.now.Add(n.Remaining)
		p.performRemote(r, n, r.Notice(n))
		if r.Shown() {
			p.remotes[n.ID] = r
		}
		return
	}
	if l := p.locals[p.w.names[n.ID]]; l != nil {
		l.until = p.w.now.Add(n.Remaining)
		p.performLocal(l, l.Notice(n), invitation.OK, "")
		return
	}
	// An earlier process sent it: this one confirms nothing, and acknowledges the end.
	if n.Local.Terminal() && !n.Settled {
		p.sayWord(invitation.Word{ID: n.ID, Side: invitation.Caller, Kind: invitation.WordDone, Local: n.Local})
	}
}

// hearEnding loses the connection; a session that is over ends what is live, but for what this device
// has confirmed: that is the callee's to decide.
func (p *phone) hearEnding(end invitation.End) {
	p.w.print("%s < ending %d %s", p.name, end, end.String())
	p.connected = false
	if end.Reconnect() || end == invitation.EndReplaced {
		return
	}
	for _, id := range p.remoteIDs() {
		if r := p.remotes[id]; !r.State().Terminal() {
			p.performRemote(r, nil, r.Forget())
		}
	}
	p.loggedIn, p.pending = false, nil
	for _, name := range slices.Sorted(maps.Keys(p.locals)) {
		l := p.locals[name]
		if l.Confirmed() == "" && !l.State().Terminal() && !l.ID().IsZero() {
			p.performLocal(l, l.Forget(), invitation.OK, "")
		}
	}
}
