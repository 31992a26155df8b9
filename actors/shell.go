package actors

import (
	"log/slog"

	"github.com/ringfleet/ringfleet/actors/engine"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// sessionActor is the shell of a session.
type sessionActor struct {
	host    *Host
	machine session.Machine
}

// input is an input on its way to a session, with the reply that it may point to. Like a message to an
// arbiter it is one of the host's, and goes back there when the step it was for is done. One whose step
// panics, or that is refused or dropped, is left to the garbage collector.
type input struct {
	session.Input
	reply invitation.Reply
}

// sessionScratch is what a step of a session needs and nobody keeps.
type sessionScratch struct {
	in      session.Input
	effects []session.Effect
}

// newSession makes the session that msg is the first input of, unless there is nothing to be told, or it
// is to live elsewhere.
func (h *Host) newSession(user invitation.User, msg any) engine.Behavior {
	if in, ok := msg.(*arrival); ok {
		return h.restoreSession(in)
	}
	if !startsSession(msg) || !h.network.Holds(invitation.ShardOf(user)) {
		return nil
	}
	shard := invitation.ShardOf(user)
	if lostAt := h.network.LostAt(shard); lostAt != 0 && h.Now() < lostAt.Add(h.config.Timers.Grace) {
		return &sessionActor{host: h, machine: *session.New(user, &h.config, session.Fresh(lostAt, uint64(max(h.clock().UnixMilli(), 0))))}
	}
	return &sessionActor{host: h, machine: *session.New(user, &h.config)}
}

// startsSession reports whether a session comes to be with msg.
func startsSession(msg any) bool {
	switch msg := msg.(type) {
	case *export, *look, greet:
		return false
	case *invitation.View:
		return !msg.Settled
	case *input:
		switch msg.Kind {
		case session.InDetach, session.InLogout, session.InReply, session.InUnknown, session.InLost, session.InNodeGone:
			return false
		case session.InView:
			return !msg.View.Settled
		default:
		}
	}
	return true
}

var (
	arbiterTick                  = &invitation.Message{Kind: invitation.MsgTick}
	arbiterAbort                 = &invitation.Message{Kind: invitation.MsgAbort}
	_            engine.Behavior = (*sessionActor)(nil)
	_            engine.Behavior = (*arbiterActor)(nil)
)

// Receive implements engine.Behavior.
func (a *sessionActor) Receive(c *engine.Context, msg any) {
	if a.host.fault != nil {
		a.host.fault(msg)
	}
	if a.moved(c, msg) {
		return
	}
	scratch := a.host.sessionScratch.Get().(*sessionScratch)
	in := &scratch.in
	var told *input
	ticked := false
	switch msg := msg.(type) {
	case *input:
		told, in = msg, &msg.Input
	case *invitation.View:
		in.Kind, in.View = session.InView, msg
	default:
		in.Kind, ticked = session.InTick, true
	}
	if in.Kind == session.InView {
		a.ended(c, in.View)
	}
	before := a.machine.Deadline()
	effects := a.machine.Step(c.Now(), in, scratch.effects[:0])
	a.carryOut(c, effects)
	clear(effects)
	scratch.in, scratch.effects = session.Input{}, effects
	a.host.sessionScratch.Put(scratch)
	if told != nil {
		*told = input{}
		a.host.inputs.Put(told)
	}
	if d := a.machine.Deadline(); d != before || ticked {
		c.Arm(d)
	}
}

func (a *sessionActor) carryOut(c *engine.Context, effects []session.Effect) {
	for i := range effects {
		switch e := &effects[i]; e.Kind {
		case session.ToDevice:
			a.host.network.Device(a.machine.User(), e.Conn, e.Down)
		case session.ToArbiter:
			a.host.network.Arbiter(&e.Message)
		case session.Leave:
			c.Leave()
		}
	}
}

// OnPanic implements engine.Behavior: the session goes on without the message, unless it was to leave.
func (a *sessionActor) OnPanic(c *engine.Context, _ any, _ []byte, msg any) {
	if x, ok := msg.(*export); ok {
		c.Leave()
		x.done()
		return
	}
	c.Arm(a.machine.Deadline())
}

// arbiterActor is the shell of an arbiter.
type arbiterActor struct {
	host    *Host
	machine arbiter.Machine
	sent    invitation.Time
	reached invitation.Time // when the stage the observer was told last was reached

	rang      invitation.Time  // when the first ack came
	answered  invitation.Time  // when it was accepted or refused
	told      invitation.Stage // what the observer was told last
	kinds     uint8            // the kinds of event that were told, a bit each
	recovered bool             // an arbiter before this one was lost
	ending    *invitation.View
}

// arbiterScratch is what a step of an arbiter needs and nobody keeps.
type arbiterScratch struct{ effects []arbiter.Effect }

// newArbiter makes the arbiter of an invitation that is sent, or that is recovered, unless it has gone
// before, or is to live elsewhere.
func (h *Host) newArbiter(id invitation.ID, msg any) engine.Behavior {
	if moved, ok := msg.(*arrival); ok {
		return h.restoreArbiter(moved)
	}
	first, ok := msg.(*invitation.Message)
	if !ok || !h.network.Holds(id.Shard()) || h.past.has(id) && !h.past.anew(id, first) {
		return nil
	}
	if terms := firstTerms(first); terms != nil {
		return &arbiterActor{host: h, machine: *arbiter.New(terms)}
	}
	return nil
}

// firstTerms returns the terms in a message that may be an arbiter's first; nil in others.
func firstTerms(msg *invitation.Message) *invitation.Terms {
	switch {
	case msg.Kind == invitation.MsgStart:
		return msg.Terms
	case msg.Kind == invitation.MsgRecover && msg.View != nil:
		return msg.View.Terms
	}
	return nil
}

// unknown answers a message for an invitation that has no arbiter.
func (h *Host) unknown(id invitation.ID, m *invitation.Message) {
	switch {
	case m.User == "":
	case m.Kind == invitation.MsgStart:
		h.network.Reply(m.User, arbiter.Stopped(m, h.past.refused(id)))
	default:
		h.network.Session(m.User, &session.Input{Kind: session.InUnknown, ID: id, Over: h.past.has(id)})
	}
}

// Receive implements engine.Behavior.
func (a *arbiterActor) Receive(c *engine.Context, msg any) {
	if a.host.fault != nil {
		a.host.fault(msg)
	}
	if a.moved(c, msg) {
		return
	}
	in, told := msg.(*invitation.Message)
	if !told {
		a.step(c, arbiterTick)
		return
	}
	a.step(c, in)
	*in = invitation.Message{}
	a.host.messages.Put(in)
}

// OnPanic implements engine.Behavior: the invitation ends as a failure.
func (a *arbiterActor) OnPanic(c *engine.Context, _ any, _ []byte, msg any) {
	if x, ok := msg.(*export); ok {
		a.lost(c, x)
	} else {
		a.host.logger.Error("the invitation fails, as its arbiter panicked", slog.String("trace_id", a.machine.View().Terms.ID.TraceID()))
		a.step(c, arbiterAbort)
	}
}

func (a *arbiterActor) step(c *engine.Context, msg *invitation.Message) {
	now, before := c.Now(), a.machine.Deadline()
	if observer := a.host.observer; observer != nil && msg == arbiterTick && before != 0 && before <= now {
		observer.Late(now.Sub(before))
	}
	scratch := a.host.arbiterScratch.Get().(*arbiterScratch)
	effects := a.machine.Step(now, msg, scratch.effects[:0])
	a.observe(now, msg)
	a.happen(now, effects)
	for i := range effects {
		a.carryOut(c, now, &effects[i])
	}
	clear(effects)
	scratch.effects = effects
	a.host.arbiterScratch.Put(scratch)
	if d := a.machine.Deadline(); d != before || msg == arbiterTick {
		c.Arm(d)
	}
}

func (a *arbiterActor) carryOut(c *engine.Context, now invitation.Time, e *arbiter.Effect) {
	terms := a.machine.View().Terms
	switch e.Kind {
	case arbiter.TellCaller:
		a.host.network.View(terms.Caller, e.View)
	case arbiter.TellCallee:
		a.host.network.View(terms.Callee, e.View)
	case arbiter.ReplyCaller:
		a.host.network.Reply(terms.Caller, &e.Reply)
	case arbiter.ReplyCallee:
		a.host.network.Reply(terms.Callee, &e.Reply)
	case arbiter.Stop:
		a.conclude(now)
		if a.host.observer != nil {
			a.host.observer.Settled(a.stage(now))
		}
		a.host.past.add(terms.ID, a.machine.Refused())
		c.Leave()
	}
}

// observe tells the observer when the invitation has moved.
func (a *arbiterActor) observe(now invitation.Time, msg *invitation.Message) {
	first := a.sent == 0 && firstTerms(msg) != nil
	if first {
		a.sent, a.reached = now, now
	}
	if first && (msg.Kind == invitation.MsgRecover || msg.Resumed != nil) {
		a.told = a.machine.View().Stage // it was sent on a node that was lost
		a.recovered = true
		a.arrived(now)
		return
	}
	if v := a.machine.View(); first || v.Stage != a.told {
		s := a.stage(now)
		s.First = first
		a.told, a.reached = v.Stage, now
		if a.host.observer != nil {
			a.host.observer.Moved(s)
		}
	}
}

func (a *arbiterActor) stage(now invitation.Time) Stage {
	return Stage{
		View: a.machine.View(), Now: now, Sent: a.sent, From: a.told, Since: a.reached,
		Rang: a.rang, Answered: a.answered, Recovered: a.recovered,
	}
}
