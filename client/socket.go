package client

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// Bounds of one connection.
const (
	readBuffer   = 1 << 10          // of a connection; larger payloads are read past it
	maxUnwritten = 1 << 20          // bytes that wait to be written; a link with more is lost
	keptBuffer   = 16 << 10         // larger buffers are given back after a burst
	writeTimeout = 10 * time.Second // how long a write may take
	closeTimeout = time.Second      // the same for the last one
)

// socket is a [Link] over one WebSocket connection.
type socket struct {
	carrier  *WebSocket
	codec    wire.Codec
	conn     net.Conn
	receiver Receiver

	// The reading goroutine's.
	reader    *bufio.Reader
	head      [ws.MaxHeaderSize]byte
	control   [ws.MaxControlFramePayloadSize]byte
	message   []byte // the parts of a message so far
	state     ws.State
	pingAfter time.Duration
	deadline  time.Time // the read deadline that is set
	renewal   renewal

	mu      sync.Mutex
	out     []byte // frames to be written
	spare   []byte
	writing bool
	closed  bool
	fault   error
}

var errBackedUp = errors.New("client: the node does not read")

func newSocket(carrier *WebSocket, conn net.Conn, early *bufio.Reader, receiver Receiver) *socket {
	if early == nil {
		early = bufio.NewReaderSize(conn, readBuffer)
	}
	return &socket{
		carrier: carrier, codec: carrier.codec(), conn: conn, reader: early, receiver: receiver,
		state: ws.StateClientSide, pingAfter: positive(carrier.PingAfter, 30*time.Second),
	}
}

// Say implements [Link].
func (l *socket) Say(up invitation.Up) error { return l.sayFrame(wire.ClientFrame{Up: up}) }

// payloads are buffers to encode into.
var payloads = sync.Pool{New: func() any { return new([]byte) }}

func (l *socket) sayFrame(f wire.ClientFrame) error {
	b := payloads.Get().(*[]byte)
	defer payloads.Put(b)
	payload, err := wire.EncodeUp((*b)[:0], l.codec, f)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	if cap(payload) <= keptBuffer {
		*b = payload
	}
	op := ws.OpBinary
	if l.codec.Text() {
		op = ws.OpText
	}
	return l.write(op, payload)
}

// write queues one frame, and sees that somebody writes it. It masks the payload in place.
func (l *socket) write(op ws.OpCode, payload []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.fault != nil:
		return l.fault
	case l.closed:
		return net.ErrClosed
	case len(l.out)+len(payload) > maxUnwritten:
		return errBackedUp
	}
	l.queue(op, payload)
	return nil
}

func (l *socket) queue(op ws.OpCode, payload []byte) {
	mask := ws.NewMask()
	ws.Cipher(payload, mask, 0)
	l.out = append(appendHeader(l.out, op, mask, len(payload)), payload...)
	if !l.writing {
		l.writing = true
		go l.flush()
	}
}

// appendHeader appends the header of a whole, masked frame of n bytes (RFC 6455 §5.2).
func appendHeader(b []byte, op ws.OpCode, mask [4]byte, n int) []byte {
	const fin, masked = 0x80, 0x80
	b = append(b, fin|byte(op))
	switch {
	case n < 126:
		b = append(b, masked|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, masked|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, masked|127), uint64(n))
	}
	return append(b, mask[:]...)
}

// flush writes what is queued, several frames in one write. It runs in a goroutine that exists only
// while there is something to write. The last one closes the connection.
func (l *socket) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.out) > 0 && l.fault == nil {
		batch, timeout := l.out, writeTimeout
		l.out, l.spare = l.spare, nil
		if l.closed {
			timeout = closeTimeout
		}
		l.mu.Unlock()
		l.conn.SetWriteDeadline(time.Now().Add(timeout)) // a closed connection shows at the write
		_, err := l.conn.Write(batch)
		l.mu.Lock()
		if cap(batch) <= keptBuffer {
			l.spare = batch[:0]
		}
		if err != nil {
			l.fault = fmt.Errorf("client: write: %w", err)
		}
	}
	l.writing = false
	if l.closed || l.fault != nil {
		l.conn.Close() // the reading goroutine tells the client
	}
}

// Close implements [Link]. It does not wait: what was said is still written.
func (l *socket) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	l.queue(ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
	return nil
}

// read takes what the node says, until the connection is lost.
func (l *socket) read() {
	err := l.readMessages()
	l.stopRenewing()
	l.receiver.Lost(err)
	_ = l.Close()
}

func (l *socket) readMessages() error {
	for {
		if err := l.await(); err != nil {
			return err
		}
		h, err := ws.ReadHeaderBuffer(l.reader, l.head[:])
		if err == nil {
			err = ws.CheckHeader(h, l.state)
		}
		switch {
		case err != nil:
			return fmt.Errorf("client: read: %w", err)
		case h.OpCode.IsControl():
			err = l.readControl(h)
		default:
			err = l.readData(h)
		}
		if err != nil {
			return err
		}
	}
}

// await waits for the first byte of a frame. After a silence it asks whether the node is there.
func (l *socket) await() error {
	if l.reader.Buffered() > 0 {
		return nil
	}
	now := time.Now()
	if l.deadline.Sub(now) < l.pingAfter-l.pingAfter/16 { // moving it costs more than being a little late
		l.deadline = now.Add(l.pingAfter)
		l.conn.SetReadDeadline(l.deadline)
	}
	_, err := l.reader.Peek(1)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if err = l.write(ws.OpPing, nil); err != nil {
			return err
		}
		l.deadline = time.Now().Add(positive(l.carrier.PongTimeout, 10*time.Second))
		l.conn.SetReadDeadline(l.deadline)
		if _, err = l.reader.Peek(1); errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("client: the node does not answer a ping: %w", err)
		}
	}
	if err != nil {
		return fmt.Errorf("client: read: %w", err)
	}
	return nil
}

func (l *socket) readControl(h ws.Header) error {
	payload := l.control[:h.Length] // CheckHeader bounds it
	if _, err := io.ReadFull(l.reader, payload); err != nil {
		return fmt.Errorf("client: read: %w", err)
	}
	switch h.OpCode {
	case ws.OpPing:
		return l.write(ws.OpPong, payload)
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameData(payload)
		if end := invitation.End(code); end.Row().Name != "UNKNOWN" || code >= 4_000 && code < 5_000 {
			return &EndError{End: end}
		}
		return fmt.Errorf("client: the node closed the connection: %d %s", code, reason)
	}
	return nil
}

// readData reads one part of a message, and hands on the message when it is the last.
func (l *socket) readData(h ws.Header) error {
	limit := positive(l.carrier.MaxFrame, 1<<20)
	if h.Length > int64(limit-len(l.message)) {
		return fmt.Errorf("client: read: a message over the limit of %d bytes", limit)
	}
	start := len(l.message)
	l.message = append(l.message, make([]byte, h.Length)...)
	if _, err := io.ReadFull(l.reader, l.message[start:]); err != nil {
		return fmt.Errorf("client: read: %w", err)
	}
	if !h.Fin {
		l.state = l.state.Set(ws.StateFragmented)
		return nil
	}
	l.state = l.state.Clear(ws.StateFragmented)
	err := l.received(l.message)
	l.message = l.message[:0]
	if cap(l.message) > readBuffer {
		l.message = nil
	}
	return err
}

func (l *socket) received(message []byte) error {
	frame, err := wire.DecodeDown(l.codec, message)
	switch {
	case errors.Is(err, wire.ErrUnknownFrame):
		return nil // a newer node's
	case err != nil:
		return fmt.Errorf("client: the node said: %w", err)
	case frame.Down.Welcome != nil && frame.Info.Version != wire.ProtocolVersion:
		return &EndError{End: invitation.EndBadVersion}
	case frame.Token != nil:
		l.token(*frame.Token)
	case frame.Pong == nil:
		l.receiver.Receive(frame.Down)
	}
	return nil
}
