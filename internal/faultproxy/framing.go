package faultproxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// Framing tells the frames of a stream apart.
type Framing struct {
	// Prefix is what the maker of a connection says before its first frame, if anything.
	Prefix []byte
	// Header is how many bytes before each frame tell about it.
	Header int
	// Frame reads a header: the bytes after it that belong to the frame, and whether the frame may be
	// lost, doubled and reordered. known is false for what is no frame: from there on the stream passes as
	// it is.
	Frame func(header []byte) (body int, loose, known bool)
}

const (
	readBuffer = 64 << 10
	// piece is about how much of a stream is passed on at once.
	piece = 32 << 10
)

// framer cuts a stream into pieces, and decides about its frames.
type framer struct {
	r       *bufio.Reader
	framing *Framing // nil: there are no frames (any more)
	begun   bool
	decide  func(size int) fate
	held    []byte // a frame that is to come after the next one
}

func newFramer(r io.Reader, framing *Framing, decide func(int) fate) *framer {
	return &framer{r: bufio.NewReaderSize(r, readBuffer), framing: framing, decide: decide}
}

// next returns the next piece of the stream, which is empty when all of it was lost; it is the caller's. With
// an error there is none.
func (f *framer) next() ([]byte, error) {
	if !f.begun {
		f.begun = true
		if prefix := f.prefix(); len(prefix) > 0 {
			return prefix, nil
		}
	}
	var out []byte
	for more := f.framing != nil; more; more = f.whole() && len(out) < piece {
		var err error
		if out, err = f.frame(out); err != nil {
			return nil, err
		}
	}
	if f.framing != nil || len(out) > 0 {
		return out, nil
	}
	if _, err := f.r.Peek(1); err != nil {
		return nil, err
	}
	out = make([]byte, min(f.r.Buffered(), piece))
	n, err := f.r.Read(out)
	return out[:n], err
}

// prefix takes what the maker of a connection says first, if it is there.
func (f *framer) prefix() []byte {
	if f.framing == nil {
		return nil
	}
	for n := range len(f.framing.Prefix) {
		got, err := f.r.Peek(n + 1)
		if err != nil || !bytes.Equal(got, f.framing.Prefix[:n+1]) {
			return nil // the other end's side of the stream, or no such stream
		}
	}
	_, _ = f.r.Discard(len(f.framing.Prefix)) // was looked at
	return bytes.Clone(f.framing.Prefix)
}

// whole reports whether there is another whole frame in the buffer, so that taking it does not wait.
func (f *framer) whole() bool {
	if f.framing == nil || f.r.Buffered() < f.framing.Header {
		return false
	}
	header, err := f.r.Peek(f.framing.Header)
	if err != nil {
		return false
	}
	body, _, known := f.framing.Frame(header)
	return known && f.r.Buffered() >= len(header)+body
}

// frame appends the next frame to out, as often as it was decided. Where no frame begins, there is no framing
// from here on.
func (f *framer) frame(out []byte) ([]byte, error) {
	header, err := f.r.Peek(f.framing.Header)
	if err != nil && (len(header) == 0 || !errors.Is(err, io.EOF)) {
		return nil, err
	}
	body, loose, known := 0, false, false
	if err == nil {
		body, loose, known = f.framing.Frame(header)
	}
	if !known {
		f.framing = nil
		return f.release(out), nil
	}
	frame := make([]byte, len(header)+body)
	if _, err := io.ReadFull(f.r, frame); err != nil {
		return nil, err
	}
	var decided fate
	if loose {
		decided = f.decide(len(frame))
	}
	switch {
	case decided.drop:
		return out, nil
	case decided.reorder && f.held == nil:
		f.held = frame
		return out, nil
	case decided.twice:
		out = append(out, frame...)
	}
	return f.release(append(out, frame...)), nil
}

// release appends the frame that was held back.
func (f *framer) release(out []byte) []byte {
	out = append(out, f.held...)
	f.held = nil
	return out
}
