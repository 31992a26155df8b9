package peerwire

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// payload writes a payload, and reports whether that was possible.
func (w *writer) payload(kind cluster.Kind, payload any) bool {
	switch p := payload.(type) {
	case *session.Input:
		w.odd = w.odd || kind != KindSession
		w.input(p)
	case *invitation.Message:
		w.odd = w.odd || kind != KindArbiter
		w.message(p)
	case *Delivery:
		w.odd = w.odd || kind != KindDevice
		w.delivery(p)
	default:
		w.odd = true
	}
	return !w.odd
}

func (w *writer) input(in *session.Input) {
	switch {
	case in.Kind == session.InCall && in.Call != nil:
		at := w.fromDevice(4, in)
		call := w.begin(3)
		w.call(in.Call)
		w.end(call)
		w.end(at)
	case in.Kind == session.InWord && in.Word != nil:
		at := w.fromDevice(5, in)
		word := w.begin(3)
		w.word(in.Word)
		w.end(word)
		w.end(at)
	case in.Kind == session.InView:
		w.view(6, in.View)
	case in.Kind == session.InReply && in.Reply != nil:
		at := w.begin(7)
		w.reply(in.Reply)
		w.end(at)
	default:
		w.odd = true
	}
}

// fromDevice begins what a gateway says about a connection, and writes which one.
func (w *writer) fromDevice(field protowire.Number, in *session.Input) (at int) {
	w.odd = w.odd || in.Conn.Node == ""
	at = w.begin(field)
	conn := w.begin(1)
	w.text(1, in.Conn.Node)
	w.number(2, in.Conn.Number)
	w.end(conn)
	w.text(2, string(in.Device))
	return at
}

func (w *writer) call(c *invitation.Call) {
	w.number(1, uint64(c.Request))
	w.number(2, c.RequestID)
	w.id(3, &c.ID)
	w.raw(4, c.Response)
	w.raw(5, c.Key)
	w.raw(6, string(c.Callee))
	w.raw(7, c.Content)
	w.raw(8, c.ChannelID)
	w.timers(9, &c.Timers)
	w.resumed(10, c.Resumed)
}

// word writes a word, but for the kinds that sessions seldom hear.
func (w *writer) word(word *invitation.Word) {
	w.id(1, &word.ID)
	switch {
	case word.Kind == invitation.WordSeen:
		at := w.begin(2)
		w.duration(2, word.Remaining)
		w.end(at)
	case word.Kind == invitation.WordConfirmed:
		at := w.begin(3)
		w.text(1, string(word.Named))
		w.end(at)
	case word.Kind == invitation.WordDone && word.Side == invitation.Caller:
		w.always(4, uint64(word.Local))
	case word.Kind == invitation.WordDone && word.Side == invitation.Callee:
		w.always(5, uint64(word.Remote))
	default:
		w.odd = true
	}
}

func (w *writer) reply(r *invitation.Reply) {
	w.id(1, &r.ID)
	w.text(2, string(r.Device))
	w.number(3, uint64(r.Request))
	w.number(4, r.RequestID)
	w.number(5, uint64(r.Error))
	if r.View != nil {
		w.view(6, r.View)
	}
}

func (w *writer) view(field protowire.Number, v *invitation.View) {
	if v == nil || v.Terms == nil {
		w.odd = true
		return
	}
	at := w.begin(field)
	w.terms(1, v.Terms)
	w.number(2, uint64(v.Version))
	w.number(3, uint64(v.Stage))
	w.text(4, string(v.Chosen))
	w.text(5, v.Response)
	w.number(6, uint64(v.Outcome))
	w.number(7, uint64(v.Reason))
	w.flag(8, v.Verdict)
	w.flag(9, v.Settled)
	w.number(10, v.Permit)
	if v.Deadline != 0 {
		w.always(11, uint64(left(v.Deadline, w.now)))
	}
	w.number(12, v.Heard)
	w.number(13, v.HeardCallee)
	w.flag(14, v.Recovering)
	w.end(at)
}

func (w *writer) terms(field protowire.Number, t *invitation.Terms) {
	if t == nil {
		return
	}
	at := w.begin(field)
	w.id(1, &t.ID)
	w.text(2, string(t.Caller))
	w.text(3, string(t.Device))
	w.text(4, string(t.Callee))
	w.text(5, t.Content)
	w.text(6, t.ChannelID)
	w.timers(7, &t.Timers)
	w.end(at)
}

func (w *writer) timers(field protowire.Number, t *invitation.Timers) {
	if *t == (invitation.Timers{}) {
		return
	}
	at := w.begin(field)
	w.duration(1, t.NoResponse)
	w.duration(2, t.Expire)
	w.duration(3, t.AcceptWindow)
	w.duration(4, t.Grace)
	w.duration(5, t.Linger)
	w.end(at)
}

func (w *writer) resumed(field protowire.Number, r *invitation.Resumed) {
	if r == nil {
		return
	}
	at := w.begin(field)
	w.number(1, uint64(r.Local))
	w.duration(2, r.Remaining)
	w.text(3, string(r.Confirmed))
	w.end(at)
}

func (w *writer) duration(field protowire.Number, d time.Duration) {
	w.number(field, uint64(microseconds(d)))
}

func (w *writer) message(m *invitation.Message) {
	w.odd = w.odd || !travels(m.Kind)
	w.number(1, uint64(m.Kind)+1)
	w.id(2, &m.ID)
	w.text(3, string(m.User))
	w.text(4, string(m.Device))
	w.number(5, m.RequestID)
	w.terms(6, m.Terms)
	w.raw(7, m.Response)
	w.text(8, string(m.Named))
	w.number(9, uint64(m.Local))
	w.number(10, uint64(m.Remote))
	w.number(11, uint64(m.Reason))
	w.flag(12, m.Online)
	w.flag(13, m.Connected)
	w.text(14, string(m.Chosen))
	w.flag(15, m.Full)
	w.flag(16, m.Concluded)
	w.flag(17, m.Ask)
	w.number(18, m.Permit)
	w.resumed(19, m.Resumed)
	if m.View != nil {
		w.view(20, m.View)
	}
	w.flag(21, m.Fresh)
	w.duration(22, m.Remaining)
}

// delivery writes an answer or a notice for a device.
func (w *writer) delivery(d *Delivery) {
	w.number(1, d.Conn)
	w.text(7, string(d.User))
	w.text(8, string(d.Device))
	switch down := &d.Down; {
	case down.Welcome != nil:
		w.odd = true
	case down.Answer != nil:
		at := w.begin(3)
		w.answer(down.Answer)
		w.end(at)
	case down.Notice != nil:
		w.notice(4, down.Notice)
	default:
		w.odd = true
	}
}

func (w *writer) answer(a *invitation.Answer) {
	w.number(1, uint64(a.Request))
	w.number(2, a.RequestID)
	w.number(3, uint64(a.Error))
	w.id(4, &a.ID)
	w.duration(5, a.RetryAfter)
	if a.Notice != nil {
		w.notice(6, a.Notice)
	}
}

func (w *writer) notice(field protowire.Number, n *invitation.Notice) {
	at := w.begin(field)
	w.id(1, &n.ID)
	w.number(2, uint64(n.Side))
	w.text(3, string(n.Peer))
	w.text(4, n.Content)
	w.text(5, n.ChannelID)
	w.text(6, n.Response)
	w.number(7, uint64(n.Local))
	w.number(8, uint64(n.Remote))
	w.number(9, uint64(n.Code))
	w.number(10, uint64(n.Reason))
	w.text(11, string(n.Confirm))
	w.flag(12, n.Verdict)
	w.flag(13, n.Settled)
	w.duration(14, n.Remaining)
	w.end(at)
}
