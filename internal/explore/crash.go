package explore

import (
	"math"
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/device"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// anew is from where a session numbers changes of presence that takes the place of a lost one: higher than any of that.
const anew = 1000

// A Loss is the loss of a node: whose sessions it has, as bits, and how it is lost.
type Loss struct{ Users, How uint8 }

// How a node is lost.
const (
	gateways = 1 << iota // with every connection
	paused               // its arbiters go on, as if nothing had been
)

// stopped stands for an arbiter that the host remembers to have stopped.
const stopped = math.MaxUint32

// enabledCrash appends the losses of nodes. A node has the sessions of some users, with the arbiters of what
// they sent; one that has all the gateways, too, loses every connection.
func (m *model) enabledCrash(s *state, out []action) []action {
	for i := range m.Calls {
		if g := s.ghost[i]; g != 0 {
			out = append(out, action{endGhost, uint8(i), 0})
			if d := m.arbiters.get(g).Deadline(); d != 0 && d <= origin {
				out = append(out, action{tickGhost, uint8(i), 0})
			}
		}
	}
	if s.crashes == 0 {
		return out
	}
	for users := uint8(1); users < 1<<len(m.users); users++ {
		for how := range uint8(4) {
			if len(m.Lost) > 0 && !slices.Contains(m.Lost, Loss{users, how}) {
				continue
			}
			if how&paused != 0 && (how&gateways != 0 || !m.arbitrates(s, users)) {
				continue
			}
			out = append(out, action{crash, users, how})
		}
	}
	return out
}

// arbitrates reports whether a node that has some users has arbiters.
func (m *model) arbitrates(s *state, users uint8) bool {
	for i, c := range m.Calls {
		if users>>m.user(m.Devices[c.From].User)&1 != 0 && s.arbiter[i] != 0 && s.ghost[i] == 0 {
			return true
		}
	}
	return false
}

// crash loses what a node has of some users: their sessions, the arbiters of what they sent, and what these have
// said to each other, which never left the node. The others take over at once, as package session and package
// arbiter want it: what was said to a session that is lost reaches the new one.
func (m *model) crash(s state, users, how uint8) (state, *judge.Violation) {
	s.crashes--
	lost := func(u int) bool { return users>>u&1 != 0 }
	var violation *judge.Violation
	note := func(next state, v *judge.Violation) {
		if s = next; violation == nil {
			violation = v
		}
	}
	var shards invitation.ShardSet
	for u, user := range m.users {
		if lost(u) {
			s.session[u] = m.sessions.put(session.New(user, m.config, session.WithoutRetry(), session.Fresh(origin, anew)))
			shards.Add(invitation.ShardOf(user))
		}
	}
	for k := int(s.sent) - 1; k >= 0; k-- {
		p := s.net[k]
		detach := p.to() < maxUsers && m.inputs.get(p.item()).Kind == session.InDetach
		call := m.about(p)
		local := call >= 0 && m.party(p) == m.user(m.Devices[m.Calls[call].From].User)
		if lost(m.party(p)) && (detach || local) || m.denies(p) {
			s.remove(k)
		}
	}
	for i, c := range m.Calls {
		if !lost(m.user(m.Devices[c.From].User)) {
			continue
		}
		r := *m.referees.get(s.referee[i])
		if r.phase != unsent && (s.arbiter[i] != 0 || m.open(&s, i)) {
			r.hurt, r.apart = true, r.apart || r.phase == decided
			s.referee[i] = m.referees.put(&r)
			s.orphan |= 1 << i
		}
		if how&paused != 0 {
			s.ghost[i] = s.arbiter[i]
		}
		s.arbiter[i] = 0
		s.stopped &^= 1 << i
	}
	for d := range m.Devices {
		s = m.reattach(s, d, lost(m.user(m.Devices[d].User)), how&gateways != 0)
	}
	for u := range m.users {
		if !lost(u) {
			note(m.stepSession(s, u, m.inputs.put(&session.Input{Kind: session.InLost, Shards: &shards}), 0))
		}
	}
	for i := range m.Calls {
		if s.arbiter[i] != 0 && lost(m.callees[i]) {
			note(m.stepArbiter(s, i, m.messages.put(&invitation.Message{Kind: invitation.MsgCalleeLost})))
		}
	}
	return s, violation
}

// denies reports whether a packet says that a session knows nothing of a call: the answer to a question that a lost
// arbiter has put, which comes to the next one only if it is under way for longer than a takeover takes.
func (m *model) denies(p packet) bool {
	if p.to() < maxUsers {
		return false
	}
	msg := m.messages.get(p.item())
	return msg.Kind == invitation.MsgRecover && msg.View.Version == 0
}

// open reports whether a device is owed the end of a call.
func (m *model) open(s *state, call int) bool {
	for d := range m.Devices {
		if m.seats.get(s.seat[d]).parts[call].Open() {
			return true
		}
	}
	return false
}

// reattach does what a crash means for a device: it loses its connection, or its gateway logs in for it.
func (m *model) reattach(s state, d int, sessionLost, gatewayLost bool) state {
	at := m.seats.get(s.seat[d])
	conn := at.phone.Conn
	switch {
	case conn == 0:
	case gatewayLost:
		seat := m.seats.copied(s.seat[d])
		seat.phone.Lose()
		seat.lostAt = origin
		s.seat[d] = m.seats.put(seat)
		s.up[d], s.down[d] = 0, 0
		if !sessionLost {
			s = m.hangUp(s, d, conn)
		}
	case sessionLost:
		login := &invitation.Login{
			User: m.Devices[d].User, Device: m.Devices[d].Name, Resume: true, Stamp: at.phone.Stamp, Reattach: true,
		}
		in := &session.Input{Kind: session.InAttach, Device: m.Devices[d].Name, Conn: session.Conn{Number: conn}, Login: login}
		s.up[d] = m.queues.push(s.up[d], m.inputs.put(in))
	}
	return s
}

// stepGhost lets the arbiter of a paused node, which is another's by now, find its deadline due. What it says to the
// caller's session reaches the one on its own node, whose connections are others' by now.
func (m *model) stepGhost(s state, call int) state {
	machine := m.arbiters.copied(s.ghost[call])
	msg := &invitation.Message{Kind: invitation.MsgTick}
	var effects []arbiter.Effect
	if m.Mutant != nil && m.Mutant.Arbiter != nil {
		effects = m.Mutant.Arbiter(machine, msg, func(msg *invitation.Message) []arbiter.Effect { return machine.Step(origin, msg, nil) })
	} else {
		effects = machine.Step(origin, msg, nil)
	}
	for i := range effects {
		switch e := &effects[i]; e.Kind {
		case arbiter.TellCaller:
			if m.Mutant != nil && m.Mutant.Unfenced {
				s.send(m.viewTo(machine.View().Terms.Caller, e.View))
			}
		case arbiter.TellCallee:
			s.send(m.viewTo(machine.View().Terms.Callee, e.View))
		case arbiter.Stop:
			machine = nil
		default:
		}
		if machine == nil {
			break
		}
	}
	s.ghost[call] = m.arbiters.put(machine)
	r := *m.referees.get(s.referee[call])
	r.apart = true
	s.referee[call] = m.referees.put(&r)
	return s
}

// unanswered reports whether nobody but the lost arbiter can have known when a stage began: the send or the accept
// was not answered.
func (m *model) unanswered(s *state, call int) bool {
	for d := range m.Devices {
		p := m.seats.get(s.seat[d]).phone
		if l := p.Keyed(key(call)); d == m.Calls[call].From && l != nil && l.ID.IsZero() || p.Awaits(invitation.Accept, m.ids[call]) {
			return true
		}
	}
	return false
}

// outcomes are what the outcomes are for the applications.
var outcomes = [invitation.Outcomes]device.Event{
	invitation.Accepted: device.Accepted, invitation.Refused: device.Refused, invitation.Canceled: device.Canceled,
	invitation.Undelivered: device.Failed, invitation.Unanswered: device.Failed, invitation.Unconfirmed: device.Failed,
	invitation.Lost: device.Failed, invitation.Forgotten: device.Failed,
}

// resume goes on from what an arbiter knows that took the place of one which was lost. A deadline is not later than it
// was, unless the stage is one of which only the lost one knew when it began (exempt).
func (r *referee) resume(t invitation.Timers, m *arbiter.Machine, exempt bool) {
	state, v := m.State(), m.View()
	next := referee{
		phase: phase(v.Stage) + offering, due: state.Deadline, gone: state.GoneAt, verdict: state.Patience, chosen: v.Chosen,
		reason: v.Reason, heard: v.Heard, calleeHeard: state.CalleeHeard, late: r.late, apart: r.apart, hurt: true,
	}
	same := next.phase == r.phase && r.due != 0 && next.phase < confirmed
	if due := max(r.due, origin); same && !exempt && state.Deadline > due.Add(time.Millisecond) {
		next.due = due // what the callee's session knows may yet come
	}
	if state.LostAt != 0 {
		next.lost = state.LostAt.Add(t.Grace)
	}
	switch {
	case next.phase == decided:
		next.due, next.gone, next.lost, next.verdict = 0, 0, 0, 0
		next.heard, next.calleeHeard = 0, 0
		next.outcome = outcomes[v.Outcome]
		next.late = r.late || v.Verdict && state.Confirmed != "" && state.Said != state.Confirmed && state.Denied != state.Confirmed
		next.apart = r.apart || r.phase == decided && r.outcome != next.outcome
	case next.phase == confirmed:
		next.due, next.gone = 0, 0
	}
	*r = next
}

// crashText says what is lost.
func (m *model) crashText(users, how uint8) string {
	s := "the node of"
	for u, user := range m.users {
		if users>>u&1 != 0 {
			s += " " + string(user)
		}
	}
	if how&gateways != 0 {
		s += ", with every connection"
	}
	if how&paused != 0 {
		s += "; it is only paused"
	}
	return s
}
