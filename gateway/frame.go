package gateway

import (
	"encoding/binary"
	"sync"

	"github.com/gobwas/ws"
)

// parseHeader reads the header of the WebSocket frame at the front of b and returns it with its
// length, which is 0 while b ends before the header does. It looks at the form alone; ws.CheckHeader
// applies the rules.
func parseHeader(b []byte) (ws.Header, int, error) {
	if len(b) < 2 {
		return ws.Header{}, 0, nil
	}
	h := ws.Header{
		Fin:    b[0]&0x80 != 0,
		Rsv:    b[0] >> 4 & 7,
		OpCode: ws.OpCode(b[0] & 0x0f),
		Masked: b[1]&0x80 != 0,
		Length: int64(b[1] & 0x7f),
	}
	size := 2
	switch {
	case h.Length == 126 && len(b) >= 4:
		h.Length, size = int64(binary.BigEndian.Uint16(b[2:])), 4
	case h.Length == 127 && len(b) >= 10:
		h.Length, size = int64(binary.BigEndian.Uint64(b[2:])), 10
		if h.Length < 0 {
			return h, 0, ws.ErrHeaderLengthMSB
		}
	case h.Length >= 126:
		return h, 0, nil
	}
	if h.Masked {
		if len(b) < size+4 {
			return h, 0, nil
		}
		copy(h.Mask[:], b[size:])
		size += 4
	}
	return h, size, nil
}

// appendHeader appends the header of a whole, unmasked frame of n bytes.
func appendHeader(b []byte, op ws.OpCode, n int) []byte {
	b = append(b, 0x80|byte(op))
	switch {
	case n < 126:
		return append(b, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
}

// headerRoom is what [frameAround] wants to be left free for a header: that of a frame of up to
// 64 KiB, which is as good as every frame.
const headerRoom = 4

// frameAround puts a header before the payload that starts headerRoom bytes after start and ends b.
func frameAround(b []byte, start int, op ws.OpCode) []byte {
	payload := b[start+headerRoom:]
	var room [10]byte
	header := appendHeader(room[:0], op, len(payload))
	switch {
	case len(header) < headerRoom: // short: the payload moves up
		copy(b[start+len(header):], payload)
		b = b[:start+len(header)+len(payload)]
	case len(header) > headerRoom: // long: it moves back
		b = append(b, room[headerRoom:len(header)]...)
		copy(b[start+len(header):], payload)
	}
	copy(b[start:], header)
	return b
}

// appendClose appends a close frame. The reason is cut to what a control frame holds.
func appendClose(b []byte, code ws.StatusCode, reason string) []byte {
	reason = reason[:min(len(reason), ws.MaxControlFramePayloadSize-2)]
	b = appendHeader(b, ws.OpClose, 2+len(reason))
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	return append(b, reason...)
}

// closeReply returns the code with which a close frame of a client is answered: its own, 1000 when
// it gave none, 1002 when it may not be sent on the wire (RFC 6455 §7.4).
func closeReply(payload []byte) ws.StatusCode {
	if len(payload) == 0 {
		return ws.StatusNormalClosure
	}
	code, reason := ws.ParseCloseFrameData(payload)
	if len(payload) == 1 || ws.CheckCloseFrameData(code, reason) != nil {
		return ws.StatusProtocolError
	}
	return code
}

// A buffer holds bytes that wait: frames to be written, parts of a frame that was read.
type buffer struct{ b []byte }

// maxPooled is the capacity above which a buffer is left to the collector: one large frame is not to
// be paid for by the memory of the many small ones that follow.
const maxPooled = 8 << 10

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, 1<<10)} }}

func takeBuffer() *buffer { return buffers.Get().(*buffer) }

// release gives the buffer back; its bytes are another's from then on.
func (b *buffer) release() {
	if b != nil && cap(b.b) <= maxPooled {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}

// readSize is how much is read at once.
const readSize = 16 << 10

var readBuffers = sync.Pool{New: func() any { return new([readSize]byte) }}
