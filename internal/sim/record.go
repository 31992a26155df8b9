package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// record is what the judge keeps of an invitation.
type record struct {
	carried        int // messages between its sessions and its arbiters
	id             invitation.ID
	caller, callee int32 // users
	timers         invitation.Timers
	parts          []*part // the first is the caller's
	room           [3]*part
	referee        referee
	offered        []uint64 // connections on which it was shown by right

	open      bool // in world.open
	closedAt  Time
	sentAt    Time
	startedAt Time // its arbiter took the send
	chosenAt  Time // an accept was recorded
	commitAt  Time // a confirm was
	confirmAt Time // a confirm, be it in time or not, reached the arbiter
	endedAt   Time
	verdictAt Time
	lostAt    Time  // the last message about it was lost
	lateAt    Time  // when the last message about it that is late arrives
	accepted  *part // the device of the callee that was told so
	full      bool  // the callee was over its bound
	panicked  bool

	hurtAt      Time  // the last loss of a node that it concerns was taken over; while it is not, forever
	orphanAt    Time  // its arbiter was lost, and there is no other
	askingSince Time  // its arbiter recovers
	doubted     bool  // an activation that was taken for lost went on, or its end was lost before all were told: kinds may differ
	excused     cause // why the caller may have been told that the callee is lost, whatever the callee's device says
	excuses     cause // that count
}

// part is what one device was told of an invitation in one session.
type part struct {
	judge.Part
	device   *Device
	line     *line
	epoch    uint32
	own      bool // the device ended it by itself
	dead     bool // its program has ended
	shownAt  Time
	askedAt  Time // its application accepted
	recorded bool // and was answered
	endedAt  Time
}

// What taking over a failure takes, at most.
const (
	prompt        = time.Second                // nothing was wrong
	afterReturn   = auditAfter + 2*time.Second // the device came back
	afterLoss     = lastRepeat + 4*time.Second // a message was lost: the longest time between repeats
	afterTakeover = 6 * time.Second            // what a node had was taken over
	apartFor      = 45 * time.Second           // a failure may have separated the sides: a session waits for the grace
	sweepEach     = 250 * time.Millisecond     // how often everything that is open is looked at
	keptRecords   = 10 * time.Minute           // for how long a record is kept after its end
)

// lost notes that a message was lost.
func (w *world) lost(id invitation.ID) {
	if r := w.records[id]; r != nil {
		r.lostAt = w.now
	}
	if w.wants(id) {
		w.note("        (lost)")
	}
}

// late notes that a message is late.
func (w *world) late(id invitation.ID, until Time) {
	if r := w.records[id]; r != nil {
		r.lateAt = max(r.lateAt, until)
	}
	if w.wants(id) {
		w.note("        (late: until %v)", until.Sub(origin))
	}
}

// numberOf returns the number of a user that takes part.
func (w *world) numberOf(r *record, u invitation.User) int32 {
	if r == nil {
		return int32(slices.IndexFunc(w.users, func(other *user) bool { return other.name == u }))
	}
	if w.users[r.caller].name == u {
		return r.caller
	}
	return r.callee
}

// arbitrated takes what an arbiter did with a message.
func (w *world) arbitrated(r *record, msg *invitation.Message, v *invitation.View) {
	if r.startedAt == 0 {
		r.startedAt = w.now
	}
	w.fail(r, r.referee.watch(w.now, &r.timers, msg, v.Stage))
	if v.Stage >= invitation.Accepting && v.Chosen != "" && r.chosenAt == 0 {
		r.chosenAt = w.now
	}
	if v.Stage == invitation.Confirmed && r.commitAt == 0 {
		r.commitAt = w.now
	}
	if msg.Kind == invitation.MsgConfirm && r.confirmAt == 0 {
		r.confirmAt = w.now
	}
	if msg.Full && v.Stage == invitation.Ended && r.endedAt == 0 {
		r.full = true
	}
	if v.Stage != invitation.Ended {
		return
	}
	if r.endedAt == 0 {
		r.endedAt = w.now
		w.decided(r, msg, v)
	}
	if v.Verdict && r.verdictAt == 0 {
		r.verdictAt = w.now
		if (r.panicked || r.hurtAt != 0) && msg.Kind == invitation.MsgTick {
			r.excused |= w.unheard(r)
		}
	}
}

// decided looks at the way in which an arbiter ended an invitation.
func (w *world) decided(r *record, msg *invitation.Message, v *invitation.View) {
	if r.referee.late && r.excused == 0 {
		r.excused = w.unheard(r)
		if r.excused == 0 {
			w.fail(r, &judge.Violation{Promise: judge.P2, What: "gave up on the word of a device that was not away for the grace"})
		}
	}
	if r.hurtAt != 0 || r.lostAt != 0 || r.lateAt != 0 || r.panicked || r.full || msg.Kind != invitation.MsgTick {
		return
	}
	caller := r.parts[0].device
	switch {
	case v.Outcome == invitation.Undelivered:
		for _, d := range w.users[r.callee].devices {
			if d.phase == online && d.since <= r.startedAt && !d.leaving && d.overAt == 0 {
				w.fail(r, &judge.Violation{Promise: judge.P2, What: "not shown to " + string(d.name) + ", which was there all the time"})
			}
		}
	case v.Reason == invitation.AcceptNotConfirmed && caller.phase == online && caller.since <= r.chosenAt && caller.epoch == r.parts[0].epoch:
		w.fail(r, &judge.Violation{Promise: judge.P2, What: "not confirmed by the caller's device, which was there all the time"})
	}
}

// dropped notes that an arbiter is gone.
func (w *world) dropped(r *record, v *invitation.View) {
	if v.Stage != invitation.Ended {
		r.full = true
	}
}

// permitted checks that an invitation is shown to a device for the first time on a word that its
// arbiter gave after that device connected, and before the outcome (P4). The first word of all may
// have been on its way.
func (w *world) permitted(h *sessionHost, e *session.Effect, in *session.Input, known bool, said Time) {
	n := e.Down.Notice
	if e.Down.Answer != nil {
		n = e.Down.Answer.Notice
	}
	l := w.links[e.Conn.Number]
	if n == nil || n.Side != invitation.Callee || n.Remote != invitation.RemoteInvitationReceived || l == nil {
		return
	}
	r, d := w.records[n.ID], l.device
	if d.conn != e.Conn.Number {
		return
	}
	for _, p := range r.parts[1:] {
		if p.device == d && p.epoch == d.epoch {
			return
		}
	}
	for _, conn := range r.offered {
		if conn == e.Conn.Number {
			return
		}
	}
	r.offered = append(r.offered, e.Conn.Number)
	why := ""
	switch {
	case in.Kind != session.InView:
		why = "shown without a word from the arbiter"
	case in.View.Stage > invitation.Ringing:
		why = "shown on a word that was given after the outcome"
	case known && said < h.attached[e.Conn.Number] && !r.doubted: // two sessions may have put a question of one number
		why = "shown on a word that was given before the device connected"
	default:
		return
	}
	w.fail(r, &judge.Violation{Promise: judge.P4, What: why + ", to " + string(d.name)})
}

// told takes what an application was told.
func (w *world) told(d *Device, l *line, e judge.Event) {
	r := l.record
	if r == nil {
		w.failID(l.id, &judge.Violation{Promise: judge.P4, What: fmt.Sprintf("%v of an invitation that was over long ago", e)})
		return
	}
	if w.wants(r.id) {
		w.note("*** %s: %v", d.name, e)
	}
	if e.Event == device.Received {
		w.join(r, d, l)
	}
	p := l.part
	if e.Event.Terminal() {
		if limit := w.limit(r, p); limit != 0 && w.now > limit {
			w.fail(r, w.tooLate(r, p, limit))
		}
	}
	w.fail(r, p.Take(e))
	if e.Event == device.Received {
		w.shown(d, l.id)
		return
	}
	if !e.Event.Terminal() {
		return
	}
	p.endedAt = w.now
	if l.side == invitation.Callee && (r.orphanAt != 0 || r.askingSince != 0) && e.Event != device.Accepted && !l.own {
		r.doubted = true // its session gave up on the caller's device
	}
	if e.Event == device.Accepted && l.side == invitation.Callee {
		r.accepted = p
	}
	if l.side == invitation.Caller {
		w.ends[e.Event.String()+" "+e.Reason.String()]++
	}
	if r.hurtAt != 0 && w.now.Sub(r.hurtAt) < apartFor && e.Event != device.Accepted {
		r.doubted = true
	}
	// After a loss, a device that was away when another was chosen may not learn why it is over.
	if r.hurtAt != 0 && l.side == invitation.Callee && e.Event != device.Accepted && d.name != r.referee.chosen && d.awayTo > r.chosenAt {
		r.doubted = true
	}
	if !l.own && !r.panicked && !r.doubted && r.orphanAt == 0 && r.askingSince == 0 &&
		!(r.hurtAt != 0 && e.Event == device.Accepted) { // the confirm was known to one that was lost
		w.fail(r, r.referee.event(d.name, e))
	}
	if e.Reason == invitation.OutcomeForgotten && !w.mayForget(r, p) {
		if why := w.whyForgotten(r, p); why != 0 {
			w.excuse(r, why)
		} else {
			w.fail(r, &judge.Violation{Promise: judge.P1, What: "the outcome is forgotten before its time on " + string(d.name)})
		}
	}
	w.agree(r)
}

// join notes that an invitation is shown to a device.
func (w *world) join(r *record, d *Device, l *line) {
	for _, p := range r.parts[1:] {
		if p.device == d && p.epoch == d.epoch {
			l.part = p
		}
	}
	if l.part == nil {
		l.part = &part{device: d, epoch: d.epoch, shownAt: w.now}
		r.parts = append(r.parts, l.part)
	}
	l.part.line = l
	if !r.open {
		r.open = true
		w.open = append(w.open, r)
	}
}

// withdrawn takes that a send was refused.
func (w *world) withdrawn(l *line) {
	l.part.Withdrawn()
	if r := l.record; r.startedAt != 0 && !r.full {
		w.fail(r, &judge.Violation{Promise: judge.P1, What: "the send is refused, but there is an invitation"})
	}
}

// rightly checks that an application's call is taken or refused as it has to be.
func (w *world) rightly(l *line, err invitation.CallError, taken bool) {
	if (err == invitation.OK) != taken {
		w.fail(l.record, &judge.Violation{Promise: judge.P5, What: fmt.Sprintf("a call of the application gave %v", err.String())})
	}
}

// answered compares the answer to a request with what reached the arbiter (P5).
func (w *world) answered(d *Device, l *line, call *invitation.Call, err invitation.CallError) {
	r := l.record
	won := r.referee.chosen == d.name && (r.referee.answerID == call.RequestID || r.referee.answerID == 0 && r.hurtAt != 0)
	if call.Request == invitation.Cancel {
		won = r.referee.cancelID == call.RequestID
	}
	exists := w.server.arbiters[r.id] != nil
	switch {
	case r.panicked, r.doubted, r.hurtAt == forever, r.orphanAt != 0, r.askingSince != 0:
		return
	case err == invitation.AlreadyAccept && r.referee.chosen == d.name && r.referee.answerID != call.RequestID: // an earlier program's won
		return
	case err == invitation.OK && !won && l.won(call.Request): // an earlier program of the device asked first; it is this one that ended so
		return
	case err == invitation.OK && !won:
	case err != invitation.OK && won && exists:
	case err == invitation.NotFound && r.hurtAt != 0 && l.part.Ended(): // its session is new; its end it knows
		return
	case !won && exists && err != invitation.AlreadyEnd && err != invitation.AlreadyAccept:
	default:
		return
	}
	w.fail(r, &judge.Violation{Promise: judge.P5, What: fmt.Sprintf("%v %d of %s was answered %v (recorded: %v)",
		call.Request, call.RequestID, d.name, err.String(), &r.referee)})
}

// limit returns by when a device has to be told the end, 0 if there is no such time yet (P2): the
// decision, and what taking over the failures takes.
func (w *world) limit(r *record, p *part) Time {
	d := p.device
	if !p.Open() || p.dead || p.own || d.phase != online || d.epoch != p.epoch {
		return 0
	}
	from, slack := w.decidedFor(r, p), prompt
	if from == 0 || r.hurtAt == forever {
		return 0
	}
	if r.hurtAt != 0 {
		from = max(from, r.hurtAt.Add(afterTakeover))
		if w.server.arbiters[r.id] == nil { // its session waits for the caller's device
			from = max(from, r.hurtAt, d.since).Add(w.config.Timers.Grace)
		}
	}
	from = max(from, p.shownAt)
	if d.since > r.sentAt {
		from, slack = max(from, d.since), afterReturn
	}
	if d.overAt != 0 { // its session may hold the Ending back for the grace, to hear out what it owes
		from = max(from, d.overAt).Add(w.config.Timers.Grace)
	}
	limit := from.Add(slack)
	if r.lostAt != 0 {
		limit = max(limit, max(from, r.lostAt).Add(afterLoss))
	}
	if r.lateAt != 0 {
		limit = max(limit, max(from, r.lateAt).Add(afterReturn))
	}
	return limit
}

// decidedFor returns since when what a device is to be told is decided, 0 if it is not.
func (w *world) decidedFor(r *record, p *part) Time {
	switch {
	case r.orphanAt != 0 || r.askingSince != 0: // without the caller's device it is not recovered
		return max(r.orphanAt, r.askingSince, r.hurtAt, p.device.since).Add(max(r.timers.Grace, w.config.Timers.Grace))
	case r.startedAt == 0: // a session may hold back for the grace that its device's login is over
		return r.sentAt.Add(w.config.Timers.Grace)
	case r.full && p.Side == invitation.Callee: // a late offer, shown when there was room again
		return 0
	case r.full && r.endedAt == 0:
		return r.startedAt
	case p.Side == invitation.Callee && p.device.name == r.referee.chosen && r.commitAt != 0 && p.accepting():
		return max(r.commitAt, p.askedAt) // an earlier program's accept may have been confirmed
	case p.Side == invitation.Callee && p.device.name != r.referee.chosen && r.chosenAt != 0 && r.lostAt < r.chosenAt:
		return r.chosenAt // lost, it is told with the commit or the end
	case p.Side == invitation.Callee && p.device.name != r.referee.chosen && r.commitAt != 0:
		return r.commitAt
	case p.Side == invitation.Caller && r.accepted != nil && r.verdictAt == 0:
		return r.accepted.told()
	case r.endedAt == 0:
		return 0
	case p.Side == invitation.Caller && p.line.local.Confirmed() != "" && r.verdictAt == 0:
		return max(r.endedAt, r.confirmAt, r.referee.changed).Add(2 * r.timers.Grace)
	case p.Side == invitation.Caller:
		return max(r.endedAt, r.verdictAt)
	}
	return r.endedAt
}

// accepting reports whether a device knows of its accept: a program that was started after it does not,
// and says so until the end.
func (p *part) accepting() bool { return p.line.remote.State() == invitation.RemoteAcceptSentToLocal }

// told returns since when a device that has accepted can say so, 0 if it can not.
func (p *part) told() Time {
	if p.dead || p.device.phase != online || p.device.epoch != p.epoch {
		return 0
	}
	return max(p.endedAt, p.device.since)
}

func (w *world) tooLate(r *record, p *part, limit Time) *judge.Violation {
	return &judge.Violation{Promise: judge.P2, What: fmt.Sprintf("%s was not told the end by %v (decided at %v, recorded: %v)",
		p.device.name, limit.Sub(origin), w.decidedFor(r, p).Sub(origin), &r.referee)}
}

// sweep looks at everything that is open.
func (w *world) sweep() {
	open := w.open[:0]
	for _, r := range w.open {
		if w.look(r) {
			open = append(open, r)
		} else {
			r.open, r.closedAt = false, w.now
			w.done = append(w.done, r)
		}
	}
	clear(w.open[len(open):])
	w.open = open
	n := 0
	for ; n < len(w.done) && w.done[n].closedAt.Add(keptRecords) <= w.now; n++ {
		if r := w.done[n]; !r.open && r.closedAt.Add(keptRecords) <= w.now {
			delete(w.records, r.id)
			delete(w.server.stopped, r.id)
			delete(w.server.refused, r.id)
		}
	}
	w.done = w.done[n:]
	w.put(sweepEach).what = sweep
}

// look checks the promises of time, and reports whether the invitation is open.
func (w *world) look(r *record) bool {
	if r.orphanAt == 0 && r.askingSince == 0 && (r.hurtAt == 0 || r.hurtAt.Add(afterTakeover) < w.now) {
		w.fail(r, r.referee.overdue(w.now))
	}
	open := w.server.arbiters[r.id] != nil
	for _, p := range r.parts {
		if !p.Open() || p.dead {
			continue
		}
		open = true
		if limit := w.limit(r, p); limit != 0 && w.now > limit {
			w.fail(r, w.tooLate(r, p, limit))
		}
	}
	return open
}
