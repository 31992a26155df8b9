package invitation_test

import (
	"maps"
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

func left(until, now invitation.Time) time.Duration { return max(time.Millisecond, until.Sub(now)) }

func (l *local) report(now invitation.Time) invitation.Word { return l.Report(left(l.until, now)) }

func (r *remote) report(now invitation.Time) invitation.Word {
	return r.Report(left(r.until, now), r.response)
}

// sent returns the invitation that a send is of, nil if the call is no send.
func (p *phone) sent(c *invitation.Call) *local {
	for _, l := range p.locals {
		if c.Request == invitation.Send && l.call.Key == c.Key {
			return l
		}
	}
	return nil
}

// tell says what the phone knows.
func (p *phone) tell() {
	for _, name := range slices.Sorted(maps.Keys(p.locals)) {
		p.sayWord(p.locals[name].report(p.w.now))
	}
	for _, id := range p.remoteIDs() {
		p.sayWord(p.remotes[id].report(p.w.now))
	}
}

// retell says what the phone knows of one invitation: one that it sent and that lives it sends again.
func (p *phone) retell(r *invitation.Retell) {
	l := p.locals[p.w.names[r.ID]]
	switch {
	case l == nil:
		p.sayWord(invitation.Word{ID: r.ID, Side: invitation.Caller, Kind: invitation.WordDone, Local: invitation.LocalFailure})
	case l.State().Terminal():
		p.sayWord(l.Word())
	default:
		c := l.call
		c.Resumed = l.Resumed(left(l.until, p.w.now))
		p.call(c)
	}
}

// die loses a node.
func (w *world) die(user invitation.User) {
	delete(w.sessions, user)
	w.lostAt[user] = w.now
	var lost invitation.ShardSet
	lost.Add(invitation.ShardOf(user))
	for id, a := range w.arbiters {
		if a.View().Terms.Caller == user {
			delete(w.arbiters, id)
		}
	}
	for _, p := range w.phones {
		if p.user == user && p.connected {
			login := &invitation.Login{User: user, Device: p.device, Resume: true, Stamp: p.stamp, Reattach: true}
			w.put(p.name, "reattach", func() {
				w.sessionStep(user, session.Input{Kind: session.InAttach, Device: p.device, Conn: p.conn, Login: login})
			})
		}
	}
	for _, other := range slices.Sorted(maps.Keys(w.sessions)) {
		w.sessionStep(other, session.Input{Kind: session.InLost, Shards: &lost})
	}
	for _, a := range w.arbiters {
		if v := a.View(); v.Terms.Callee == user {
			w.arbiterStep(&invitation.Message{Kind: invitation.MsgCalleeLost, ID: v.Terms.ID})
		}
	}
}
