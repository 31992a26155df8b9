package sim

import (
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// connect connects the device and logs it in.
func (d *Device) connect() {
	w := d.w
	if d.conn != 0 || w.closing {
		return
	}
	w.dials++
	d.conn = w.dials
	if d.phase == idle {
		d.phase, d.lostAt = away, w.now
	}
	for _, l := range slices.Clone(d.ended) {
		if l.endedAt.Add(keptFor) <= w.now {
			d.forget(l)
		}
	}
	login := &invitation.Login{User: d.userName, Device: d.name, Resume: d.resume, Stamp: d.stamp}
	if !d.resume {
		login.Stamp = uint64(w.now)
	}
	for _, lines := range [...][]*line{d.live, d.ended} {
		for _, l := range lines {
			if word := l.report(w.now); word.Kind != invitation.NoWord && !word.ID.IsZero() {
				login.Words = append(login.Words, word)
			}
		}
	}
	l := &link{device: d, deadUp: forever, node: w.liveNode()}
	w.links[d.conn] = l
	if w.wantsUser(d.user) {
		w.note("%s connects: %d", d.name, d.conn)
	}
	w.say(l, d.conn, up{login: login})
}

// displace notes which logins are over when a device logs in, under policy single.
func (w *world) displace(d *Device, login *invitation.Login) {
	if w.Policy != session.Single {
		return
	}
	others := w.users[d.user].devices
	for _, o := range others {
		if login.Resume && o != d && o.phase != idle && o.stamp > login.Stamp {
			return // it is refused
		}
	}
	for _, o := range others {
		if o != d && o.phase != idle && o.overAt == 0 {
			o.overAt = w.now
		}
	}
}

// welcomed takes the answer to the login.
func (d *Device) welcomed(welcome *invitation.Welcome) {
	d.stamp, d.resume = welcome.Stamp, true
	if d.phase == online {
		if welcome.Tell {
			d.tellAll()
			d.sayLogoutAgain()
		}
		return
	}
	d.phase, d.since = online, d.w.now
	d.awayFrom, d.awayTo = d.lostAt, d.w.now
	if welcome.Tell {
		d.tellAll()
		d.sayLogoutAgain()
	}
	for _, p := range slices.Clone(d.calls) {
		d.sayCall(p)
	}
	for _, l := range d.live {
		l.unheard = true
	}
	if len(d.live) > 0 {
		d.auditSoon()
	}
}

// cut breaks the connection: the server notices later, sometimes much later.
func (d *Device) cut(why string) {
	w := d.w
	l, conn := w.links[d.conn], d.conn
	if l == nil {
		return
	}
	l.deadUp = w.now.Add(w.between(0, slowLink))
	notices := w.between(0, 100*time.Millisecond)
	if w.chance(0.05) && !w.draining {
		notices = w.between(0, 30*time.Second)
	}
	l.upAt = max(l.upAt, l.deadUp)
	e := w.queue.put(l.upAt.Add(notices))
	e.what, e.who, e.conn, e.up = fromDevice, d.index, conn, up{lost: true}
	if w.wantsUser(d.user) {
		w.note("%s loses connection %d: %s", d.name, conn, why)
	}
	d.conn = 0
}

// lose takes the loss of the connection: the device comes back by itself.
func (d *Device) lose(why string) {
	d.cut(why)
	switch {
	case d.leaving && d.said && d.undecided():
		d.said = false // an accept that was confirmed meanwhile may hold
	case d.leaving && d.said:
		d.finish(invitation.CallerLoggedOut, "logged out")
		return
	}
	if d.phase == online {
		d.lostAt = d.w.now
		d.phase, d.auditAt = away, 0
		d.need(d.lostAt.Add(keptFor))
	} else {
		d.ghost = true
	}
	if !d.w.closing {
		e := d.w.put(d.w.absence())
		e.what, e.who, e.epoch = comesBack, d.index, d.epoch
	}
}

// absence returns for how long a device is away.
func (w *world) absence() time.Duration {
	switch r := w.random.Float64(); {
	case w.draining || r < 0.65:
		return w.between(50*time.Millisecond, 3*time.Second)
	case r < 0.85:
		return w.between(3*time.Second, 25*time.Second)
	case r < 0.97:
		return w.between(25*time.Second, 90*time.Second)
	}
	return w.between(4*time.Minute, 7*time.Minute)
}

// ending takes that the server ended the connection.
func (d *Device) ending(end invitation.End) {
	why := end.String()
	switch {
	case d.leaving && d.said && !(end.Reconnect() && d.undecided()):
		d.cut(why)
		d.finish(invitation.CallerLoggedOut, why)
	case end.Reconnect(), end == invitation.EndReplaced && d.ghost:
		if end == invitation.EndReplaced {
			d.ghost = false
		}
		d.lose(why)
	default:
		d.cut(why)
		reason := invitation.CallerGone
		if end == invitation.EndLoggedOut || end == invitation.EndRemoteLogin {
			reason = invitation.CallerLoggedOut
		}
		d.finish(reason, why)
	}
}

// finish ends the session for good: what the device sent and did not confirm the server cancels.
func (d *Device) finish(reason invitation.Reason, why string) {
	d.phase, d.leaving, d.said, d.resume, d.ghost = idle, false, false, false, false
	d.auditAt, d.overAt = 0, 0
	d.endAll(why, func(l *line) device.Output {
		switch {
		case l.side == invitation.Callee:
			l.anew = l.remote.State() == invitation.RemoteInvitationReceived
			return l.remote.Forget()
		case l.local.Confirmed() != "":
			return l.local.Forget()
		}
		return l.local.Notice(&invitation.Notice{
			ID: l.id, Side: invitation.Caller, Local: invitation.LocalCanceled, Reason: reason, Verdict: true, Settled: true,
		})
	})
	d.calls = nil
	d.epoch++
	if !d.w.closing {
		e := d.w.put(d.w.between(time.Second, time.Minute)) // the user logs in again
		e.what, e.who, e.epoch = comesBack, d.index, d.epoch
	}
}

// tryLogout says the logout when nothing that the device has confirmed is undecided.
func (d *Device) tryLogout() {
	if !d.leaving || d.said || d.phase != online || d.undecided() {
		return
	}
	d.said = true
	d.say(up{logout: true})
}

// sayLogoutAgain tells a session that has taken the place of another one that the device has logged out.
func (d *Device) sayLogoutAgain() {
	if d.leaving && d.said {
		d.say(up{logout: true})
	}
}

// undecided reports whether something that the device has confirmed has not ended.
func (d *Device) undecided() bool {
	return slices.ContainsFunc(d.live, func(l *line) bool { return l.side == invitation.Caller && l.local.Confirmed() != "" })
}

// restart ends the program, and starts another.
func (d *Device) restart() {
	w := d.w
	if w.wantsUser(d.user) {
		w.note("%s: its program ends", d.name)
	}
	if d.conn != 0 {
		d.cut("the program has ended")
	}
	for _, lines := range [...][]*line{d.live, d.ended} {
		for _, l := range lines {
			if l.part != nil {
				l.part.dead = true
			}
		}
	}
	d.epoch++
	d.phase, d.resume, d.leaving, d.said, d.ghost = idle, false, false, false, false
	d.calls, d.live, d.ended, d.past, d.next, d.auditAt, d.overAt = nil, nil, nil, nil, 0, 0, 0
	clear(d.byID)
	e := w.put(w.absence())
	e.what, e.who, e.epoch = comesBack, d.index, d.epoch
}

// trouble is what happens to devices.
func (w *world) trouble(e *event) {
	d := w.devices[e.who]
	again := func(mean time.Duration) {
		next := w.put(w.mean(mean))
		next.what, next.who = e.what, e.who
	}
	switch e.what {
	case comesBack:
		if e.epoch == d.epoch {
			d.connect()
		}
		return
	case breaks:
		if !w.draining {
			again(w.Break)
		}
		if !w.draining && d.conn != 0 {
			w.faults["connections broken"]++
			d.lose("it breaks")
		}
	case restarts:
		if !w.draining {
			again(w.Restart)
			w.faults["programs ended"]++
			d.restart()
		}
	case logsOut:
		if !w.draining {
			again(w.Logout)
		}
		if !w.draining && d.phase != idle && !d.leaving {
			if w.wantsUser(d.user) {
				w.note("%s is to log out", d.name)
			}
			w.faults["logouts"]++
			d.leaving, d.said = true, false
			d.tryLogout()
		}
	default:
	}
}
