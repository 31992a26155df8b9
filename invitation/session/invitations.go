package session

import (
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

func (e *entry) showing(name invitation.Device) *showing {
	for i := range e.shown {
		if e.shown[i].device == name {
			return &e.shown[i]
		}
	}
	return nil
}

// rings reports whether a device was shown the invitation and is to be told how it stands. One that has
// said its last word is not told of the offer again: its program may be another by now.
func (e *entry) rings(name invitation.Device) bool {
	s := e.showing(name)
	return s != nil && (!s.done || e.view.Stage > invitation.Ringing)
}

// concluded reports whether every device that was shown the invitation has said its last word.
func (m *Machine) concluded(now Time, e *entry) bool {
	return e.concluded() && (e.whole || !m.fresh(now))
}

func (e *entry) concluded() bool {
	return !slices.ContainsFunc(e.shown, func(s showing) bool { return !s.done })
}

func (m *Machine) remembers(id invitation.ID) bool {
	return m.past != nil && slices.Contains(m.past.ids, id)
}

// remember keeps the id of an invitation that is over, for the grace at least: an offer may be under way.
func (m *Machine) remember(id invitation.ID) {
	m.leaveAt = 0
	if m.past == nil {
		m.past = new(history)
	}
	p := m.past
	if len(p.ids) < m.config.Remember {
		p.ids = append(p.ids, id)
		return
	}
	p.ids[p.next] = id
	p.next = (p.next + 1) % len(p.ids)
}

func (m *Machine) add(e *entry) {
	i, _ := m.find(e.view.Terms.ID)
	m.entries = slices.Insert(m.entries, i, e)
	m.known[e.side]++
	if e.view.Stage != invitation.Ended {
		m.live[e.side]++
	}
}

// drop forgets an invitation, but for its id.
func (m *Machine) drop(e *entry) {
	m.remove(e)
	m.remember(e.view.Terms.ID)
}

func (m *Machine) remove(e *entry) {
	if e.view.Stage != invitation.Ended {
		m.live[e.side]--
	}
	m.known[e.side]--
	if i, known := m.find(e.view.Terms.ID); known {
		m.entries = slices.Delete(m.entries, i, i+1)
	}
	if len(m.entries) != 0 {
		return
	}
	m.sweepAt = 0
	if cap(m.entries) > keptEntries {
		m.entries = nil
	}
}

// see takes the entry's next view, and counts.
func (m *Machine) see(e *entry, v *invitation.View) {
	switch was, is := e.view.Stage == invitation.Ended, v.Stage == invitation.Ended; {
	case !was && is:
		m.live[e.side]--
	case was && !is: // it ended by one of two arbiters only
		m.live[e.side]++
	}
	e.view, e.asked = v, false
}

// full reports whether one more live invitation of a side is over the user's bound. Over the bound of
// those that linger it makes room, if it can: the other side may be slow to acknowledge, and must not
// keep this user from calling or being called.
func (m *Machine) full(side invitation.Side) bool {
	bound := m.config.MaxOutgoing
	if side == invitation.Callee {
		bound = m.config.MaxIncoming - m.reserved()
	}
	return int(m.live[side]) >= bound || int(m.known[side]) >= lingering*bound && !m.evict(side)
}

// crowded reports whether one more live invitation of a caller is over the bound of those from one.
func (m *Machine) crowded(caller invitation.User) bool {
	n := 0
	for _, e := range m.entries {
		if e.side == invitation.Callee && e.view.Stage != invitation.Ended && e.view.Terms.Caller == caller {
			n++
		}
	}
	return n >= m.config.MaxPerCaller
}

// evict forgets the ended invitation of a side that lingers longest already and for which this side has
// said all it has to say.
func (m *Machine) evict(side invitation.Side) bool {
	var oldest *entry
	for _, e := range m.entries {
		if e.side == side && e.spent() && (oldest == nil || e.view.Deadline < oldest.view.Deadline) {
			oldest = e
		}
	}
	if oldest != nil {
		m.drop(oldest)
	}
	return oldest != nil
}

// spent reports whether nothing is awaited from this side about an invitation.
func (e *entry) spent() bool {
	if e.view.Stage != invitation.Ended {
		return false
	}
	if e.side == invitation.Caller {
		return e.ended
	}
	accepted := slices.ContainsFunc(e.shown, func(s showing) bool { return s.told })
	return e.concluded() && (e.view.Verdict || !accepted)
}

// takeToken takes one send from the user's rate. When there is none it returns after what time
// there will be.
func (m *Machine) takeToken(now Time) (time.Duration, bool) {
	m.tokens += now.Sub(m.filled).Seconds() * m.config.SendRate
	m.tokens = min(m.tokens, float64(m.config.SendBurst))
	m.filled = now
	if m.tokens < 1 {
		return time.Duration((1 - m.tokens) / m.config.SendRate * float64(time.Second)), false
	}
	m.tokens--
	return 0, true
}

// answer answers a call, with the state where the invitation is known.
func (m *Machine) answer(now Time, in *Input, err invitation.CallError, e *entry, out []Effect) []Effect {
	a := &invitation.Answer{Request: in.Call.Request, RequestID: in.Call.RequestID, Error: err, ID: in.ID}
	if e != nil && (e.side == invitation.Callee || e.answered && e.view.Version != 0) && err != invitation.NotFound {
		n := e.notice(in.Device, now)
		e.tell(in.Device, &n)
		a = answerWith(*a, n)
	}
	return append(out, Effect{Kind: ToDevice, Conn: in.Conn, Down: invitation.Down{Answer: a}})
}

// notice returns what a device is told of e. The callee's session is not told when the invitation
// begins to ring: it counts the time that remains from the first ack it passed on.
func (e *entry) notice(name invitation.Device, now Time) invitation.Notice {
	n := e.view.Notice(e.side, name, now)
	if e.side == invitation.Callee && e.view.Stage == invitation.Offering && e.seenAt != 0 {
		n.Remaining = max(0, e.seenAt.Add(n.Remaining).Sub(now))
	}
	return n
}

// tell notes that a device is about to be told a commit, be it in a notice or in an answer.
func (e *entry) tell(name invitation.Device, n *invitation.Notice) {
	if n.Remote != invitation.RemoteAccepted {
		return
	}
	if s := e.showing(name); s != nil {
		s.told = true
	}
}

// notify tells a device the state of an invitation.
func (m *Machine) notify(now Time, e *entry, d *device, out []Effect) []Effect {
	if d == nil || !d.connected {
		return out
	}
	n := e.notice(d.name, now)
	e.tell(d.name, &n)
	return append(out, Effect{Kind: ToDevice, Conn: d.conn, Down: invitation.Down{Notice: &n}})
}

// The caller's side.

func send(m *Machine, now Time, _ *entry, in *Input, out []Effect) []Effect {
	call := in.Call
	e, terms := newOutgoing()
	*terms = invitation.Terms{
		ID: in.ID, Caller: m.user, Device: in.Device, Callee: call.Callee,
		Content: call.Content, ChannelID: call.ChannelID, Timers: call.Timers,
	}
	err := terms.Check()
	if err == invitation.OK && !invitation.ValidKey(call.Key) {
		err = invitation.InvalidArgument
	}
	lives := call.Resumed != nil && call.Resumed.Local != invitation.LocalIdle
	if err == invitation.OK && m.full(invitation.Caller) {
		err = invitation.LimitExceeded
		if lives {
			err = invitation.NotFound // there is nothing to try again
		}
	}
	if err != invitation.OK {
		return m.answer(now, in, err, nil, out)
	}
	if lives && int(m.resumes) < m.config.MaxOutgoing {
		m.resumes++ // its first send was counted
	} else if wait, ok := m.takeToken(now); !ok {
		out = m.answer(now, in, invitation.LimitExceeded, nil, out)
		out[len(out)-1].Down.Answer.RetryAfter = wait
		return out
	}
	terms.Timers = terms.Timers.Or(m.config.Timers)
	*e = entry{view: &invitation.View{Terms: terms}, side: invitation.Caller, sendID: call.RequestID}
	e.resume(now, call.Resumed)
	m.unclaim(in.ID)
	m.add(e)
	m.expect(e, now.Add(askAgain))
	return append(out, m.report(now, e, false))
}

// sendAgain answers a repeated send with the invitation that the first one made. While that one is
// not answered, the answer to come is for the newest request.
func sendAgain(m *Machine, now Time, e *entry, in *Input, out []Effect) []Effect {
	e.sendID = in.Call.RequestID
	if e.asked && in.Call.Resumed != nil {
		again := entry{view: e.view, side: invitation.Caller, sendID: e.sendID}
		again.resume(now, in.Call.Resumed)
		return append(out, m.report(now, &again, false))
	}
	if !e.answered {
		if r := in.Call.Resumed; r != nil && r.Local != invitation.LocalIdle { // IDLE tells what is known here: that it is repeated
			e.resume(now, r)
		}
		return append(out, m.report(now, e, false))
	}
	return m.answer(now, in, invitation.OK, e, out)
}

// sent answers the send, once.
func (m *Machine) sent(now Time, e *entry, err invitation.CallError, out []Effect) []Effect {
	if e.answered {
		return out
	}
	e.answered = true
	d := m.device(e.view.Terms.Device)
	if err == invitation.OK && e.withdrawn {
		out = append(out, m.withdrawal(e))
	}
	if err == invitation.OK && e.view.Heard != m.changes {
		out = append(out, m.reportChange(now, e))
	}
	if d == nil || !d.connected {
		return out
	}
	a := &invitation.Answer{Request: invitation.Send, RequestID: e.sendID, Error: err, ID: e.view.Terms.ID}
	switch {
	case err == invitation.OK, err == invitation.AlreadyEnd:
		a = answerWith(*a, e.view.Notice(invitation.Caller, d.name, now))
	case err == invitation.Unavailable:
		a.RetryAfter = askAgain
	}
	return append(out, Effect{Kind: ToDevice, Conn: d.conn, Down: invitation.Down{Answer: a}})
}

// callerView takes what the arbiter says to the caller's side.
func callerView(m *Machine, now Time, e *entry, in *Input, out []Effect) []Effect {
	v := in.View
	if v.Version < e.view.Version {
		return m.outdated(now, e, v, out)
	}
	confirms := v.Version == e.view.Version && v.Heard > e.view.Heard // a report, nothing more
	m.see(e, v)
	if v.Heard == m.changes {
		e.asking = false
	}
	m.heard(now, e)
	out = m.sent(now, e, invitation.OK, out)
	if !confirms {
		out = m.notify(now, e, m.device(v.Terms.Device), out)
	}
	if v.Settled {
		m.drop(e)
	}
	return out
}

// adopt takes a view of an invitation that this user sent and this session does not know.
func adopt(m *Machine, now Time, _ *entry, in *Input, out []Effect) []Effect {
	e := &entry{view: in.View, side: invitation.Caller, answered: true}
	m.unclaim(in.ID)
	m.add(e)
	m.heard(now, e)
	out = m.notify(now, e, m.device(in.View.Terms.Device), out)
	switch {
	case in.View.Settled:
		m.drop(e)
	case in.View.Heard != m.changes: // a question that was put about a claim may be lost, and is not put again
		out = append(out, m.reportChange(now, e))
	}
	return out
}

// The callee's side.

// offer takes the first word about an invitation to this user. It is a permit to show it to the
// devices that are connected.
func offer(m *Machine, now Time, _ *entry, in *Input, out []Effect) []Effect {
	v := in.View
	e := newIncoming(v)
	switch {
	case v.Settled:
		m.remember(v.Terms.ID)
		return m.dismissClaims(now, v.Terms.ID, out)
	case v.Stage == invitation.Ended && (m.claimed(v.Terms.ID) || m.fresh(now)): // devices may have been shown it
	case v.Stage == invitation.Ended:
		m.remember(v.Terms.ID)
		return append(out, m.report(now, e, false))
	case !m.rang(v.Terms.ID) && (m.full(invitation.Callee) || m.crowded(v.Terms.Caller)):
		out = append(out, m.report(now, e, false))
		out[len(out)-1].Message.Full = true
		return m.tellChosen(now, v, out)
	}
	e.whole = m.fresh(now) && m.bornHere(v)
	m.add(e)
	m.heard(now, e)
	out = m.takeClaims(now, e, out)
	out = m.offerCommit(now, e, out)
	before := len(out)
	if v.Stage <= invitation.Ringing {
		for i := range m.devices {
			out = m.show(now, e, &m.devices[i], out)
		}
	}
	unheard := (m.fresh(now) || v.Version > stale) && v.HeardCallee != m.changes
	if unheard || v.Stage == invitation.Accepting || v.Stage == invitation.Confirmed {
		// An arbiter that takes the chosen device for away, or the user, repeats nothing: it must hear who is here.
		return append(out, m.reportChange(now, e))
	}
	if len(out) > before && v.Stage == invitation.Offering && !m.fresh(now) {
		return out // the "seen" of a device says so; if none comes the arbiter repeats the view, and is answered
	}
	return append(out, m.report(now, e, false))
}

// show shows an invitation to a device for the first time.
func (m *Machine) show(now Time, e *entry, d *device, out []Effect) []Effect {
	if !d.connected || d.agent() || d.why != 0 || e.showing(d.name) != nil {
		return out
	}
	e.shown = append(e.shown, showing{device: d.name})
	return m.notify(now, e, d, out)
}

// calleeView takes what the arbiter says to the callee's side.
func calleeView(m *Machine, now Time, e *entry, in *Input, out []Effect) []Effect {
	v, before := in.View, e.view
	if v.Version < before.Version {
		return m.outdated(now, e, v, out)
	}
	m.see(e, v)
	e.renamed = e.renamed || v.Chosen != before.Chosen
	if v.Permit == m.changes && !e.renamed || v.Stage == invitation.Ended {
		e.asking = false // nothing that has ended is shown any more
	}
	m.heard(now, e)
	repeated := v.Version == before.Version && v.Permit == before.Permit
	for i := range e.shown {
		s := &e.shown[i]
		if in.Kind == InReply && s.device == in.Device || v.Stage == invitation.Accepting && s.device == v.Chosen {
			continue // the answer to its request says so
		}
		// A view that is repeated after the commit, without a verdict, awaits the chosen device's word, which
		// got lost if it was said.
		awaited := s.done && s.device == v.Chosen && !v.Verdict && v.Version == before.Version
		if repeated && !s.done || awaited || differs(before, v, s.device) || v.Settled {
			out = m.notify(now, e, m.device(s.device), out)
		}
	}
	if repeated && v.Stage >= invitation.Confirmed && !v.Verdict && v.Chosen != "" && e.showing(v.Chosen) == nil {
		switch d := m.device(v.Chosen); {
		case d != nil && d.why == 0:
			out = m.notify(now, e, d, out) // a new program under the name: it says that it knows nothing
		case d != nil:
			out = append(out, m.denial(now, e, d.name)) // it was said when its login ended, and got lost
		}
	}
	if v.Stage <= invitation.Ringing {
		for i := range m.devices {
			if d := &m.devices[i]; d.attached <= v.Permit {
				out = m.show(now, e, d, out)
			}
		}
	}
	switch {
	case v.Settled:
		m.drop(e)
	case v.Stage == invitation.Ended && v.Outcome != invitation.Accepted && m.concluded(now, e), repeated:
		// That all devices have said their last word about an accepted one was said with that word.
		out = append(out, m.report(now, e, false))
	}
	return out
}

func differs(a, b *invitation.View, name invitation.Device) bool {
	before, _, _ := a.Remote(name)
	after, _, _ := b.Remote(name)
	return before != after
}

// claimSeen takes "seen" from a device that this session does not remember to have shown the
// invitation to: it is told the end of it, like any other.
func claimSeen(m *Machine, now Time, e *entry, in *Input, out []Effect) []Effect {
	if e.side == invitation.Caller {
		return out
	}
	if d := m.device(in.Device); d.why != 0 {
		return out // its login is over: it is told nothing more
	}
	e.shown = append(e.shown, showing{device: in.Device})
	e.rang(now, in.Word.Remaining) // the device is told the time that is left
	out = m.notify(now, e, m.device(in.Device), out)
	return say(m, now, e, in, out)
}

// claimDone takes "done" from a device that this session does not remember to have shown the
// invitation to: its word counts all the same, it may be the one that is awaited.
func claimDone(m *Machine, now Time, e *entry, in *Input, out []Effect) []Effect {
	if e.side == invitation.Caller {
		return out
	}
	e.shown = append(e.shown, showing{device: in.Device})
	return calleeDone(m, now, e, in, out)
}

func calleeDone(m *Machine, now Time, e *entry, in *Input, out []Effect) []Effect {
	e.showing(in.Device).done = true
	concluded := m.concluded(now, e)
	answered := in.Word.Remote == invitation.RemoteAccepted || in.Word.Remote == invitation.RemoteRefused
	if concluded || answered || in.Device == e.view.Chosen {
		out = append(out, m.message(&invitation.Message{
			Kind: invitation.MsgCalleeDone, ID: in.ID, Device: in.Device, Remote: in.Word.Remote, Concluded: concluded,
		}))
	}
	if v := e.view; concluded && v.Stage == invitation.Confirmed && in.Device == v.Chosen && in.Word.Remote == invitation.RemoteAccepted {
		m.accepted(now, e)
	}
	return out
}

// accepted takes that an invitation has ended, by the word of the device that was told the commit: all that the arbiter
// has to say about it is when both sides have concluded. A question that is unanswered stays one: an arbiter that takes
// the device for absent does not repeat what the word answers.
func (m *Machine) accepted(now Time, e *entry) {
	v := *e.view
	v.Stage, v.Outcome, v.Verdict, v.Deadline = invitation.Ended, invitation.Accepted, true, now.Add(v.Terms.Timers.Linger)
	m.see(e, &v)
	m.heard(now, e)
}

// concludedBefore answers a view of an invitation that has ended here, or was never shown.
func concludedBefore(m *Machine, now Time, _ *entry, in *Input, out []Effect) []Effect {
	if in.View.Settled {
		return out
	}
	out = append(out, m.report(now, &entry{view: &invitation.View{Terms: in.View.Terms, Stage: invitation.Ended}, side: invitation.Callee}, false))
	out[len(out)-1].Message.Concluded = true
	return m.tellChosen(now, in.View, out)
}

// Both sides.

var callMessages = [invitation.Requests]invitation.MessageKind{
	invitation.Cancel: invitation.MsgCancel, invitation.Accept: invitation.MsgAccept, invitation.Refuse: invitation.MsgRefuse,
}

// forward gives a request to the arbiter.
func forward(m *Machine, now Time, e *entry, in *Input, out []Effect) []Effect {
	if !invitation.ValidText(in.Call.Response, invitation.MaxResponse) {
		return m.answer(now, in, invitation.InvalidArgument, e, out)
	}
	msg := &invitation.Message{
		Kind: callMessages[in.Call.Request], ID: in.ID, Device: in.Device, RequestID: in.Call.RequestID, Response: in.Call.Response,
	}
	if msg.Kind == invitation.MsgCancel {
		msg.Reason = invitation.CallerCanceled
	}
	return append(out, m.message(msg))
}

// say gives a word to the arbiter.
func say(m *Machine, now Time, e *entry, in *Input, out []Effect) []Effect {
	msg := &invitation.Message{ID: in.ID, Device: in.Device, Named: in.Word.Named, Local: in.Word.Local}
	msg.Remaining = in.Word.Remaining
	switch in.Word.Kind {
	case invitation.WordSeen:
		msg.Kind, msg.Online, msg.Permit = invitation.MsgSeen, true, m.changes // the answer to the offer
		e.rang(now, in.Word.Remaining)
		msg.Remaining = invitation.Left(e.seenAt.Add(e.view.Terms.Timers.Expire), now) // for an arbiter that recovers
	case invitation.WordConfirmed:
		msg.Kind = invitation.MsgConfirm
	default:
		msg.Kind = invitation.MsgCallerDone
		e.ended = true
		if e.asked && e.view.Version == 0 { // it lingers; it does not count as live
			m.see(e, &invitation.View{Terms: e.view.Terms, Stage: invitation.Ended})
		}
	}
	return append(out, m.message(msg))
}

func query(m *Machine, now Time, e *entry, in *Input, out []Effect) []Effect {
	return m.answer(now, in, invitation.OK, e, out)
}

// reply gives the arbiter's answer to the device that asked.
func reply(m *Machine, now Time, e *entry, in *Input, out []Effect) []Effect {
	r := in.Reply
	if r.Request != invitation.Send && generation(r.View) < generation(e.view) {
		return out // of an arbiter that was lost: what it has recorded may be, too. The device repeats its call
	}
	switch {
	case e.side == invitation.Caller && r.View.Version >= e.view.Version:
		m.see(e, r.View)
		m.heard(now, e)
	case e.side == invitation.Callee && r.View.Version > e.view.Version:
		out = calleeView(m, now, e, &Input{Kind: in.Kind, ID: in.ID, Device: r.Device, View: r.View}, out)
	}
	if r.Request == invitation.Send {
		if e.answered && r.Error == invitation.OK && e.sendID != 0 && r.RequestID == e.sendID && r.View.Version > stale {
			// It was sent again for an arbiter that recovered.
			in := &Input{Device: r.Device, Call: &invitation.Call{Request: r.Request, RequestID: r.RequestID}, ID: in.ID}
			if d := m.device(r.Device); d != nil && d.connected {
				in.Conn = d.conn
				return m.answer(now, in, r.Error, e, out)
			}
		}
		if e.answered {
			return out // also if it says that the invitation is over: that may answer a start that came twice
		}
		out = m.sent(now, e, r.Error, out)
		if r.Error != invitation.OK {
			m.remove(e)
		}
		return out
	}
	d := m.device(r.Device)
	if d == nil || !d.connected {
		return out
	}
	if d.why != 0 && e.side == invitation.Callee && e.showing(d.name) == nil {
		return out // its login is over, and the arbiter was told that it did not accept
	}
	n := r.View.Notice(e.side, r.Device, now)
	e.tell(r.Device, &n)
	out = append(out, Effect{Kind: ToDevice, Conn: d.conn, Down: invitation.Down{Answer: answerWith(invitation.Answer{
		Request: r.Request, RequestID: r.RequestID, Error: r.Error, ID: in.ID,
	}, n)}})
	if r.Request == invitation.Accept && r.Error == invitation.OK && r.View.Stage > invitation.Accepting {
		out = m.notify(now, e, d, out) // the accept came twice: a device that was answered drops this answer
	}
	return out
}

// relayLate gives a callee's device's last word about an invitation that is over here to its arbiter, if there is
// one: it may have been made anew, and wait for it.
func relayLate(m *Machine, now Time, e *entry, in *Input, out []Effect) []Effect {
	if in.Word.Side == invitation.Callee {
		out = append(out, m.relay(in.Device, in.Word))
	}
	return dismiss(m, now, e, in, out)
}

// dismiss tells a device that it may forget an invitation that is over here. Where a session was lost and the time of
// what rings is over, too, the device may not have heard yet that it has run out.
func dismiss(m *Machine, now Time, _ *entry, in *Input, out []Effect) []Effect {
	n := invitation.ForgottenNotice(in.ID, in.Word.Side)
	if w := in.Word; w.Kind == invitation.WordSeen && w.Remaining != 0 && w.Remaining <= lastWait && m.fresh(now) {
		n.Reason = invitation.Expired
	}
	return append(out, Effect{Kind: ToDevice, Conn: in.Conn, Down: invitation.Down{Notice: &n}})
}
