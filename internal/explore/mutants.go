package explore

import (
	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/internal/phone"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/device"
	"github.com/ringfleet/ringfleet/invitation/session"
)

type (
	arbiterStep = func(*invitation.Message) []arbiter.Effect
	sessionStep = func(*session.Input) []session.Effect
	phoneTake   = func(*invitation.Down) phone.Output
)

// Mutants returns the wrong machines, each in the world in which it shows.
func Mutants() []World {
	var worlds []World
	add := func(w World, m Mutant) {
		w.Mutant = &m
		worlds = append(worlds, w)
	}
	addAgreement(add)
	addLimbo(add)
	addOrder(add)
	addGhosts(add)
	addRaces(add)
	addRecovery(add)
	return worlds
}

// changed returns effects in which the views told to one side are changed.
func changed(effects []arbiter.Effect, kind arbiter.EffectKind, change func(v *invitation.View)) []arbiter.Effect {
	for i := range effects {
		if effects[i].Kind == kind {
			v := *effects[i].View
			change(&v)
			effects[i].View = &v
		}
	}
	return effects
}

// begun makes a machine what it was when the invitation was sent.
func begun(m *arbiter.Machine) {
	terms := m.View().Terms
	*m = *arbiter.New(terms, arbiter.WithoutRetry())
	m.Step(origin, &invitation.Message{
		Kind: invitation.MsgStart, ID: terms.ID, User: terms.Caller, Device: terms.Device, Terms: terms,
		Online: true, Connected: true, Permit: 1,
	}, nil)
}

func addAgreement(add func(World, Mutant)) {
	add(Named("one", 0, 0, 0), Mutant{
		Name: "callee told early", Breaks: judge.P1,
		Why: "the callee's device is told the commit when its accept is recorded, before the caller's device has confirmed",
		Arbiter: func(_ *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			return changed(step(msg), arbiter.TellCallee, func(v *invitation.View) {
				if v.Stage == invitation.Accepting {
					v.Stage = invitation.Confirmed
				}
			})
		},
	})
	add(Named("one", 0, 0, 0), Mutant{
		Name: "caller told early", Breaks: judge.P1,
		Why: "the caller is told that the call is accepted on its own confirm, before the callee's device has said so",
		Arbiter: func(m *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			effects := step(msg)
			if msg.Kind != invitation.MsgConfirm || m.View().Stage != invitation.Confirmed {
				return effects
			}
			v := *m.View()
			v.Stage, v.Outcome, v.Verdict = invitation.Ended, invitation.Accepted, true
			return append(effects, arbiter.Effect{Kind: arbiter.TellCaller, View: &v})
		},
	})
	add(Named("one", 0, 0, 0), Mutant{
		Name: "confirmed device cancels", Breaks: judge.P1,
		Why: "a caller's device that has confirmed takes a cancel, and takes itself for canceled",
		Cancel: func(p *phone.Phone, l *phone.Line) (phone.Output, invitation.CallError) {
			if l.Local.Confirmed() == "" {
				return p.Cancel(l)
			}
			return p.Take(&invitation.Down{Notice: &invitation.Notice{
				ID: l.ID, Side: invitation.Caller, Local: invitation.LocalCanceled, Reason: invitation.CallerCanceled, Verdict: true,
			}}), invitation.OK
		},
	})
	add(Named("one", 0, 0, 0), Mutant{
		Name: "callee denies", Breaks: judge.P1,
		Why: "the callee's device fires Accepted and then says that it failed",
		Phone: func(_ *phone.Phone, d *invitation.Down, take phoneTake) phone.Output {
			out := take(d)
			for i := range out.Ups {
				if w := out.Ups[i].Word; w != nil && w.Remote == invitation.RemoteAccepted {
					w.Remote = invitation.RemoteFailure
				}
			}
			return out
		},
	})
}

func addLimbo(add func(World, Mutant)) {
	add(Named("one", 0, 0, 0), Mutant{
		Name: "never expires", Breaks: judge.P2,
		Why: "the timer of a ringing invitation does nothing",
		Arbiter: func(m *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			if msg.Kind == invitation.MsgTick && m.View().Stage == invitation.Ringing {
				return nil
			}
			return step(msg)
		},
	})
	add(Named("one", 0, 1, 0), Mutant{
		Name: "timer restarts", Breaks: judge.P2,
		Why: "a second ack starts the time to expire anew",
		Arbiter: func(m *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			if msg.Kind == invitation.MsgSeen && m.View().Stage == invitation.Ringing {
				begun(m)
			}
			return step(msg)
		},
	})
	add(Named("one", 1, 0, 0), Mutant{
		Name: "never repeats", Breaks: judge.P2,
		Why: "an arbiter says everything once",
		Arbiter: func(_ *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			if msg.Kind == invitation.MsgResend {
				return nil
			}
			return step(msg)
		},
	})
	add(Named("one", 0, 0, 0), Mutant{
		Name: "verdict unheard", Breaks: judge.P2,
		Why: "the callee's device's word about the commit is not taken",
		Arbiter: func(_ *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			if msg.Kind == invitation.MsgCalleeDone && msg.Remote == invitation.RemoteAccepted {
				return nil
			}
			return step(msg)
		},
	})
	add(Named("caller-breaks", 0, 0, 1), Mutant{
		Name: "caller never gone", Breaks: judge.P2,
		Why: "that the caller's device is lost is not noted",
		Arbiter: func(_ *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			if msg.Kind != invitation.MsgCaller {
				return step(msg)
			}
			deaf := *msg
			deaf.Connected = true
			return step(&deaf)
		},
	})
}

// ended returns the line that a notice is about, if it has ended.
func ended(p *phone.Phone, n *invitation.Notice) *phone.Line {
	if n == nil {
		return nil
	}
	l := p.Line(n.ID, n.Side)
	if l == nil || l.Local != nil && !l.Local.State().Terminal() || l.Remote != nil && !l.Remote.State().Terminal() {
		return nil
	}
	return l
}

// again returns an event about a line as it stands.
func again(l *phone.Line, side invitation.Side, e device.Event) phone.Event {
	event := phone.Event{ID: l.ID, Key: l.Key, Event: judge.Event{Side: side, Event: e}}
	if l.Local != nil {
		event.State, event.Code, event.Reason = uint8(l.Local.State()), uint8(l.Local.Code()), l.Local.Reason()
	} else {
		event.State, event.Code, event.Reason = uint8(l.Remote.State()), uint8(l.Remote.Code()), l.Remote.Reason()
	}
	return event
}

func addOrder(add func(World, Mutant)) {
	add(Named("one", 0, 1, 0), Mutant{
		Name: "duplicate fires twice", Breaks: judge.P3,
		Why: "a terminal notice that comes again fires its event again, on the caller's side",
		Phone: func(p *phone.Phone, d *invitation.Down, take phoneTake) phone.Output {
			l := ended(p, d.Notice)
			out := take(d)
			if l != nil && l.Local != nil {
				out.Events = append(out.Events, again(l, invitation.Caller, device.Failed))
			}
			return out
		},
	})
	add(Named("one", 0, 1, 0), Mutant{
		Name: "second end", Breaks: judge.P3,
		Why: "a callee's device that has ended takes another end",
		Phone: func(p *phone.Phone, d *invitation.Down, take phoneTake) phone.Output {
			l := ended(p, d.Notice)
			out := take(d)
			if l != nil && l.Remote != nil && !d.Notice.Settled {
				out.Events = append(out.Events, again(l, invitation.Callee, device.Canceled))
			}
			return out
		},
	})
	add(Named("one", 0, 0, 0), Mutant{
		Name: "events backwards", Breaks: judge.P3,
		Why: "ReceivedByPeer fires after the end, if it has not before",
		Phone: func(p *phone.Phone, d *invitation.Down, take phoneTake) phone.Output {
			received := false
			if n := d.Notice; n != nil && p.Line(n.ID, invitation.Caller) != nil {
				received = p.Line(n.ID, invitation.Caller).Local.State() == invitation.LocalSentToRemote
			}
			out := take(d)
			if len(out.Events) == 1 && out.Events[0].Event.Event.Terminal() && received {
				e := out.Events[0]
				e.Event = judge.Event{
					Side: invitation.Caller, Event: device.ReceivedByPeer, State: uint8(invitation.LocalReceivedByRemote),
				}
				out.Events = append(out.Events, e)
			}
			return out
		},
	})
	add(Named("one", 0, 1, 0), Mutant{
		Name: "rings twice", Breaks: judge.P3,
		Why: "an offer that comes again is shown again",
		Phone: func(p *phone.Phone, d *invitation.Down, take phoneTake) phone.Output {
			n := d.Notice
			shown := n != nil && n.Remote == invitation.RemoteInvitationReceived && p.Line(n.ID, invitation.Callee) != nil
			out := take(d)
			if shown {
				out.Events = append(out.Events, phone.Event{ID: n.ID, Event: judge.Event{
					Side: invitation.Callee, Event: device.Received, State: uint8(n.Remote),
				}})
			}
			return out
		},
	})
}

// refusing returns a world in which a call may be refused, and nothing else.
func refusing(name string, losses, dups, breaks int) World {
	w := Named(name, losses, dups, breaks)
	w.Calls[0].Accept, w.Calls[0].Cancel = false, false
	return w
}

func addGhosts(add func(World, Mutant)) {
	id := invitation.NewID("ann", "ann-1", key(0))
	show := func(conn session.Conn) session.Effect {
		return session.Effect{Kind: session.ToDevice, Conn: conn, Down: invitation.Down{Notice: &invitation.Notice{
			ID: id, Side: invitation.Callee, Remote: invitation.RemoteInvitationReceived,
		}}}
	}
	add(Named("late", 0, 0, 0), Mutant{
		Name: "shown without a permit", Breaks: judge.P4,
		Why: "an offer that waited for the callee is shown when it logs in, without asking the arbiter",
		Session: func(m *session.Machine, in *session.Input, step sessionStep) []session.Effect {
			effects := step(in)
			if stage, ok := m.Knows(id); in.Kind == session.InAttach && ok && stage == invitation.Offering && in.Login.User == "ben" {
				effects = append(effects, show(in.Conn))
			}
			return effects
		},
	})
	add(refusing("late-device", 0, 1, 0), Mutant{
		Name: "old permit", Breaks: judge.P4,
		Why: "any word of the arbiter counts as a permit, also one given before the device connected",
		Session: func(m *session.Machine, in *session.Input, step sessionStep) []session.Effect {
			if in.Kind == session.InView && in.View.Terms.Callee == "ben" && in.View.Stage <= invitation.Ringing {
				v, old := *in.View, *in
				v.Permit = m.State().Changes
				old.View = &v
				return step(&old)
			}
			return step(in)
		},
	})
	add(Named("one", 0, 0, 0), Mutant{
		Name: "late offer shown", Breaks: judge.P4,
		Why: "an invitation that has ended before its offer came is shown",
		Session: func(m *session.Machine, in *session.Input, step sessionStep) []session.Effect {
			_, known := m.Knows(id)
			effects := step(in)
			if in.Kind == session.InView && in.View.Terms.Callee == "ben" && !known && in.View.Stage == invitation.Ended {
				effects = append(effects, show(session.Conn{Number: 1<<8 | 1}))
			}
			return effects
		},
	})
	add(Named("one", 0, 0, 0), Mutant{
		Name: "end of nothing", Breaks: judge.P4,
		Why: "a device that was never shown an invitation is told its end, and tells its application",
		Session: func(m *session.Machine, in *session.Input, step sessionStep) []session.Effect {
			_, known := m.Knows(id)
			effects := step(in)
			if in.Kind == session.InView && in.View.Terms.Callee == "ben" && !known && in.View.Stage == invitation.Ended {
				n := in.View.Notice(invitation.Callee, "ben-1", origin)
				effects = append(effects, session.Effect{
					Kind: session.ToDevice, Conn: session.Conn{Number: 1<<8 | 1}, Down: invitation.Down{Notice: &n},
				})
			}
			return effects
		},
		Phone: func(p *phone.Phone, d *invitation.Down, take phoneTake) phone.Output {
			n := d.Notice
			unknown := n != nil && n.Side == invitation.Callee && n.Remote == invitation.RemoteFailure && p.Line(n.ID, n.Side) == nil &&
				!p.Remembers(n.ID, n.Side)
			out := take(d)
			if unknown {
				out.Events = append(out.Events, phone.Event{ID: n.ID, Event: judge.Event{
					Side: invitation.Callee, Event: device.Failed, State: uint8(n.Remote), Code: n.Code, Reason: n.Reason,
				}})
			}
			return out
		},
	})
}

func addRaces(add func(World, Mutant)) {
	add(Named("one", 0, 0, 0), Mutant{
		Name: "cancel loses", Breaks: judge.P5,
		Why: "an accept that comes after the cancel wins",
		Arbiter: func(m *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			if msg.Kind == invitation.MsgAccept && m.View().Outcome == invitation.Canceled {
				begun(m)
			}
			return step(msg)
		},
	})
	add(Named("devices", 0, 0, 0), Mutant{
		Name: "last answer wins", Breaks: judge.P5,
		Why: "an accept replaces the accept of another device",
		Arbiter: func(m *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			if v := m.View(); msg.Kind == invitation.MsgAccept && v.Stage == invitation.Accepting && msg.Device != v.Chosen {
				begun(m)
			}
			return step(msg)
		},
	})
	add(Named("one", 0, 0, 0), Mutant{
		Name: "loser told it won", Breaks: judge.P5,
		Why: "a call that comes too late is answered OK",
		Arbiter: func(_ *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			effects := step(msg)
			for i := range effects {
				if r := &effects[i].Reply; r.Error == invitation.AlreadyEnd {
					r.Error = invitation.OK
				}
			}
			return effects
		},
	})
	add(Named("devices", 0, 0, 0), Mutant{
		Name: "refuse comes back", Breaks: judge.P5,
		Why: "a refuse ends an invitation that another device has accepted",
		Arbiter: func(m *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			if v := m.View(); msg.Kind == invitation.MsgRefuse && v.Stage == invitation.Accepting && msg.Device != v.Chosen {
				begun(m)
			}
			return step(msg)
		},
	})
}
