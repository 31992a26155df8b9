package sim

import (
	"fmt"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// server hosts sessions and arbiters, with the duties of their packages' documentation. There is one;
// everything it holds is in it, so that a world may have several, and lose one.
type server struct {
	w        *world
	sessions []*sessionHost // by the number of the user; nil: none
	arbiters map[invitation.ID]*arbiterHost
	stopped  map[invitation.ID]bool   // had an arbiter; kept as long as its record
	refused  map[invitation.ID]uint64 // and which send it refused; kept likewise
	asleep   bool                     // it is a paused node's, which does not know yet that it was taken for lost
	paused   int                      // of which node, counted from 1; 0: it is the world's
	effects  []session.Effect
	tells    []arbiter.Effect
}

type sessionHost struct {
	machine  *session.Machine
	armed    Time
	attached map[uint64]Time // by connection: when it was attached
}

type arbiterHost struct {
	machine *arbiter.Machine
	record  *record
	armed   Time
}

// againAfter is when a machine that does not move its deadline on a tick gets the next one.
const againAfter = 20 * time.Millisecond

func newServer(w *world) *server {
	return &server{
		w: w, sessions: make([]*sessionHost, w.Users),
		arbiters: map[invitation.ID]*arbiterHost{}, stopped: map[invitation.ID]bool{}, refused: map[invitation.ID]uint64{},
	}
}

// ghostly marks in histories what a paused node does.
func (s *server) ghostly() string {
	if s.paused != 0 {
		return " (paused)"
	}
	return ""
}

// left returns what is left at the end.
func (s *server) left() (invitation.ID, string) {
	for _, r := range s.w.open {
		if a := s.arbiters[r.id]; a != nil {
			return r.id, "an arbiter: " + viewText(a.machine.View())
		}
	}
	for _, h := range s.sessions {
		if h == nil {
			continue
		}
		for _, r := range s.w.open {
			if _, known := h.machine.Knows(r.id); known {
				return r.id, "the invitation, in a session"
			}
		}
		out, in := h.machine.Live()
		return invitation.ID{}, fmt.Sprintf("a session with %d devices, %d outgoing, %d incoming", h.machine.Devices(), out, in)
	}
	if len(s.arbiters) > 0 {
		return invitation.ID{}, "an arbiter without a record"
	}
	return invitation.ID{}, ""
}

// fromDevice gives what a device says to its session.
func (s *server) fromDevice(e *event) {
	d, l := s.w.devices[e.who], s.w.links[e.conn]
	if l == nil || s.w.now > l.deadUp && !e.up.lost {
		return // it was on the way when the connection broke
	}
	in := session.Input{Device: d.name, Conn: l.address(e.conn)}
	var about invitation.ID
	switch {
	case e.up.login != nil:
		in.Kind, in.Login = session.InAttach, e.up.login
		l.taken, l.since, l.stamp = true, s.w.now, in.Login.Stamp
		s.w.displace(d, in.Login)
		if s.w.wantsUser(d.user) {
			s.w.note("session of %s: %s logs in on %d (resume %v, words %s)", d.userName, d.name, e.conn, in.Login.Resume,
				s.w.wordsText(in.Login.Words))
		}
	case e.up.call != nil:
		in.Kind, in.Call, about = session.InCall, e.up.call, e.up.call.ID
		if about.IsZero() {
			about = invitation.NewID(d.userName, d.name, in.Call.Key)
		}
		if s.w.wants(about) {
			s.w.note("session of %s: %s of %s (request %d)", d.userName, in.Call.Request, d.name, in.Call.RequestID)
		}
	case e.up.word != nil:
		in.Kind, in.Word, about = session.InWord, e.up.word, e.up.word.ID
		if s.w.wants(about) {
			s.w.note("session of %s: word of %s: %s", d.userName, d.name, wordText(in.Word))
		}
	case e.up.logout:
		in.Kind = session.InLogout
		d.overAt = s.w.now
		if s.w.wantsUser(d.user) {
			s.w.note("session of %s: %s logs out", d.userName, d.name)
		}
	default:
		in.Kind = session.InDetach
		delete(s.w.links, e.conn)
		if s.w.wantsUser(d.user) {
			s.w.note("session of %s: connection %d of %s is lost", d.userName, e.conn, d.name)
		}
	}
	s.step(d.user, &in, 0)
}

// toSession gives what arbiters say to a session.
func (s *server) toSession(e *event) {
	in := session.Input{Kind: session.InUnknown, ID: e.id, Over: e.over}
	if r := s.w.records[e.id]; r != nil && s.paused != 0 {
		s.w.part(r)
	}
	switch {
	case e.view != nil:
		in = session.Input{Kind: session.InView, View: e.view}
		if s.w.wants(e.id) {
			s.w.note("session of %s%s: %s", s.w.users[e.who].name, s.ghostly(), viewText(e.view))
		}
	case e.reply != nil:
		in = session.Input{Kind: session.InReply, Reply: e.reply}
		if s.w.wants(e.id) {
			s.w.note("session of %s: reply to %v %d of %s: %v", s.w.users[e.who].name, e.reply.Request, e.reply.RequestID,
				e.reply.Device, e.reply.Error.String())
		}
	default:
		if s.w.wants(e.id) {
			s.w.note("session of %s%s: there is no such invitation", s.w.users[e.who].name, s.ghostly())
		}
	}
	s.step(e.who, &in, e.said)
}

// needless reports whether an input is none to make a session for.
func needless(in *session.Input) bool {
	switch in.Kind {
	case session.InDetach, session.InLogout, session.InReply, session.InUnknown, session.InTick:
		return true
	case session.InView:
		return in.View.Settled
	default:
		return false
	}
}

// step gives an input to the session of a user. said is when an arbiter said it.
func (s *server) step(u int32, in *session.Input, said Time) {
	w, h := s.w, s.sessions[u]
	if h == nil {
		if needless(in) {
			return
		}
		h = &sessionHost{machine: session.New(w.users[u].name, &w.config, w.freshness(u)...), attached: map[uint64]Time{}}
		s.sessions[u] = h
	}
	switch in.Kind {
	case session.InAttach:
		if l := w.links[in.Conn.Number]; l != nil {
			h.attached[in.Conn.Number] = l.since
		}
	case session.InDetach:
		delete(h.attached, in.Conn.Number)
	default:
	}
	w.moveSession(h)
	known := false
	if in.Kind == session.InView {
		_, known = h.machine.Knows(in.View.Terms.ID)
	}
	if w.hooks.Session != nil {
		s.effects = w.hooks.Session(w.now, h.machine, in, func(in *session.Input) []session.Effect {
			return h.machine.Step(w.now, in, s.effects[:0])
		})
	} else {
		s.effects = h.machine.Step(w.now, in, s.effects[:0])
	}
	s.carryOut(u, h, in, known, said)
}

// carryOut does what a session wants done.
func (s *server) carryOut(u int32, h *sessionHost, in *session.Input, known bool, said Time) {
	w := s.w
	for i := range s.effects {
		switch e := &s.effects[i]; e.Kind {
		case session.ToDevice:
			if l := w.links[e.Conn.Number]; s.paused != 0 && (l == nil || l.again) {
				continue
			}
			w.permitted(h, e, in, known, said)
			w.tell(e.Conn.Number, &e.Down)
		case session.ToArbiter:
			msg := e.Message
			if w.wants(msg.ID) {
				w.note("    session of %s%s to arbiter: %s", w.users[u].name, s.ghostly(), messageText(&msg))
			}
			w.carry(msg.ID, s.own(msg.ID, u, event{what: toArbiter, id: msg.ID, msg: &msg}))
		case session.Leave:
			s.sessions[u] = nil
			return
		}
	}
	s.arm(&h.armed, h.machine.Deadline(), in.Kind == session.InTick, event{what: sessionDue, who: u, at: s.itself()})
}

// arm sees that a timer is due at d, or earlier. A machine that does not move its deadline on a tick
// gets the next one a little later.
func (s *server) arm(armed *Time, d Time, ticked bool, e event) {
	if ticked && d != 0 && d <= s.w.now {
		d = s.w.now.Add(againAfter)
	}
	if d == 0 || *armed != 0 && *armed <= d {
		return
	}
	*armed = max(whole(d), s.w.now)
	*s.w.queue.put(*armed) = e
}

func (s *server) sessionDue(e *event) {
	h := s.sessions[e.who]
	if h == nil || h.armed != s.w.now {
		return
	}
	h.armed = 0
	if d := h.machine.Deadline(); d > s.w.now {
		s.arm(&h.armed, d, false, *e)
	} else if d != 0 {
		s.step(e.who, &session.Input{Kind: session.InTick}, 0)
	}
}

// toArbiter gives what a session says to an arbiter.
func (s *server) toArbiter(e *event) {
	w, msg := s.w, e.msg
	a, r := s.arbiters[e.id], w.records[e.id]
	if w.wants(e.id) {
		w.note("  arbiter%s: %s of %s", s.ghostly(), messageText(msg), msg.User)
	}
	if a != nil && w.chance(w.Panic) && !w.draining {
		r.panicked = true
		w.faults["actors panicked"]++
		if w.wants(e.id) {
			w.note("  arbiter: PANIC at that message")
		}
		msg = &invitation.Message{Kind: invitation.MsgAbort, ID: e.id}
	}
	if a == nil {
		over, user := s.stopped[e.id] && !arbiter.Anew(msg, s.refused[e.id]) && !w.hooks.Amnesia, w.numberOf(r, msg.User)
		terms := msg.Terms
		if msg.Kind == invitation.MsgRecover {
			terms = msg.View.Terms
		}
		switch {
		case r == nil || terms == nil || over && msg.Kind != invitation.MsgStart:
			w.carry(e.id, s.own(e.id, user, event{what: toSession, id: e.id, who: user, over: over || r == nil}))
			return
		case over:
			w.carry(e.id, s.own(e.id, user, event{what: toSession, id: e.id, who: user, reply: arbiter.Stopped(msg, s.refused[e.id])}))
			return
		}
		a = &arbiterHost{machine: arbiter.New(terms), record: r}
		r.full = false
		s.arbiters[e.id] = a
	}
	s.arbitrate(a, msg)
}

// part takes that a session or an arbiter of an invitation has two activations.
func (w *world) part(r *record) { r.doubted, r.hurtAt = true, max(r.hurtAt, w.now) }

func (s *server) arbitrate(a *arbiterHost, msg *invitation.Message) {
	w := s.w
	w.moveArbiter(a)
	asked := a.machine.Asking()
	if w.hooks.Arbiter != nil {
		s.tells = w.hooks.Arbiter(w.now, a.machine, msg, func(msg *invitation.Message) []arbiter.Effect {
			return a.machine.Step(w.now, msg, s.tells[:0])
		})
	} else {
		s.tells = a.machine.Step(w.now, msg, s.tells[:0])
	}
	s.deliver(a, msg, asked)
}

// deliver does what an arbiter wants done. asked tells whether it was recovering before.
func (s *server) deliver(a *arbiterHost, msg *invitation.Message, asked bool) {
	w, r := s.w, a.record
	v := a.machine.View()
	if r.startedAt == 0 {
		r.startedAt = w.now
	}
	switch {
	case s.paused != 0:
		w.part(r)
		if v.Outcome == invitation.Lost {
			r.excused |= w.away(r)
		}
	case a.machine.Asking():
		if !asked {
			r.askingSince = w.now
		}
	case asked || msg.Kind == invitation.MsgRecover || r.askingSince != 0 || r.orphanAt != 0:
		w.recovered(r, a.machine, msg)
	default:
		w.arbitrated(r, msg, v)
		if r.hurtAt != 0 && v.Stage == invitation.Confirmed {
			r.referee.await(a.machine, r)
		}
	}
	for i := range s.tells {
		e := &s.tells[i]
		to := event{what: toSession, id: r.id, who: r.caller}
		if e.Kind == arbiter.TellCallee || e.Kind == arbiter.ReplyCallee {
			to.who = r.callee
		}
		switch e.Kind {
		case arbiter.TellCaller, arbiter.TellCallee:
			to.view = e.View
			if w.wants(r.id) {
				w.note("    arbiter%s to %s: %s", s.ghostly(), w.users[to.who].name, viewText(e.View))
			}
		case arbiter.ReplyCaller, arbiter.ReplyCallee:
			reply := e.Reply
			to.reply = &reply
		case arbiter.Stop:
			delete(s.arbiters, r.id)
			s.stopped[r.id] = true
			s.refused[r.id] = a.machine.Refused()
			if s.paused == 0 {
				w.dropped(r, v)
			}
			return
		}
		w.carry(r.id, s.own(r.id, to.who, to))
	}
	s.arm(&a.armed, a.machine.Deadline(), msg.Kind == invitation.MsgTick, event{what: arbiterDue, id: r.id, at: s.itself()})
}

func (s *server) arbiterDue(e *event) {
	a := s.arbiters[e.id]
	if a == nil || a.armed != s.w.now {
		return
	}
	a.armed = 0
	if d := a.machine.Deadline(); d > s.w.now {
		s.arm(&a.armed, d, false, *e)
	} else if d != 0 {
		s.arbitrate(a, &invitation.Message{Kind: invitation.MsgTick, ID: e.id})
	}
}
