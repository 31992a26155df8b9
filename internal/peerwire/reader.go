package peerwire

import (
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/ringfleet/ringfleet/invitation"
)

// A reader reads the messages that calls consist of straight into the vocabulary. It takes no decisions: whatever is
// odd (a field that it does not know or that is there twice, a number out of range, an id that is missing) it leaves
// to the generated code and what follows that, which reads it or says what is wrong. So what it reads, both
// read alike.
type reader struct {
	data []byte // up to the end of the message that is read
	at   int
	all  string // data, of which the texts are parts; "" where they are copies
	now  invitation.Time
	odd  bool // the generated code has to judge
}

// shared is up to what size of a payload its texts are parts of one string, so that none keeps much in memory that
// nobody needs.
const shared = 512

func newReader(data []byte, now invitation.Time) reader {
	r := reader{data: data, now: now}
	if len(data) <= shared {
		r.all = string(data)
	}
	return r
}

// The types of fields, which the low bits of a tag say.
const (
	isNumber = uint64(protowire.VarintType)
	isBytes  = uint64(protowire.BytesType)
)

// next returns the tag of the next field, 0 at the end of the message, and of one that is odd.
func (r *reader) next() uint64 {
	if r.odd || r.at == len(r.data) {
		return 0
	}
	tag := r.number()
	r.odd = r.odd || tag == 0
	return tag
}

func (r *reader) number() uint64 {
	if r.at < len(r.data) && r.data[r.at] < 0x80 {
		r.at++
		return uint64(r.data[r.at-1])
	}
	n, size := protowire.ConsumeVarint(r.data[r.at:])
	if size < 0 {
		r.odd = true
		return 0
	}
	r.at += size
	return n
}

// below reads a number that is less than limit.
func (r *reader) below(limit uint64) uint64 {
	n := r.number()
	if n >= limit {
		r.odd = true
		return 0
	}
	return n
}

func (r *reader) flag() bool { return r.below(2) == 1 }

// span reads the length of a field of bytes, and returns where it ends.
func (r *reader) span() (end int) {
	size := r.number()
	if size > uint64(len(r.data)-r.at) {
		r.odd = true
		return r.at
	}
	return r.at + int(size)
}

// raw reads a field of bytes.
func (r *reader) raw() string {
	begin, end := r.begin()
	r.at = end
	if r.all != "" {
		return r.all[begin:end]
	}
	return string(r.data[begin:end])
}

func (r *reader) begin() (begin, end int) {
	end = r.span()
	return r.at, end
}

// text reads a string.
func (r *reader) text() string {
	s := r.raw()
	r.odd = r.odd || !utf8.ValidString(s)
	return s
}

// id reads the id of an invitation.
func (r *reader) id() invitation.ID {
	begin, end := r.begin()
	r.at = end
	id, err := parseID(r.data[begin:end])
	r.odd = r.odd || err != nil
	return id
}

// inner returns a reader of the message that the field is, and goes on behind it. The field must not have been there
// before: two of them are one message, in two parts.
func (r *reader) inner(before bool) reader {
	begin, end := r.begin()
	r.at = end
	r.odd = r.odd || before
	return reader{data: r.data[:end], at: begin, all: r.all, now: r.now, odd: r.odd}
}

// done takes what an inner reader has found, which has come to its end.
func (r *reader) done(inner *reader) { r.odd = r.odd || inner.odd }

// duration reads a duration in microseconds.
func (r *reader) duration() time.Duration {
	d, err := duration(int64(r.number()))
	r.odd = r.odd || err != nil
	return d
}

// remaining reads what remains of a timer.
func (r *reader) remaining() time.Duration {
	d, err := timeLeft(int64(r.number()))
	r.odd = r.odd || err != nil
	return d
}
