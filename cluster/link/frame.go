package link

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// magic is what a connection begins with.
const magic = "ringpeer"

// frameType says what is in a frame.
type frameType uint8

const (
	frameHello    frameType = 1
	frameAnswer   frameType = 2
	frameEnvelope frameType = 3
	framePing     frameType = 4
	framePong     frameType = 5
	frameStamp    frameType = 6
)

const (
	frameHeader = 4
	maxHello    = 4 << 10   // bytes of a hello or an answer
	maxFrame    = 1<<24 - 1 // bytes that the header can say
	readBuffer  = 64 << 10
)

// errGarbage is wrapped by the errors about bytes that no peer sends.
var errGarbage = errors.New("not a peer")

// appendHeader appends a frame's header.
func appendHeader(b []byte, t frameType, length int) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(t)<<24|uint32(length))
}

// frameReader reads frames, with one buffer that it uses again and again.
type frameReader struct {
	r     *bufio.Reader
	large []byte // for a body that does not fit into r's buffer
	skip  int    // bytes of r's buffer that the last body was in
}

func newFrameReader(r io.Reader) *frameReader {
	return &frameReader{r: bufio.NewReaderSize(r, readBuffer)}
}

// next reads a frame of at most limit bytes; its body is good until the next call. The error wraps errGarbage
// for a longer one, before anything is read or allocated for it.
func (f *frameReader) next(limit int) (frameType, []byte, error) {
	if _, err := f.r.Discard(f.skip); err != nil {
		return 0, nil, err
	}
	f.skip = 0
	head, err := f.r.Peek(frameHeader)
	if err != nil {
		return 0, nil, ended(head, err)
	}
	word := binary.BigEndian.Uint32(head)
	t, length := frameType(word>>24), int(word&maxFrame)
	if length > limit {
		return t, nil, fmt.Errorf("%w: a frame of %d bytes; at most %d", errGarbage, length, limit)
	}
	if frameHeader+length <= f.r.Size() {
		whole, err := f.r.Peek(frameHeader + length)
		if err != nil {
			return t, nil, ended(head, err)
		}
		f.skip = len(whole)
		return t, whole[frameHeader:], nil
	}
	if _, err := f.r.Discard(frameHeader); err != nil {
		return t, nil, err
	}
	if cap(f.large) < length {
		f.large = make([]byte, length)
	}
	body := f.large[:length]
	_, err = io.ReadFull(f.r, body)
	return t, body, err
}

// ready reports whether the next frame is an envelope, or a stamp, that has come whole, so that next does not wait for it.
func (f *frameReader) ready() bool {
	rest := f.r.Buffered() - f.skip
	if rest < frameHeader {
		return false
	}
	b, _ := f.r.Peek(f.skip + frameHeader) // is there
	word := binary.BigEndian.Uint32(b[f.skip:])
	t := frameType(word >> 24)
	return (t == frameEnvelope || t == frameStamp) && frameHeader+int(word&maxFrame) <= rest
}

// ended tells an end between two frames, io.EOF, from one inside a frame.
func ended(got []byte, err error) error {
	if errors.Is(err, io.EOF) && len(got) > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}
