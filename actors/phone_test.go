package actors

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// world is a host whose network is itself, and the phones connected to it.
type world struct {
	t      *testing.T
	host   *Host
	mu     sync.Mutex
	phones map[uint64]*phone
	moved  []Stage
	ended  int
	late   time.Duration
	live   [invitation.Stages]int // what a gauge of the observer would show

	away bool                // the actors are being moved
	gone bool                // and may not be made
	kept []func(*Host) error // what is to be told to them then
}

// phone is a device with the client's half of the protocol. It accepts what it is shown if told to.
type phone struct {
	w       *world
	user    invitation.User
	name    invitation.Device
	conn    session.Conn
	request uint64
	answer  invitation.Request // Accept, Refuse or NoRequest: what it does when it rings
	mute    bool               // says no word
	out     map[invitation.ID]*device.Local
	in      map[invitation.ID]*device.Remote
	local   *device.Local // sent, not answered
	events  []string
	end     invitation.End
	answers []invitation.Answer
}

func newWorld(t *testing.T, fault func(any)) *world {
	w := &world{t: t, phones: map[uint64]*phone{}}
	w.host = w.newHost(fault)
	return w
}

func (w *world) newHost(fault func(any)) *Host {
	h := New(Options{Network: w, Observer: w})
	h.fault = fault
	w.t.Cleanup(func() {
		if err := h.Stop(context.Background()); err != nil {
			w.t.Error(err)
		}
	})
	return h
}

// tell tells the host, or keeps back what there is to tell until the actors have been moved.
func (w *world) tell(f func(*Host) error) {
	w.mu.Lock()
	h := w.host
	if w.away {
		w.kept = append(w.kept, f)
		h = nil
	}
	w.mu.Unlock()
	if h == nil {
		return
	}
	if err := f(h); err != nil {
		w.t.Error(err)
	}
}

func (w *world) Session(user invitation.User, in *session.Input) {
	told := *in
	if in.Reply != nil {
		told.Reply = new(*in.Reply)
	}
	w.tell(func(h *Host) error { return h.TellSession(user, &told) })
}

func (w *world) View(user invitation.User, v *invitation.View) {
	w.tell(func(h *Host) error { return h.TellView(user, v) })
}

func (w *world) Reply(user invitation.User, r *invitation.Reply) {
	told := *r
	w.tell(func(h *Host) error { return h.TellReply(user, &told) })
}

func (w *world) Arbiter(msg *invitation.Message) {
	told := *msg
	w.tell(func(h *Host) error { return h.TellArbiter(&told) })
}

func (w *world) Holds(invitation.Shard) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.gone
}

func (w *world) LostAt(invitation.Shard) invitation.Time { return 0 }

func (w *world) Device(_ invitation.User, conn session.Conn, down invitation.Down) {
	w.mu.Lock()
	p := w.phones[conn.Number]
	var say []invitation.Up
	if p != nil {
		say = p.receive(down)
	}
	w.mu.Unlock()
	for _, up := range say {
		p.say(up)
	}
}

func (w *world) Moved(s Stage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moved = append(w.moved, s)
	if !s.First {
		w.live[s.From]--
	}
	w.live[s.View.Stage]++
}

func (w *world) Settled(s Stage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended++
	w.live[s.From]--
}

func (w *world) Departed(s Stage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.live[s.From]--
}

func (w *world) Arrived(s Stage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.live[s.From]++
}

func (w *world) Late(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late = max(w.late, by)
}

// phone connects a device.
func (w *world) phone(user invitation.User, answer invitation.Request) *phone {
	w.mu.Lock()
	p := &phone{
		w: w, user: user, name: "phone", conn: session.Conn{Node: "gate", Number: uint64(len(w.phones) + 1)}, request: 1, answer: answer,
		out: map[invitation.ID]*device.Local{}, in: map[invitation.ID]*device.Remote{},
	}
	w.phones[p.conn.Number] = p
	w.mu.Unlock()
	w.Session(user, &session.Input{
		Kind: session.InAttach, Device: p.name, Conn: p.conn,
		Login: &invitation.Login{User: user, Device: p.name, Stamp: 1},
	})
	return p
}

func (p *phone) hangUp() {
	p.w.Session(p.user, &session.Input{Kind: session.InDetach, Device: p.name, Conn: p.conn})
}

func (p *phone) say(up invitation.Up) {
	in := &session.Input{Kind: session.InCall, Device: p.name, Conn: p.conn, Call: up.Call, Word: up.Word}
	if up.Word != nil {
		in.Kind = session.InWord
	}
	p.w.Session(p.user, in)
}

func (p *phone) send(callee invitation.User, timers invitation.Timers) {
	p.w.mu.Lock()
	p.local = &device.Local{}
	if _, err := p.local.Send(); err != invitation.OK {
		p.w.t.Error(err)
	}
	p.request++
	up := invitation.Up{Call: &invitation.Call{
		Request: invitation.Send, RequestID: p.request, Key: fmt.Sprint("key", p.request), Callee: callee, Content: "hi", Timers: timers,
	}}
	p.w.mu.Unlock()
	p.say(up)
}

// receive is called with the world locked.
func (p *phone) receive(down invitation.Down) []invitation.Up {
	var out device.Output
	var id invitation.ID
	switch {
	case down.Ending != nil:
		p.end = down.Ending.End
		return nil
	case down.Answer != nil:
		a := down.Answer
		p.answers = append(p.answers, *a)
		if r := p.in[a.ID]; r != nil && a.Notice != nil && a.Notice.Side == invitation.Callee {
			return p.do(a.ID, r.Notice(a.Notice))
		}
		if a.Request != invitation.Send || p.local == nil {
			return nil
		}
		if a.Error != invitation.OK {
			out = p.local.Rejected(a.Error)
		} else {
			p.out[a.ID] = p.local
			out = p.local.Notice(a.Notice)
		}
		id = a.ID
	case down.Notice != nil && down.Notice.Side == invitation.Caller:
		id = down.Notice.ID
		if l := p.out[id]; l != nil {
			out = l.Notice(down.Notice)
		}
	case down.Notice != nil:
		id = down.Notice.ID
		if p.in[id] == nil {
			p.in[id] = &device.Remote{}
		}
		out = p.in[id].Notice(down.Notice)
	}
	return p.do(id, out)
}

func (p *phone) do(id invitation.ID, out device.Output) []invitation.Up {
	var say []invitation.Up
	if out.Event != device.NoEvent {
		p.events = append(p.events, out.Event.String())
	}
	if out.Word.Kind != invitation.NoWord && !p.mute {
		say = append(say, invitation.Up{Word: &out.Word})
	}
	if out.Request != invitation.NoRequest {
		p.request++
		say = append(say, invitation.Up{Call: &invitation.Call{Request: out.Request, RequestID: p.request, ID: id, Response: "ok"}})
	}
	if out.Event == device.Received {
		var next device.Output
		switch p.answer {
		case invitation.Accept:
			next, _ = p.in[id].Accept()
		case invitation.Refuse:
			next, _ = p.in[id].Refuse()
		}
		say = append(say, p.do(id, next)...)
	}
	return say
}

func (p *phone) saw(t *testing.T, want ...string) {
	t.Helper()
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if fmt.Sprint(p.events) != fmt.Sprint(want) {
		t.Errorf("%s saw %v, want %v", p.user, p.events, want)
	}
}

func (w *world) liveIs(t *testing.T, sessions, invitations int) {
	t.Helper()
	if s, i := w.host.Live(); s != sessions || i != invitations {
		t.Errorf("%d sessions and %d invitations are live, want %d and %d", s, i, sessions, invitations)
	}
}

func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
