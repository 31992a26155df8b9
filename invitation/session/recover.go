package session

import (
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// Recovery. What is lost with a node is known elsewhere: a session tells the new arbiter of an invitation what it
// knows, and a new session asks its devices. Their words about invitations that it does not know it keeps as
// claims, until an arbiter speaks of the invitation, or for the grace; last words for the linger.

// tellTime is how long a device that was re-attached has to say what it knows. Until then its calls about
// invitations that are not known here are to be repeated.
const tellTime = 3 * time.Second

// lastWait is how long a device that rings waits for an arbiter's word when its time is over.
const lastWait = 500 * time.Millisecond

// witness takes that this user's changes of presence were numbered higher by a session that was lost. The
// numbers go on from there: what answers a question of that session permits nothing here.
func (m *Machine) witness(now Time, v *invitation.View, out []Effect) []Effect {
	seen := max(v.Permit, v.HeardCallee)
	if v.Terms.Caller == m.user {
		seen = v.Heard
	}
	if seen <= m.changes {
		return out
	}
	m.changes = seen + 1
	for i := range m.devices {
		m.devices[i].attached = m.changes
	}
	if m.calmAt <= now {
		m.calmAt = now.Add(askAgain)
		return m.reportAll(now, out)
	}
	// Where the other session is not lost yet, the two would outbid each other as fast as messages go.
	for _, e := range m.entries {
		if e.answered || e.side == invitation.Callee {
			e.asking = e.matters()
			m.expect(e, m.calmAt)
		}
	}
	return out
}

// nodeGone takes that a gateway was lost, with its connections: those up to the number of Conn, if that is
// set, as the node may have been started again. Without a node it takes that some were not seen for a while.
func (m *Machine) nodeGone(now Time, in *Input, out []Effect) []Effect {
	if in.Node == "" {
		m.renew(now)
		return out
	}
	for _, d := range slices.Clone(m.devices) {
		if d.connected && d.conn.Node == in.Node && (in.Conn.Number == 0 || d.conn.Number <= in.Conn.Number) {
			out = m.detach(now, &Input{Device: d.name, Conn: d.conn}, out)
		}
	}
	return out
}

// lostShards makes the arbiters anew that were lost.
func (m *Machine) lostShards(now Time, in *Input, out []Effect) []Effect {
	for _, e := range m.entries {
		if e.side == invitation.Callee && in.Shards.Has(e.view.Terms.ID.Shard()) {
			out = vouch(m, now, e, in, out)
		}
	}
	return out
}

// vouch tells an arbiter what is known here: one that recovers and asks, or that is to be made anew.
func vouch(m *Machine, now Time, e *entry, _ *Input, out []Effect) []Effect {
	if e.view.Version != 0 { // else no arbiter has spoken of it here, only asked: there is nothing to doubt
		known := *e.view
		known.Version |= stale // what the one that is taken for lost may yet say is older than what the new one will
		e.view = &known
	}
	return m.tellKnown(now, e, out)
}

func (m *Machine) tellKnown(now Time, e *entry, out []Effect) []Effect {
	effect := m.report(now, &entry{view: e.view, side: e.side, answered: true, shown: e.shown, renamed: e.renamed}, false)
	v := *e.view
	if e.side == invitation.Callee && v.Stage == invitation.Offering && e.seenAt != 0 {
		v.Stage, v.Deadline = invitation.Ringing, e.seenAt.Add(v.Terms.Timers.Expire)
	}
	effect.Message.Kind, effect.Message.View = invitation.MsgRecover, &v
	m.expect(e, now.Add(overdue))
	return append(out, effect)
}

// stale is in the version of the last view of an arbiter that is taken for lost.
const stale = 1<<16 - 1

// generation counts the arbiters of a view's invitation that were lost, or are taken for it.
func generation(v *invitation.View) uint32 { return (v.Version + 1) / (stale + 1) }

// doubted reports whether the arbiter whose view is known was taken for lost, and no other has spoken since.
func (e *entry) doubted() bool { return e.view.Version&stale == stale }

// vouchAgain tells what is known here again, if an arbiter was told, and has not answered: the message got lost.
func (m *Machine) vouchAgain(now Time, e *entry, out []Effect) []Effect {
	if !e.doubted() {
		return out
	}
	return vouch(m, now, e, nil, out)
}

// outdated takes a view that is older than the one that is known here. It tells a new arbiter what is known: that may
// be from a lost one, of a view that came late, after this session, which is new, had said that it knows nothing. Or two
// views of one arbiter came in the other order: then what is known is its own, and counts as before. It does so once in a
// while, as views that are under way become outdated by it.
func (m *Machine) outdated(now Time, e *entry, v *invitation.View, out []Effect) []Effect {
	if e.vouchAt > now || !m.fresh(now) && !e.doubted() && !contradicts(v, e.view) {
		return out
	}
	e.vouchAt = now.Add(askAgain)
	if e.doubted() {
		return vouch(m, now, e, nil, out)
	}
	return m.tellKnown(now, e, out)
}

// contradicts reports whether a view is not of the arbiter that gave a newer one: it tells of later changes of presence.
func contradicts(older, newer *invitation.View) bool {
	return older.Heard > newer.Heard || older.HeardCallee > newer.HeardCallee
}

// lost takes that there is no arbiter of an invitation that is known here. A send that was not answered is put
// again. If the arbiter was lost, one is made that learns from here how things stand; if it has stopped, the
// invitation is over, and how it ended is forgotten.
func lost(m *Machine, now Time, e *entry, in *Input, out []Effect) []Effect {
	if e.side == invitation.Caller && !e.answered {
		m.expect(e, now.Add(askAgain))
		return append(out, m.report(now, e, false))
	}
	if !in.Over {
		return vouch(m, now, e, in, out)
	}
	devices := []invitation.Device{e.view.Terms.Device}
	if e.side == invitation.Callee {
		devices = devices[:0]
		for _, s := range e.shown {
			devices = append(devices, s.device)
		}
	}
	for _, name := range devices {
		out = m.inform(name, invitation.ForgottenNotice(in.ID, e.side), out)
	}
	m.drop(e)
	return out
}

// What a recovering arbiter asks.

// retell answers the question of how a sent invitation stands: only the sending device can.
func retell(m *Machine, now Time, e *entry, _ *Input, out []Effect) []Effect {
	d := m.device(e.view.Terms.Device)
	e.asked = true
	switch {
	case !e.answered:
		return append(out, m.report(now, e, false))
	case e.ended:
		return append(out, m.message(&invitation.Message{
			Kind: invitation.MsgCallerDone, ID: e.view.Terms.ID, Device: e.view.Terms.Device, Local: invitation.LocalFailure,
		}))
	case d != nil && d.why != 0: // it is heard, but sends nothing any more
		out = append(out, m.withdrawal(e))
	case d != nil && d.connected:
		out = append(out, Effect{Kind: ToDevice, Conn: d.conn, Down: invitation.Down{
			Retell: &invitation.Retell{ID: e.view.Terms.ID, Side: invitation.Caller},
		}})
	}
	e.asking = true // until it is heard who is here: what the arbiter tells goes to those only that it takes for present
	m.expect(e, now.Add(askAgain))
	return append(out, m.report(now, e, false))
}

// adoptAsked answers it where the session does not know the invitation.
func adoptAsked(m *Machine, now Time, _ *entry, in *Input, out []Effect) []Effect {
	e := &entry{view: &invitation.View{Terms: in.View.Terms}, side: invitation.Caller, answered: true}
	for i := range m.claims {
		if c := &m.claims[i]; c.word.ID == in.ID && c.device == in.View.Terms.Device && c.word.Kind == invitation.WordDone {
			e.ended, e.view.Stage = true, invitation.Ended // it lingers; it does not count as live
		}
	}
	m.unclaim(in.ID)
	m.add(e)
	return retell(m, now, e, in, out)
}

// disown answers it where the invitation is over.
func disown(m *Machine, _ Time, _ *entry, in *Input, out []Effect) []Effect {
	return append(out, m.message(&invitation.Message{
		Kind: invitation.MsgCallerDone, ID: in.ID, Device: in.View.Terms.Device, Local: invitation.LocalFailure,
	}))
}

// testify tells a recovering arbiter what devices said about an invitation that this session does not know.
func testify(m *Machine, now Time, _ *entry, in *Input, out []Effect) []Effect {
	for i := range m.claims {
		if c := &m.claims[i]; c.word.ID == in.ID && c.word.Side == invitation.Callee {
			out = append(out, m.relay(c.device, c.spoken(now)))
		}
	}
	effect := m.nothing(now, in.View.Terms)
	effect.Message.Fresh = m.fresh(now) && !m.told(now) && !m.rang(in.ID)
	return append(out, effect)
}

// resume notes what a repeated send says of the invitation, once: it is the same until the send is answered.
func (e *entry) resume(now Time, r *invitation.Resumed) {
	if r == nil || e.resumed != nil && e.resumed.Local >= r.Local && e.resumed.Confirmed == r.Confirmed {
		return
	}
	e.resumed = &resumed{*r, now.Add(r.Remaining)}
}

// resumedNow returns it as of now.
func (e *entry) resumedNow(now Time) *invitation.Resumed {
	if e.resumed == nil {
		return nil
	}
	r := e.resumed.Resumed
	r.Remaining = max(0, e.resumed.endsAt.Sub(now))
	return &r
}

// spoken returns a claim's word as of now.
func (c *claim) spoken(now Time) *invitation.Word {
	w := c.word
	if c.endsAt != 0 {
		w.Remaining = invitation.Left(c.endsAt, now)
	}
	return &w
}

// nothing makes the message that tells an arbiter which recovers that no view of the invitation is known here.
func (m *Machine) nothing(now Time, terms *invitation.Terms) Effect {
	e := entry{view: &invitation.View{Terms: terms}, side: invitation.Callee}
	effect := m.report(now, &e, false)
	effect.Message.Kind, effect.Message.View = invitation.MsgRecover, e.view
	return effect
}

// overHere answers the question about an invitation that is over here.
func overHere(m *Machine, now Time, _ *entry, in *Input, out []Effect) []Effect {
	effect := m.nothing(now, in.View.Terms)
	effect.Message.Concluded = true
	return append(out, effect)
}

// told reports whether the devices that are connected have said what they know.
func (m *Machine) told(now Time) bool {
	for i := range m.devices {
		if d := &m.devices[i]; d.connected && d.telling > now {
			return false
		}
	}
	return m.online()
}

// relay makes the message by which an arbiter hears a callee's device's word.
func (m *Machine) relay(name invitation.Device, w *invitation.Word) Effect {
	msg := &invitation.Message{ID: w.ID, Device: name, Remaining: w.Remaining}
	switch w.Kind {
	case invitation.WordSeen:
		msg.Kind = invitation.MsgSeen
	case invitation.WordAccepting:
		msg.Kind, msg.Response = invitation.MsgAccept, w.Response
	default:
		msg.Kind, msg.Remote = invitation.MsgCalleeDone, w.Remote
	}
	return m.message(msg)
}

// Claims.

// inquire asks the arbiter about an invitation that a device speaks of and this session does not know. It
// keeps the word.
func inquire(m *Machine, now Time, _ *entry, in *Input, out []Effect) []Effect {
	m.claim(now, in)
	m.hurry(now, in.ID)
	return append(out, m.inquiry(in.Device, in.Word))
}

func (m *Machine) inquiry(name invitation.Device, w *invitation.Word) Effect {
	msg := &invitation.Message{ID: w.ID, Online: m.online(), Ask: true, Device: name, Permit: m.changes}
	if w.Side == invitation.Caller {
		msg.Kind, msg.Connected = invitation.MsgCaller, m.connected(name)
		msg.Online = msg.Online || msg.Connected
	} else {
		msg.Kind = invitation.MsgCallee
	}
	return m.message(msg)
}

// inquireAgain asks about the claims that are due, or about all of them.
func (m *Machine) inquireAgain(now Time, all bool, out []Effect) []Effect {
	for i := range m.claims {
		c := &m.claims[i]
		if all || c.askAt != 0 && c.askAt <= now {
			out = append(out, m.inquiry(c.device, &c.word))
			if c.word.Kind == invitation.WordDone && c.word.Side == invitation.Callee {
				out = append(out, m.relay(c.device, c.spoken(now)))
			}
			if !m.noTimer {
				most := overdue
				if c.word.Kind == invitation.WordDone {
					most = m.config.Timers.Grace
				}
				c.wait = min(2*c.wait, most)
				c.askAt = now.Add(c.wait)
			}
		}
	}
	return out
}

// relayDone gives a last word about an invitation that this session does not know to the arbiter, who
// may be waiting for it, and asks how it stands.
func relayDone(m *Machine, now Time, e *entry, in *Input, out []Effect) []Effect {
	if in.Word.Side == invitation.Caller {
		out = append(out, m.message(&invitation.Message{
			Kind: invitation.MsgCallerDone, ID: in.ID, Device: in.Device, Local: in.Word.Local,
		}))
	} else {
		out = append(out, m.relay(in.Device, in.Word))
	}
	return inquire(m, now, e, in, out)
}

// lostBefore is how many times more incoming invitations than a user may have devices are believed to be shown: a
// session that is new takes as many as it may before they come back, and may be lost, too.
const lostBefore = 4

// claim keeps a word, the newest of each device.
func (m *Machine) claim(now Time, in *Input) {
	w := in.Word
	c := claim{word: *w, device: in.Device, until: now.Add(m.config.Timers.Grace)}
	if w.Kind == invitation.WordDone {
		c.until = now.Add(m.config.Timers.Linger) // the other side's device may be away as long
	}
	if w.Side == invitation.Callee && w.Kind != invitation.WordDone && w.Remaining != 0 {
		late := overdue
		if w.Kind == invitation.WordSeen { // its arbiter, if there is one, ends it now
			late = lastWait
		}
		c.until = min(c.until, now.Add(w.Remaining+late))
	}
	if w.Remaining != 0 {
		c.endsAt = now.Add(w.Remaining)
	}
	if !m.noTimer {
		c.askAt, c.wait = now.Add(askAgain), askAgain
	}
	for i := range m.claims {
		if old := &m.claims[i]; old.word.ID == w.ID && old.word.Side == w.Side && old.device == in.Device {
			if old.word.Kind == invitation.WordDone && w.Kind != invitation.WordDone {
				return // a word only moves forward
			}
			if old.word.Kind == w.Kind { // said again, and perhaps long ago
				c.until, c.endsAt = min(c.until, old.until), invitation.Earliest(c.endsAt, old.endsAt)
			}
			*old = c
			return
		}
	}
	lives := w.Side == invitation.Callee && w.Kind != invitation.WordDone && !m.rang(w.ID)
	if lives && m.reserved()+int(m.live[invitation.Callee]) >= lostBefore*m.config.MaxIncoming {
		return
	}
	if len(m.claims) < m.config.MaxOutgoing+m.config.MaxIncoming {
		m.claims = append(m.claims, c)
	}
}

func (m *Machine) claimed(id invitation.ID) bool {
	return slices.ContainsFunc(m.claims, func(c claim) bool { return c.word.ID == id })
}

// rang reports whether a device speaks of an incoming invitation that lives.
func (m *Machine) rang(id invitation.ID) bool {
	return slices.ContainsFunc(m.claims, func(c claim) bool {
		return c.word.ID == id && c.word.Side == invitation.Callee && c.word.Kind != invitation.WordDone
	})
}

// reserved returns how many incoming invitations devices speak of that live: they count for the user's bound.
func (m *Machine) reserved() int {
	n := 0
	for i := range m.claims {
		first := slices.IndexFunc(m.claims, func(c claim) bool {
			return c.word.ID == m.claims[i].word.ID && c.word.Side == invitation.Callee && c.word.Kind != invitation.WordDone
		})
		if first == i {
			n++
		}
	}
	return n
}

// unclaim forgets what was said about an invitation.
func (m *Machine) unclaim(id invitation.ID) {
	m.claims = slices.DeleteFunc(m.claims, func(c claim) bool { return c.word.ID == id })
}

// disclaim forgets what a device whose login is over said of what lives: it has ended that.
func (m *Machine) disclaim(name invitation.Device) {
	m.claims = slices.DeleteFunc(m.claims, func(c claim) bool { return c.device == name && c.word.Kind != invitation.WordDone })
}

// takeClaims makes what devices said part of an invitation that has just become known, and gives it to the
// arbiter. Whether any of them was told a commit is not known, so it counts as told.
func (m *Machine) takeClaims(now Time, e *entry, out []Effect) []Effect {
	id := e.view.Terms.ID
	for i := range m.claims {
		c := &m.claims[i]
		if c.word.ID != id || c.word.Side != invitation.Callee {
			continue
		}
		e.shown = append(e.shown, showing{device: c.device, done: c.word.Kind == invitation.WordDone, told: c.word.Kind == invitation.WordAccepting})
		if c.word.Kind == invitation.WordDone {
			continue
		}
		e.rang(now, 0)
		if c.word.Kind == invitation.WordSeen {
			e.rang(now, c.spoken(now).Remaining)
		}
	}
	for i := range m.claims {
		c := &m.claims[i]
		if c.word.ID != id || c.word.Side != invitation.Callee {
			continue
		}
		effect := m.relay(c.device, c.spoken(now))
		effect.Message.Concluded = c.word.Kind == invitation.WordDone && m.concluded(now, e)
		out = append(out, effect)
		if c.word.Kind != invitation.WordDone {
			out = m.notify(now, e, m.device(c.device), out)
		}
	}
	m.unclaim(id)
	return out
}

// dismissClaims tells devices that they may forget an invitation that is over.
func (m *Machine) dismissClaims(_ Time, id invitation.ID, out []Effect) []Effect {
	for i := range m.claims {
		if c := &m.claims[i]; c.word.ID == id {
			out = m.inform(c.device, invitation.ForgottenNotice(id, c.word.Side), out)
		}
	}
	m.unclaim(id)
	return out
}

// inform tells a device, if it is connected, of an invitation that is not kept for it.
func (m *Machine) inform(name invitation.Device, n invitation.Notice, out []Effect) []Effect {
	if d := m.device(name); d != nil && d.connected {
		out = append(out, Effect{Kind: ToDevice, Conn: d.conn, Down: invitation.Down{Notice: &n}})
	}
	return out
}

// forgotten takes that there is no arbiter of an invitation that is not known here. If it has stopped, the
// devices that spoke of the invitation may forget it. If it was lost, the sending device can make it again,
// and the others wait for that.
func forgotten(m *Machine, now Time, _ *entry, in *Input, out []Effect) []Effect {
	if in.Over {
		return m.dismissClaims(now, in.ID, out)
	}
	for i := range m.claims {
		c := &m.claims[i]
		d := m.device(c.device)
		if c.word.ID == in.ID && c.word.Side == invitation.Caller && c.word.Kind != invitation.WordDone && d != nil && d.connected {
			out = append(out, Effect{Kind: ToDevice, Conn: d.conn, Down: invitation.Down{
				Retell: &invitation.Retell{ID: in.ID, Side: invitation.Caller},
			}})
		}
	}
	return out
}

// whyOver returns how an invitation that nobody else knows is over for a device: another one of the user has
// accepted it, its time is over, or the caller's device has not come back. Where no session was lost its time may
// be over for long, and it may have ended before that: how is forgotten.
func (m *Machine) whyOver(now Time, c *claim) (invitation.RemoteState, uint8, invitation.Reason) {
	switch {
	case m.answered(c.word.ID):
		return invitation.RemoteCanceled, 0, invitation.AnsweredElsewhere
	case c.endsAt == 0 || c.until < c.endsAt:
		return invitation.RemoteCanceled, 0, invitation.CallerGone
	case !m.fresh(now):
		return invitation.RemoteFailure, uint8(invitation.RemoteExpire), invitation.OutcomeForgotten
	case c.word.Kind == invitation.WordAccepting:
		return invitation.RemoteFailure, uint8(invitation.RemoteLocalOffline), invitation.CallerOffline
	}
	return invitation.RemoteFailure, uint8(invitation.RemoteExpire), invitation.Expired
}

// answered reports whether a device says that it has accepted.
func (m *Machine) answered(id invitation.ID) bool {
	return slices.ContainsFunc(m.claims, func(c claim) bool {
		return c.word.ID == id && c.word.Kind == invitation.WordDone && c.word.Remote == invitation.RemoteAccepted
	})
}

// hurry ends soon what another device of the user says that it has accepted.
func (m *Machine) hurry(now Time, id invitation.ID) {
	if !m.answered(id) {
		return
	}
	for i := range m.claims {
		if c := &m.claims[i]; c.word.ID == id && c.word.Side == invitation.Callee && c.word.Kind != invitation.WordDone {
			c.until = min(c.until, now.Add(tellTime))
		}
	}
}

// giveUp ends what devices spoke of and nobody else: the caller's device has not come back inside the grace.
func (m *Machine) giveUp(now Time, out []Effect) []Effect {
	var ended []invitation.ID
	for i := 0; i < len(m.claims); {
		c := m.claims[i]
		if c.until > now {
			i++
			continue
		}
		m.claims = slices.Delete(m.claims, i, i+1)
		n := invitation.ForgottenNotice(c.word.ID, c.word.Side)
		if c.word.Side == invitation.Callee && c.word.Kind != invitation.WordDone {
			n.Remote, n.Code, n.Reason = m.whyOver(now, &c)
			ended = append(ended, c.word.ID)
		}
		out = m.inform(c.device, n, out)
	}
	for _, id := range ended {
		if !m.claimed(id) && !m.remembers(id) {
			m.remember(id)
		}
	}
	return out
}

// claimAccept takes that a device asks to accept which this session does not remember to have shown the
// invitation to.
func claimAccept(m *Machine, now Time, e *entry, in *Input, out []Effect) []Effect {
	if e.side == invitation.Caller {
		return out
	}
	if d := m.device(in.Device); d.why != 0 {
		return out
	}
	e.shown = append(e.shown, showing{device: in.Device, told: true})
	out = m.notify(now, e, m.device(in.Device), out)
	return sayAccept(m, now, e, in, out)
}

// sayAccept takes that a device asks to accept: its request may have been answered by an arbiter that was lost.
func sayAccept(m *Machine, now Time, e *entry, in *Input, out []Effect) []Effect {
	e.rang(now, 0)
	if e.view.Stage >= invitation.Accepting {
		return out
	}
	return append(out, m.relay(in.Device, in.Word))
}

// notShown answers an accept or a refuse of a device that was not shown the invitation, so far as is known here.
func notShown(m *Machine, now Time, e *entry, in *Input, out []Effect) []Effect {
	if e.side == invitation.Callee && m.fresh(now) {
		return append(out, Effect{Kind: ToDevice, Conn: in.Conn, Down: invitation.Down{ // its word will say that it was
			Retell: &invitation.Retell{ID: in.ID, Side: invitation.Callee},
		}})
	}
	return m.answer(now, in, invitation.NotFound, e, out)
}
