package explore

import (
	"fmt"

	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/invitation"
)

// Result is what an exploration found.
type Result struct {
	States      int
	Transitions int
	Depth       int // the longest of the shortest ways to a state
	Quiet       int // states in which nothing is under way
	Complete    bool
	Violation   *judge.Violation // nil: every promise is kept
	Story       []string         // how it comes to the violation, by the shortest way
	Edges       map[string]bool  // the moves of the machines that were seen
}

// String sums the result up in a line.
func (r *Result) String() string {
	s := fmt.Sprintf("%d states, %d transitions, %d quiet, depth %d", r.States, r.Transitions, r.Quiet, r.Depth)
	if !r.Complete {
		s += ", cut off"
	}
	if r.Violation != nil {
		s += ", " + r.Violation.Error()
	}
	return s
}

// step is how a state was first reached.
type step struct {
	from uint32
	act  action
}

// reached is a state to go on from, and its place in the steps.
type reached struct {
	state
	index uint32
}

// search is an exploration under way.
type search struct {
	*model
	result *Result
	start  state
	seen   *set
	steps  []step
	levels [][]reached // by faults used: the states to go on from
	limit  int
}

// Explore visits every state that a world can be in, those of the fewest faults first and of those the
// nearest, and checks the promises in each. It stops at the first violation, or after limit states.
//
// A state that was reached before with as many of each kind of fault left, or more, is not visited again:
// whatever can follow now could follow then.
func Explore(w World, limit int) *Result {
	r, _ := explore(w, limit)
	return r
}

func explore(w World, limit int) (*Result, *model) {
	e := newSearch(w, limit)
	e.run()
	return e.result, e.model
}

func newSearch(w World, limit int) *search {
	m := newModel(w)
	e := &search{model: m, result: &Result{Edges: m.edges}, seen: newSet(), limit: limit}
	e.start = m.start()
	m.first = e.start
	for i := range m.Calls {
		m.alike[i] = m.still(&e.start, i)
	}
	clear(m.sessionMemo) // of what came before
	clear(m.seatMemo)
	e.steps = []step{{}}
	e.levels = make([][]reached, w.Losses+w.Dups+w.Breaks+w.Crashes+1)
	e.levels[0] = []reached{{e.start, 0}}
	e.seen.add(&e.start)
	return e
}

func (e *search) run() {
	for level := range e.levels {
		if !e.close(level) {
			return
		}
	}
	e.result.Complete = true
}

// close visits every state that can be reached with so many faults. It returns false if the search is over.
func (e *search) close(level int) bool {
	for depth := 0; len(e.levels[level]) > 0; depth++ {
		frontier := e.levels[level]
		e.levels[level] = nil
		for i := range frontier {
			if at := &frontier[i]; !e.seen.surpassed(&at.state) && !e.visit(at, level) {
				return false
			}
		}
		e.result.Depth = max(e.result.Depth, depth)
		if e.result.States > e.limit {
			return false
		}
	}
	return true
}

// visit does everything that may happen in a state. It returns false if the search is over.
func (e *search) visit(at *reached, level int) bool {
	r := e.result
	r.States++
	if at.quiet() {
		r.Quiet++
		if v := e.settles(at.state); v != nil {
			r.Violation = v
			r.Story = e.tell(e.start, way(e.steps, at.index))
			return false
		}
	}
	for _, a := range e.enabled(&at.state, nil) {
		s, v := e.apply(at.state, a)
		r.Transitions++
		if v == nil {
			v = e.check(&s)
		}
		if v != nil {
			r.Violation = v
			r.Story = e.tell(e.start, append(way(e.steps, at.index), a))
			return false
		}
		if !e.seen.add(&s) {
			continue
		}
		e.steps = append(e.steps, step{at.index, a})
		to := level + at.faults() - s.faults()
		e.levels[to] = append(e.levels[to], reached{s, uint32(len(e.steps) - 1)})
	}
	return true
}

// way returns the actions that lead to a state.
func way(steps []step, to uint32) []action {
	var actions []action
	for ; to != 0; to = steps[to].from {
		actions = append(actions, steps[to].act)
	}
	for i, j := 0, len(actions)-1; i < j; i, j = i+1, j-1 {
		actions[i], actions[j] = actions[j], actions[i]
	}
	return actions
}

// check checks what has to hold in every state.
func (m *model) check(s *state) *judge.Violation {
	for i := range m.Calls {
		ref := m.referees.get(s.referee[i])
		var callees [maxDevices]*judge.Part
		n := 0
		for d := range m.Devices {
			if m.user(m.Devices[d].User) == m.callees[i] {
				callees[n] = &m.seats.get(s.seat[d]).parts[i]
				n++
			}
		}
		caller := &m.seats.get(s.seat[m.Calls[i].From]).parts[i]
		if v := judge.Agree(caller, callees[:n], judge.Excuse{VerdictLate: ref.late, Apart: ref.apart}); v != nil {
			return v
		}
	}
	return nil
}

// settles lets a quiet state run on to its end, without further faults and without the
// applications, and checks that everybody gets what is owed to them (P1, P2), and that nothing is
// left behind. Devices that are away stay away.
//
// From a state from which another way has led to the end already, it does again.
func (m *model) settles(s state) *judge.Violation {
	const enough = 200 // rounds: of each timer, and of repeating what one of two losses took
	s.losses, s.dups, s.breaks, s.crashes = 0, 0, 0, 0
	s.ghost = [maxCalls]uint32{}
	var way [][2]uint64
	for range enough {
		h := s.hash()
		if m.settled[h] {
			break
		}
		way = append(way, h)
		next, done, v := m.settle(s)
		if v != nil {
			return v
		}
		if s = next; done {
			break
		}
		if len(way) == enough {
			return &judge.Violation{Promise: judge.P2, What: "goes on for ever, though nothing fails"}
		}
	}
	for _, h := range way {
		m.settled[h] = true
	}
	return nil
}

// settle delivers what is under way and repeats what is unanswered. When there is nothing of either it waits
// for what comes next; it reports true when nothing does.
func (m *model) settle(s state) (state, bool, *judge.Violation) {
	next, v := m.drain(s)
	if v != nil {
		return s, false, v
	}
	repeated, v := m.repeat(next)
	if v == nil && !repeated.quiet() {
		repeated, v = m.drain(repeated)
	}
	if v != nil || repeated != next {
		return repeated, false, v
	}
	if v := m.promptly(&next); v != nil {
		return s, false, v
	}
	next, moved, v := m.wait(next)
	if v != nil || moved {
		return next, false, v
	}
	return next, true, m.over(&next)
}

// wait does what comes next when nothing is under way and nothing is unanswered.
func (m *model) wait(s state) (state, bool, *judge.Violation) {
	for _, a := range m.enabled(&s, nil) {
		switch a.kind {
		case tickCall, tickUser, advance, overdue:
			next, v := m.apply(s, a)
			return next, true, v
		case appAct, sayUp, sayDown, deliver, deliverCut, lose, double, cut, comeBack, logOut, repeat, crash, tickGhost, endGhost:
		}
	}
	return s, false, nil
}

// drain delivers everything that is under way.
func (m *model) drain(s state) (state, *judge.Violation) {
	for !s.quiet() {
		var v *judge.Violation
		a := action{deliver, 0, 0}
		for d := range m.Devices {
			switch {
			case s.up[d] != 0:
				a = action{sayUp, uint8(d), 0}
			case s.down[d] != 0:
				a = action{sayDown, uint8(d), 0}
			}
		}
		if s, v = m.apply(s, a); v != nil {
			return s, v
		}
		if v = m.check(&s); v != nil {
			return s, v
		}
	}
	return s, nil
}

// promptly checks, in a state in which nothing is under way or unanswered, that whatever is decided
// has come to every device that is there. Of an invitation whose arbiter has gone after the linger a session
// that missed the end has yet to ask: see overdue.
func (m *model) promptly(s *state) *judge.Violation {
	for i := range m.Calls {
		ref := m.referees.get(s.referee[i])
		if s.orphan>>i&1 != 0 || ref.phase != decided || m.awaits(s, i, ref.chosen) || len(m.enabledOverdue(s, nil)) > 0 {
			continue
		}
		if v := m.owed(s, i, "though it is decided, and nothing is under way"); v != nil {
			return v
		}
	}
	return nil
}

// awaits reports whether the caller's device has confirmed an accept of a device that is away: then
// it ends by that device's word, or when the grace is over.
func (m *model) awaits(s *state, call int, chosen invitation.Device) bool {
	l := m.seats.get(s.seat[m.Calls[call].From]).phone.Keyed(key(call))
	if l == nil || l.Local.Confirmed() == "" || l.Local.State().Terminal() {
		return false
	}
	for d := range m.Devices {
		if m.Devices[d].Name == chosen && m.user(m.Devices[d].User) == m.callees[call] {
			return m.seats.get(s.seat[d]).phone.Conn == 0
		}
	}
	return false
}

// over checks the state in which nothing will happen any more.
func (m *model) over(s *state) *judge.Violation {
	for i := range m.Calls {
		if v := m.owed(s, i, "when everything is over"); v != nil {
			return v
		}
		if s.arbiter[i] != 0 {
			return &judge.Violation{Promise: judge.P2, What: fmt.Sprintf("the arbiter of call %d is left behind", i)}
		}
		for u, user := range m.users {
			if _, known := m.sessions.get(s.session[u]).Knows(m.ids[i]); known {
				return &judge.Violation{Promise: judge.P2, What: fmt.Sprintf("the session of %s keeps call %d for ever", user, i)}
			}
			if out, in := m.sessions.get(s.session[u]).Live(); out != 0 || in != 0 {
				return &judge.Violation{Promise: judge.P2, What: fmt.Sprintf("the session of %s counts %d and %d live", user, out, in)}
			}
		}
	}
	for d, device := range m.Devices {
		p := m.seats.get(s.seat[d]).phone
		if p.Conn != 0 && !p.Over && (p.Unanswered() > 0 || len(p.Lines()) > 0) {
			return &judge.Violation{Promise: judge.P2, What: fmt.Sprintf(
				"%s has %d calls unanswered and keeps %d invitations for ever", device.Name, p.Unanswered(), len(p.Lines()))}
		}
	}
	return nil
}

// owed checks that every device which is there has had its ∎ event.
func (m *model) owed(s *state, call int, when string) *judge.Violation {
	for d, device := range m.Devices {
		seat := m.seats.get(s.seat[d])
		if seat.phone.Conn != 0 && !seat.phone.Over && seat.parts[call].Open() {
			return &judge.Violation{Promise: judge.P2, What: fmt.Sprintf("%s has no ∎ event of call %d %s", device.Name, call, when)}
		}
	}
	return nil
}
