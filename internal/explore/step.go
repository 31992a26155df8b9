package explore

import (
	"fmt"
	"reflect"
	"time"

	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/internal/phone"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// What a machine did with an input, in numbers.
type (
	sessionResult struct {
		user     uint8
		session  uint32
		toDevice []toDevice
		packets  []packet
	}
	toDevice struct {
		conn uint64
		down uint32
		show int8 // the call that it shows, -1: it shows none
	}
	arbiterResult struct {
		arbiter   uint32
		referee   uint32
		packets   []packet
		violation *judge.Violation
		gone      bool // it was made and has stopped at once
	}
	seatResult struct {
		device    uint8
		seat      uint32
		ups       []uint32
		events    []phone.Event
		results   []phone.Result
		ended     bool
		violation *judge.Violation
	}
)

func pair(a, b uint32) uint64 { return uint64(a)<<32 | uint64(b) }

// Addresses of packets: the users' sessions, then the calls' arbiters.
func (m *model) toArbiter(call int) int { return maxUsers + call }

func (m *model) told(format string, args ...any) {
	if m.story != nil {
		m.story(format, args...)
	}
}

// stepSession gives an input to the session of user u. from is the packet that brought it, 0 if
// none did.
func (m *model) stepSession(s state, u int, input uint32, from packet) (state, *judge.Violation) {
	r := m.sessionResult(s.session[u], u, input)
	in, known := m.inputs.get(input), m.sessions.get(s.session[u])
	s.session[u] = r.session
	for _, p := range r.packets {
		s.send(p)
	}
	if in.Kind == session.InAttach {
		m.outdate(&s, u, in.Conn)
	}
	var v *judge.Violation
	for _, t := range r.toDevice {
		d := int(t.conn >> 8)
		if m.seats.get(s.seat[d]).phone.Conn != t.conn {
			m.told("      (lost: %s is not on that connection any more)", m.Devices[d].Name)
			continue
		}
		if t.show >= 0 && v == nil {
			v = m.permitted(&s, int(t.show), d, in, known, from)
		}
		if m.story != nil {
			m.told("      session of %s tells %s: %v", m.users[u], m.Devices[d].Name, downText(m.downs.get(t.down)))
		}
		s.down[d] = m.queues.push(s.down[d], t.down)
	}
	return s, v
}

// sessionResult returns what a session does with an input, computed once.
func (m *model) sessionResult(id uint32, u int, input uint32) sessionResult {
	r, ok := m.sessionMemo[pair(id, input)]
	if !ok {
		r = m.computeSession(id, u, input)
		m.sessionMemo[pair(id, input)] = r
	}
	return r
}

func (m *model) computeSession(id uint32, u int, input uint32) sessionResult {
	machine, in := m.sessions.copied(id), *m.inputs.get(input)
	effects := m.sessionStep(machine, &in)
	r := sessionResult{user: uint8(u)}
	for i := range effects {
		switch e := &effects[i]; e.Kind {
		case session.ToDevice:
			t := toDevice{conn: e.Conn.Number, down: m.downs.put(m.timeless(e.Down)), show: -1}
			if n := e.Down.Notice; n != nil && n.Side == invitation.Callee && n.Remote == invitation.RemoteInvitationReceived {
				t.show = int8(m.call(n.ID))
			}
			r.toDevice = append(r.toDevice, t)
		case session.ToArbiter:
			r.packets = append(r.packets, newPacket(m.toArbiter(m.call(e.Message.ID)), m.messages.put(&e.Message)))
		case session.Leave:
			machine = session.New(m.users[u], m.config, session.WithoutRetry())
		}
	}
	r.session = m.sessions.put(machine)
	return r
}

// sessionStep is a step of a session, or of its mutant.
func (m *model) sessionStep(machine *session.Machine, in *session.Input) []session.Effect {
	step := func(in *session.Input) []session.Effect { return machine.Step(origin, in, nil) }
	if m.Mutant != nil && m.Mutant.Session != nil {
		return m.Mutant.Session(machine, in, step)
	}
	return step(in)
}

// outdate marks what is under way to a session as older than a device's connection.
func (m *model) outdate(s *state, u int, conn session.Conn) {
	for k, p := range s.net[:s.sent] {
		if p.to() == u {
			s.net[k] = p.outdated(int(conn.Number >> 8))
		}
	}
	s.resort()
}

// permitted checks that an invitation is shown to a device for the first time on a word that its
// arbiter gave after that device connected, and before the outcome (P4). The first word of all is
// one that was on its way.
func (m *model) permitted(
	s *state, call, d int, in *session.Input, before *session.Machine, from packet,
) *judge.Violation {
	if m.seats.get(s.seat[d]).parts[call].Engaged {
		return nil
	}
	_, known := before.Knows(m.ids[call])
	switch {
	case in.Kind == session.InView && known && s.orphan>>call&1 != 0:
		return &judge.Violation{Promise: judge.P4, What: "shown while its arbiter is lost, and nobody has vouched for it"}
	case in.Kind == session.InView && in.View.Stage > invitation.Ringing:
		return &judge.Violation{Promise: judge.P4, What: "shown on a word that was given after the outcome"}
	case in.Kind == session.InView && (!known || from.stale()>>d&1 == 0):
		return nil
	case in.Kind == session.InView:
		return &judge.Violation{Promise: judge.P4, What: "shown on a word that was given before the device connected"}
	}
	return &judge.Violation{Promise: judge.P4, What: "shown without a word from the arbiter"}
}

// stepArbiter gives a message to the arbiter of a call.
func (m *model) stepArbiter(s state, call int, msg uint32) (state, *judge.Violation) {
	r := m.arbiterResult(&s, call, msg)
	had := s.arbiter[call] != 0
	s.arbiter[call], s.referee[call] = r.arbiter, r.referee
	switch {
	case r.arbiter == 0 && had || r.gone:
		s.stopped |= 1 << call
		s.orphan &^= 1 << call
	case r.arbiter != 0 && !m.arbiters.get(r.arbiter).Asking():
		s.orphan &^= 1 << call
	}
	for _, p := range r.packets {
		if m.story != nil {
			m.told("      arbiter says to %s: %s", m.users[p.to()], m.packetText(p))
		}
		s.send(p)
	}
	if m.story != nil {
		a := "none"
		if r.arbiter != 0 {
			a = viewText(m.arbiters.get(r.arbiter).View())
		}
		m.told("      arbiter of call %d: %s; recorded: %v", call, a, m.referees.get(r.referee))
	}
	return s, r.violation
}

// arbiterResult returns what the arbiter of a call does with a message, computed once.
func (m *model) arbiterResult(s *state, call int, msg uint32) arbiterResult {
	key := memo3{s.arbiter[call], s.referee[call], msg, m.Crashes != 0 && m.unanswered(s, call)}
	if s.stopped>>call&1 != 0 {
		key.a = stopped
	}
	r, ok := m.arbiterMemo[key]
	if !ok {
		r = m.computeArbiter(key.a, s.referee[call], call, msg, key.exempt)
		m.arbiterMemo[key] = r
	}
	return r
}

func (m *model) computeArbiter(id, ref uint32, call int, message uint32, exempt bool) arbiterResult {
	msg := *m.messages.get(message)
	terms := msg.Terms
	if msg.Kind == invitation.MsgRecover {
		terms = msg.View.Terms
	}
	if id == stopped || id == 0 && terms == nil {
		answer := m.inputs.put(m.without(&msg, id == stopped))
		return arbiterResult{referee: ref, packets: []packet{newPacket(m.user(msg.User), answer)}}
	}
	machine := arbiter.New(terms, arbiter.WithoutRetry())
	if id != 0 {
		machine = m.arbiters.copied(id)
	}
	r := m.arbiterStep(machine, ref, call, msg, exempt)
	for _, other := range m.alike[call].others(m.arbiters, id) {
		if got := m.arbiterStep(other, ref, call, msg, exempt); !reflect.DeepEqual(got, r) {
			panic(fmt.Sprintf("explore: arbiters that differ in %v are not alike: on %v", m.alike[call].fields, msg.Kind))
		}
	}
	return r
}

func (m *model) arbiterStep(machine *arbiter.Machine, ref uint32, call int, msg invitation.Message, exempt bool) arbiterResult {
	referee := *m.referees.get(ref)
	var r arbiterResult
	begun := machine.View().Version != 0
	before, lost := machine.View().Stage, machine.Asking() || !begun && referee.phase != unsent
	step := func(msg *invitation.Message) []arbiter.Effect { return machine.Step(origin, msg, nil) }
	var effects []arbiter.Effect
	if m.Mutant != nil && m.Mutant.Arbiter != nil {
		effects = m.Mutant.Arbiter(machine, &msg, step)
	} else {
		effects = step(&msg)
	}
	after := machine.View().Stage
	if before != after && !lost && !machine.Asking() {
		m.edges["arbiter "+before.String()+" "+msg.Kind.String()+" "+after.String()] = true
	}
	switch {
	case machine.Asking():
	case lost || msg.Kind == invitation.MsgRecover:
		referee.resume(m.Timers, machine, exempt)
	default:
		r.violation = referee.watch(m.Timers, &msg, after, msg.User == m.Devices[m.Calls[call].From].User)
	}
	terms := machine.View().Terms
	for i := range effects {
		switch e := &effects[i]; e.Kind {
		case arbiter.TellCaller:
			r.packets = append(r.packets, m.viewTo(terms.Caller, e.View))
		case arbiter.TellCallee:
			r.packets = append(r.packets, m.viewTo(terms.Callee, e.View))
		case arbiter.ReplyCaller:
			r.packets = append(r.packets, m.replyTo(terms.Caller, &e.Reply))
		case arbiter.ReplyCallee:
			r.packets = append(r.packets, m.replyTo(terms.Callee, &e.Reply))
		case arbiter.Stop:
			machine = nil
		}
	}
	r.arbiter, r.referee, r.gone = m.arbiters.put(m.alike[call].plain(machine)), m.referees.put(&referee), machine == nil
	return r
}

// without returns what the host answers to a message for an invitation without an arbiter.
func (m *model) without(msg *invitation.Message, over bool) *session.Input {
	if msg.Kind == invitation.MsgStart { // it had one: see the duties in package arbiter
		return &session.Input{Kind: session.InReply, Reply: arbiter.Stopped(msg, 0)}
	}
	return &session.Input{Kind: session.InUnknown, ID: msg.ID, Over: over}
}

// Deadlines in views, and the times remaining that devices are told, are left out. Applications are
// shown them, but no machine decides anything by them: a session compares them with its clock only to
// ask about what is overdue, which here is a transition of its own.

func (m *model) viewTo(u invitation.User, view *invitation.View) packet {
	v := *view
	if m.Crashes == 0 {
		v.Deadline, v.HeardCallee = 0, 0
	}
	return newPacket(m.user(u), m.inputs.put(&session.Input{Kind: session.InView, View: &v}))
}

func (m *model) replyTo(u invitation.User, reply *invitation.Reply) packet {
	r, v := *reply, *reply.View
	if m.Crashes == 0 {
		v.Deadline, v.HeardCallee = 0, 0
	}
	r.View = &v
	return newPacket(m.user(u), m.inputs.put(&session.Input{Kind: session.InReply, Reply: &r}))
}

func (m *model) timeless(d invitation.Down) *invitation.Down {
	if m.Crashes != 0 {
		return &d
	}
	if d.Notice != nil {
		n := *d.Notice
		n.Remaining = 0
		d.Notice = &n
	}
	if d.Answer != nil && d.Answer.Notice != nil {
		a, n := *d.Answer, *d.Answer.Notice
		n.Remaining = 0
		a.Notice = &n
		d.Answer = &a
	}
	return &d
}

// pass lets time pass.
func (m *model) pass(s state, d time.Duration) (state, *judge.Violation) {
	by := Time(d)
	for u := range m.users {
		s.session[u] = m.sessions.shift(s.session[u], by)
	}
	for i := range m.Devices {
		s.seat[i] = m.seats.shift(s.seat[i], by)
		s.up[i] = m.shiftQueue(s.up[i], func(id uint32) uint32 { return m.inputs.shift(id, by) })
		s.down[i] = m.shiftQueue(s.down[i], func(id uint32) uint32 { return m.downs.shift(id, by) })
	}
	var v *judge.Violation
	for i := range m.Calls {
		s.arbiter[i] = m.arbiters.shift(s.arbiter[i], by)
		s.referee[i] = m.referees.shift(s.referee[i], by)
		s.ghost[i] = m.arbiters.shift(s.ghost[i], by)
		if w := m.referees.get(s.referee[i]).overdue(); w != nil && s.orphan>>i&1 == 0 {
			v = w
		}
	}
	for k, p := range s.net[:s.sent] {
		kind := p &^ 0xffffffff
		if p.to() >= maxUsers {
			s.net[k] = kind | packet(m.messages.shift(p.item(), by))
		} else {
			s.net[k] = kind | packet(m.inputs.shift(p.item(), by))
		}
	}
	s.resort()
	return s, v
}

func (m *model) shiftQueue(q uint32, by func(uint32) uint32) uint32 {
	if q == 0 {
		return 0
	}
	items := make([]uint32, 0, 4)
	for _, i := range m.queues.items[q] {
		items = append(items, by(i))
	}
	return m.queues.put(items)
}
