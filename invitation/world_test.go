package invitation_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// A world is a small host of the real machines: sessions, arbiters and phones in one goroutine, with
// messages delivered first in, first out and without delay, and a clock that moves when the script
// says so. What devices say and hear is written down, line by line.
type world struct {
	t        testing.TB
	now      invitation.Time
	config   session.Config
	sessions map[invitation.User]*session.Machine
	arbiters map[invitation.ID]*arbiter.Machine
	stopped  map[invitation.ID]bool              // the host remembers that it had one
	lostAt   map[invitation.User]invitation.Time // when a session was lost
	phones   []*phone
	queue    []delivery
	held     []delivery
	filters  []filter
	names    map[invitation.ID]string // how the script calls an invitation
	callers  map[invitation.ID]*phone
	conns    uint64
	lines    []string
	ticked   int // ticks since the clock last moved
}

// A delivery is a message on its way: from or to a device, or between session and arbiter.
type delivery struct {
	who, what string // as a filter names it
	arrive    func()
}

// A filter does something to messages: "hold", "lose" or "double". Once: to the first one only.
type filter struct {
	action, who, what string
	once              bool
}

func newWorld(t testing.TB) *world {
	return &world{
		t: t, now: invitation.Time(time.Hour), config: session.Config{}.WithDefaults(),
		sessions: map[invitation.User]*session.Machine{}, arbiters: map[invitation.ID]*arbiter.Machine{},
		stopped: map[invitation.ID]bool{}, lostAt: map[invitation.User]invitation.Time{},
		names: map[invitation.ID]string{}, callers: map[invitation.ID]*phone{},
	}
}

// print writes a line with the time since the script began.
func (w *world) print(format string, args ...any) {
	w.lines = append(w.lines, w.clock()+" "+fmt.Sprintf(format, args...))
}

func (w *world) clock() string { return seconds(w.now.Sub(invitation.Time(time.Hour))) }

func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Round(time.Millisecond).Seconds(), 'f', -1, 64) + "s"
}

// put sends a message on its way, unless a filter says otherwise.
func (w *world) put(who, what string, arrive func()) {
	d := delivery{who, what, arrive}
	for i, f := range w.filters {
		if f.who != who || f.what != what {
			continue
		}
		if f.once {
			w.filters = slices.Delete(w.filters, i, i+1)
		}
		w.print("(%s: %s %s)", map[string]string{"hold": "held", "lose": "lost", "double": "doubled"}[f.action], who, what)
		switch f.action {
		case "hold":
			w.held = append(w.held, d)
		case "double":
			w.queue = append(w.queue, d, d)
		}
		return
	}
	w.queue = append(w.queue, d)
}

// run delivers what is on its way, and what that causes.
func (w *world) run() {
	for n := 0; len(w.queue) > 0; n++ {
		if n > 10_000 {
			w.t.Fatalf("%s: messages without end; the last: %q", w.clock(), w.lines[max(0, len(w.lines)-5):])
		}
		d := w.queue[0]
		w.queue = w.queue[1:]
		d.arrive()
	}
}

func (w *world) release() {
	w.queue = append(w.queue, w.held...)
	w.held, w.filters = nil, nil
}

// advance moves the clock, giving each machine its ticks at its deadlines.
func (w *world) advance(d time.Duration) {
	w.run()
	for end := w.now.Add(d); ; {
		next := w.deadline()
		if next == 0 || next > end {
			w.now, w.ticked = end, 0
			return
		}
		if next > w.now {
			w.now, w.ticked = next, 0
		}
		if w.ticked++; w.ticked > 50 {
			w.t.Fatalf("%s: a machine asks for ticks without end", w.clock())
		}
		w.tick()
		w.run()
	}
}

func (w *world) deadline() (next invitation.Time) {
	for _, m := range w.arbiters {
		next = invitation.Earliest(next, m.Deadline())
	}
	for _, m := range w.sessions {
		next = invitation.Earliest(next, m.Deadline())
	}
	for _, p := range w.phones {
		next = invitation.Earliest(next, p.auditAt)
		for _, at := range p.forgetAt {
			next = invitation.Earliest(next, at)
		}
	}
	return next
}

func (w *world) tick() {
	ids := slices.SortedFunc(maps.Keys(w.arbiters), func(a, b invitation.ID) int { return cmp.Compare(w.names[a], w.names[b]) })
	for _, id := range ids {
		if d := w.arbiters[id].Deadline(); d != 0 && d <= w.now {
			w.arbiterStep(&invitation.Message{Kind: invitation.MsgTick, ID: id})
		}
	}
	for _, user := range slices.Sorted(maps.Keys(w.sessions)) {
		if d := w.sessions[user].Deadline(); d != 0 && d <= w.now {
			w.sessionStep(user, session.Input{Kind: session.InTick})
		}
	}
	for _, p := range w.phones {
		p.forgetDue()
		p.audit()
	}
}

func (w *world) session(user invitation.User) *session.Machine {
	m := w.sessions[user]
	if m == nil {
		var options []session.Option
		if at := w.lostAt[user]; at != 0 {
			options = append(options, session.Fresh(at, 0))
		}
		m = session.New(user, &w.config, options...)
		w.sessions[user] = m
	}
	return m
}

func (w *world) sessionStep(user invitation.User, in session.Input) {
	for _, e := range w.session(user).Step(w.now, &in, nil) {
		switch e.Kind {
		case session.ToDevice:
			w.toDevice(e.Conn, e.Down)
		case session.ToArbiter:
			w.put(string(user), e.Message.Kind.String(), func() { w.arbiterStep(&e.Message) })
		case session.Leave:
			delete(w.sessions, user)
		}
	}
}

func (w *world) arbiterStep(msg *invitation.Message) {
	m := w.arbiters[msg.ID]
	if m == nil {
		terms := msg.Terms
		if msg.Kind == invitation.MsgRecover {
			terms = msg.View.Terms
		}
		if over := w.stopped[msg.ID]; terms == nil || over && (msg.Kind != invitation.MsgStart || msg.Resumed != nil) {
			w.queue = append(w.queue, delivery{arrive: func() {
				w.sessionStep(msg.User, session.Input{Kind: session.InUnknown, ID: msg.ID, Over: over})
			}})
			return
		}
		m = arbiter.New(terms)
		w.arbiters[msg.ID] = m
	}
	for _, e := range m.Step(w.now, msg, nil) {
		user, in := m.View().Terms.Caller, session.Input{Kind: session.InView, View: e.View}
		if e.Kind == arbiter.TellCallee || e.Kind == arbiter.ReplyCallee {
			user = m.View().Terms.Callee
		}
		switch e.Kind {
		case arbiter.Stop:
			delete(w.arbiters, msg.ID)
			w.stopped[msg.ID] = true
			continue
		case arbiter.ReplyCaller, arbiter.ReplyCallee:
			in = session.Input{Kind: session.InReply, Reply: &e.Reply}
		}
		w.put("arbiter", "view to "+string(user), func() { w.sessionStep(user, in) })
	}
}

func (w *world) toDevice(conn session.Conn, down invitation.Down) {
	for _, p := range w.phones {
		if p.conn == conn && p.connected {
			w.put(p.name, downName(down), func() {
				if p.conn == conn && p.connected {
					p.hear(down)
				}
			})
		}
	}
}

func downName(d invitation.Down) string {
	switch {
	case d.Welcome != nil:
		return "welcome"
	case d.Answer != nil:
		return "answer"
	case d.Notice != nil:
		return "notice"
	case d.Retell != nil:
		return "retell"
	}
	return "ending"
}

// phone returns the device that a script names: "bob" is bob's device "phone", "bob.tablet" another.
func (w *world) phone(name string) *phone {
	for _, p := range w.phones {
		if p.name == name {
			return p
		}
	}
	user, dev, found := strings.Cut(name, ".")
	if !found {
		dev = "phone"
	}
	p := &phone{w: w, name: name, user: invitation.User(user), device: invitation.Device(dev)}
	p.clear()
	w.phones = append(w.phones, p)
	return p
}

// id returns the invitation that a script names.
func (w *world) id(name string) invitation.ID {
	for id, n := range w.names {
		if n == name {
			return id
		}
	}
	w.t.Fatalf("the script names no invitation %q", name)
	return invitation.ID{}
}
