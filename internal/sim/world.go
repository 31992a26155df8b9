package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/invitation/snapshot"
)

// Hooks put something before, behind or in place of a machine's step, to make a deliberately wrong
// machine. The zero value is the real ones.
type Hooks struct {
	Arbiter func(now Time, m *arbiter.Machine, msg *invitation.Message, step func(*invitation.Message) []arbiter.Effect) []arbiter.Effect
	Session func(now Time, m *session.Machine, in *session.Input, step func(*session.Input) []session.Effect) []session.Effect
	Device  func(d *Device, down *invitation.Down, take func(*invitation.Down))
	Move    func(now Time, r *snapshot.Record)
	Panics  float64 // the part of messages at which an arbiter's actor panics, beside Params.Panic
	Amnesia bool    // the host does not remember the invitations whose arbiters it has dropped
}

// Result is what came of a run.
type Result struct {
	Calls    int           // sent
	Faults   Tally         // what went wrong, by kind
	Excused  Tally         // calls with which something happened that is not promised, by cause
	Unjudged int           // calls that are excused for any cause
	Events   int           // that happened
	Time     time.Duration // that was simulated
	Ends     map[string]int
	Failure  *Failure // nil: every promise was kept
}

// Failure is a broken promise.
type Failure struct {
	judge.Violation
	Params  Params
	ID      invitation.ID // zero: it is about no invitation alone
	At      time.Duration // since the beginning
	History []string      // of the invitation, by time
}

// Error returns the promise, how to repeat the run, and the history of the invitation.
func (f *Failure) Error() string {
	s := fmt.Sprintf("%s: %s\nafter %v, invitation %v\n%v\nto repeat it: go test ./internal/sim -run 'TestSeed$' -sim.seed=%d -sim.calls=%d\n",
		f.Promise, f.What, f.At, f.ID, f.Params, f.Params.Seed, f.Params.Calls)
	for _, line := range f.History {
		s += line + "\n"
	}
	return s
}

// origin is the time at which a run begins.
const origin = Time(time.Hour)

// world is a run.
type world struct {
	Params
	hooks        Hooks
	config       session.Config
	random       *rand.Rand
	queue        queue
	nodes        []node
	faults       Tally
	excused      Tally
	excusedCalls int
	now          Time
	users        []*user
	devices      []*Device
	server       *server
	links        map[uint64]*link
	dials        uint64
	records      map[invitation.ID]*record
	open         []*record
	done         []*record // closed, oldest first
	sent         int
	events       int
	draining     bool
	closing      bool
	cutUntil     Time // all messages are lost
	ends         map[string]int
	failure      *Failure
	tracing      invitation.ID
	history      []string
	callees      []*judge.Part // scratch
}

type user struct {
	name    invitation.User
	devices []*Device
}

// Run makes a run.
func Run(p Params, h Hooks) Result {
	w := newWorld(p, h)
	r := w.run()
	if r.Failure == nil || r.Failure.ID.IsZero() {
		return r
	}
	again := newWorld(p, h)
	again.tracing = r.Failure.ID
	r = again.run()
	return r
}

func newWorld(p Params, h Hooks) *world {
	p.Panic += h.Panics
	w := &world{
		Params: p, hooks: h, random: rand.New(rand.NewPCG(p.Seed, 1)), now: origin,
		config: session.Config{Policy: p.Policy, MaxIncoming: p.MaxIncoming}.WithDefaults(),
		links:  map[uint64]*link{}, records: map[invitation.ID]*record{}, ends: map[string]int{},
		faults: Tally{}, excused: Tally{},
	}
	w.server = newServer(w)
	w.nodes = make([]node, max(1, p.Nodes))
	for i := range p.Users {
		u := &user{name: invitation.User(fmt.Sprintf("user%d", i))}
		for k := range 1 + w.random.IntN(p.Devices) {
			d := newDevice(w, int32(len(w.devices)), int32(i), u.name, invitation.Device(fmt.Sprintf("device%d.%d", i, k)))
			u.devices = append(u.devices, d)
			w.devices = append(w.devices, d)
		}
		w.users = append(w.users, u)
	}
	return w
}

func (w *world) run() Result {
	for _, d := range w.devices {
		w.begin(d)
	}
	w.put(time.Second).what = newCall
	w.put(sweepEach).what = sweep
	if w.Crash > 0 {
		w.put(w.mean(w.Crash)).what = crash
	}
	if w.Outages > 0 {
		w.put(w.mean(w.Outages)).what = outage
	}
	for len(w.queue.heap) > 0 && w.failure == nil {
		at, e := w.queue.take()
		w.now = at
		w.events++
		if e.what == finish {
			w.checkEmpty()
			break
		}
		w.happen(&e)
	}
	return Result{Calls: w.sent, Faults: w.faults, Excused: w.excused, Unjudged: w.excusedCalls, Events: w.events, Time: w.now.Sub(origin), Ends: w.ends, Failure: w.failure}
}

// put adds an event that happens after d.
func (w *world) put(d time.Duration) *event { return w.queue.put(w.now.Add(d)) }

// between returns a random duration.
func (w *world) between(from, to time.Duration) time.Duration {
	return from + time.Duration(w.random.Int64N(int64(to-from)+1))
}

// mean returns a random duration with a mean.
func (w *world) mean(d time.Duration) time.Duration {
	return time.Duration(float64(d) * w.random.ExpFloat64())
}

func (w *world) chance(p float64) bool { return p > 0 && w.random.Float64() < p }

// begin lets a device's first login and its faults come.
func (w *world) begin(d *Device) {
	later := func(k what, mean time.Duration) {
		if mean > 0 {
			e := w.put(w.mean(mean))
			e.what, e.who = k, d.index
		}
	}
	e := w.put(w.between(0, time.Second))
	e.what, e.who, e.epoch = comesBack, d.index, d.epoch
	later(breaks, w.Break)
	later(restarts, w.Restart)
	later(logsOut, w.Logout)
}

func (w *world) happen(e *event) {
	s := w.route(e)
	switch e.what {
	case toArbiter:
		if s != nil {
			s.toArbiter(e)
		}
	case toSession:
		if s != nil {
			s.toSession(e)
		}
	case fromDevice:
		if s != nil {
			s.fromDevice(e)
		}
	case toDevice:
		if d := w.devices[e.who]; d.conn == e.conn && d.conn != 0 {
			d.hear(&e.down)
		}
	case arbiterDue:
		if s != nil {
			s.arbiterDue(e)
		}
	case sessionDue:
		if s != nil {
			s.sessionDue(e)
		}
	case crash:
		w.crash()
	case takeOver:
		w.takeOver(int(e.who))
	case wake:
		w.wake(e.at)
	case join:
		w.handOver(e.at)
	case deviceDue:
		w.devices[e.who].wake()
	case appActs:
		w.act(e)
	case newCall:
		w.newCall()
	case sweep:
		w.sweep()
	case outage:
		w.outage()
	case breaks, comesBack, restarts, logsOut:
		w.trouble(e)
	case hangUp:
		w.hangUp()
	case finish:
	}
}

// drain lets everything come to its end: nobody calls, nothing goes wrong, everybody comes back.
func (w *world) drain() {
	w.draining = true
	for _, d := range w.devices {
		if d.phase != online {
			e := w.put(w.between(0, time.Second))
			e.what, e.who, e.epoch = comesBack, d.index, d.epoch
		}
	}
	t := invitation.DefaultTimers
	w.put(t.NoResponse + t.Expire + t.AcceptWindow + t.Grace + t.Linger + 3*time.Minute).what = hangUp
}

// hangUp takes all connections away; then the sessions leave.
func (w *world) hangUp() {
	w.closing = true
	for _, d := range w.devices {
		if d.conn != 0 {
			d.lose("the end of the run")
		}
	}
	w.put(invitation.DefaultTimers.Grace + time.Minute).what = finish
}

// outage loses all messages between sessions and arbiters for a while.
func (w *world) outage() {
	if w.draining {
		return
	}
	w.cutUntil = w.now.Add(w.between(0, 10*time.Second))
	if w.tracing != (invitation.ID{}) {
		w.note("-- all messages between sessions and arbiters are lost until %v", w.cutUntil.Sub(origin))
	}
	w.faults["times at which all messages were lost"]++
	w.put(w.mean(w.Outages)).what = outage
}

// checkEmpty looks for what is left at the end.
func (w *world) checkEmpty() {
	for _, r := range w.open {
		for _, p := range r.parts {
			if p.Open() && !p.dead {
				w.fail(r, &judge.Violation{Promise: judge.P2, What: "still open at the end on " + string(p.device.name)})
			}
		}
	}
	if id, left := w.server.left(); left != "" {
		w.failID(id, &judge.Violation{Promise: judge.P2, What: "left at the end: " + left})
	}
}

func (w *world) fail(r *record, v *judge.Violation) {
	if v != nil {
		w.failID(r.id, v)
	}
}

func (w *world) failID(id invitation.ID, v *judge.Violation) {
	if w.failure == nil {
		w.failure = &Failure{Violation: *v, Params: w.Params, ID: id, At: w.now.Sub(origin), History: w.history}
	}
}
