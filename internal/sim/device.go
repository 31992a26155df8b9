package sim

import (
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
)

// Device is a client: a host of the device machines with the duties of package device's
// documentation, which behaves as the Go SDK does (package client).
type Device struct {
	w        *world
	index    int32
	user     int32
	userName invitation.User
	name     invitation.Device

	epoch    uint32 // counts programs and sessions: an invitation may be shown once in each
	phase    phase
	conn     uint64 // 0: none
	since    Time   // online: since when
	lostAt   Time   // away: since when
	awayTo   Time   // when it was back from being away the last time
	awayFrom Time   // and since when it was away then
	overAt   Time   // its login is over since then, of which it will be told; 0: it is not
	ghost    bool   // a connection was given up before its Welcome
	stamp    uint64
	resume   bool
	leaving  bool // it is to log out
	said     bool // the logout was said

	requests uint64
	sends    uint64
	calls    []*pending
	live     []*line
	ended    []*line
	byID     map[invitation.ID]*line
	past     []invitation.Word // of settled invitations, a ring
	next     int
	auditAt  Time
	wakeAt   Time
}

// phase is where a device's session is.
type phase uint8

const (
	idle   phase = iota // not logged in
	away                // logged in, without a connection that was welcomed
	online              // welcomed
)

// What a client does when: as package client has it.
const (
	firstRepeat = time.Second
	lastRepeat  = 8 * time.Second
	auditAfter  = 2 * time.Second
	wordRepeat  = 250 * time.Millisecond
	answerTime  = 5 * time.Second
	remembered  = 128
	keptFor     = 5 * time.Minute
)

// pending is a request that is not answered.
type pending struct {
	call *invitation.Call
	line *line
	next Time
	wait time.Duration
}

// line is one invitation on a device.
type line struct {
	record   *record
	part     *part
	side     invitation.Side
	id       invitation.ID
	local    device.Local
	remote   device.Remote
	unheard  bool
	own      bool // it was the device that ended it, not the server
	refusing bool
	until    Time             // when its state ends by itself, as told last
	call     *invitation.Call // caller: the send
	response string
	anew     bool // it rang when the session ended: another login may show it anew
	endedAt  Time
	saidOn   uint64 // the connection, time and text of the last word
	saidAt   Time
	saidW    invitation.Word
}

func newDevice(w *world, index, user int32, userName invitation.User, name invitation.Device) *Device {
	return &Device{w: w, index: index, user: user, userName: userName, name: name, byID: map[invitation.ID]*line{}}
}

func (l *line) terminal() bool {
	if l.side == invitation.Caller {
		return l.local.State().Terminal()
	}
	return l.remote.State().Terminal()
}

func (l *line) settled() bool {
	if l.side == invitation.Caller {
		return l.local.Settled()
	}
	return l.remote.Settled()
}

func (l *line) word() invitation.Word {
	if l.side == invitation.Caller {
		return l.local.Word()
	}
	return l.remote.Word()
}

// won reports whether the end says that an accept or a refuse of this device has won: no other end has that answer.
func (l *line) won(r invitation.Request) bool {
	return r == invitation.Accept && l.remote.State() == invitation.RemoteAccepted ||
		r == invitation.Refuse && l.remote.State() == invitation.RemoteRefused
}

// act does what a machine asked for.
func (d *Device) act(l *line, out device.Output) {
	if d.byID[l.id] == nil && !l.id.IsZero() {
		d.byID[l.id] = l
	}
	if out.Word.Kind != invitation.NoWord {
		d.sayWord(l, out.Word)
	}
	if out.Request != invitation.NoRequest {
		d.begin(l, invitation.Call{Request: out.Request, ID: l.id})
	}
	if out.Event != device.NoEvent {
		d.fire(l, out.Event)
	}
	if l.endedAt == 0 && l.terminal() {
		l.endedAt = d.w.now
		d.live = without(d.live, l)
		d.ended = append(d.ended, l)
		d.tryLogout()
	}
	if l.endedAt != 0 && l.settled() {
		d.forget(l)
	}
}

func without(lines []*line, l *line) []*line {
	if i := slices.Index(lines, l); i >= 0 {
		return slices.Delete(lines, i, i+1)
	}
	return lines
}

// forget drops an ended invitation, but for its last word.
func (d *Device) forget(l *line) {
	d.ended = without(d.ended, l)
	if d.byID[l.id] != l || l.id.IsZero() {
		return
	}
	delete(d.byID, l.id)
	if !l.anew {
		d.remember(l.word())
	}
}

func (d *Device) remember(w invitation.Word) {
	if len(d.past) < remembered {
		d.past = append(d.past, w)
		return
	}
	d.past[d.next] = w
	d.next = (d.next + 1) % remembered
}

// fire tells the application, and the judge.
func (d *Device) fire(l *line, e device.Event) {
	told := judge.Event{Side: l.side, Event: e}
	if l.side == invitation.Caller {
		told.State, told.Code, told.Reason = uint8(l.local.State()), uint8(l.local.Code()), l.local.Reason()
	} else {
		told.State, told.Code, told.Reason = uint8(l.remote.State()), uint8(l.remote.Code()), l.remote.Reason()
	}
	d.w.told(d, l, told)
}

// sayWord says a word, but not the same one again at once on the same connection.
func (d *Device) sayWord(l *line, word invitation.Word) {
	if d.phase != online {
		return
	}
	if l != nil {
		if l.saidW == word && l.saidOn == d.conn && d.w.now.Sub(l.saidAt) < wordRepeat {
			return
		}
		l.saidW, l.saidOn, l.saidAt = word, d.conn, d.w.now
	}
	d.say(up{word: &word})
}

func (d *Device) say(u up) {
	if d.phase == online {
		d.w.say(d.w.links[d.conn], d.conn, u)
	}
}

// begin makes a request.
func (d *Device) begin(l *line, call invitation.Call) {
	d.requests++
	call.RequestID = d.requests
	if call.Request == invitation.Send && l.call == nil {
		l.call = &call
	}
	p := &pending{call: &call, line: l, wait: firstRepeat}
	d.calls = append(d.calls, p)
	d.sayCall(p)
}

// settled forgets a call of which nothing is awaited any more.
func (d *Device) settled(p *pending) {
	d.calls = slices.DeleteFunc(d.calls, func(o *pending) bool { return o == p })
}

func (d *Device) sayCall(p *pending) {
	if p.call.Request == invitation.Send && p.line.terminal() { // it would be a new one
		d.settled(p)
		return
	}
	if p.call.Request == invitation.Send && p.wait > firstRepeat || p.call.Resumed != nil {
		again := *p.call
		again.Resumed = p.line.local.Resumed(p.line.left(d.w.now))
		p.call = &again
	}
	p.next = d.w.now.Add(p.wait)
	p.wait = min(2*p.wait, lastRepeat)
	d.say(up{call: p.call})
	d.need(p.next)
}

// need sees that the device wakes at a time, or earlier.
func (d *Device) need(at Time) {
	if d.wakeAt != 0 && d.wakeAt <= at {
		return
	}
	d.wakeAt = at
	e := d.w.queue.put(at)
	e.what, e.who = deviceDue, d.index
}

// wake does what is due.
func (d *Device) wake() {
	if d.wakeAt != d.w.now {
		return
	}
	d.wakeAt = 0
	switch d.phase {
	case online:
		for _, p := range slices.Clone(d.calls) {
			if l := p.line; l.endedAt != 0 && d.w.now.Sub(l.endedAt) >= answerTime && p.call.Request != invitation.Send {
				d.settled(p) // its answer is the end
			} else if p.next <= d.w.now {
				d.sayCall(p)
			} else {
				d.need(p.next)
			}
		}
		if d.auditAt != 0 && d.auditAt <= d.w.now {
			d.audit()
		} else if d.auditAt != 0 {
			d.need(d.auditAt)
		}
	case away:
		if d.w.now >= d.lostAt.Add(keptFor) {
			d.endAll("away for longer than the linger", func(l *line) device.Output { return l.forget() })
		} else {
			d.need(d.lostAt.Add(keptFor))
		}
	case idle:
	}
}

func (l *line) forget() device.Output {
	if l.side == invitation.Caller {
		return l.local.Forget()
	}
	return l.remote.Forget()
}

// audit asks for the live invitations that nothing was told of.
func (d *Device) audit() {
	d.auditAt = 0
	for _, l := range slices.Clone(d.live) {
		if l.unheard && !l.id.IsZero() {
			d.begin(l, invitation.Call{Request: invitation.Query, ID: l.id})
		}
		l.unheard = false
	}
}

func (d *Device) auditSoon() {
	if d.auditAt == 0 {
		d.auditAt = d.w.now.Add(auditAfter)
		d.need(d.auditAt)
	}
}

// endAll ends every live invitation here.
func (d *Device) endAll(why string, end func(*line) device.Output) {
	if d.w.wantsUser(d.user) {
		d.w.note("%s ends what it has: %s", d.name, why)
	}
	d.calls = slices.DeleteFunc(d.calls, func(p *pending) bool { return p.line.endedAt == 0 })
	for _, l := range slices.Clone(d.live) {
		l.own = true
		if l.part != nil {
			l.part.own = true
		}
		d.act(l, end(l))
		d.live = without(d.live, l)
	}
}
