package main

import (
	"maps"
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// world is one node with a few devices, played without a clock or a network: what is said is
// delivered in the order in which it was said.
type world struct {
	now      invitation.Time
	config   session.Config
	sessions map[invitation.User]*session.Machine
	arbiters map[invitation.ID]*arbiter.Machine
	phones   map[uint64]*phone // by the number of their connection
	conns    uint64
	queue    []func()
	heard    func(scene)
}

// scene is one thing that happens in a story.
type scene struct {
	by   *phone            // whose device
	up   *wire.ClientFrame // it says
	down *wire.ServerFrame // it is told
	note string            // it does, or its application is told
	time time.Duration     // passes
}

const origin invitation.Time = 1

func newWorld(policy session.Policy, heard func(scene)) *world {
	config := session.DefaultConfig
	config.Policy = policy
	return &world{
		now: origin, config: config, heard: heard,
		sessions: map[invitation.User]*session.Machine{},
		arbiters: map[invitation.ID]*arbiter.Machine{},
		phones:   map[uint64]*phone{},
	}
}

// wallClock is what the node tells as its time.
func (w *world) wallClock() time.Time {
	return time.UnixMilli(1_800_000_000_000).Add(w.now.Sub(origin))
}

func (w *world) later(f func()) { w.queue = append(w.queue, f) }

// settle delivers everything that is on its way, and what is said about it.
func (w *world) settle() { w.settleUntil(func() bool { return false }) }

// settleUntil delivers what is on its way until something has come about.
func (w *world) settleUntil(done func() bool) {
	for len(w.queue) > 0 && !done() {
		next := w.queue[0]
		w.queue = w.queue[1:]
		next()
	}
}

// up is a frame that reaches the node.
func (w *world) up(p *phone, conn uint64, frame wire.ClientFrame) {
	w.heard(scene{by: p, up: &frame})
	c := session.Conn{Number: conn}
	switch {
	case frame.Login != nil:
		login := frame.Login.Login
		if !login.Resume {
			login.Stamp = uint64(w.wallClock().UnixMilli())
		}
		w.session(p.user, &session.Input{Kind: session.InAttach, Conn: c, Device: p.device, Login: &login})
	case frame.Up.Call != nil:
		w.session(p.user, &session.Input{Kind: session.InCall, Conn: c, Device: p.device, Call: frame.Up.Call})
	case frame.Up.Word != nil:
		w.session(p.user, &session.Input{Kind: session.InWord, Conn: c, Device: p.device, Word: frame.Up.Word})
	case frame.Up.Logout:
		w.session(p.user, &session.Input{Kind: session.InLogout, Conn: c, Device: p.device})
	}
}

// session gives an input to a user's session and carries out what follows.
func (w *world) session(user invitation.User, in *session.Input) {
	m := w.sessions[user]
	if m == nil {
		m = session.New(user, &w.config)
		w.sessions[user] = m
	}
	for _, e := range m.Step(w.now, in, nil) {
		switch e.Kind {
		case session.ToDevice:
			w.down(e.Conn.Number, e.Down)
		case session.ToArbiter:
			w.later(func() { w.arbiter(user, &e.Message) })
		case session.Leave:
			delete(w.sessions, user)
		}
	}
}

// down sends a frame to a device.
func (w *world) down(conn uint64, down invitation.Down) {
	frame := wire.ServerFrame{Down: down, Time: w.wallClock()}
	p := w.phones[conn]
	if down.Welcome != nil {
		frame.Info = welcomeInfo(p.user)
	}
	w.later(func() {
		if p.conn == conn && !p.deaf {
			w.heard(scene{by: p, down: &frame})
			p.told(frame.Down)
		}
	})
}

// arbiter gives a message to its invitation's arbiter and carries out what follows.
func (w *world) arbiter(from invitation.User, msg *invitation.Message) {
	m := w.arbiters[msg.ID]
	if m == nil && msg.Kind != invitation.MsgStart {
		w.later(func() { w.session(from, &session.Input{Kind: session.InUnknown, ID: msg.ID, Over: true}) })
		return
	}
	if m == nil {
		m = arbiter.New(msg.Terms)
		w.arbiters[msg.ID] = m
	}
	w.carry(m, m.Step(w.now, msg, nil))
}

func (w *world) carry(m *arbiter.Machine, effects []arbiter.Effect) {
	terms := m.View().Terms
	for _, e := range effects {
		user, in := terms.Caller, &session.Input{Kind: session.InView, View: e.View}
		switch e.Kind {
		case arbiter.TellCaller:
		case arbiter.TellCallee:
			user = terms.Callee
		case arbiter.ReplyCaller:
			in = &session.Input{Kind: session.InReply, Reply: &e.Reply}
		case arbiter.ReplyCallee:
			user, in = terms.Callee, &session.Input{Kind: session.InReply, Reply: &e.Reply}
		case arbiter.Stop:
			delete(w.arbiters, terms.ID)
			continue
		}
		w.later(func() { w.session(user, in) })
	}
}

// pass lets time go by, and ticks whoever has a deadline on the way.
func (w *world) pass(d time.Duration) {
	w.settle()
	w.heard(scene{time: d})
	end := w.now.Add(d)
	for {
		next := invitation.Time(0)
		for _, m := range w.arbiters {
			next = invitation.Earliest(next, m.Deadline())
		}
		for _, m := range w.sessions {
			next = invitation.Earliest(next, m.Deadline())
		}
		if next == 0 || next > end {
			break
		}
		w.now = max(w.now, next)
		w.tick()
	}
	w.now = end
}

func (w *world) tick() {
	for id, m := range w.arbiters {
		if at := m.Deadline(); at != 0 && at <= w.now {
			w.carry(m, m.Step(w.now, &invitation.Message{Kind: invitation.MsgTick, ID: id}, nil))
		}
	}
	for _, user := range slices.Sorted(maps.Keys(w.sessions)) {
		if at := w.sessions[user].Deadline(); at != 0 && at <= w.now {
			w.session(user, &session.Input{Kind: session.InTick})
		}
	}
	w.settle()
}
