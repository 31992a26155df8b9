package explore

import (
	"fmt"

	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/internal/phone"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// applySeat makes a device's new state that of s.
func (m *model) applySeat(s state, d int, r seatResult) (state, *judge.Violation) {
	before := m.seats.get(s.seat[d]).phone.Conn
	s.seat[d] = r.seat
	for _, e := range r.events {
		m.told("  *** %s: %v (call %d)", m.Devices[d].Name, e.Event, m.eventCall(e))
	}
	for _, a := range r.results {
		m.told("      %s: its %v was answered %v", m.Devices[d].Name, a.Request, a.Error)
	}
	if r.ended {
		s = m.hangUp(s, d, before)
	} else if before != 0 {
		for _, up := range r.ups {
			s.up[d] = m.queues.push(s.up[d], up)
		}
	}
	v := r.violation
	for _, e := range r.events {
		call := m.eventCall(e)
		alone := e.Side == invitation.Callee && m.referees.get(s.referee[call]).hurt && e.Event.Event != device.Accepted
		if (s.orphan>>call&1 != 0 || alone) && e.Event.Event.Terminal() { // by an arbiter that was lost, or by its session
			r := *m.referees.get(s.referee[call])
			r.apart = true
			s.referee[call] = m.referees.put(&r)
		}
		if w := m.referees.get(s.referee[call]).event(m.Devices[d].Name, e); w != nil && v == nil {
			v = w
		}
	}
	for _, a := range r.results {
		if call := m.resultCall(a); v == nil && call >= 0 && s.orphan>>call&1 == 0 {
			v = m.referees.get(s.referee[call]).result(m.Devices[d].Name, a, s.arbiter[call] == 0 || int(s.crashes) < m.Crashes)
		}
	}
	return s, v
}

func (m *model) eventCall(e phone.Event) int {
	if e.Side == invitation.Caller {
		return m.keyed(e.Key)
	}
	return m.call(e.ID)
}

func (m *model) resultCall(a phone.Result) int {
	switch {
	case a.Key != "":
		return m.keyed(a.Key)
	case a.ID.IsZero():
		return -1
	}
	return m.call(a.ID)
}

func (m *model) keyed(k string) int {
	for i := range m.Calls {
		if key(i) == k {
			return i
		}
	}
	panic("explore: a key of no call")
}

// hangUp drops a connection: what is under way on it is lost, and its session hears of it.
func (m *model) hangUp(s state, d int, conn uint64) state {
	s.up[d], s.down[d] = 0, 0
	device := m.Devices[d]
	s.send(newPacket(m.user(device.User), m.inputs.put(&session.Input{
		Kind: session.InDetach, Device: device.Name, Conn: session.Conn{Number: conn},
	})))
	return s
}

// finishSeat puts a seat to which something happened.
func (m *model) finishSeat(d int, seat *seat, out phone.Output) seatResult {
	r := seatResult{device: uint8(d), events: out.Events, results: out.Results, ended: out.Ending != nil}
	for _, e := range out.Events {
		if v := seat.parts[m.eventCall(e)].Take(e.Event); v != nil && r.violation == nil {
			r.violation = v
		}
	}
	for _, a := range out.Results {
		if a.Request == invitation.Send && a.Error != invitation.OK {
			if p := &seat.parts[m.keyed(a.Key)]; !p.Ended() {
				p.Withdrawn()
			}
		}
	}
	if r.ended {
		seat.lostAt = origin
	}
	r.ups = m.upInputs(d, seat.phone.Conn, out.Ups)
	if v := checkErrors(seat.phone); v != nil && r.violation == nil {
		r.violation = v
	}
	r.seat = m.seats.put(seat)
	return r
}

// upInputs turns what a device says into inputs of its session.
func (m *model) upInputs(d int, conn uint64, ups []invitation.Up) []uint32 {
	inputs := make([]uint32, 0, len(ups))
	for i := range ups {
		in := session.Input{Device: m.Devices[d].Name, Conn: session.Conn{Number: conn}}
		switch up := &ups[i]; {
		case up.Call != nil:
			in.Kind, in.Call = session.InCall, up.Call
		case up.Word != nil:
			in.Kind, in.Word = session.InWord, up.Word
		default:
			in.Kind = session.InLogout
		}
		inputs = append(inputs, m.inputs.put(&in))
	}
	return inputs
}

// checkErrors makes every call that has to be rejected, and checks the error and that it changes
// nothing (docs/spec.md §5).
func checkErrors(p *phone.Phone) *judge.Violation {
	for _, l := range p.Lines() {
		before := string(encoded(nil, l))
		if l.Local != nil {
			want := invitation.OK
			if l.Local.State().Terminal() || l.Local.Confirmed() != "" {
				want = invitation.AlreadyEnd
			}
			if _, err := l.Local.Send(); err != invitation.AlreadySent && err != invitation.AlreadyEnd {
				return &judge.Violation{Promise: judge.P5, What: fmt.Sprintf("a second send gave %v", err)}
			}
			if want != invitation.OK {
				if _, err := l.Local.Cancel(); err != want {
					return &judge.Violation{Promise: judge.P5, What: fmt.Sprintf("a late cancel gave %v", err)}
				}
			}
		} else if state := l.Remote.State(); state != invitation.RemoteInvitationReceived {
			want := invitation.AlreadyEnd
			if state == invitation.RemoteAcceptSentToLocal {
				want = invitation.AlreadyAccept
			}
			_, accept := l.Remote.Accept()
			_, refuse := l.Remote.Refuse()
			if accept != want || refuse != want {
				return &judge.Violation{Promise: judge.P5, What: fmt.Sprintf("late answers gave %v and %v", accept, refuse)}
			}
		}
		if before != string(encoded(nil, l)) {
			return &judge.Violation{Promise: judge.P5, What: "a call that was rejected changed something"}
		}
	}
	return nil
}

// takeUp gives the oldest thing that a device said to its session.
func (m *model) takeUp(s state, d int) (state, *judge.Violation) {
	input, rest := m.queues.pop(s.up[d])
	s.up[d] = rest
	return m.stepSession(s, m.user(m.Devices[d].User), input, 0)
}

// takeDown gives the oldest thing that a device was told to it.
func (m *model) takeDown(s state, d int) (state, *judge.Violation) {
	down, rest := m.queues.pop(s.down[d])
	s.down[d] = rest
	r, ok := m.seatMemo[pair(s.seat[d], down)]
	if !ok {
		seat := m.seats.copied(s.seat[d])
		before := stateOf(seat.phone)
		out := m.phoneTake(seat.phone, m.downs.get(down))
		m.noteEdges(before, seat.phone, m.downs.get(down), out)
		r = m.finishSeat(d, seat, out)
		m.seatMemo[pair(s.seat[d], down)] = r
	}
	return m.applySeat(s, d, r)
}

// phoneTake is a step of a device, or of its mutant.
func (m *model) phoneTake(p *phone.Phone, d *invitation.Down) phone.Output {
	if m.Crashes != 0 {
		p.Now = origin
		defer func() { p.Now = 0 }()
	}
	if m.Mutant != nil && m.Mutant.Phone != nil {
		return m.Mutant.Phone(p, d, p.Take)
	}
	return p.Take(d)
}

// deliver gives a packet to whom it is for.
func (m *model) deliver(s state, p packet) (state, *judge.Violation) {
	if p.to() >= maxUsers {
		return m.stepArbiter(s, p.to()-maxUsers, p.item())
	}
	return m.stepSession(s, p.to(), p.item(), p)
}

// connect connects a device: anew or to resume.
func (m *model) connect(s state, d int) state {
	seat := m.seats.copied(s.seat[d])
	var out phone.Output
	if seat.lostAt != 0 && origin.Sub(seat.lostAt) >= m.Timers.Linger {
		out = seat.phone.GiveUp()
	}
	seat.logins++
	seat.lostAt = 0
	conn := uint64(d)<<8 | uint64(seat.logins)
	if m.Crashes != 0 {
		seat.phone.Now = origin
	}
	login := seat.phone.Login(conn)
	if !login.Resume {
		login.Stamp = m.stamp(&s) // what the gateway's clock gives
	}
	ups := m.upInputs(d, conn, seat.phone.Repeat())
	seat.phone.Now = 0
	first := m.inputs.put(&session.Input{
		Kind: session.InAttach, Device: m.Devices[d].Name, Conn: session.Conn{Number: conn}, Login: login,
	})
	r := m.finishSeat(d, seat, out)
	r.ups = append([]uint32{first}, ups...)
	s.seat[d] = r.seat
	for _, up := range r.ups {
		s.up[d] = m.queues.push(s.up[d], up)
	}
	return s
}

// stamp returns a stamp that is newer than that of any login before.
func (m *model) stamp(s *state) uint64 {
	stamp := uint64(1)
	for d := range m.Devices {
		stamp += uint64(m.seats.get(s.seat[d]).logins)
	}
	return stamp
}

// act lets a device's application do something about a call.
func (m *model) act(s state, d, call int, what uint8) (state, *judge.Violation) {
	memo := pair(s.seat[d], uint32(call)<<8|uint32(what))
	r, ok := m.appMemo[memo]
	if !ok {
		r = m.computeAct(s.seat[d], d, call, what)
		m.appMemo[memo] = r
	}
	return m.applySeat(s, d, r)
}

func (m *model) computeAct(id uint32, d, call int, what uint8) seatResult {
	seat := m.seats.copied(id)
	seat.did[call] |= what
	var out phone.Output
	switch what {
	case didSend:
		seat.parts[call].Sent()
		out, _ = seat.phone.Send(invitation.Call{
			Request: invitation.Send, Key: key(call), Callee: m.Calls[call].To, Timers: m.Timers,
		})
	case didCancel:
		l := seat.phone.Keyed(key(call))
		if m.Mutant != nil && m.Mutant.Cancel != nil {
			out, _ = m.Mutant.Cancel(seat.phone, l)
		} else {
			out, _ = seat.phone.Cancel(l)
		}
	case didAccept, didRefuse:
		l := seat.phone.Line(m.ids[call], invitation.Callee)
		before, request, do := l.Remote.State(), invitation.Accept, seat.phone.Accept
		if what == didRefuse {
			request, do = invitation.Refuse, seat.phone.Refuse
		}
		if m.Mutant != nil && m.Mutant.Answer != nil {
			out, _ = m.Mutant.Answer(seat.phone, l, request)
		} else {
			out, _ = do(l, "")
		}
		if after := l.Remote.State(); after != before {
			m.edges["remote "+before.String()+" "+remoteInput(request)+" "+after.String()] = true
		}
	}
	return m.finishSeat(d, seat, out)
}

func remoteInput(r invitation.Request) string {
	if r == invitation.Accept {
		return device.RemoteAccept.String()
	}
	return device.RemoteRefuse.String()
}
