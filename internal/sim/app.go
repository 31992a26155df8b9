package sim

import (
	"fmt"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// act is what an application does about an invitation.
type act uint8

const (
	doCancel act = 1 + iota
	doAccept
	doRefuse
)

// newCall lets somebody call somebody, and decides when the next one does.
func (w *world) newCall() {
	if w.sent >= w.Calls {
		w.drain()
		return
	}
	w.put(w.mean(time.Duration(float64(time.Second) / w.Rate))).what = newCall
	d := w.devices[w.random.IntN(len(w.devices))]
	if d.phase == idle || d.leaving {
		return
	}
	callee := w.random.IntN(len(w.users) - 1)
	if int32(callee) >= d.user {
		callee++
	}
	w.send(d, int32(callee))
}

// send sends an invitation.
func (w *world) send(d *Device, callee int32) {
	w.sent++
	d.sends++
	call := invitation.Call{
		Request: invitation.Send, Key: fmt.Sprintf("%d", d.sends), Callee: w.users[callee].name, Content: "lunch?",
	}
	if w.chance(0.2) {
		call.Timers = w.ownTimers()
	}
	r := &record{
		id: invitation.NewID(d.userName, d.name, call.Key), caller: d.user, callee: callee,
		timers: call.Timers.Or(w.config.Timers), sentAt: w.now, open: true,
	}
	p := &part{device: d, epoch: d.epoch}
	p.Sent()
	r.parts = append(r.room[:0], p)
	w.records[r.id] = r
	w.open = append(w.open, r)
	l := &line{record: r, part: p, side: invitation.Caller}
	p.line = l
	if w.wants(r.id) {
		w.note("%s calls %s, %+v", d.name, call.Callee, r.timers)
	}
	if _, err := l.local.Send(); err != invitation.OK {
		panic("sim: a first send is refused")
	}
	d.live = append(d.live, l)
	d.begin(l, call)
	for range w.pick(0.4, 0.05) {
		w.appActs(d, r.id, doCancel)
	}
}

// ownTimers are timers that an invitation sets for itself.
func (w *world) ownTimers() invitation.Timers {
	one := func(most time.Duration) time.Duration {
		if w.chance(0.5) {
			return 0
		}
		return w.between(time.Second, most).Truncate(time.Microsecond)
	}
	return invitation.Timers{
		NoResponse: one(40 * time.Second), Expire: one(80 * time.Second), AcceptWindow: one(20 * time.Second), Grace: one(40 * time.Second),
	}
}

// pick returns 1 with the first probability, 2 with the second, and so on; else 0.
func (w *world) pick(of ...float64) int {
	f := w.random.Float64()
	for i, p := range of {
		if f -= p; f < 0 {
			return i + 1
		}
	}
	return 0
}

// appActs lets an application do something a little later.
func (w *world) appActs(d *Device, id invitation.ID, what act) {
	after := w.mean(w.Patience)
	if w.chance(0.1) {
		after = 0
	}
	e := w.put(after)
	e.what, e.act, e.who, e.epoch, e.id = appActs, what, d.index, d.epoch, id
}

// shown decides what the application does about an invitation that it was shown.
func (w *world) shown(d *Device, id invitation.ID) {
	switch w.pick(0.5, 0.25, 0.05, 0.05) {
	case 1:
		w.appActs(d, id, doAccept)
	case 2:
		w.appActs(d, id, doRefuse)
	case 3:
		w.appActs(d, id, doAccept)
		w.appActs(d, id, doAccept)
	case 4:
		w.appActs(d, id, doAccept)
		w.appActs(d, id, doRefuse)
	}
}

// act lets an application do what it decided to.
func (w *world) act(e *event) {
	d := w.devices[e.who]
	if e.epoch != d.epoch {
		return
	}
	l := d.byID[e.id]
	for _, o := range d.live {
		if l == nil && o.record.id == e.id { // its send is not answered
			l = o
		}
	}
	if l == nil {
		return
	}
	if w.wants(e.id) {
		w.note("%s: the user %s", d.name, [...]string{"", "cancels", "accepts", "refuses"}[e.act])
	}
	switch e.act {
	case doCancel:
		out, err := l.local.Cancel()
		if err == invitation.OK {
			d.act(l, out)
		}
		w.rightly(l, err, l.endedAt == 0 && l.local.Confirmed() == "")
	case doAccept:
		was := l.remote.State()
		out, err := l.remote.Accept()
		if err == invitation.OK {
			l.response, l.until, l.part.askedAt = "yes", 0, w.now
			d.act(l, out)
		}
		w.rightly(l, err, was == invitation.RemoteInvitationReceived && !l.refusing)
	case doRefuse:
		was := l.remote.State()
		out, err := l.remote.Refuse()
		w.rightly(l, err, was == invitation.RemoteInvitationReceived && !l.refusing)
		if err == invitation.OK {
			l.refusing = true
			d.act(l, out)
		}
	}
}
