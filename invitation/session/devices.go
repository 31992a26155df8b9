package session

import (
	"slices"

	"github.com/ringfleet/ringfleet/invitation"
)

func (m *Machine) device(name invitation.Device) *device {
	for i := range m.devices {
		if m.devices[i].name == name {
			return &m.devices[i]
		}
	}
	return nil
}

// after reports whether a device that is connected logged in after one that comes now was said: that one was held back.
func (d *device) after(now Time, login *invitation.Login) bool {
	return login.Age != 0 && now.Add(-login.Age) < d.since
}

// holder returns the device that has a connection, nil if none has.
func (m *Machine) holder(conn Conn) *device {
	for i := range m.devices {
		if m.devices[i].conn == conn {
			return &m.devices[i]
		}
	}
	return nil
}

// agent reports whether d is the server's, which sends for the user and takes no calls.
func (d *device) agent() bool { return d.name == invitation.Agent }

// online reports whether the user can take calls.
func (m *Machine) online() bool {
	return slices.ContainsFunc(m.devices, func(d device) bool { return d.connected && !d.agent() })
}

// seats returns how many devices there are, connected or lost, of those that a user may have.
func (m *Machine) seats() int {
	n := len(m.devices)
	if m.device(invitation.Agent) != nil {
		n--
	}
	return n
}

// taken returns how many of them are logged in and connected.
func (m *Machine) taken() int {
	n := m.Devices()
	if d := m.device(invitation.Agent); d != nil && d.connected && d.why == 0 {
		n--
	}
	return n
}

func (m *Machine) connected(name invitation.Device) bool {
	d := m.device(name)
	return d != nil && d.connected
}

// find returns where the entry of id is in entries, or would be. O(log n).
func (m *Machine) find(id invitation.ID) (int, bool) {
	return slices.BinarySearchFunc(m.entries, id, func(e *entry, id invitation.ID) int {
		return e.view.Terms.ID.Compare(id)
	})
}

// entry returns the invitation of that id, nil if it is not known.
func (m *Machine) entry(id invitation.ID) *entry {
	if i, known := m.find(id); known {
		return m.entries[i]
	}
	return nil
}

func end(conn Conn, why invitation.End) Effect {
	return Effect{Kind: ToDevice, Conn: conn, Down: invitation.Down{Ending: &invitation.Ending{End: why}}}
}

// attach takes a device's connection, and brings the device up to date. One that comes twice, as between
// nodes, is answered twice.
func (m *Machine) attach(now Time, in *Input, out []Effect) []Effect {
	login := in.Login
	if d := m.device(login.Device); d != nil && d.connected {
		switch {
		case d.conn == in.Conn:
			return m.update(now, d, nil, append(out, welcome(now, d))) // its words were heard
		case login.Reattach: // which is the newer is not known
			return append(out, end(in.Conn, invitation.EndInternal))
		case d.after(now, login): // it was held back, and the device has come back since
			return append(out, end(in.Conn, invitation.EndReplaced))
		}
	}
	if why := m.refusal(now, login); why == invitation.EndRemoteLogin && m.owes(login.Device) {
		return m.hearOut(now, in, why, out)
	} else if why != 0 {
		return append(out, end(in.Conn, why))
	}
	if d := m.device(login.Device); d != nil && d.conn == in.Conn && d.why == 0 && !login.Resume { // taken for lost, and said again
		same := *login
		same.Resume, same.Stamp = true, d.stamp
		login = &same
	}
	stamp := login.Stamp
	for i := range m.devices {
		if !login.Resume && m.devices[i].stamp >= stamp {
			stamp = m.devices[i].stamp + 1
		}
	}
	if m.config.Policy == Single && login.Device != invitation.Agent {
		out = m.endOthers(now, login.Device, out)
	}
	if d := m.device(login.Device); d != nil && d.why != 0 {
		out = m.expel(now, d, out)
	}
	if !login.Resume {
		m.disclaim(login.Device)
	}
	d := m.device(login.Device)
	if d != nil && d.connected && d.conn != in.Conn {
		out = append(out, end(d.conn, invitation.EndReplaced))
	}
	switch {
	case !login.Resume:
		if d != nil {
			out = m.cancelAll(login.Device, out)
		}
		out = m.showAnew(now, login.Device, out)
	case d != nil && !login.Reattach:
		out = m.recall(now, login, out)
	}
	if d == nil {
		if login.Device != invitation.Agent {
			out = m.makeRoom(now, out)
		}
		m.devices = append(m.devices, device{name: login.Device})
	}
	m.changes++
	d = m.device(login.Device)
	*d = device{name: login.Device, conn: in.Conn, stamp: stamp, attached: m.changes, connected: true, since: now.Add(-login.Age)}
	if login.Reattach {
		d.telling, d.since = now.Add(tellTime), 0
	}
	return m.update(now, d, login.Words, append(out, welcome(now, d)))
}

func welcome(now Time, d *device) Effect {
	return Effect{Kind: ToDevice, Conn: d.conn, Down: invitation.Down{
		Welcome: &invitation.Welcome{Stamp: d.stamp, Tell: d.telling > now},
	}}
}

// Greet appends a Welcome to each connected device to out: what has a device connected tells it nothing new, and what has
// not says that the connection is lost. The machine does not change.
func (m *Machine) Greet(now Time, out []Effect) []Effect {
	for i := range m.devices {
		if d := &m.devices[i]; d.connected {
			out = append(out, welcome(now, d))
		}
	}
	return out
}

// hearOut takes the connection of a device whose login ended while it was away, because it owes a word:
// it is ended once that was said.
func (m *Machine) hearOut(now Time, in *Input, why invitation.End, out []Effect) []Effect {
	login := in.Login
	if d := m.device(login.Device); d != nil {
		out = m.expel(now, d, out)
	}
	out = m.makeRoom(now, out)
	m.changes++
	m.devices = append(m.devices, device{
		name: login.Device, conn: in.Conn, stamp: login.Stamp, attached: m.changes, connected: true,
		why: why, until: now.Add(m.config.Timers.Grace),
	})
	d := m.device(login.Device)
	out = m.update(now, d, login.Words, append(out, welcome(now, d)))
	out = m.cancelAll(login.Device, out) // the session that ended its login may have been lost before it could
	return m.release(now, out)
}

// refusal returns why a login is not taken, 0 if it is.
func (m *Machine) refusal(now Time, login *invitation.Login) invitation.End {
	if login.Device == invitation.Agent {
		return 0
	}
	if d := m.device(login.Device); login.Resume && !login.Reattach && d != nil && d.connected && d.stamp > login.Stamp {
		return invitation.EndReplaced // a later login under the name is connected
	}
	if m.config.Policy == Single {
		for i := range m.devices {
			d := &m.devices[i]
			later := d.stamp > login.Stamp
			if !login.Resume { // its stamp is of another node's clock; what was held back tells by how much
				later = d.connected && d.after(now, login)
			}
			if d.name != login.Device && !d.agent() && d.why == 0 && later {
				return invitation.EndRemoteLogin
			}
		}
	}
	if m.config.Policy == Multi && m.device(login.Device) == nil && m.taken() >= m.config.MaxDevices {
		return invitation.EndTooMany
	}
	return 0
}

// endOthers ends the devices that a newer login displaces.
func (m *Machine) endOthers(now Time, winner invitation.Device, out []Effect) []Effect {
	for _, d := range slices.Clone(m.devices) {
		if d.name != winner && !d.agent() && d.why == 0 {
			out = m.depart(now, d.name, invitation.EndRemoteLogin, out)
		}
	}
	return out
}

// makeRoom forgets the device that was lost first, when there are as many as there may be, or one
// whose login is over.
func (m *Machine) makeRoom(now Time, out []Effect) []Effect {
	if m.seats() < m.config.MaxDevices {
		return out
	}
	oldest := -1
	for i := range m.devices {
		d := &m.devices[i]
		if d.agent() {
			continue
		}
		if d.why != 0 {
			return m.expel(now, d, out)
		}
		if !d.connected && (oldest < 0 || d.since < m.devices[oldest].since) {
			oldest = i
		}
	}
	if oldest >= 0 {
		name := m.devices[oldest].name
		m.devices = slices.Delete(m.devices, oldest, oldest+1)
		out = m.unlist(now, name, out)
	}
	return out
}

// unlist forgets what was shown to a device that is forgotten, but for what it answered: else devices
// that come and go would make the lists of who was shown an invitation grow without bound.
func (m *Machine) unlist(now Time, name invitation.Device, out []Effect) []Effect {
	for _, e := range m.entries {
		s := e.showing(name)
		switch {
		case s == nil || e.view.Chosen == name:
		case s.done:
			e.shown = slices.DeleteFunc(e.shown, func(s showing) bool { return s.device == name })
		default:
			out = m.unshow(now, e, name, out)
		}
	}
	return out
}

// update brings a device that has just connected up to date, and the arbiters about the user.
func (m *Machine) update(now Time, d *device, words []invitation.Word, out []Effect) []Effect {
	m.remind(now, words)
	for _, e := range m.entries {
		if e.side == invitation.Caller && e.view.Terms.Device == d.name && e.answered && e.view.Version != 0 ||
			e.side == invitation.Callee && e.rings(d.name) {
			out = m.notify(now, e, d, out)
		}
	}
	for i := range words {
		in := Input{Kind: InWord, Device: d.name, Conn: d.conn, Word: &words[i]}
		out = m.about(now, &in, out)
	}
	return m.reportAll(now, out)
}

// showAnew has a device that logs in anew shown again what its earlier login was shown, if the arbiter permits.
func (m *Machine) showAnew(now Time, name invitation.Device, out []Effect) []Effect {
	for _, e := range m.entries {
		if e.side == invitation.Callee && e.view.Chosen != name {
			if s := e.showing(name); s != nil && e.view.Stage < invitation.Accepting {
				s.told = false // an accept that was not recorded
			}
			out = m.unshow(now, e, name, out)
		}
	}
	return out
}

// recall takes back what a device that resumes was shown on a connection that was lost before it
// heard of it: it does not speak of it. It is shown it if the arbiter permits now.
func (m *Machine) recall(now Time, login *invitation.Login, out []Effect) []Effect {
	for _, e := range m.entries {
		if e.side != invitation.Callee || e.view.Chosen == login.Device || slices.ContainsFunc(login.Words,
			func(w invitation.Word) bool { return w.ID == e.view.Terms.ID && w.Side == invitation.Callee }) {
			continue
		}
		out = m.unshow(now, e, login.Device, out)
	}
	return out
}

// cancelAll cancels what a device that has ended sent.
func (m *Machine) cancelAll(name invitation.Device, out []Effect) []Effect {
	for _, e := range m.entries {
		if e.side != invitation.Caller || e.view.Terms.Device != name || e.view.Stage == invitation.Ended {
			continue
		}
		if !e.answered { // a cancel that overtook the start would find no arbiter
			e.withdrawn = true
		} else {
			out = append(out, m.withdrawal(e))
		}
	}
	return out
}

// withdrawal cancels an invitation whose sending device's login is over.
func (m *Machine) withdrawal(e *entry) Effect {
	return m.message(&invitation.Message{
		Kind: invitation.MsgCancel, ID: e.view.Terms.ID, Device: e.view.Terms.Device, Reason: invitation.CallerLoggedOut,
	})
}

// depart ends a device whose login is over, and tells it why. Of an accept it made it can no longer
// say that it holds. While it owes a word it is told how its invitations end, and heard; it is ended
// after that.
func (m *Machine) depart(now Time, name invitation.Device, why invitation.End, out []Effect) []Effect {
	d := m.device(name)
	if d.connected && m.owes(name) {
		d.why, d.until = why, now.Add(m.config.Timers.Grace)
	} else if d.connected {
		out = append(out, end(d.conn, why))
	}
	out = m.cancelAll(name, out)
	for _, e := range m.entries {
		if e.side == invitation.Callee {
			out = m.unshow(now, e, name, out)
		}
	}
	if d.why != 0 {
		return out
	}
	return m.expel(now, d, out)
}

// owes reports whether a device's last word is awaited: about an invitation that it sent, which it may
// have confirmed, or about a commit that it was told.
func (m *Machine) owes(name invitation.Device) bool {
	for _, e := range m.entries {
		if e.side == invitation.Caller {
			if e.view.Terms.Device == name && !e.ended {
				return true
			}
		} else if s := e.showing(name); s != nil && s.told && !s.done {
			return true
		}
	}
	return false
}

// release ends the devices whose login is over and that owe nothing any more.
func (m *Machine) release(now Time, out []Effect) []Effect {
	for i := len(m.devices) - 1; i >= 0; i-- {
		if d := &m.devices[i]; d.why != 0 && (d.until <= now || !m.owes(d.name)) {
			out = m.expel(now, d, out)
		}
	}
	return out
}

// expel removes a device whose login is over.
func (m *Machine) expel(now Time, d *device, out []Effect) []Effect {
	if d.why != 0 && d.connected {
		out = append(out, end(d.conn, d.why))
	}
	name := d.name
	m.devices = slices.DeleteFunc(m.devices, func(d device) bool { return d.name == name })
	m.disclaim(name)
	m.changes++
	return m.reportAll(now, m.unlist(now, name, out))
}

// unshow forgets that an invitation was shown to a device which will not say its last word. Of one
// that was told the commit that is not known: its word may be on the way (see parting).
func (m *Machine) unshow(now Time, e *entry, name invitation.Device, out []Effect) []Effect {
	s := e.showing(name)
	if s == nil || s.done || s.told {
		return out
	}
	e.shown = slices.DeleteFunc(e.shown, func(s showing) bool { return s.device == name })
	if e.view.Chosen == name || e.view.Stage == invitation.Ended && m.concluded(now, e) {
		out = append(out, m.denial(now, e, name))
	}
	return out
}

// denial says for a device whose login is over that it has not accepted, and will not.
func (m *Machine) denial(now Time, e *entry, name invitation.Device) Effect {
	return m.message(&invitation.Message{
		Kind: invitation.MsgCalleeDone, ID: e.view.Terms.ID, Device: name, Remote: invitation.RemoteFailure,
		Concluded: m.concluded(now, e),
	})
}

func (m *Machine) logout(now Time, name invitation.Device, conn Conn, out []Effect) []Effect {
	d := m.device(name)
	if d == nil || d.conn != conn || d.why != 0 {
		return out
	}
	return m.depart(now, name, invitation.EndLoggedOut, out)
}

func (m *Machine) detach(now Time, in *Input, out []Effect) []Effect {
	d := m.device(in.Device)
	if in.Device == "" {
		d = m.holder(in.Conn)
	}
	if d == nil || d.conn != in.Conn || !d.connected {
		return out
	}
	d.connected, d.since = false, now
	if d.why != 0 {
		return m.expel(now, d, out)
	}
	m.changes++
	return m.reportAll(now, out)
}

// reportAll tells every arbiter about the presence of the user's devices. What the caller's arbiter
// has to know, and what the callee's devices have to be shown, is asked about until it is answered.
func (m *Machine) reportAll(now Time, out []Effect) []Effect {
	for _, e := range m.entries {
		if e.side == invitation.Caller && !e.answered {
			continue // its arbiter may not exist yet
		}
		out = append(out, m.reportChange(now, e))
	}
	return out
}

func (m *Machine) reportChange(now Time, e *entry) Effect {
	ask := e.matters()
	if ask {
		e.asking = true
		m.expect(e, now.Add(askAgain))
	}
	return m.report(now, e, ask)
}

// matters reports whether presence still matters to an arbiter: until the sending device has said its last word, and
// for the callee's side until the end, or, if that is the word of its own device, until the arbiter is known to have it.
func (e *entry) matters() bool {
	if e.side == invitation.Caller {
		return !e.ended
	}
	return e.view.Stage != invitation.Ended || e.view.Verdict
}

// report makes the message that tells an arbiter about the presence of this side's devices.
func (m *Machine) report(now Time, e *entry, ask bool) Effect {
	msg := &invitation.Message{ID: e.view.Terms.ID, Online: m.online(), Ask: ask, Permit: m.changes}
	if e.side == invitation.Caller {
		msg.Online = msg.Online || m.connected(e.view.Terms.Device)
	}
	switch {
	case e.side == invitation.Callee:
		msg.Kind = invitation.MsgCallee
		e.renamed = e.renamed && !ask
		msg.Chosen, msg.Connected = e.view.Chosen, m.connected(e.view.Chosen)
		msg.Concluded = e.view.Stage == invitation.Ended && m.concluded(now, e)
	case e.answered:
		msg.Kind = invitation.MsgCaller
		msg.Connected = m.connected(e.view.Terms.Device)
	default:
		msg.Kind, msg.Terms, msg.RequestID = invitation.MsgStart, e.view.Terms, e.sendID
		msg.Resumed = e.resumedNow(now)
		msg.Connected = m.connected(e.view.Terms.Device)
	}
	return m.message(msg)
}

func (m *Machine) message(msg *invitation.Message) Effect {
	msg.User = m.user
	return Effect{Kind: ToArbiter, Message: *msg}
}
