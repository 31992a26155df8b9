package explore

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unsafe"

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

// Explore visits every state that a world can be in, nearest first, and checks the promises in each.
// It stops at the first violation, or after limit states.
func Explore(w World, limit int) *Result {
	m := newModel(w)
	r := &Result{Edges: m.edges}
	seen := newSet()
	start := m.start()
	seen.add(start.hash())
	type reached struct {
		state
		index uint32
	}
	steps := []step{{}}
	frontier, next := []reached{{start, 0}}, []reached(nil)
	var actions []action
	r.States = 1
	fail := func(v *judge.Violation, from uint32, last action) *Result {
		r.Violation = v
		r.Story = m.tell(start, append(way(steps, from), last))
		return r
	}
	for ; len(frontier) > 0; r.Depth++ {
		next = next[:0]
		for i := range frontier {
			at := &frontier[i]
			if at.quiet() {
				r.Quiet++
				if v := m.settles(at.state); v != nil {
					r.Violation = v
					r.Story = m.tell(start, way(steps, at.index))
					return r
				}
			}
			actions = m.enabled(&at.state, actions[:0])
			for _, a := range actions {
				s, v := m.apply(at.state, a)
				r.Transitions++
				if v == nil {
					v = m.check(&s)
				}
				if v != nil {
					return fail(v, at.index, a)
				}
				if !seen.add(s.hash()) {
					continue
				}
				r.States++
				steps = append(steps, step{at.index, a})
				next = append(next, reached{s, uint32(len(steps) - 1)})
			}
		}
		if r.States > limit {
			return r
		}
		frontier, next = next, frontier
	}
	r.Complete = true
	return r
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
		if v := judge.Agree(caller, callees[:n], judge.Excuse{VerdictLate: ref.late}); v != nil {
			return v
		}
	}
	return nil
}

// settles lets a quiet state run on to its end, without further faults and without the
// applications, and checks that everybody gets what is owed to them (P1, P2), and that nothing is
// left behind. Devices that are away stay away.
func (m *model) settles(s state) *judge.Violation {
	const enough = 200 // rounds: of each timer, and of repeating what one of two losses took
	for range enough {
		next, v := m.drain(s)
		if v != nil {
			return v
		}
		repeated, v := m.repeat(next)
		if v != nil {
			return v
		}
		if !repeated.quiet() {
			if repeated, v = m.drain(repeated); v != nil {
				return v
			}
		}
		if repeated == next {
			if v := m.promptly(&next); v != nil {
				return v
			}
			var moved bool
			if next, moved, v = m.wait(next); v != nil || !moved {
				return firstOf(v, m.over(&next))
			}
		} else {
			next = repeated
		}
		s = next
	}
	return &judge.Violation{Promise: judge.P2, What: "goes on for ever, though nothing fails"}
}

func firstOf(a, b *judge.Violation) *judge.Violation {
	if a != nil {
		return a
	}
	return b
}

// wait does what comes next when nothing is under way and nothing is unanswered.
func (m *model) wait(s state) (state, bool, *judge.Violation) {
	for _, a := range m.enabled(&s, nil) {
		switch a.kind {
		case tickCall, tickUser, advance, overdue:
			next, v := m.apply(s, a)
			return next, true, v
		case appAct, sayUp, sayDown, deliver, deliverCut, lose, double, cut, comeBack, logOut, repeat:
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
// has come to every device that is there.
func (m *model) promptly(s *state) *judge.Violation {
	for i := range m.Calls {
		ref := m.referees.get(s.referee[i])
		if ref.phase != decided || m.awaits(s, i, ref.chosen) {
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

// hash returns 128 bits for a state.
func (s *state) hash() [2]uint64 {
	b := unsafe.Slice((*byte)(unsafe.Pointer(s)), unsafe.Sizeof(*s))
	b = b[:unsafe.Offsetof(s.net)+uintptr(s.sent)*unsafe.Sizeof(s.net[0])]
	h := [2]uint64{0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f}
	for ; len(b) >= 8; b = b[8:] {
		x := binary.LittleEndian.Uint64(b)
		h[0] = mix(h[0]^x, 0xa0761d6478bd642f)
		h[1] = mix(h[1]^x, 0xe7037ed1a0b428db)
	}
	for _, x := range b {
		h[0] = mix(h[0]^uint64(x), 0x8ebc6af09c88c6e3)
		h[1] = mix(h[1]^uint64(x), 0x589965cc75374cc3)
	}
	return h
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x2d358dccaa6c78a5, b)
	return hi ^ lo ^ a<<7
}

// set is a set of 128-bit hashes.
type set struct {
	slots [][2]uint64
	n     int
}

func newSet() *set { return &set{slots: make([][2]uint64, 1<<16)} }

// add reports whether h was not in the set.
func (t *set) add(h [2]uint64) bool {
	if t.n*4 >= len(t.slots)*3 {
		old := t.slots
		t.slots, t.n = make([][2]uint64, 2*len(old)), 0
		for _, o := range old {
			if o != [2]uint64{} {
				t.add(o)
			}
		}
	}
	mask := uint64(len(t.slots) - 1)
	for i := h[0] & mask; ; i = (i + 1) & mask {
		switch t.slots[i] {
		case h:
			return false
		case [2]uint64{}:
			t.slots[i] = h
			t.n++
			return true
		}
	}
}
