package explore

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"sort"

	"github.com/ringfleet/ringfleet/invitation/session"
)

// Apart is what Split found.
type Apart struct {
	Parts    []*Result // of each call alone
	Pairs    int       // pairs of a machine's local states that were joined
	Steps    int       // steps of joined machines that were compared with the step of the part
	Together uint64    // pairs of the parts' states: what the joined world's states are among
	Differs  string    // the first step that was not that of the part; "": there is none
}

// String sums it up in a line.
func (a *Apart) String() string {
	s := ""
	for i, r := range a.Parts {
		s += fmt.Sprintf("call %d: %v; ", i, r)
	}
	s += fmt.Sprintf("joined: %d pairs of local states, %d steps the same; stands for at most %d states", a.Pairs, a.Steps, a.Together)
	if a.Differs != "" {
		s += "; DIFFERS: " + a.Differs
	}
	return s
}

// Split explores a world of two calls in which no device comes or goes, without its product. Each
// call is explored alone (with the faults of both), and then it is shown of the machines themselves that
// neither call notices the other:
//
//   - Each call has an arbiter, packets and a record of its own. What calls share is the session of a user
//     and the device.
//   - For every local state a of a session in the first call's world, every b of that session in the
//     second's, and every input i that a ever got there: the session whose state is a and b joined does
//     with i what a does, and comes to what a comes to, joined with b. Likewise for b's inputs, and for
//     devices. Joined means: the fields that only one of them has changed since the start; of maps, what
//     either has; of the ids that are remembered, those of either; of counters, the sum. Two states that
//     changed anything else cannot be joined: that is a difference, too.
//   - So by induction a run of the joined world, seen from one call, is a run of that call alone: the same
//     steps of the same machines in the same order, with the other's steps left out. The other can use up
//     faults (the call alone has at least as many left), keep the network from being quiet (then the call
//     alone may repeat earlier, too), and let time pass up to its own deadlines: that is why the world
//     has to creep.
//   - Every promise is judged for one call, so what breaks one in the joined world breaks it in a part.
//
// Requests are numbered for each call on its own. Machines only ask whether two numbers are the same.
func Split(w World, limit int) *Apart {
	a := &Apart{Together: 1}
	var models []*model
	for i := range w.Calls {
		part := w
		part.Calls = slices.Clone(w.Calls)
		for j := range part.Calls {
			part.Calls[j].Never = j != i
		}
		part.Requests = uint64(i) << 20
		r, m := explore(part, limit)
		a.Parts, models = append(a.Parts, r), append(models, m)
		a.Together *= uint64(r.States)
		if r.Violation != nil || !r.Complete {
			return a
		}
	}
	if w.Creep == 0 || len(models) != 2 {
		a.Differs = "the world does not creep, or has not two calls"
		return a
	}
	for _, way := range [...][2]*model{{models[0], models[1]}, {models[1], models[0]}} {
		a.sessions(way[0], way[1])
		a.devices(way[0], way[1])
	}
	return a
}

// Complete reports whether the world is explored and every promise kept.
func (a *Apart) Complete() bool {
	for _, r := range a.Parts {
		if !r.Complete || r.Violation != nil {
			return false
		}
	}
	return a.Differs == "" && a.Steps > 0
}

// locals returns the local states of the session of each user, or of each device, that a memo knows, and what
// each got there.
func locals[K comparable, R any](memo map[K]R, split func(K, R) (owner int, state, input, after uint32)) [][]local {
	found := map[int]map[uint32]*local{}
	for k, r := range memo {
		owner, state, input, after := split(k, r)
		if found[owner] == nil {
			found[owner] = map[uint32]*local{}
		}
		for _, id := range [...]uint32{state, after} {
			if found[owner][id] == nil {
				found[owner][id] = &local{id: id}
			}
		}
		found[owner][state].moves = append(found[owner][state].moves, move{input, after})
	}
	all := make([][]local, max(maxUsers, maxDevices))
	for owner, states := range found {
		for _, l := range states {
			all[owner] = append(all[owner], *l)
		}
		sort.Slice(all[owner], func(i, j int) bool { return all[owner][i].id < all[owner][j].id })
	}
	return all
}

// local is a state of a machine, and what it did there.
type local struct {
	id    uint32
	moves []move
}

type move struct{ input, after uint32 }

func (m *model) sessionLocals() [][]local {
	return locals(m.sessionMemo, func(k uint64, r sessionResult) (int, uint32, uint32, uint32) {
		return int(r.user), uint32(k >> 32), uint32(k), r.session
	})
}

func (m *model) seatLocals() (told, acted [][]local) {
	split := func(k uint64, r seatResult) (int, uint32, uint32, uint32) {
		return int(r.device), uint32(k >> 32), uint32(k), r.seat
	}
	return locals(m.seatMemo, split), locals(m.appMemo, split)
}

func (a *Apart) differs(format string, args ...any) {
	if a.Differs == "" {
		a.Differs = fmt.Sprintf(format, args...)
	}
}

// A joiner joins states of a world with states of the other, each pair once.
type joiner[T any] struct {
	base *T
	a, b *store[T]
	done map[uint64]*joint[T]
}

// joint is two states joined; nil if they cannot be.
type joint[T any] struct {
	value *T
	bytes []byte // encoded, but for the order of lists
}

func newJoiner[T any](base *T, a, b *store[T]) *joiner[T] {
	return &joiner[T]{base, a, b, map[uint64]*joint[T]{}}
}

func (j *joiner[T]) join(a, b uint32) *joint[T] {
	known, ok := j.done[pair(a, b)]
	if !ok {
		if v, ok := join(j.base, j.a.get(a), j.b.get(b)); ok {
			known = &joint[T]{v, orderless(mirrored(v, nil))}
		}
		j.done[pair(a, b)] = known
	}
	return known
}

// solo is what a session does by itself.
type solo struct {
	input   *session.Input
	after   uint32
	effects []session.Effect
	bytes   []byte
}

func (m *model) solo(id uint32, in *session.Input) solo {
	machine, given := m.sessions.copied(id), *in
	effects := m.sessionStep(machine, &given)
	return solo{in, m.sessions.put(machine), effects, encoded(nil, &effects)}
}

// sessions compares the steps of m's sessions with those of sessions that know the other's call, too.
func (a *Apart) sessions(m, other *model) {
	others := other.sessionLocals()
	for u, states := range m.sessionLocals() {
		j := newJoiner(m.sessions.get(m.first.session[u]), m.sessions, other.sessions)
		resends := map[uint32]solo{}
		for _, o := range others[u] {
			resends[o.id] = other.solo(o.id, &session.Input{Kind: session.InResend})
		}
		for _, l := range states {
			if d := m.sessions.get(l.id).Deadline(); d != 0 {
				a.differs("a session has a deadline of its own")
			}
			moves := make([]solo, 0, len(l.moves))
			for _, mv := range l.moves {
				moves = append(moves, m.solo(l.id, m.inputs.get(mv.input)))
			}
			for _, o := range others[u] {
				joined := j.join(l.id, o.id)
				if joined == nil {
					a.differs("two states of the session of %s cannot be joined", m.users[u])
					return
				}
				a.Pairs++
				for i := range moves {
					if !a.session(m, &moves[i], j, joined.value, o.id, resends[o.id]) {
						a.differs("the session of %s, input %s", m.users[u], inputText(moves[i].input))
					}
				}
			}
		}
	}
}

// session compares a step of a session alone with that of the joined one, of which b is the other part.
//
// What is repeated together is what is repeated for each. That holds also when a session is to ask about one call: then
// it repeats what is unanswered about the other, too.
func (a *Apart) session(m *model, alone *solo, j *joiner[session.Machine], joined *session.Machine, b uint32, resend solo) bool {
	together, given := mirrored(joined, nil), *alone.input
	got := m.sessionStep(together, &given)
	a.Steps++
	if given.Kind == session.InResend {
		expected := j.join(alone.after, resend.after)
		return expected != nil && sameEffects(slices.Concat(alone.effects, resend.effects), got) &&
			bytes.Equal(expected.bytes, orderless(together))
	}
	expected := j.join(alone.after, b)
	return expected != nil && bytes.Equal(alone.bytes, encoded(nil, &got)) && bytes.Equal(expected.bytes, orderless(together))
}

func sameEffects(want, got []session.Effect) bool {
	lines := func(effects []session.Effect) []string {
		var l []string
		for i := range effects {
			l = append(l, string(encoded(nil, &effects[i])))
		}
		slices.Sort(l)
		return l
	}
	return slices.Equal(lines(want), lines(got))
}

// devices compares the steps of m's devices with those of devices that know the other's call, too.
func (a *Apart) devices(m, other *model) {
	told, acted := m.seatLocals()
	otherTold, otherActed := other.seatLocals()
	orderlessSeats := map[uint32][]byte{}
	same := func(id uint32, expected *joint[seat]) bool {
		if _, known := orderlessSeats[id]; !known {
			orderlessSeats[id] = orderless(m.seats.copied(id))
		}
		return expected != nil && bytes.Equal(expected.bytes, orderlessSeats[id])
	}
	for d := range m.Devices {
		j := newJoiner(m.seats.get(m.first.seat[d]), m.seats, other.seats)
		others := unique(append(otherTold[d], otherActed[d]...))
		for i, states := range [...][]local{told[d], acted[d]} {
			for _, l := range states {
				alone := make([]seatResult, 0, len(l.moves))
				for _, mv := range l.moves {
					alone = append(alone, m.deviceStep(l.id, d, i == 1, mv.input))
				}
				for _, b := range others {
					joined := j.join(l.id, b)
					if joined == nil {
						a.differs("two states of %s cannot be joined", m.Devices[d].Name)
						return
					}
					a.Pairs++
					id := m.seats.put(joined.value)
					for k, mv := range l.moves {
						want, got := alone[k], m.deviceStep(id, d, i == 1, mv.input)
						a.Steps++
						if !same(got.seat, j.join(want.seat, b)) || !slices.Equal(want.ups, got.ups) || !slices.Equal(want.events, got.events) ||
							!slices.Equal(want.results, got.results) || want.ended != got.ended {
							a.differs("%s, act %v, %d", m.Devices[d].Name, i == 1, mv.input)
						}
					}
				}
			}
		}
	}
}

func unique(states []local) []uint32 {
	var ids []uint32
	for _, l := range states {
		ids = append(ids, l.id)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// deviceStep is what a device does with what it is told, or when its application acts.
func (m *model) deviceStep(id uint32, d int, act bool, input uint32) seatResult {
	if act {
		return m.computeAct(id, d, int(input>>8), uint8(input))
	}
	s := m.seats.copied(id)
	return m.finishSeat(d, s, m.phoneTake(s.phone, m.downs.get(input)))
}

// join returns the state in which both a and b have happened since base. It reports false if they cannot be
// joined: both have changed the same, and it is neither a map of invitations, a list of them, nor a counter.
func join[T any](base, a, b *T) (*T, bool) {
	dst := new(T)
	ok := joinValue(reflect.ValueOf(dst).Elem(), reflect.ValueOf(base).Elem(), reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem(), "")
	return dst, ok
}

// joinedLists are the fields that hold something of each invitation, in the order in which it came: an order
// that nothing depends on.
var joinedLists = map[string]bool{"past": true, "ids": true, "lines": true, "calls": true, "entries": true}

// sortedLists are those of them that are kept in the order of the invitations' ids. An element's encoding
// begins with that id.
var sortedLists = map[string]bool{"entries": true}

// joinedCounters count over all invitations.
var joinedCounters = map[string]bool{"live": true, "known": true, "tokens": true}

func joinValue(dst, base, a, b reflect.Value, field string) bool {
	switch dst.Kind() {
	case reflect.Pointer:
		if field == "phone" {
			dst.Set(reflect.New(dst.Type().Elem()))
			return joinValue(dst.Elem(), base.Elem(), a.Elem(), b.Elem(), "")
		}
	case reflect.Struct:
		l := layoutOf(dst.Type())
		for i := range dst.NumField() {
			if !joinValue(open(dst.Field(i)), open(base.Field(i)), open(a.Field(i)), open(b.Field(i)), l.fields[i]) {
				return false
			}
		}
		return true
	case reflect.Array:
		for i := range dst.Len() {
			if !joinValue(dst.Index(i), base.Index(i), a.Index(i), b.Index(i), field) {
				return false
			}
		}
		return true
	default:
	}
	was, first, second := encode(nil, base), encode(nil, a), encode(nil, b)
	switch {
	case field == "requests", bytes.Equal(was, second):
		mirror(dst, a, field, nil)
		return true
	case bytes.Equal(was, first):
		mirror(dst, b, field, nil)
		return true
	}
	return joinBoth(dst, base, a, b, field)
}

// joinBoth joins a field that both have changed.
func joinBoth(dst, base, a, b reflect.Value, field string) bool {
	switch dst.Kind() {
	case reflect.Slice:
		if !joinedLists[field] || base.Len() != 0 {
			return false
		}
		mirror(dst, a, field, nil)
		more := reflect.New(dst.Type()).Elem()
		mirror(more, b, field, nil)
		dst.Set(reflect.AppendSlice(dst, more))
		if sortedLists[field] {
			sort.Slice(dst.Interface(), func(i, j int) bool {
				return bytes.Compare(encode(nil, dst.Index(i)), encode(nil, dst.Index(j))) < 0
			})
		}
		return true
	case reflect.Map:
		return joinMaps(dst, base, a, b)
	case reflect.Int64:
		dst.SetInt(a.Int()) // when tokens was right: at the last send
		return field == "filled" && a.Int() == b.Int()
	case reflect.Pointer:
		if field != "past" {
			return false
		}
		none := reflect.New(dst.Type().Elem()).Elem()
		at := func(v reflect.Value) reflect.Value {
			if v.IsNil() {
				return none
			}
			return v.Elem()
		}
		dst.Set(reflect.New(dst.Type().Elem()))
		return joinValue(dst.Elem(), at(base), at(a), at(b), "")
	case reflect.Int, reflect.Int32:
		dst.SetInt(a.Int() + b.Int() - base.Int())
		return joinedCounters[field]
	case reflect.Float64:
		dst.SetFloat(a.Float() + b.Float() - base.Float())
		return joinedCounters[field]
	default:
		return false
	}
}

func joinMaps(dst, base, a, b reflect.Value) bool {
	if base.Len() != 0 {
		return false
	}
	mirror(dst, a, "", nil)
	for it := b.MapRange(); it.Next(); {
		if dst.MapIndex(it.Key()).IsValid() {
			return false
		}
		value := reflect.New(dst.Type().Elem()).Elem()
		mirror(value, addressable(it.Value()), "", nil)
		dst.SetMapIndex(it.Key(), value)
	}
	return true
}

// orderless encodes a value but for the order of the lists of invitations; it changes that order in *v.
func orderless[T any](v *T) []byte {
	sortLists(reflect.ValueOf(v).Elem(), "")
	return encoded(nil, v)
}

func sortLists(v reflect.Value, field string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && !sharedType[v.Type()] {
			sortLists(v.Elem(), field)
		}
	case reflect.Struct:
		l := layoutOf(v.Type())
		for _, i := range l.deep {
			sortLists(open(v.Field(i)), l.fields[i])
		}
	case reflect.Slice:
		if joinedLists[field] {
			sort.SliceStable(v.Interface(), func(i, j int) bool {
				return bytes.Compare(encode(nil, v.Index(i)), encode(nil, v.Index(j))) < 0
			})
		}
	default:
	}
}
