package explore

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// hash returns 128 bits for a state, the faults that are left aside. The lowest bits of the second half,
// which hold the masks of a set, are zero.
func (s *state) hash() [2]uint64 {
	b := unsafe.Slice((*byte)(unsafe.Pointer(s)), unsafe.Sizeof(*s))
	b = b[:unsafe.Offsetof(s.net)+uintptr(s.sent)*unsafe.Sizeof(s.net[0])]
	h := [2]uint64{0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f}
	faults := int(unsafe.Offsetof(s.losses))
	h = fold(h, b[:faults])
	h = fold(h, b[faults+4:])
	h[1] &^= 1<<budgets - 1
	return h
}

func fold(h [2]uint64, b []byte) [2]uint64 {
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

// The faults that may be left in a state, each kind at most so many.
const (
	maxLosses = 2
	maxDups   = 1
	maxBreaks = 1
	maxCrash  = 2
	budgets   = (maxLosses + 1) * (maxDups + 1) * (maxBreaks + 1) * (maxCrash + 1)
)

// faults returns how many faults are left.
func (s *state) faults() int { return int(s.losses) + int(s.dups) + int(s.breaks) + int(s.crashes) }

// below holds for each number of faults left the mask of those that are not more of any kind.
var below = func() (masks [budgets]uint64) {
	each := func(do func(i int, l, d, b, c uint8)) {
		for i := range budgets {
			do(i, uint8(i/12), uint8(i/6%2), uint8(i/3%2), uint8(i%3))
		}
	}
	each(func(i int, l, d, b, c uint8) {
		each(func(j int, l2, d2, b2, c2 uint8) {
			if l2 <= l && d2 <= d && b2 <= b && c2 <= c {
				masks[i] |= 1 << j
			}
		})
	})
	return masks
}()

func (s *state) left() int { return ((int(s.losses)*2+int(s.dups))*2+int(s.breaks))*3 + int(s.crashes) }

// set is a set of states, by their hashes. With each it holds with how many faults left it has been
// reached, or with fewer than that: a mask, in the lowest bits.
type set struct {
	slots [][2]uint64
	n     int
}

func newSet() *set { return &set{slots: make([][2]uint64, 1<<16)} }

// find returns the slot of a hash.
func (t *set) find(h [2]uint64) *[2]uint64 {
	mask := uint64(len(t.slots) - 1)
	for i := h[0] & mask; ; i = (i + 1) & mask {
		o := &t.slots[i]
		if *o == [2]uint64{} || o[0] == h[0] && o[1]&^(1<<budgets-1) == h[1] {
			return o
		}
	}
}

// add reports whether s was not in the set, with as many faults left or more.
func (t *set) add(s *state) bool {
	if t.n*4 >= len(t.slots)*3 {
		t.grow()
	}
	h, left := s.hash(), s.left()
	o := t.find(h)
	switch {
	case *o == [2]uint64{}:
		*o = h
		t.n++
	case o[1]>>left&1 != 0:
		return false
	}
	o[1] |= below[left]
	return true
}

// surpassed reports whether s is in the set with more faults left.
func (t *set) surpassed(s *state) bool {
	mask, left := t.find(s.hash())[1], s.left()
	for i := range budgets {
		if i != left && mask>>i&1 != 0 && below[i]>>left&1 != 0 {
			return true
		}
	}
	return false
}

func (t *set) grow() {
	old := t.slots
	t.slots = make([][2]uint64, 2*len(old))
	for _, o := range old {
		if o != [2]uint64{} {
			*t.find([2]uint64{o[0], o[1] &^ (1<<budgets - 1)}) = o
		}
	}
}
