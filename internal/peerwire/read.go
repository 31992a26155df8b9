package peerwire

import (
	"math"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// read reads a payload. ok is false where the generated code has to.
func (r *reader) read(kind cluster.Kind) (payload any, ok bool) {
	switch kind {
	case KindSession:
		payload = r.input()
	case KindArbiter:
		payload = r.message()
	case KindDevice:
		payload = r.delivery()
	default:
		return nil, false
	}
	return payload, !r.odd
}

func (r *reader) input() *session.Input {
	in := new(session.Input)
	tag := r.next()
	switch tag {
	case 4<<3 | isBytes:
		in.Kind = session.InCall
	case 5<<3 | isBytes:
		in.Kind = session.InWord
	case 6<<3 | isBytes:
		in.Kind, in.View = session.InView, r.view(false)
	case 7<<3 | isBytes:
		in.Kind = session.InReply
		in.Reply = r.reply()
	default:
		r.odd = true
	}
	if in.Kind == session.InCall || in.Kind == session.InWord {
		r.fromDevice(in)
	}
	r.odd = r.odd || r.at != len(r.data) // there is more, of a newer version
	return in
}

// fromDevice reads what a gateway says about a connection.
func (r *reader) fromDevice(in *session.Input) {
	m := r.inner(false)
	for tag := m.next(); tag != 0; tag = m.next() {
		switch {
		case tag == 1<<3|isBytes:
			conn := m.inner(in.Conn.Node != "")
			in.Conn = conn.conn()
			m.done(&conn)
		case tag == 2<<3|isBytes:
			in.Device = invitation.Device(m.text())
		case tag == 3<<3|isBytes && in.Kind == session.InCall:
			call := m.inner(in.Call != nil)
			in.Call = call.call()
			m.done(&call)
		case tag == 3<<3|isBytes:
			word := m.inner(in.Word != nil)
			in.Word = word.word()
			m.done(&word)
		default:
			m.odd = true
		}
	}
	m.odd = m.odd || in.Conn.Node == "" || in.Call == nil && in.Word == nil
	r.done(&m)
}

func (r *reader) conn() (c session.Conn) {
	for tag := r.next(); tag != 0; tag = r.next() {
		switch tag {
		case 1<<3 | isBytes:
			c.Node = r.text()
		case 2<<3 | isNumber:
			c.Number = r.number()
		default:
			r.odd = true
		}
	}
	r.odd = r.odd || c.Node == ""
	return c
}

func (r *reader) call() *invitation.Call {
	c := new(invitation.Call)
	for tag := r.next(); tag != 0; tag = r.next() {
		switch tag {
		case 1<<3 | isNumber:
			c.Request = invitation.Request(r.below(invitation.Requests))
		case 2<<3 | isNumber:
			c.RequestID = r.number()
		case 3<<3 | isBytes:
			c.ID = r.id()
		case 4<<3 | isBytes:
			c.Response = r.raw()
		case 5<<3 | isBytes:
			c.Key = r.raw()
		case 6<<3 | isBytes:
			c.Callee = invitation.User(r.raw())
		case 7<<3 | isBytes:
			c.Content = r.raw()
		case 8<<3 | isBytes:
			c.ChannelID = r.raw()
		case 9<<3 | isBytes:
			r.timers(&c.Timers)
		default:
			r.odd = true // a send that is repeated among them
		}
	}
	r.odd = r.odd || c.Request == invitation.NoRequest || c.RequestID == 0
	return c
}

func (r *reader) word() *invitation.Word {
	w := new(invitation.Word)
	for tag := r.next(); tag != 0; tag = r.next() {
		r.odd = r.odd || tag != 1<<3|isBytes && w.Side != 0 // one of them only
		switch tag {
		case 1<<3 | isBytes:
			w.ID = r.id()
		case 2<<3 | isBytes:
			w.Side, w.Kind = invitation.Callee, invitation.WordSeen
			if r.span() != r.at {
				r.odd = true // the device has more to say
			}
		case 3<<3 | isBytes:
			w.Side, w.Kind = invitation.Caller, invitation.WordConfirmed
			named := r.inner(false)
			for tag := named.next(); tag != 0; tag = named.next() {
				named.odd = named.odd || tag != 1<<3|isBytes
				w.Named = invitation.Device(named.text())
			}
			r.done(&named)
		case 4<<3 | isNumber:
			w.Side, w.Kind = invitation.Caller, invitation.WordDone
			w.Local = invitation.LocalState(r.below(invitation.LocalStates))
		case 5<<3 | isNumber:
			w.Side, w.Kind = invitation.Callee, invitation.WordDone
			w.Remote = invitation.RemoteState(r.below(invitation.RemoteStates))
		default:
			r.odd = true
		}
	}
	r.odd = r.odd || w.ID.IsZero() || w.Side == 0
	return w
}

func (r *reader) reply() *invitation.Reply {
	m, reply := r.inner(false), new(invitation.Reply)
	for tag := m.next(); tag != 0; tag = m.next() {
		switch tag {
		case 1<<3 | isBytes:
			reply.ID = m.id()
		case 2<<3 | isBytes:
			reply.Device = invitation.Device(m.text())
		case 3<<3 | isNumber:
			reply.Request = invitation.Request(m.below(invitation.Requests))
		case 4<<3 | isNumber:
			reply.RequestID = m.number()
		case 5<<3 | isNumber:
			reply.Error = invitation.CallError(m.below(math.MaxUint8 + 1))
		case 6<<3 | isBytes:
			reply.View = m.view(reply.View != nil)
		default:
			m.odd = true
		}
	}
	m.odd = m.odd || reply.ID.IsZero()
	r.done(&m)
	return reply
}

// view reads a view, whose terms come first.
func (r *reader) view(before bool) *invitation.View {
	m := r.inner(before)
	both := new(struct { // which live equally long
		view  invitation.View
		terms invitation.Terms
	})
	v := &both.view
	for tag := m.next(); tag != 0; tag = m.next() {
		switch tag {
		case 1<<3 | isBytes:
			m.terms(&both.terms, v.Terms != nil)
			v.Terms = &both.terms
		case 2<<3 | isNumber:
			v.Version = uint32(m.below(math.MaxUint32 + 1))
		case 3<<3 | isNumber:
			v.Stage = invitation.Stage(m.below(invitation.Stages))
		case 4<<3 | isBytes:
			v.Chosen = invitation.Device(m.text())
		case 5<<3 | isBytes:
			v.Response = m.text()
		case 6<<3 | isNumber:
			v.Outcome = invitation.Outcome(m.below(invitation.Outcomes))
		case 7<<3 | isNumber:
			v.Reason = invitation.Reason(m.below(math.MaxUint8 + 1))
		case 8<<3 | isNumber:
			v.Verdict = m.flag()
		case 9<<3 | isNumber:
			v.Settled = m.flag()
		case 10<<3 | isNumber:
			v.Permit = m.number()
		case 11<<3 | isNumber:
			v.Deadline = max(m.now.Add(m.duration()), 1)
		case 12<<3 | isNumber:
			v.Heard = m.number()
		case 13<<3 | isNumber:
			v.HeardCallee = m.number()
		case 14<<3 | isNumber:
			v.Recovering = m.flag()
		default:
			m.odd = true
		}
	}
	m.odd = m.odd || v.Terms == nil
	r.done(&m)
	return v
}

func (r *reader) terms(t *invitation.Terms, before bool) {
	m := r.inner(before)
	for tag := m.next(); tag != 0; tag = m.next() {
		switch tag {
		case 1<<3 | isBytes:
			t.ID = m.id()
		case 2<<3 | isBytes:
			t.Caller = invitation.User(m.text())
		case 3<<3 | isBytes:
			t.Device = invitation.Device(m.text())
		case 4<<3 | isBytes:
			t.Callee = invitation.User(m.text())
		case 5<<3 | isBytes:
			t.Content = m.text()
		case 6<<3 | isBytes:
			t.ChannelID = m.text()
		case 7<<3 | isBytes:
			m.timers(&t.Timers)
		default:
			m.odd = true
		}
	}
	m.odd = m.odd || t.ID.IsZero()
	r.done(&m)
}

func (r *reader) timers(t *invitation.Timers) {
	m := r.inner(*t != invitation.Timers{})
	for tag := m.next(); tag != 0; tag = m.next() {
		switch tag {
		case 1<<3 | isNumber:
			t.NoResponse = m.duration()
		case 2<<3 | isNumber:
			t.Expire = m.duration()
		case 3<<3 | isNumber:
			t.AcceptWindow = m.duration()
		case 4<<3 | isNumber:
			t.Grace = m.duration()
		case 5<<3 | isNumber:
			t.Linger = m.duration()
		default:
			m.odd = true
		}
	}
	r.done(&m)
}
