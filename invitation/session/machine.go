package session

import (
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// Time is [invitation.Time].
type Time = invitation.Time

// Conn is a device's connection: the gateway that holds it, and its number there.
type Conn struct {
	Node   string // the gateway's node; "" is this node
	Number uint64 // never used again on that node
}

// Policy says what a second device's login does.
type Policy uint8

// The policies.
const (
	Single Policy = 0 // the newer login ends the older device with REMOTE_LOGIN
	Multi  Policy = 1 // all devices ring, the first accept wins
)

// Config are the deployment's choices. It is shared by all sessions of a node and must not change.
type Config struct {
	Policy       Policy
	Timers       invitation.Timers // for invitations that set none
	MaxDevices   int               // devices of a user (policy multi), default 8
	MaxOutgoing  int               // live outgoing invitations of a user, default 64
	MaxIncoming  int               // live incoming invitations of a user, default 64
	MaxPerCaller int               // of these, from one caller, so that no stranger fills the places; default 8
	SendRate     float64           // sends per second of a user, sustained; default 10
	SendBurst    int               // sends of a user at once, default 20
	Remember     int               // ended invitations whose ids are remembered, default 64
}

// DefaultConfig is what the zero fields of a [Config] stand for.
var DefaultConfig = Config{
	Timers:       invitation.DefaultTimers,
	MaxDevices:   8,
	MaxOutgoing:  64,
	MaxIncoming:  64,
	MaxPerCaller: 8,
	SendRate:     10,
	SendBurst:    20,
	Remember:     64,
}

// What a session asks its arbiters about by itself: a question that was not answered, and an
// invitation of which nothing was heard since its stage should have ended by itself.
const (
	askAgain = time.Second
	overdue  = 5 * time.Second
)

// Lingering invitations are not live, but cost memory: of each side a user may have this many times
// its bound of live invitations, the lingering ones included.
const lingering = 4

// Room for this many invitations is kept when they are gone; more is given back.
const keptEntries = 8

// InputKind is what a session is told.
type InputKind uint8

// The inputs.
const (
	InAttach  InputKind = 0 // a device connected and was authenticated: Conn, Login
	InDetach  InputKind = 1 // a connection is lost: Device, which may be empty, and Conn
	InLogout  InputKind = 2 // a device logs out, or an operator ends it: Device, Conn
	InCall    InputKind = 3 // a device's request: Device, Conn, Call
	InWord    InputKind = 4 // a device's word: Device, Conn, Word
	InView    InputKind = 5 // an arbiter says: View
	InReply   InputKind = 6 // an arbiter answers: Reply
	InUnknown InputKind = 7 // there is no arbiter of ID: there never was, it was lost, or it has stopped (Over)
	InTick    InputKind = 8 // the deadline is due
	InResend  InputKind = 9 // repeat the questions that are unanswered now; with ID, ask about that one too

	InLost     InputKind = 10 // what lived in Shards was lost with the node that had it
	InNodeGone InputKind = 11 // the connections that the gateway of Node had are lost; those up to Conn.Number, if set; no Node: see renew
)

// InputKinds is the number of kinds of input.
const InputKinds = 12

// Input is one thing that a session is told.
type Input struct {
	Kind   InputKind
	ID     invitation.ID
	Device invitation.Device
	Conn   Conn
	Login  *invitation.Login
	Call   *invitation.Call
	Word   *invitation.Word
	View   *invitation.View
	Reply  *invitation.Reply
	Over   bool
	Shards *invitation.ShardSet
	Node   string
}

// Older lets time go by for an input that has waited. What it points to is left as it is.
func (in *Input) Older(by time.Duration) {
	in.Login, in.Call, in.Word = in.Login.Older(by), in.Call.Older(by), in.Word.Older(by)
}

// EffectKind is what a host has to do.
type EffectKind uint8

// The kinds of effect.
const (
	ToDevice  EffectKind = 1 // give Down to the connection Conn
	ToArbiter EffectKind = 2 // give Message to the arbiter of Message.ID
	Leave     EffectKind = 3 // drop the machine
)

// Effect is one thing that a host has to do after a Step. It holds the message itself, so that a host that
// gives Step the same effects again makes no garbage.
type Effect struct {
	Kind    EffectKind
	Conn    Conn
	Down    invitation.Down
	Message invitation.Message
}

// device is a device of the user, connected or lost.
type device struct {
	name      invitation.Device
	conn      Conn
	stamp     uint64 // of its login
	attached  uint64 // the number of the change that it connected by: what it is shown must be permitted since
	connected bool
	since     Time // when it was lost; of one that is connected, when it logged in, 0 if that is not known

	why   invitation.End // its login is over, so it ends once it owes no word (see owes); 0: it is not
	until Time           // and then at the latest

	telling Time // until when it has not said yet what it knows, which this session does not; 0: it has
}

// showing is a device that was shown an incoming invitation.
type showing struct {
	device invitation.Device
	done   bool // it has said its last word
	told   bool // the commit: what came of that only the device itself can say
}

// entry is an invitation that the session knows: live, or lingering.
type entry struct {
	view      *invitation.View
	side      invitation.Side
	answered  bool      // caller: the send has been answered
	withdrawn bool      // caller: the sending device's login ended before that; it is canceled then
	ended     bool      // caller: the sending device has said its last word
	asking    bool      // callee: a question for a permit is unanswered; caller: a change of presence is not confirmed
	renamed   bool      // callee: the question did not tell of the chosen device, which was not known
	whole     bool      // callee: nobody was shown it but by this session, which is fresh
	asked     bool      // caller: its arbiter recovers, and waits for the sending device to send again
	sendID    uint64    // caller: the newest request id of the send
	shown     []showing // callee
	seenAt    Time      // callee: when the first of its devices said "seen"
	askAt     Time      // when to ask the arbiter, if nothing is heard before
	vouchAt   Time      // until when an outdated view is no reason to tell the arbiter what is known here

	resumed *resumed // caller: the send was a repeated one, which says so; nil: it was not
}

// resumed is what a repeated send says.
type resumed struct {
	invitation.Resumed
	endsAt Time // when the state that it tells ends by itself
}

// claim is a device's word about an invitation that this session does not know.
type claim struct {
	word   invitation.Word
	device invitation.Device
	until  Time // when it is given up
	askAt  Time // when the arbiter is asked again
	wait   time.Duration
	endsAt Time // when what the word says ends by itself; 0: not said
}

// Machine is the session of one user. Make it with [New].
type Machine struct {
	user    invitation.User
	config  *Config
	devices []device
	entries []*entry // in the order of their ids, so that effects are a function of the inputs
	past    *history // ended invitations; nil: none has
	live    [3]int32 // live invitations, by side
	known   [3]int32 // the lingering ones included
	changes uint64   // counts changes of presence: devices that come and go
	tokens  float64  // sends that may be made at once
	filled  Time     // when tokens was right
	sweepAt Time     // no entry's askAt is earlier
	leaveAt Time     // when an idle session leaves; 0: not idle
	claims  []claim  // the oldest first
	resumes int32    // sends that were made again, beside the rate
	noTimer bool
	calmAt  Time   // until when that another session numbered changes higher is answered with patience
	freshAt Time   // until when devices may have more to say that a lost session knew; 0: none was lost
	first   uint64 // the number of changes that it began with: lower ones were told by a session that was lost
}

// history is the ids of ended invitations, a ring of config.Remember.
type history struct {
	ids  []invitation.ID
	next int // where the next one goes
}

// list returns the ids, the oldest first.
func (p *history) list() []invitation.ID {
	if p == nil {
		return nil
	}
	return slices.Concat(p.ids[p.next:], p.ids[:p.next])
}

// Option changes how a [Machine] is made.
type Option struct {
	noTimer bool
	lostAt  Time
	changes uint64
}

// Fresh makes the machine one that takes the place of a session that was lost, at now or not long ago: its
// devices may know what it does not. It numbers changes of presence from a number that should be higher than any of the
// lost one's, so that no late answer to a question of that one permits anything: a wall clock's milliseconds are.
func Fresh(now Time, number uint64) Option { return Option{lostAt: now, changes: number} }

// WithoutRetry makes a machine that repeats its questions only on InResend: for explorers that
// treat repetition as an event of its own.
func WithoutRetry() Option { return Option{noTimer: true} }

// New returns the session of a user of whom nothing is known. Of config, which it keeps, zero fields
// must have been replaced by [Config.WithDefaults].
func New(user invitation.User, config *Config, options ...Option) *Machine {
	m := &Machine{user: user, config: config, tokens: float64(config.SendBurst)}
	for _, o := range options {
		m.noTimer = m.noTimer || o.noTimer
		if o.lostAt != 0 {
			m.freshAt, m.changes, m.first = o.lostAt.Add(config.Timers.Grace), o.changes, o.changes
		}
	}
	return m
}

// WithDefaults returns c with each zero field taken from [DefaultConfig].
func (c Config) WithDefaults() Config {
	d := DefaultConfig
	c.Timers = c.Timers.Or(d.Timers)
	for _, field := range []struct{ value, other *int }{
		{&c.MaxDevices, &d.MaxDevices},
		{&c.MaxOutgoing, &d.MaxOutgoing},
		{&c.MaxIncoming, &d.MaxIncoming},
		{&c.MaxPerCaller, &d.MaxPerCaller},
		{&c.SendBurst, &d.SendBurst},
		{&c.Remember, &d.Remember},
	} {
		if *field.value == 0 {
			*field.value = *field.other
		}
	}
	if c.SendRate == 0 {
		c.SendRate = d.SendRate
	}
	return c
}

// User returns whose session it is.
func (m *Machine) User() invitation.User { return m.user }

// Deadline returns when the host's timer is to be due; 0: no timer.
func (m *Machine) Deadline() Time {
	at := invitation.Earliest(m.sweepAt, m.leaveAt)
	for i := range m.devices {
		at = invitation.Earliest(at, invitation.Earliest(m.devices[i].until, m.devices[i].telling))
	}
	for i := range m.claims {
		at = invitation.Earliest(at, invitation.Earliest(m.claims[i].until, m.claims[i].askAt))
	}
	return at
}

// Devices returns how many devices are logged in and connected.
func (m *Machine) Devices() int {
	n := 0
	for i := range m.devices {
		if d := &m.devices[i]; d.connected && d.why == 0 {
			n++
		}
	}
	return n
}

// Live returns how many outgoing and incoming invitations are live.
func (m *Machine) Live() (outgoing, incoming int) {
	return int(m.live[invitation.Caller]), int(m.live[invitation.Callee])
}

// Knows returns the stage that an invitation had by the last word of its arbiter, and whether the
// session knows it: live, or lingering.
func (m *Machine) Knows(id invitation.ID) (invitation.Stage, bool) {
	e := m.entry(id)
	if e == nil {
		return invitation.Ended, false
	}
	return e.view.Stage, true
}

// Step takes one input at now and appends what is to be done to out.
func (m *Machine) Step(now Time, in *Input, out []Effect) []Effect {
	switch in.Kind {
	case InAttach:
		out = m.attach(now, in, out)
	case InDetach:
		out = m.detach(now, in, out)
	case InLogout:
		out = m.logout(now, in.Device, in.Conn, out)
	case InNodeGone:
		out = m.nodeGone(now, in, out)
	case InLost:
		out = m.lostShards(now, in, out)
	case InTick:
		return m.tick(now, out)
	case InResend:
		return m.ask(now, true, in.ID, out)
	default:
		out = m.release(now, m.about(now, in, out))
	}
	m.idle(now)
	return out
}

// idle notes since when there has been nothing to do here.
func (m *Machine) idle(now Time) {
	switch {
	case len(m.entries) != 0 || len(m.claims) != 0 || m.Devices() != 0:
		m.leaveAt = 0
	case m.leaveAt == 0:
		m.leaveAt = now.Add(m.config.Timers.Grace)
	}
}

func (m *Machine) tick(now Time, out []Effect) []Effect {
	for i := range m.devices {
		if d := &m.devices[i]; d.telling <= now {
			d.telling = 0
		}
	}
	out = m.inquireAgain(now, false, m.giveUp(now, m.release(now, out)))
	m.idle(now)
	if m.sweepAt != 0 && m.sweepAt <= now {
		out = m.ask(now, false, invitation.ID{}, out)
	}
	if m.leaveAt != 0 && m.leaveAt <= now {
		m.leaveAt = 0
		out = append(out, Effect{Kind: Leave})
	}
	return out
}

// ask puts the questions that are due; with all, every question that is unanswered, and one about
// the invitation named.
func (m *Machine) ask(now Time, all bool, named invitation.ID, out []Effect) []Effect {
	if all {
		out = m.inquireAgain(now, true, out)
	}
	m.sweepAt = 0
	for _, e := range m.entries {
		unanswered := e.asking || !e.answered && e.side == invitation.Caller || e.view.Terms.ID == named
		if all && unanswered || e.askAt != 0 && e.askAt <= now {
			out = m.vouchAgain(now, e, append(out, m.report(now, e, true)))
			m.expect(e, now.Add(askAgain))
		}
		m.sweepAt = invitation.Earliest(m.sweepAt, e.askAt)
	}
	return out
}

// expect sets when the arbiter of e is asked, if nothing is heard before.
func (m *Machine) expect(e *entry, at Time) {
	if m.noTimer {
		return
	}
	e.askAt = at
	m.sweepAt = invitation.Earliest(m.sweepAt, at)
}

// heard sets it after a view has come.
func (m *Machine) heard(now Time, e *entry) {
	at := max(e.view.Deadline, now).Add(overdue)
	if e.view.Stage == invitation.Confirmed || e.view.Stage == invitation.Offering {
		// The callee's session is not told when the caller's side moves on.
		t := e.view.Terms.Timers
		at = now.Add(t.NoResponse + t.Expire + t.AcceptWindow + t.Grace + overdue)
	}
	if e.asking {
		at = now.Add(askAgain)
	}
	m.expect(e, at)
}
