package explore

import (
	"fmt"
	"time"

	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/internal/phone"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// Time is [invitation.Time].
type Time = invitation.Time

// A World is what is explored: who takes part, what they may do, and what may go wrong.
type World struct {
	Name    string
	Devices []Device
	Calls   []Call
	Policy  session.Policy
	Losses  int    // messages lost
	Breaks  int    // connections broken, with what is under way on them
	Dups    int    // messages delivered twice
	Crashes int    // losses of nodes
	Lost    []Loss // which may be; empty: all
	Timers  invitation.Timers
	// SlowLinks lets what a device and its session say to each other be under way for any time. Without
	// it they hear each other at once.
	SlowLinks bool
	// Full explores the two sides of a call that is over in every order of one with the other, too.
	Full bool
	// Turns lets messages about one call at a time be under way in every order: see turn.
	Turns bool
	// Brief lets the end of a call that was not accepted be told in one order only.
	Brief  bool
	Creep  time.Duration // time may also pass by this, at any moment; every timer is a multiple of it
	Mutant *Mutant       // nil: the real machines

	Requests uint64 // after which devices number their requests
}

// Device is a device of a world.
type Device struct {
	User   invitation.User
	Name   invitation.Device
	Online bool // it is logged in at the start
	Login  bool // it may log in, once, at any time
	Break  bool // its connection may break
	Logout bool // it may log out, at any time
}

// Call is an invitation of a world, and what the applications may do about it, at any time.
type Call struct {
	From   int // index in Devices
	To     invitation.User
	Cancel bool
	Accept bool // on each of the callee's devices
	Refuse bool
	Never  bool // nobody sends it
}

// The sizes of a world.
const (
	maxUsers   = 3
	maxDevices = 3
	maxCalls   = 2
	maxNet     = 26
)

// origin is the time of every state. Time passes by moving the deadlines: states that differ only
// in when they are reached are the same.
const origin = Time(1 << 56)

// state is a state of a world. All but the network are numbers in the world's stores.
type state struct {
	session [maxUsers]uint32
	seat    [maxDevices]uint32
	up      [maxDevices]uint32 // what a device has said, oldest first: numbers of session inputs
	down    [maxDevices]uint32 // what it was told: numbers of Downs
	arbiter [maxCalls]uint32   // 0: none
	referee [maxCalls]uint32
	ghost   [maxCalls]uint32 // an arbiter that was lost for the others, and goes on; 0: none
	losses  uint8
	breaks  uint8
	dups    uint8
	crashes uint8
	sent    uint8
	stopped uint8          // the calls whose arbiter the host remembers to have stopped, as bits
	orphan  uint8          // the calls whose arbiter was lost, and of which there is none yet that has recovered
	pad     [1]byte        // none of the bytes that are hashed is unnamed
	net     [maxNet]packet // sorted; sent of them are there
}

// A packet is a message between a session and an arbiter that is under way: to whom, its number in
// the world's stores, and for which devices it is older than their connection.
type packet uint64

func newPacket(to int, item uint32) packet { return packet(uint64(to)<<48 | uint64(item)) }

func (p packet) to() int      { return int(p >> 48) }
func (p packet) item() uint32 { return uint32(p) }
func (p packet) stale() uint8 { return uint8(p >> 32) }

func (p packet) outdated(device int) packet { return p | 1<<(32+device) }

// A seat is a device with the judge's records of what it was told, and what its application did.
type seat struct {
	phone  *phone.Phone
	parts  [maxCalls]judge.Part
	did    [maxCalls]uint8 // applied, as bits
	logins uint8
	lostAt Time // when its connection was lost; 0: it has one, or never had
}

const (
	didSend = 1 << iota
	didCancel
	didAccept
	didRefuse
)

// model is a world being explored.
type model struct {
	World
	first    state // in which the devices are logged in
	alike    [maxCalls]*likeness
	users    []invitation.User
	callees  []int // the user of each call
	ids      []invitation.ID
	config   *session.Config
	sessions *store[session.Machine]
	seats    *store[seat]
	arbiters *store[arbiter.Machine]
	referees *store[referee]
	inputs   *store[session.Input]
	messages *store[invitation.Message]
	downs    *store[invitation.Down]
	queues   *queues

	sessionMemo map[uint64]sessionResult
	arbiterMemo map[memo3]arbiterResult
	seatMemo    map[uint64]seatResult
	appMemo     map[uint64]seatResult
	edges       map[string]bool    // the moves that were seen
	settled     map[[2]uint64]bool // states from which everything comes to its end
	story       func(format string, args ...any)
}

type memo3 struct {
	a, b, c uint32
	exempt  bool
}

func newModel(w World) *model {
	w.Timers = w.Timers.Or(invitation.DefaultTimers)
	config := session.Config{Policy: w.Policy, Timers: w.Timers, SendBurst: 100}.WithDefaults()
	clamp := func(floor func(field string) Time) func(Time) shift {
		return func(passed Time) shift {
			return func(field string, t Time) Time { return max(t-passed, floor(field)) }
		}
	}
	due := func(string) Time { return origin } // a deadline that is over is due, how long ever
	aged := func(field string) Time {
		if field == "lostAt" {
			return origin.Add(-w.Timers.Grace)
		}
		return origin
	}
	since := func(field string) Time { // how long an invitation has been ringing matters to who recovers it
		if field == "seenAt" && w.Crashes != 0 {
			return origin.Add(-w.Timers.Expire)
		}
		return origin
	}
	m := &model{
		World: w, config: &config,
		sessions:    newStore[session.Machine](clamp(since)),
		seats:       newStore[seat](clamp(func(string) Time { return origin.Add(-w.Timers.Linger) })),
		arbiters:    newStore[arbiter.Machine](clamp(aged)),
		referees:    newStore[referee](clamp(func(string) Time { return origin.Add(-time.Nanosecond) })),
		inputs:      newStore[session.Input](clamp(due)),
		messages:    newStore[invitation.Message](clamp(due)),
		downs:       newStore[invitation.Down](clamp(due)),
		queues:      newQueues(),
		sessionMemo: map[uint64]sessionResult{}, arbiterMemo: map[memo3]arbiterResult{},
		seatMemo: map[uint64]seatResult{}, appMemo: map[uint64]seatResult{},
		edges: map[string]bool{}, settled: map[[2]uint64]bool{},
	}
	for _, d := range w.Devices {
		if m.user(d.User) < 0 {
			m.users = append(m.users, d.User)
		}
	}
	for i, c := range w.Calls {
		d := w.Devices[c.From]
		m.ids = append(m.ids, invitation.NewID(d.User, d.Name, key(i)))
		m.callees = append(m.callees, m.user(c.To))
	}
	return m
}

func key(call int) string { return fmt.Sprintf("key%d", call) }

func (m *model) user(u invitation.User) int {
	for i, other := range m.users {
		if other == u {
			return i
		}
	}
	return -1
}

func (m *model) call(id invitation.ID) int {
	for i := range m.ids {
		if m.ids[i] == id {
			return i
		}
	}
	panic("explore: an id of no call")
}

// start returns the state in which the devices that are online at the start are logged in.
func (m *model) start() state {
	s := state{losses: uint8(m.Losses), breaks: uint8(m.Breaks), dups: uint8(m.Dups), crashes: uint8(m.Crashes)}
	for u, user := range m.users {
		s.session[u] = m.sessions.put(session.New(user, m.config, session.WithoutRetry()))
	}
	for d, device := range m.Devices {
		s.seat[d] = m.seats.put(&seat{phone: phone.New(device.User, device.Name, m.Requests)})
	}
	for i := range m.Calls {
		s.referee[i] = m.referees.put(&referee{})
	}
	for d, device := range m.Devices {
		if device.Online {
			s = m.connect(s, d)
			s, _ = m.takeUp(s, d)
			s, _ = m.takeDown(s, d)
		}
	}
	return s
}

// send puts a packet on the network.
func (s *state) send(p packet) {
	i := int(s.sent)
	if i == maxNet {
		panic("explore: more messages under way than there is room for")
	}
	for ; i > 0 && s.net[i-1] > p; i-- {
		s.net[i] = s.net[i-1]
	}
	s.net[i] = p
	s.sent++
}

// remove takes a packet off the network.
func (s *state) remove(k int) packet {
	p := s.net[k]
	copy(s.net[k:s.sent], s.net[k+1:s.sent])
	s.sent--
	s.net[s.sent] = 0
	return p
}

// resort restores the order of the network after its packets have changed.
func (s *state) resort() {
	sorted := *s
	sorted.sent, sorted.net = 0, [maxNet]packet{}
	for _, p := range s.net[:s.sent] {
		sorted.send(p)
	}
	*s = sorted
}

// quiet reports whether nothing is under way.
func (s *state) quiet() bool {
	for d := range maxDevices {
		if s.up[d] != 0 || s.down[d] != 0 {
			return false
		}
	}
	return s.sent == 0
}
