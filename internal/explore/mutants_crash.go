package explore

import (
	"time"

	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// Crashing returns a world in which nodes are lost.
func Crashing(name string, crashes, losses int) World {
	w := Named(name, losses, 0, 0)
	w.Crashes = crashes
	return w
}

// losing returns a world in which the node that has some users is lost.
func losing(name string, users uint8) World {
	w := Crashing(name, 1, 0)
	w.Lost = []Loss{{Users: users}}
	return w
}

// toldBoth returns effects that tell both sides a view.
func toldBoth(m *arbiter.Machine, change func(v *invitation.View)) []arbiter.Effect {
	v := *m.View()
	v.Version += 1 << 20
	change(&v)
	return []arbiter.Effect{{Kind: arbiter.TellCaller, View: &v}, {Kind: arbiter.TellCallee, View: &v}}
}

// addRecovery adds wrong recoveries.
func addRecovery(add func(World, Mutant)) {
	addHasty(add)
	addGullible(add)
	addForgetful(add)
}

func addHasty(add func(World, Mutant)) {
	add(Crashing("one-brief", 1, 0), Mutant{
		Name: "decides before asking", Breaks: judge.P1,
		Why: "a new arbiter ends what it does not know, without asking both sides",
		Arbiter: func(m *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			effects := step(msg)
			if !m.Asking() {
				return effects
			}
			return append(effects, toldBoth(m, func(v *invitation.View) {
				v.Stage, v.Outcome, v.Reason, v.Verdict = invitation.Ended, invitation.Unanswered, invitation.Expired, true
			})...)
		},
	})
	creeps := losing("cancel-brief", 1)
	creeps.Timers, creeps.Creep = creeping, 15*time.Second
	add(creeps, Mutant{
		Name: "deadline restarts", Breaks: judge.P2,
		Why: "a new arbiter begins the time of the stage anew",
		Arbiter: func(_ *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			again := *msg
			if msg.Resumed != nil {
				r := *msg.Resumed
				r.Remaining = time.Hour
				again.Resumed = &r
			}
			if again.Remaining = 0; msg.View != nil {
				v := *msg.View
				v.Deadline = 0
				again.View = &v
			}
			return step(&again)
		},
	})
	late := Crashing("late-device", 1, 0)
	late.Calls = []Call{{From: 0, To: "ben"}}
	add(late, Mutant{
		Name: "shown before it is vouched for", Breaks: judge.P4,
		Why: "a new arbiter lets further devices be shown the invitation before the caller's device has said that it lives",
		Arbiter: func(m *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			effects := step(msg)
			if m.Asking() && msg.Ask && msg.User == m.View().Terms.Callee {
				v := *m.View()
				v.Stage, v.Permit = invitation.Ringing, msg.Permit
				effects = append(effects, arbiter.Effect{Kind: arbiter.TellCallee, View: &v})
			}
			return effects
		},
	})
}

func addGullible(add func(World, Mutant)) {
	add(losing("accept-brief", 1), Mutant{
		Name: "resumed claim believed", Breaks: judge.P1,
		Why: "the caller's device says on a resume that it has confirmed, and that is taken for the callee's word, too",
		Arbiter: func(m *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			effects := step(msg)
			if msg.Resumed == nil || msg.Resumed.Confirmed == "" {
				return effects
			}
			return append(effects, toldBoth(m, func(v *invitation.View) {
				v.Stage, v.Outcome, v.Verdict, v.Chosen = invitation.Ended, invitation.Accepted, true, msg.Resumed.Confirmed
			})[:1]...)
		},
	})
	add(losing("accept-brief", 1), Mutant{
		Name: "confirm made of an accept", Breaks: judge.P1,
		Why: "a new arbiter takes the callee's accept for one that the caller's device has confirmed",
		Arbiter: func(m *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			asked := m.Asking()
			effects := step(msg)
			if asked && !m.Asking() && m.View().Stage == invitation.Accepting {
				effects = append(effects, toldBoth(m, func(v *invitation.View) { v.Stage = invitation.Confirmed })[1:]...)
			}
			return effects
		},
	})
	add(Crashing("callee-breaks", 1, 0), Mutant{
		Name: "ending of a paused node", Breaks: judge.P1, Unfenced: true,
		Why: "an arbiter that was paused, and another took its place, tells the caller that the callee is lost",
		Arbiter: func(m *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			effects := step(msg)
			if msg.Kind == invitation.MsgTick && m.View().Stage == invitation.Confirmed { // without asking a last time
				v := *m.View()
				v.Version, v.Stage, v.Outcome, v.Reason, v.Verdict = 1<<20, invitation.Ended, invitation.Lost, invitation.CalleeLost, true
				effects = append(effects, arbiter.Effect{Kind: arbiter.TellCaller, View: &v})
			}
			return effects
		},
	})
}

func addForgetful(add func(World, Mutant)) {
	add(losing("accept-brief", 1), Mutant{
		Name: "confirm forgotten", Breaks: judge.P2,
		Why: "a new arbiter pays no attention to what the caller's device has confirmed",
		Arbiter: func(m *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			again := *msg
			if msg.Resumed != nil && msg.Resumed.Confirmed != "" {
				r := *msg.Resumed
				r.Confirmed = ""
				again.Resumed = &r
			}
			if msg.Kind == invitation.MsgConfirm && m.View().Version >= 1<<16 {
				return nil
			}
			return step(&again)
		},
	})
	add(losing("accept-brief", 2), Mutant{
		Name: "new session speaks for its devices", Breaks: judge.P1,
		Why: "a session that has just been made says of a device, which it does not know, that it did not accept",
		Session: func(m *session.Machine, in *session.Input, step sessionStep) []session.Effect {
			fresh := m.State().FreshAt != 0
			effects := step(in)
			if fresh && in.Kind == session.InView && in.View.Stage == invitation.Confirmed && in.View.Terms.Callee == "ben" {
				effects = append(effects, session.Effect{Kind: session.ToArbiter, Message: invitation.Message{
					Kind: invitation.MsgCalleeDone, ID: in.View.Terms.ID, User: "ben", Device: in.View.Chosen,
					Remote: invitation.RemoteFailure, Concluded: true,
				}})
			}
			return effects
		},
	})
}
