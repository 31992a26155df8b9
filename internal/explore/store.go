package explore

// A store holds every value of one kind that was ever part of a state, once, under a number. A
// state is a few numbers; two states are equal if their numbers are. What a machine does with an
// input is computed once for each pair of numbers.
type store[T any] struct {
	ids   map[string]uint32
	items []*T
	buf   []byte

	shifted map[shiftKey]uint32
	by      func(passed Time) shift
}

type shiftKey struct {
	id     uint32
	passed Time
}

func newStore[T any](by func(passed Time) shift) *store[T] {
	return &store[T]{ids: make(map[string]uint32), items: []*T{nil}, shifted: make(map[shiftKey]uint32), by: by}
}

// put returns the number of *v, which must not change any more. The number of nil is 0.
func (s *store[T]) put(v *T) uint32 {
	if v == nil {
		return 0
	}
	s.buf = encoded(s.buf[:0], v)
	if id, ok := s.ids[string(s.buf)]; ok {
		return id
	}
	id := uint32(len(s.items))
	s.ids[string(s.buf)] = id
	s.items = append(s.items, v)
	return id
}

func (s *store[T]) get(id uint32) *T { return s.items[id] }

// copied returns a value to be changed and put.
func (s *store[T]) copied(id uint32) *T { return mirrored(s.items[id], nil) }

// shift returns the number of what id is after a time has passed.
func (s *store[T]) shift(id uint32, passed Time) uint32 {
	if id == 0 {
		return 0
	}
	key := shiftKey{id, passed}
	if to, ok := s.shifted[key]; ok {
		return to
	}
	to := s.put(mirrored(s.items[id], s.by(passed)))
	s.shifted[key] = to
	return to
}

// queues holds every content that a connection ever had, one way, oldest first.
type queues struct {
	ids   map[string]uint32
	items [][]uint32
	key   []byte
	long  []uint32
}

func newQueues() *queues { return &queues{ids: map[string]uint32{"": 0}, items: [][]uint32{nil}} }

func (q *queues) put(items []uint32) uint32 {
	q.key = q.key[:0]
	for _, i := range items {
		q.key = append(q.key, byte(i), byte(i>>8), byte(i>>16), byte(i>>24))
	}
	if id, ok := q.ids[string(q.key)]; ok {
		return id
	}
	id := uint32(len(q.items))
	q.ids[string(q.key)] = id
	q.items = append(q.items, append([]uint32(nil), items...))
	return id
}

func (q *queues) push(id, item uint32) uint32 {
	q.long = append(append(q.long[:0], q.items[id]...), item)
	return q.put(q.long)
}

// pop returns the oldest of a content that is not empty, and the number of the rest.
func (q *queues) pop(id uint32) (item, rest uint32) {
	items := q.items[id]
	return items[0], q.put(items[1:])
}
