package explore

import (
	"fmt"
	"time"

	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// An action is one thing that may happen in a state.
type action struct {
	kind actionKind
	a, b uint8
}

type actionKind uint8

const (
	appAct     actionKind = iota // device a's application does something: call b>>4, what 1<<(b&15)
	sayUp                        // device a's oldest word or call reaches its session
	sayDown                      // the oldest thing that device a was told reaches it
	deliver                      // packet a arrives
	deliverCut                   // as deliver, but a connection breaks before the device that hears of it can answer
	lose                         // packet a is lost
	double                       // packet a arrives, and is still under way
	cut                          // device a's connection breaks
	comeBack                     // device a connects: to resume, or for the first time
	logOut                       // device a logs out
	tickCall                     // the deadline of call a's arbiter is due
	tickUser                     // the deadline of user a's session is due
	advance                      // time passes until the earliest deadline
	repeat                       // nothing is under way: what is unanswered is repeated
	crash                        // a node is lost: see crash
	tickGhost                    // the deadline of call a's other arbiter is due
	endGhost                     // it is merged away
	overdue                      // nothing is heard from the arbiter of call b: user a's session asks
)

// deadline returns the earliest deadline of a state, 0 if there is none.
func (m *model) deadline(s *state) Time {
	var d Time
	for i := range m.Calls {
		if s.arbiter[i] != 0 {
			d = invitation.Earliest(d, m.arbiters.get(s.arbiter[i]).Deadline())
		}
	}
	for u := range m.users {
		d = invitation.Earliest(d, m.sessions.get(s.session[u]).Deadline())
	}
	return d
}

// span returns how much time passes at once, 0 if there is no deadline. With Creep it passes in steps.
//
// Without Creep, what happens between two deadlines happens at the first. With it, it happens at any
// multiple of the step: as every timer is a multiple and no machine asks whether a time is strictly over,
// what can happen in any order at other times can happen in that order at those.
func (m *model) span(s *state) time.Duration {
	d := m.deadline(s)
	if d == 0 {
		return 0
	}
	if m.Creep != 0 {
		return min(d.Sub(origin), m.Creep)
	}
	return d.Sub(origin)
}

// enabled appends what may happen in s.
func (m *model) enabled(s *state, out []action) []action {
	if m.Brief {
		if k := m.epilog(s); k >= 0 {
			return append(out, action{deliver, uint8(k), 0})
		}
	}
	if u := m.alone(s); u >= 0 {
		return m.enabledAlone(s, u, out)
	}
	for d := range m.Devices {
		out = m.enabledDevice(s, d, out)
	}
	turn := m.turn(s)
	for k := range int(s.sent) {
		if about := m.about(s.net[k]); about < 0 || about <= turn {
			out = m.enabledPacket(s, k, out)
		}
	}
	out = m.enabledCrash(s, out)
	due := false
	for i := range m.Calls {
		if s.arbiter[i] == 0 {
			continue
		}
		if d := m.arbiters.get(s.arbiter[i]).Deadline(); d != 0 && d <= origin {
			out, due = append(out, action{tickCall, uint8(i), 0}), true
		}
	}
	for u := range m.users {
		if d := m.sessions.get(s.session[u]).Deadline(); d != 0 && d <= origin {
			due = true
			if !m.leavesEarly(s, u) {
				out = append(out, action{tickUser, uint8(u), 0})
			}
		}
	}
	if d := m.span(s); !due && d != 0 && (s.sent == 0 || d <= m.late() && s.orphan == 0) {
		out = append(out, action{advance, 0, 0})
	}
	if s.quiet() && !due {
		out = append(out, action{repeat, 0, 0})
		out = m.enabledOverdue(s, out)
	}
	return out
}

// turn returns the last call whose packets may arrive now. Calls touch different arbiters, entries of
// sessions and lines of devices: what is done about one commutes with what is done about the other.
// So with Turns, packets about the first call that has any arrive first, in every order; what
// applications do and when timers fire is not held back.
func (m *model) turn(s *state) int {
	turn := len(m.Calls) - 1
	if m.Turns {
		for _, p := range s.net[:s.sent] {
			if i := m.about(p); i >= 0 {
				turn = min(turn, i)
			}
		}
	}
	return turn
}

// enabledPacket appends what may happen to a packet.
func (m *model) enabledPacket(s *state, k int, out []action) []action {
	if k > 0 && s.net[k] == s.net[k-1] {
		return out
	}
	out = append(out, action{deliver, uint8(k), 0})
	if m.reliable(s.net[k]) {
		return out
	}
	if s.losses > 0 {
		out = append(out, action{lose, uint8(k), 0})
	}
	if s.dups > 0 {
		out = append(out, action{double, uint8(k), 0})
	}
	if s.breaks > 0 && !m.SlowLinks && s.net[k].to() < maxUsers {
		out = append(out, action{deliverCut, uint8(k), 0})
	}
	return out
}

// alone returns the first user about whom something is under way when every call is over, else -1.
// Over is a call whose arbiter is gone, or has decided so that no confirm matters any more. Then the users have nothing
// to do with each other any more: what an arbiter that has decided says to one side does not depend
// on the other, but for the settling once both have acknowledged. So what one user's session and
// devices do is explored first, in every order, and then what the other's do; what the two sides were
// told in the end is compared as ever. A Full world does without this reduction.
func (m *model) alone(s *state) int {
	if s.sent == 0 || m.Full {
		return -1
	}
	for i := range m.Calls {
		if !m.apart(s, i) {
			return -1
		}
	}
	first := maxUsers
	for _, p := range s.net[:s.sent] {
		first = min(first, m.party(p))
	}
	return first
}

// apart reports whether a call is over, so that its sides do not depend on each other.
func (m *model) apart(s *state, call int) bool {
	r := m.referees.get(s.referee[call])
	switch {
	case m.Calls[call].Never:
		return true
	case s.orphan>>call&1 != 0 || s.ghost[call] != 0:
		return false
	case r.phase != decided:
		return false
	case s.arbiter[call] == 0 || r.chosen == "" || m.arbiters.get(s.arbiter[call]).View().Verdict:
		return true
	}
	from := m.Calls[call].From
	if p := m.seats.get(s.seat[from]).parts[call]; !p.Ended() {
		return false // it may yet confirm
	}
	for _, p := range s.net[:s.sent] {
		if p.to() == m.toArbiter(call) && m.messages.get(p.item()).Kind == invitation.MsgConfirm {
			return false
		}
	}
	return true
}

// party returns the user whose session a packet comes from or goes to.
func (m *model) party(p packet) int {
	if p.to() < maxUsers {
		return p.to()
	}
	return m.user(m.messages.get(p.item()).User)
}

func (m *model) enabledAlone(s *state, u int, out []action) []action {
	for d := range m.Devices {
		if m.user(m.Devices[d].User) == u {
			out = m.enabledDevice(s, d, out)
		}
	}
	for k, p := range s.net[:s.sent] {
		if m.party(p) == u {
			out = m.enabledPacket(s, k, out)
		}
	}
	return out
}

// epilog returns the first packet that is minor, or about a call that is over (see alone), -1 if there
// is none. In a brief world it is the next thing that happens: the ends of calls are told in one order
// only. A world of one call that is not brief has every order of them.
func (m *model) epilog(s *state) int {
	for k, p := range s.net[:s.sent] {
		if i := m.about(p); m.minor(s, p) || i >= 0 && m.apart(s, i) {
			return k
		}
	}
	return -1
}

// minor reports whether a packet decides nothing: it reports presence and asks nothing, or answers a
// call, which every view makes up for.
func (m *model) minor(s *state, p packet) bool {
	if s.orphan != 0 { // there it may tell what is not known
		return false
	}
	if p.to() >= maxUsers {
		msg := m.messages.get(p.item())
		return msg.Kind == invitation.MsgCallee && !msg.Ask && !msg.Full
	}
	kind := m.inputs.get(p.item()).Kind
	return kind == session.InReply || kind == session.InUnknown
}

// about returns the call that a packet is about, -1 for none.
func (m *model) about(p packet) int {
	if p.to() >= maxUsers {
		return p.to() - maxUsers
	}
	switch in := m.inputs.get(p.item()); in.Kind {
	case session.InView:
		return m.call(in.View.Terms.ID)
	case session.InReply:
		return m.call(in.Reply.ID)
	case session.InUnknown:
		return m.call(in.ID)
	default:
		return -1
	}
}

// late returns how long a message may be under way: longer than any timer but the linger. A link
// holds nothing for minutes.
func (m *model) late() time.Duration {
	t := &m.Timers
	return max(t.NoResponse, t.Expire, t.AcceptWindow+t.Grace)
}

// leavesEarly reports whether a session that is about to leave may still get something that was
// sent long ago. Nothing is under way for as long as it takes an idle session to leave: what a link
// has held for longer it drops.
func (m *model) leavesEarly(s *state, u int) bool {
	for i, c := range m.Calls {
		if m.callees[i] == u || m.user(m.Devices[c.From].User) == u {
			for _, p := range s.net[:s.sent] {
				if p.to() == u || p.to() == m.toArbiter(i) {
					return true
				}
			}
		}
	}
	return false
}

// reliable reports whether a packet cannot get lost: that a connection broke is known in the end.
func (m *model) reliable(p packet) bool {
	return p.to() < maxUsers && m.inputs.get(p.item()).Kind == session.InDetach
}

// enabledOverdue lets a session ask about an invitation that has no arbiter any more: nothing else
// would tell it.
func (m *model) enabledOverdue(s *state, out []action) []action {
	for i := range m.Calls {
		if s.arbiter[i] != 0 {
			continue
		}
		for u := range m.users {
			if _, known := m.sessions.get(s.session[u]).Knows(m.ids[i]); known {
				out = append(out, action{overdue, uint8(u), uint8(i)})
			}
		}
	}
	return out
}

func (m *model) enabledDevice(s *state, d int, out []action) []action {
	device, seat := &m.Devices[d], m.seats.get(s.seat[d])
	if s.up[d] != 0 {
		out = append(out, action{sayUp, uint8(d), 0})
	}
	if s.down[d] != 0 {
		out = append(out, action{sayDown, uint8(d), 0})
	}
	p := seat.phone
	switch {
	case p.Over:
		return out
	case p.Conn == 0 && (seat.lostAt != 0 || device.Login):
		out = append(out, action{comeBack, uint8(d), 0})
	case p.Conn != 0 && device.Break && s.breaks > 0:
		out = append(out, action{cut, uint8(d), 0})
	}
	if p.Conn != 0 && device.Logout {
		out = append(out, action{logOut, uint8(d), 0})
	}
	for i := range m.Calls {
		out = m.enabledApp(s, d, i, out)
	}
	return out
}

func (m *model) enabledApp(s *state, d, call int, out []action) []action {
	c, seat := &m.Calls[call], m.seats.get(s.seat[d])
	do := func(bit uint8) { out = append(out, action{appAct, uint8(d), uint8(call)<<4 | bit}) }
	did := seat.did[call]
	if c.From == d {
		switch {
		case did&didSend == 0:
			if seat.phone.Conn != 0 && seat.phone.Stamp != 0 && !c.Never {
				do(0)
			}
		case did&didCancel == 0 && c.Cancel:
			if l := seat.phone.Keyed(key(call)); l != nil && !l.Local.State().Terminal() && (l.Local.Confirmed() == "" || m.Mutant != nil && m.Mutant.Cancel != nil) {
				do(1)
			}
		}
		return out
	}
	l := seat.phone.Line(m.ids[call], invitation.Callee)
	if c.To != m.Devices[d].User || l == nil || l.Remote.State() != invitation.RemoteInvitationReceived {
		return out
	}
	if did&(didAccept|didRefuse) == 0 {
		if c.Accept {
			do(2)
		}
		if c.Refuse {
			do(3)
		}
	}
	return out
}

// apply lets an action happen. Unless connections are slow, what it makes devices and sessions say to
// each other is said and heard at once.
func (m *model) apply(s state, a action) (state, *judge.Violation) {
	s, v := m.applyOne(s, a)
	if m.SlowLinks {
		return s, v
	}
	s, v2 := m.converse(s, a.kind == deliverCut)
	if v == nil {
		v = v2
	}
	if v == nil {
		story := m.story
		m.story = nil
		m.bury(&s)
		m.story = story
	}
	return s, v
}

// converse lets devices and sessions say and hear everything. With cutting, a connection breaks when
// its device has heard something.
func (m *model) converse(s state, cutting bool) (state, *judge.Violation) {
	var v *judge.Violation
	for d := 0; v == nil && d < len(m.Devices); d++ {
		switch {
		case s.up[d] != 0:
			s, v = m.takeUp(s, d)
			d = -1
		case s.down[d] != 0:
			s, v = m.takeDown(s, d)
			if cutting && v == nil {
				s = m.cutOff(s, d)
			}
			d = -1
		}
	}
	return s, v
}

// bury takes packets off the network that can do nothing any more: see dead.
func (m *model) bury(s *state) {
	for k := int(s.sent) - 1; k >= 0; k-- {
		if m.dead(s, k) {
			s.remove(k)
		}
	}
}

// dead reports whether a packet does nothing when it arrives, now and at any later time but repeat
// what is said anyway. That it does nothing now is tried. That it stays so is because
//
//   - views and changes of presence are numbered, and who has taken a number takes no lower one;
//   - a reply whose call a connected device does not await it will never await: request ids are not
//     used again;
//   - what is unknown is news only to a session that knows it; one that remembers its end does not
//     learn it again while anything about it is under way (see leavesEarly).
//
// A word that was taken before makes an arbiter repeat its view, at most: that is what a message that
// is delivered twice does, too.
func (m *model) dead(s *state, k int) bool {
	p := s.net[k]
	if s.orphan != 0 {
		return false
	}
	if p.to() >= maxUsers {
		call, msg := p.to()-maxUsers, m.messages.get(p.item())
		if s.arbiter[call] == 0 {
			return false
		}
		switch msg.Kind {
		case invitation.MsgCaller, invitation.MsgCallee, invitation.MsgSeen:
		case invitation.MsgCallerDone:
			if m.arbiters.get(s.arbiter[call]).View().Stage != invitation.Ended {
				return false
			}
		default:
			return false
		}
		if r := m.arbiterResult(s, call, p.item()); r.arbiter != s.arbiter[call] || len(r.packets) > 0 {
			return false
		}
	} else {
		switch in := m.inputs.get(p.item()); in.Kind {
		case session.InView:
		case session.InReply:
			for d := range m.Devices {
				if m.Devices[d].Name == in.Reply.Device && m.seats.get(s.seat[d]).phone.Conn == 0 {
					return false
				}
			}
		case session.InUnknown:
			if _, known := m.sessions.get(s.session[p.to()]).Knows(in.ID); known {
				return false
			}
		default:
			return false
		}
		if r := m.sessionResult(s.session[p.to()], p.to(), p.item()); r.session != s.session[p.to()] || len(r.packets) > 0 {
			return false
		}
	}
	without := *s
	without.remove(k)
	if p.to() < maxUsers {
		p = newPacket(p.to(), p.item()) // no device is shown anything
	}
	after, v := m.deliver(without, p)
	if v == nil {
		after, v = m.converse(after, false)
	}
	return v == nil && after == without
}

func (m *model) applyOne(s state, a action) (state, *judge.Violation) {
	switch a.kind {
	case appAct:
		return m.act(s, int(a.a), int(a.b>>4), 1<<(a.b&15))
	case sayUp:
		return m.takeUp(s, int(a.a))
	case sayDown:
		return m.takeDown(s, int(a.a))
	case deliver, deliverCut:
		p := s.remove(int(a.a))
		return m.deliver(s, p)
	case lose:
		s.losses--
		s.remove(int(a.a))
		return s, nil
	case double:
		s.dups--
		return m.deliver(s, s.net[a.a])
	case cut:
		return m.cutOff(s, int(a.a)), nil
	case comeBack:
		return m.connect(s, int(a.a)), nil
	case logOut:
		seat := m.seats.copied(s.seat[a.a])
		return m.applySeat(s, int(a.a), m.finishSeat(int(a.a), seat, seat.phone.Logout()))
	case crash:
		return m.crash(s, a.a, a.b)
	case tickGhost:
		return m.stepGhost(s, int(a.a)), nil
	case endGhost:
		s.ghost[a.a] = 0
		return s, nil
	case tickCall:
		return m.stepArbiter(s, int(a.a), m.messages.put(&invitation.Message{Kind: invitation.MsgTick}))
	case tickUser:
		return m.stepSession(s, int(a.a), m.inputs.put(&session.Input{Kind: session.InTick}), 0)
	case advance:
		return m.pass(s, m.span(&s))
	case repeat:
		return m.repeat(s)
	case overdue:
		in := &session.Input{Kind: session.InResend, ID: m.ids[a.b]}
		return m.stepSession(s, int(a.a), m.inputs.put(in), 0)
	}
	panic(fmt.Sprintf("explore: no action %d", a.kind))
}

// cutOff breaks a device's connection.
func (m *model) cutOff(s state, d int) state {
	seat := m.seats.copied(s.seat[d])
	conn := seat.phone.Conn
	if conn == 0 || s.breaks == 0 || !m.Devices[d].Break {
		return s
	}
	s.breaks--
	seat.phone.Lose()
	seat.lostAt = origin
	s.seat[d] = m.seats.put(seat)
	return m.hangUp(s, d, conn)
}

// repeat repeats everything that is unanswered.
func (m *model) repeat(s state) (state, *judge.Violation) {
	var violation *judge.Violation
	note := func(next state, v *judge.Violation) {
		s = next
		if violation == nil {
			violation = v
		}
	}
	for d := range m.Devices {
		if p := m.seats.get(s.seat[d]).phone; p.Conn != 0 {
			if m.Crashes != 0 {
				p = m.seats.copied(s.seat[d]).phone
				p.Now = origin
			}
			for _, up := range m.upInputs(d, p.Conn, p.Repeat()) {
				s.up[d] = m.queues.push(s.up[d], up)
			}
		}
	}
	for i := range m.Calls {
		if s.arbiter[i] != 0 {
			note(m.stepArbiter(s, i, m.messages.put(&invitation.Message{Kind: invitation.MsgResend})))
		}
	}
	for u := range m.users {
		note(m.stepSession(s, u, m.inputs.put(&session.Input{Kind: session.InResend}), 0))
	}
	return s, violation
}
