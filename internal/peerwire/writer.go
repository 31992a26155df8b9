package peerwire

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/ringfleet/ringfleet/invitation"
)

// A writer writes the messages that calls consist of, byte for byte as the generated code does, but without the
// generated structs and reflection, which took three quarters of the time. All others, and whatever is odd, are left
// to the generated code, which writes them or says what is wrong.
type writer struct {
	b   []byte
	now invitation.Time
	odd bool // the generated code has to judge
}

// number writes a field unless it is 0, as all that follow do with a zero value if not said otherwise.
func (w *writer) number(field protowire.Number, n uint64) {
	if n != 0 {
		w.always(field, n)
	}
}

func (w *writer) always(field protowire.Number, n uint64) {
	w.b = protowire.AppendVarint(protowire.AppendTag(w.b, field, protowire.VarintType), n)
}

func (w *writer) flag(field protowire.Number, set bool) {
	if set {
		w.always(field, 1)
	}
}

// raw writes a field of bytes.
func (w *writer) raw(field protowire.Number, s string) {
	if s != "" {
		w.b = protowire.AppendString(protowire.AppendTag(w.b, field, protowire.BytesType), s)
	}
}

// text writes a string, which must be UTF-8.
func (w *writer) text(field protowire.Number, s string) {
	w.odd = w.odd || !utf8.ValidString(s)
	w.raw(field, s)
}

func (w *writer) id(field protowire.Number, id *invitation.ID) {
	if !id.IsZero() {
		w.b = protowire.AppendBytes(protowire.AppendTag(w.b, field, protowire.BytesType), id[:])
	}
}

// begin begins a message within the message, empty ones too. What it returns is for end.
func (w *writer) begin(field protowire.Number) (at int) {
	w.b = append(protowire.AppendTag(w.b, field, protowire.BytesType), 0)
	return len(w.b)
}

// end ends it: it writes its length, for which begin has left one byte.
func (w *writer) end(at int) {
	size := len(w.b) - at
	if more := protowire.SizeVarint(uint64(size)) - 1; more > 0 {
		w.b = append(w.b, make([]byte, more)...)
		copy(w.b[at+more:], w.b[at:at+size])
	}
	protowire.AppendVarint(w.b[:at-1], uint64(size))
}
