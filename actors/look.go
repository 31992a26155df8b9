package actors

import (
	"context"
	"iter"

	"github.com/ringfleet/ringfleet/actors/engine"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/invitation/snapshot"
)

// look is told to an actor that somebody wants to see. It makes none.
type look struct{ found chan Record } // of size 1; an empty record: there is no actor

// Session returns what the session of a user on this node knows; false: it has none. Like all other messages the
// question waits in the session's mailbox. It must not be called by an actor. The error is ctx's.
func (h *Host) Session(ctx context.Context, user invitation.User) (session.State, bool, error) {
	l := &look{make(chan Record, 1)}
	if !h.sessions.TellLive(user, l) {
		return session.State{}, false, nil
	}
	r, err := l.wait(ctx)
	if err != nil || r.Session == nil {
		return session.State{}, false, err
	}
	return *r.Session, true, nil
}

// Arbiter returns what the arbiter of an invitation on this node knows; false: there is none. Like Session otherwise.
func (h *Host) Arbiter(ctx context.Context, id invitation.ID) (snapshot.Arbiter, bool, error) {
	l := &look{make(chan Record, 1)}
	if !h.arbiters.TellLive(id, l) {
		return snapshot.Arbiter{}, false, nil
	}
	r, err := l.wait(ctx)
	if err != nil || r.Arbiter == nil {
		return snapshot.Arbiter{}, false, err
	}
	return *r.Arbiter, true, nil
}

// greet is told to a session that is to greet its devices again. It makes none.
type greet struct{}

// Greet has the session of a user on this node, if there is one, say its Welcome to each connected device again; where
// the connection is gone, [Network.Device] tells it so. It does not wait for the session. It must not be called by an
// actor.
func (h *Host) Greet(user invitation.User) { h.sessions.TellLive(user, greet{}) }

// Users returns those who have a session on this node: each that has one from the first to the last of them is
// among them once. Whoever ranges over it may take its time.
func (h *Host) Users() iter.Seq[invitation.User] { return h.sessions.Keys() }

// Over reports whether an invitation had an arbiter on this node that has gone. It is forgotten after some thousand
// others.
func (h *Host) Over(id invitation.ID) bool { return h.past.has(id) }

func (l *look) wait(ctx context.Context) (Record, error) {
	select {
	case r := <-l.found:
		return r, nil
	case <-ctx.Done():
		return Record{}, context.Cause(ctx)
	}
}

// missed tells that there is no actor.
func (l *look) missed() { l.found <- Record{} }

// show answers a look.
func (a *sessionActor) show(l *look) { l.found <- a.record() }

// show answers a look.
func (a *arbiterActor) show(l *look) { l.found <- a.record() }

// ended tells who remembers outcomes of one that this session was told.
func (a *sessionActor) ended(c *engine.Context, v *invitation.View) {
	if v.Stage == invitation.Ended && a.host.outcome != nil {
		a.host.outcome(a.machine.User(), v, c.Now())
	}
}
