package peerwire

import (
	"math"

	"github.com/ringfleet/ringfleet/invitation"
)

// message reads what a session tells an arbiter; not what it says of an invitation whose arbiter was lost.
func (r *reader) message() *invitation.Message {
	m := &invitation.Message{Kind: invitation.MessageKinds} // as long as none has come
	for tag := r.next(); tag != 0; tag = r.next() {
		switch tag {
		case 1<<3 | isNumber:
			m.Kind = invitation.MessageKind(r.below(invitation.MessageKinds+1) - 1)
		case 2<<3 | isBytes:
			m.ID = r.id()
		case 3<<3 | isBytes:
			m.User = invitation.User(r.text())
		case 4<<3 | isBytes:
			m.Device = invitation.Device(r.text())
		case 5<<3 | isNumber:
			m.RequestID = r.number()
		case 6<<3 | isBytes:
			before := m.Terms != nil
			m.Terms = new(invitation.Terms)
			r.terms(m.Terms, before)
		case 7<<3 | isBytes:
			m.Response = r.raw()
		case 8<<3 | isBytes:
			m.Named = invitation.Device(r.text())
		default:
			r.state(m, tag)
		}
	}
	r.odd = r.odd || m.ID.IsZero() || !travels(m.Kind) || m.Kind == invitation.MsgRecover ||
		m.Kind == invitation.MsgStart && (m.Terms == nil || m.Terms.ID != m.ID)
	return m
}

// state reads the fields that say how things stand.
func (r *reader) state(m *invitation.Message, tag uint64) {
	switch tag {
	case 9<<3 | isNumber:
		m.Local = invitation.LocalState(r.below(invitation.LocalStates))
	case 10<<3 | isNumber:
		m.Remote = invitation.RemoteState(r.below(invitation.RemoteStates))
	case 11<<3 | isNumber:
		m.Reason = invitation.Reason(r.below(math.MaxUint8 + 1))
	case 12<<3 | isNumber:
		m.Online = r.flag()
	case 13<<3 | isNumber:
		m.Connected = r.flag()
	case 14<<3 | isBytes:
		m.Chosen = invitation.Device(r.text())
	case 15<<3 | isNumber:
		m.Full = r.flag()
	case 16<<3 | isNumber:
		m.Concluded = r.flag()
	case 17<<3 | isNumber:
		m.Ask = r.flag()
	case 18<<3 | isNumber:
		m.Permit = r.number()
	case 21<<3 | isNumber:
		m.Fresh = r.flag()
	case 22<<3 | isNumber:
		m.Remaining = r.remaining()
	default:
		r.odd = true
	}
}

// delivery reads an answer or a notice for a device.
func (r *reader) delivery() *Delivery {
	d := new(Delivery)
	for tag := r.next(); tag != 0; tag = r.next() {
		before := d.Down.Answer != nil || d.Down.Notice != nil
		switch tag {
		case 1<<3 | isNumber:
			d.Conn = r.number()
		case 3<<3 | isBytes:
			answer := r.inner(before)
			d.Down.Answer = answer.answer()
			r.done(&answer)
		case 4<<3 | isBytes:
			d.Down.Notice = r.notice(before)
		case 7<<3 | isBytes:
			d.User = invitation.User(r.text())
		case 8<<3 | isBytes:
			d.Device = invitation.Device(r.text())
		default:
			r.odd = true
		}
	}
	r.odd = r.odd || d.Down == invitation.Down{}
	return d
}

func (r *reader) answer() *invitation.Answer {
	a := new(invitation.Answer)
	for tag := r.next(); tag != 0; tag = r.next() {
		switch tag {
		case 1<<3 | isNumber:
			a.Request = invitation.Request(r.below(invitation.Requests))
		case 2<<3 | isNumber:
			a.RequestID = r.number()
		case 3<<3 | isNumber:
			a.Error = invitation.CallError(r.below(math.MaxUint8 + 1))
		case 4<<3 | isBytes:
			a.ID = r.id()
		case 5<<3 | isNumber:
			a.RetryAfter = r.duration()
		case 6<<3 | isBytes:
			a.Notice = r.notice(a.Notice != nil)
		default:
			r.odd = true
		}
	}
	return a
}

func (r *reader) notice(before bool) *invitation.Notice {
	m, n := r.inner(before), new(invitation.Notice)
	for tag := m.next(); tag != 0; tag = m.next() {
		switch tag {
		case 1<<3 | isBytes:
			n.ID = m.id()
		case 2<<3 | isNumber:
			n.Side = invitation.Side(m.below(uint64(invitation.Callee) + 1))
		case 3<<3 | isBytes:
			n.Peer = invitation.User(m.text())
		case 4<<3 | isBytes:
			n.Content = m.text()
		case 5<<3 | isBytes:
			n.ChannelID = m.text()
		case 6<<3 | isBytes:
			n.Response = m.text()
		case 7<<3 | isNumber:
			n.Local = invitation.LocalState(m.below(invitation.LocalStates))
		case 8<<3 | isNumber:
			n.Remote = invitation.RemoteState(m.below(invitation.RemoteStates))
		case 9<<3 | isNumber:
			n.Code = uint8(m.below(math.MaxUint8 + 1))
		case 10<<3 | isNumber:
			n.Reason = invitation.Reason(m.below(math.MaxUint8 + 1))
		case 11<<3 | isBytes:
			n.Confirm = invitation.Device(m.text())
		case 12<<3 | isNumber:
			n.Verdict = m.flag()
		case 13<<3 | isNumber:
			n.Settled = m.flag()
		case 14<<3 | isNumber:
			n.Remaining = m.duration()
		default:
			m.odd = true
		}
	}
	m.odd = m.odd || n.ID.IsZero() || n.Side == 0
	r.done(&m)
	return n
}
