package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/invitation/snapshot"
)

// A sabotage is a deliberately wrong world. Its hooks are made anew for each run.
type sabotage struct {
	name  string
	seeds uint64 // within how many seeds it has to be found
	hooks func() Hooks
}

type (
	arbiterStep = func(*invitation.Message) []arbiter.Effect
	sessionStep = func(*session.Input) []session.Effect
	deviceStep  = func(*invitation.Down)
)

// onArbiter makes hooks that change what arbiters do.
func onArbiter(f func(now Time, m *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect) Hooks {
	return Hooks{Arbiter: f}
}

// changed returns views that f has changed copies of.
func changed(effects []arbiter.Effect, f func(*invitation.View)) []arbiter.Effect {
	for i := range effects {
		if v := effects[i].View; v != nil {
			c := *v
			f(&c)
			effects[i].View = &c
		}
	}
	return effects
}

// onNotice makes hooks that change what devices hear.
func onNotice(f func(d *Device, n *invitation.Notice)) Hooks {
	return Hooks{Device: func(d *Device, down *invitation.Down, take deviceStep) {
		c := *down
		if c.Notice != nil {
			n := *c.Notice
			f(d, &n)
			c.Notice = &n
		}
		take(&c)
	}}
}

var sabotages = []sabotage{
	{"an arbiter repeats nothing", 20, func() Hooks {
		return onArbiter(func(_ Time, m *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			before := m.View().Version
			if out := step(msg); msg.Kind != invitation.MsgTick || m.View().Version != before {
				return out
			}
			return nil
		})
	}},
	{"a caller's device believes an ending without a verdict", 40, func() Hooks {
		h := onNotice(func(_ *Device, n *invitation.Notice) { n.Verdict = n.Verdict || n.Local.Terminal() })
		h.Panics = 0.01 // only then is there an ending without a verdict after a commit
		return h
	}},
	{"a timer starts again with each repeated message", 20, func() Hooks {
		again := map[*arbiter.Machine]Time{}
		return onArbiter(func(now Time, m *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			stage := m.View().Stage
			if msg.Kind == invitation.MsgTick && stage == invitation.Ringing && now < again[m] {
				return nil
			}
			out := step(msg)
			if msg.Kind == invitation.MsgSeen && stage == invitation.Ringing {
				again[m] = now.Add(m.View().Terms.Timers.Expire)
			}
			return out
		})
	}},
	{"a device shows a repeated offer again", 20, func() Hooks {
		return onNotice(func(d *Device, n *invitation.Notice) {
			l := d.byID[n.ID]
			if n.Remote == invitation.RemoteInvitationReceived && l != nil && l.remote.State() == invitation.RemoteInvitationReceived {
				delete(d.byID, n.ID)
				d.live = without(d.live, l)
			}
		})
	}},
	{"an arbiter forgets its verdict", 20, func() Hooks {
		return onArbiter(func(_ Time, _ *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			return changed(step(msg), func(v *invitation.View) { v.Verdict = false })
		})
	}},
	{"the callee is told before the caller has confirmed", 20, func() Hooks {
		return onArbiter(func(_ Time, _ *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			out := step(msg)
			for i := range out {
				if e := &out[i]; e.Kind == arbiter.TellCallee && e.View.Stage == invitation.Accepting {
					v := *e.View
					v.Stage = invitation.Confirmed
					e.View = &v
				}
			}
			return out
		})
	}},
	{"the caller is told before the callee's word", 40, func() Hooks {
		return onArbiter(func(_ Time, _ *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			out := step(msg)
			if msg.Kind == invitation.MsgConfirm {
				for _, e := range out {
					if e.Kind == arbiter.TellCallee && e.View.Stage == invitation.Confirmed {
						v := *e.View
						v.Stage, v.Outcome, v.Verdict = invitation.Ended, invitation.Accepted, true
						return append(out, arbiter.Effect{Kind: arbiter.TellCaller, View: &v})
					}
				}
			}
			return out
		})
	}},
	{"a cancel is answered and forgotten", 20, func() Hooks {
		return onArbiter(func(_ Time, m *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			if msg.Kind != invitation.MsgCancel || m.View().Stage == invitation.Ended {
				return step(msg)
			}
			return []arbiter.Effect{{Kind: arbiter.ReplyCaller, Reply: invitation.Reply{
				ID: msg.ID, Device: msg.Device, Request: invitation.Cancel, RequestID: msg.RequestID, View: m.View(),
			}}}
		})
	}},
	{"any view is a permit", 40, func() Hooks {
		return Hooks{Session: func(_ Time, m *session.Machine, in *session.Input, step sessionStep) []session.Effect {
			if in.Kind == session.InView {
				v := *in.View
				v.Permit = m.State().Changes
				permitted := *in
				permitted.View = &v
				in = &permitted
			}
			return step(in)
		}}
	}},
	{"the host forgets the invitations whose arbiters are gone", 40, func() Hooks { return Hooks{Amnesia: true} }},
	{"a session passes on no end", 20, func() Hooks {
		return Hooks{Session: func(_ Time, _ *session.Machine, in *session.Input, step sessionStep) []session.Effect {
			if in.Kind == session.InView && in.View.Stage == invitation.Ended && in.View.Outcome == invitation.Unanswered {
				return nil
			}
			return step(in)
		}}
	}},
	{"a move begins the time limit anew", 40, func() Hooks {
		return Hooks{Move: func(now Time, r *snapshot.Record) {
			if r.Arbiter != nil && r.Arbiter.State.View.Stage == invitation.Ringing {
				r.Arbiter.State.Deadline = now.Add(r.Arbiter.State.View.Terms.Timers.Expire)
			}
		}}
	}},
	{"a move forgets whom an invitation was shown to", 40, func() Hooks {
		return Hooks{Move: func(_ Time, r *snapshot.Record) {
			if r.Session != nil {
				for i := range r.Session.Entries {
					r.Session.Entries[i].Shown = nil
				}
			}
		}}
	}},
	{"a move forgets the device that was confirmed", 40, func() Hooks {
		return Hooks{Move: func(_ Time, r *snapshot.Record) {
			if r.Arbiter != nil {
				r.Arbiter.State.Confirmed = ""
			}
		}}
	}},
	{"a refuse does not win over a later accept", 40, func() Hooks {
		return onArbiter(func(_ Time, m *arbiter.Machine, msg *invitation.Message, step arbiterStep) []arbiter.Effect {
			if msg.Kind == invitation.MsgRefuse && m.View().Stage <= invitation.Ringing {
				return nil
			}
			return step(msg)
		})
	}},
}

// TestSabotage shows that the simulator finds what is wrong.
func TestSabotage(t *testing.T) {
	const calls = 300
	for _, s := range sabotages {
		t.Run(s.name, func(t *testing.T) {
			start, made := time.Now(), 0
			for seed := uint64(1); seed <= s.seeds; seed++ {
				r := Run(Draw(seed, calls), s.hooks())
				made += r.Calls
				if r.Failure != nil {
					t.Logf("found after %d calls (seed %d, %v): %v", made, seed, time.Since(start).Round(time.Millisecond),
						strings.SplitN(r.Failure.Error(), "\n", 2)[0])
					return
				}
			}
			t.Errorf("not found in %d calls", made)
		})
	}
}
