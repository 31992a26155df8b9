package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/device"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// node is a node of the deployment: the users of each are those whose number has its remainder. When it is
// lost it comes back under another boot, and everything of its users is opened cold.
type node struct {
	boot   uint32
	downAt Time // when it was lost; 0: it is there
	upAt   Time // when its users' sessions are opened again
	fresh  Time // when they were opened cold the last time
	ghost  *server
}

func (w *world) nodeOf(user int32) int { return int(user) % len(w.nodes) }

// liveNode returns a node that a device connects to.
func (w *world) liveNode() int {
	if len(w.nodes) == 1 {
		return 0
	}
	for {
		if n := w.random.IntN(len(w.nodes)); w.nodes[n].downAt == 0 {
			return n
		}
		if w.allDown() {
			return 0
		}
	}
}

func (w *world) allDown() bool {
	for i := range w.nodes {
		if w.nodes[i].downAt == 0 {
			return false
		}
	}
	return true
}

// address returns the address of a connection.
func (l *link) address(number uint64) session.Conn {
	return session.Conn{Node: fmt.Sprintf("node%d", l.node), Number: number}
}

// itself returns the server of a paused node, nil for the world's.
func (s *server) itself() *server {
	if s.paused == 0 {
		return nil
	}
	return s
}

// own marks what a caller's session and its arbiters say to each other: it does not leave the node, and is lost
// with it.
func (s *server) own(id invitation.ID, user int32, e event) event {
	if r := s.w.records[id]; r != nil && r.caller == user {
		e.life, e.at = s.w.nodes[s.w.nodeOf(user)].boot+1, s.itself()
	}
	return e
}

// route returns the server that an event is for: nil if it is lost, or has to wait.
func (w *world) route(e *event) *server {
	if e.what > sessionDue {
		return nil
	}
	if e.at != nil {
		switch {
		case e.at.sessions == nil:
			return nil // merged
		case e.at.asleep:
			return nil
		}
		return e.at
	}
	user := e.who
	switch e.what {
	case arbiterDue, sessionDue, toDevice:
		return w.server
	case toArbiter:
		r := w.records[e.id]
		if r == nil {
			return w.server
		}
		user = r.caller
	case fromDevice:
		user = w.devices[e.who].user
	default:
	}
	n := &w.nodes[w.nodeOf(user)]
	if e.life != 0 && e.life != n.boot+1 {
		return nil
	}
	if n.downAt != 0 && n.upAt > w.now {
		if e.what != fromDevice && w.chance(0.5) {
			w.lost(e.id)
			return nil
		}
		*w.queue.put(n.upAt) = *e // it is kept back
		return nil
	}
	if g := n.ghost; g != nil && !g.asleep && e.what != fromDevice && w.chance(0.3) {
		if e.what == toArbiter && g.arbiters[e.id] != nil || e.what == toSession && g.sessions[e.who] != nil {
			w.lost(e.id) // for those who wait for it elsewhere
			return g
		}
	}
	return w.server
}

// freshness returns how a session is made.
func (w *world) freshness(user int32) []session.Option {
	if at := w.nodes[w.nodeOf(user)].fresh; at != 0 {
		return []session.Option{session.Fresh(at, uint64(time.Duration(w.now).Milliseconds()))}
	}
	return nil
}

// crash loses a node, or pauses it.
func (w *world) crash() {
	if w.draining {
		return
	}
	w.put(w.mean(w.Crash)).what = crash
	i := w.random.IntN(len(w.nodes))
	n := &w.nodes[i]
	for k := range w.nodes {
		if w.nodes[k].downAt != 0 || w.nodes[k].ghost != nil {
			return // one at a time
		}
	}
	if n.fresh != 0 && w.now.Sub(n.fresh) < 10*time.Second {
		return
	}
	upAt := w.now.Add(w.between(100*time.Millisecond, 3*time.Second))
	if len(w.nodes) == 1 || w.chance(w.All) {
		pause := len(w.nodes) == 1 && w.chance(w.Pause)
		w.faults[map[bool]string{false: allLost, true: nodePaused}[pause]]++
		for k := range w.nodes {
			w.loseNode(k, upAt, pause)
		}
		return
	}
	pause := w.chance(w.Pause)
	w.faults[map[bool]string{false: nodeLost, true: nodePaused}[pause]]++
	w.loseNode(i, upAt, pause)
}

func (w *world) loseNode(i int, upAt Time, pause bool) {
	n := &w.nodes[i]
	n.boot++
	n.downAt, n.upAt = w.now, upAt
	e := w.queue.put(n.upAt)
	e.what, e.who = takeOver, int32(i)
	if !w.tracing.IsZero() {
		w.note("-- node %d is %s", i, map[bool]string{false: "lost", true: "paused"}[pause])
	}
	var g *server
	if pause {
		g = newServer(w)
		g.asleep, g.paused = true, i+1
	}
	w.takeAway(i, g)
	if !pause {
		w.loseGateway(i)
	}
	n.ghost = g
	for _, r := range w.open {
		if w.concerns(r, i) {
			r.hurtAt = forever
		}
	}
}

// concerns reports whether a node has anything of an invitation.
func (w *world) concerns(r *record, i int) bool {
	if w.nodeOf(r.caller) == i || w.nodeOf(r.callee) == i {
		return true
	}
	for _, user := range [...]int32{r.caller, r.callee} {
		for _, d := range w.users[user].devices {
			if l := w.links[d.conn]; d.conn == 0 || l != nil && l.node == i {
				return true
			}
		}
	}
	return false
}

// waits reports whether a node that has anything of an invitation is down.
func (w *world) waits(r *record) bool {
	for i := range w.nodes {
		if w.nodes[i].downAt != 0 && w.concerns(r, i) {
			return true
		}
	}
	return false
}

// takeAway takes what a node has away: to its paused server, or for ever.
func (w *world) takeAway(i int, to *server) {
	s := w.server
	for u, h := range s.sessions {
		if h != nil && w.nodeOf(int32(u)) == i {
			s.sessions[u] = nil
			if to != nil {
				h.armed = 0
				to.sessions[u] = h
			}
		}
	}
	for id, r := range w.records {
		if w.nodeOf(r.caller) != i {
			continue
		}
		if a := s.arbiters[id]; a != nil {
			delete(s.arbiters, id)
			r.orphanAt, r.askingSince, r.chosenAt = w.now, 0, 0
			if r.endedAt != 0 {
				r.doubted = true
				r.endedAt, r.verdictAt, r.commitAt = 0, 0, 0
			}
			if to != nil {
				a.armed = 0
				to.arbiters[id] = a
			}
		}
		if s.stopped[id] {
			delete(s.stopped, id)
			if to != nil {
				to.stopped[id] = true
			}
		}
	}
}

// loseGateway loses the connections of a node.
func (w *world) loseGateway(i int) {
	for _, d := range w.devices {
		l := w.links[d.conn]
		if d.conn == 0 || l == nil || l.node != i {
			continue
		}
		delete(w.links, d.conn)
		d.gatewayLost()
	}
	for conn, l := range w.links { // those of which the device knows already
		if l.node == i && l.device.conn != conn {
			delete(w.links, conn)
		}
	}
}

// gatewayLost takes the loss of the connection with its gateway.
func (d *Device) gatewayLost() {
	w := d.w
	if w.wantsUser(d.user) {
		w.note("%s loses connection %d with its gateway", d.name, d.conn)
	}
	d.conn = 0
	d.lose("its gateway is lost")
}

// takeOver opens what a lost node had, cold.
func (w *world) takeOver(i int) {
	n := &w.nodes[i]
	n.downAt, n.upAt, n.fresh = 0, 0, w.now
	var lost invitation.ShardSet
	for u := range w.users {
		if w.nodeOf(int32(u)) == i {
			lost.Add(invitation.ShardOf(w.users[u].name))
		}
	}
	if !w.tracing.IsZero() {
		w.note("-- node %d is taken over", i)
	}
	for _, d := range w.devices { // gateways log in for those that they have
		l := w.links[d.conn]
		if d.conn == 0 || w.nodeOf(d.user) != i || l == nil || !l.taken {
			continue
		}
		login := &invitation.Login{User: d.userName, Device: d.name, Resume: true, Stamp: l.stamp, Reattach: true}
		l.again = true
		s := w.server
		s.step(d.user, &session.Input{Kind: session.InAttach, Device: d.name, Conn: l.address(d.conn), Login: login}, 0)
	}
	s := w.server
	for u, h := range s.sessions {
		if h == nil {
			continue
		}
		if n.ghost == nil {
			s.step(int32(u), &session.Input{Kind: session.InNodeGone, Node: fmt.Sprintf("node%d", i)}, 0)
		}
		if s.sessions[u] != nil {
			s.step(int32(u), &session.Input{Kind: session.InLost, Shards: &lost}, 0)
		}
	}
	for _, r := range w.sorted() {
		if a := s.arbiters[r.id]; a != nil && w.nodeOf(r.callee) == i {
			s.arbitrate(a, &invitation.Message{Kind: invitation.MsgCalleeLost, ID: r.id})
		}
		if r.hurtAt == forever && !w.waits(r) {
			r.hurtAt = w.now
		}
	}
	if n.ghost != nil {
		e := w.put(w.between(0, 20*time.Second))
		e.what, e.at = wake, n.ghost
	}
}

// sorted returns the records that are open, in the order in which they were opened.
func (w *world) sorted() []*record { return append([]*record(nil), w.open...) }

// wake lets a paused node go on.
func (w *world) wake(g *server) {
	g.asleep = false
	if !w.tracing.IsZero() {
		w.note("-- the paused node goes on")
	}
	for u, h := range g.sessions {
		if h != nil && h.machine.Deadline() != 0 {
			g.arm(&h.armed, h.machine.Deadline(), false, event{what: sessionDue, who: int32(u), at: g})
		}
	}
	for _, r := range w.sorted() {
		if a := g.arbiters[r.id]; a != nil {
			g.arm(&a.armed, a.machine.Deadline(), false, event{what: arbiterDue, id: r.id, at: g})
		}
	}
	e := w.put(w.between(0, 5*time.Second))
	e.what, e.at = join, g
}

// handOver merges what a paused node has into what took its place.
func (w *world) handOver(g *server) {
	s := w.server
	if !w.tracing.IsZero() {
		w.note("-- the paused node hands over what it has")
	}
	for u, h := range g.sessions {
		if h == nil {
			continue
		}
		ours := s.sessions[u]
		if ours == nil {
			h.armed = 0
			s.sessions[u] = h
			s.step(int32(u), &session.Input{Kind: session.InTick}, 0)
			continue
		}
		s.effects = ours.machine.Merge(w.now, h.machine.State(), s.effects[:0])
		for conn, at := range h.attached {
			ours.attached[conn] = at
		}
		s.carryOut(int32(u), ours, &session.Input{Kind: session.InTick}, false, 0)
	}
	for _, id := range slices.SortedFunc(maps.Keys(g.arbiters), func(a, b invitation.ID) int { return slices.Compare(a[:], b[:]) }) {
		a, ours := g.arbiters[id], s.arbiters[id]
		w.part(a.record)
		switch {
		case s.stopped[id]:
		case ours == nil:
			a.armed = 0
			a.record.askingSince = w.now // its referee goes on from what it knows
			s.arbiters[id] = a
			s.arbitrate(a, &invitation.Message{Kind: invitation.MsgTick, ID: id})
		default:
			s.tells = ours.machine.Merge(w.now, a.machine.State(), s.tells[:0])
			s.deliver(ours, &invitation.Message{Kind: invitation.MsgResend, ID: id}, true)
		}
	}
	for id := range g.stopped {
		if s.arbiters[id] == nil {
			s.stopped[id] = true
		}
	}
	for _, r := range w.open {
		if w.concerns(r, g.paused-1) {
			w.part(r)
		}
	}
	g.sessions = nil
	for i := range w.nodes {
		if w.nodes[i].ghost == g {
			w.nodes[i].ghost = nil
		}
	}
}

// outcomeEvents are what the outcomes are for a caller.
var outcomeEvents = [invitation.Outcomes]device.Event{
	invitation.Accepted: device.Accepted, invitation.Refused: device.Refused, invitation.Canceled: device.Canceled,
	invitation.Undelivered: device.Failed, invitation.Unanswered: device.Failed, invitation.Unconfirmed: device.Failed,
	invitation.Lost: device.Failed, invitation.Forgotten: device.Failed,
}

// recovered takes that an arbiter has learned how an invitation stands, and goes on from there.
func (w *world) recovered(r *record, m *arbiter.Machine, msg *invitation.Message) {
	state, v := m.State(), m.View()
	w.fail(r, r.referee.resume(w, r, &state, v))
	r.orphanAt, r.askingSince = 0, 0
	if v.Stage >= invitation.Accepting && v.Chosen != "" {
		r.chosenAt = w.now
	}
	if v.Stage == invitation.Confirmed {
		r.commitAt = w.now
	}
	r.hurtAt = max(r.hurtAt, w.now)
	if v.Stage == invitation.Ended {
		w.arbitrated(r, msg, v)
	}
}

// resume goes on from what a new arbiter knows, after checking it: no timer has begun anew.
func (r *referee) resume(w *world, rec *record, state *arbiter.State, v *invitation.View) *judge.Violation {
	const tolerance = 8 * time.Second // what is told as the time that remains grows by the time that it takes to be told
	stages := [...]stage{offering, ringing, accepting, confirmed, decided}
	now := stages[v.Stage]
	unanswered := now == offering && rec.parts[0].line.id.IsZero() // so nobody knows when it was taken
	for _, p := range rec.parts[1:] {                              // or of the accept
		unanswered = unanswered || now == accepting && p.askedAt != 0 && !p.recorded
	}
	if now == r.stage && r.due != 0 && !unanswered && state.Deadline > max(r.due, w.now).Add(tolerance) {
		return &judge.Violation{Promise: judge.P2, What: fmt.Sprintf("recovering gave it %v more in %v (due in %v)",
			state.Deadline.Sub(r.due), v.Stage, r.due.Sub(w.now))}
	}
	decidedBefore, outcome := r.stage == decided, r.outcome
	heard, calleeHeard := v.Heard, state.CalleeHeard
	*r = referee{
		stage: now, due: state.Deadline, gone: state.GoneAt, verdict: state.Patience, chosen: v.Chosen, late: r.late, reason: v.Reason,
		callerHeard: heard, calleeHeard: calleeHeard, cancelID: state.CancelID, answerID: state.AnswerID, changed: w.now, said: state.Said,
		again: v.Version >= 1<<16,
	}
	if state.LostAt != 0 {
		r.lost = state.LostAt.Add(rec.timers.Grace)
		if state.Patience != 0 {
			r.lost = min(r.lost, state.Patience)
		}
	}
	if now >= confirmed {
		r.due = 0
		r.gone = 0
	}
	if now == decided {
		r.outcome = outcomeEvents[v.Outcome]
		if v.Verdict && v.Outcome != invitation.Accepted {
			r.late = r.late || state.Confirmed != "" && state.Denied != state.Confirmed && !rec.saidNo(state.Confirmed)
		}
		if decidedBefore && outcome != r.outcome {
			rec.doubted = true
		}
		r.lost, r.verdict = 0, 0
	}
	return nil
}

// saidNo reports whether a device of the callee has ended it otherwise than accepted, and so said: a verdict that an
// arbiter gave which was lost may be the device's own.
func (r *record) saidNo(name invitation.Device) bool {
	return slices.ContainsFunc(r.parts[1:], func(p *part) bool {
		return p.device.name == name && p.Ended() && p.End != device.Accepted
	})
}

// await takes since when the chosen device is away from the arbiter, where one that was lost may have known more.
func (r *referee) await(m *arbiter.Machine, rec *record) {
	state := m.State()
	r.verdict, r.lost = state.Patience, 0
	if state.LostAt != 0 {
		r.lost = min(state.Patience, state.LostAt.Add(rec.timers.Grace))
	}
}
