package gateway

import (
	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet/invitation"
)

// maxDiscard is how much a client may send after its connection has ended, in bytes, before it is
// cut off. Bytes that are in the socket when it is closed would cost the client the close frame.
const maxDiscard = 1 << 20

// An inbox holds what has come of a message that is not yet complete.
type inbox struct {
	raw *buffer   // the bytes of a frame that has begun; nil: none
	msg []byte    // the fragments that have come
	op  ws.OpCode // of the message that msg belongs to; 0: none has begun
}

// readLoop is the strand of a connection without a poller. It waits with one byte: a frame of a
// client has at least six, so that the read for which it then takes a buffer does not wait for the
// next frame.
func (c *conn) readLoop(first []byte) {
	defer c.endStrand()
	c.feedAll(first)
	for {
		if _, err := c.nc.Read(c.one[:]); err != nil {
			return
		}
		buf := readBuffers.Get().(*[readSize]byte)
		buf[0] = c.one[0]
		n, err := c.nc.Read(buf[1:])
		c.feedAll(buf[:1+n])
		readBuffers.Put(buf)
		if err != nil {
			return
		}
	}
}

// endStrand gives up a connection that can no longer be read.
func (c *conn) endStrand() {
	c.mu.Lock()
	c.reading = false
	c.releaseLocked()
	c.mu.Unlock()
	c.tearDown()
}

// feedAll is feed for a strand that may block.
func (c *conn) feedAll(data []byte) {
	for work := c.feedSafely(data); work != nil; work = c.feedSafely(nil) {
		c.workSafely(work)
	}
}

func (c *conn) feedSafely(data []byte) func() {
	defer c.guard()
	return c.feed(data)
}

func (c *conn) workSafely(work func()) {
	defer c.guard()
	work()
}

// feed handles the frames in data and what was kept before it, and keeps the rest. It does not
// block; when it comes to a frame that may, it keeps what follows and returns the work, after which
// it is to be called again. data is overwritten but not kept. Called by the strand.
func (c *conn) feed(data []byte) (work func()) {
	if c.blind {
		c.discard(len(data))
		return nil
	}
	now := c.g.now()
	var raw *buffer
	if c.in != nil && c.in.raw != nil {
		raw, c.in.raw = c.in.raw, nil
		raw.b = append(raw.b, data...)
		data = raw.b
	}
	for len(data) > 0 && work == nil && !c.blind {
		var n int
		if n, work = c.frame(data, now); n == 0 {
			break
		}
		data = data[n:]
	}
	c.keep(raw, data)
	return work
}

// keep stores the bytes of a frame that has begun until the others come. raw, if not nil, is the
// buffer whose end rest is.
func (c *conn) keep(raw *buffer, rest []byte) {
	switch {
	case c.blind:
		raw.release()
		c.in = nil
	case len(rest) == 0:
		raw.release()
		if c.in != nil && c.in.op == 0 {
			c.in = nil
		}
	default:
		if raw == nil {
			raw = takeBuffer()
		}
		if len(rest) != len(raw.b) { // else nothing was taken off its front
			raw.b = append(raw.b[:0], rest...)
		}
		if c.in == nil {
			c.in = new(inbox)
		}
		c.in.raw = raw
	}
	if !c.count() {
		c.fail(invitation.EndOverloaded, "OVERLOADED: too many unfinished frames; reconnect after the given time")
		c.keep(nil, nil)
	}
}

// count brings what is kept to account, and reports whether it may be.
func (c *conn) count() bool {
	held := 0
	if c.in != nil {
		held = len(c.in.msg)
		if c.in.raw != nil {
			held += len(c.in.raw.b)
		}
	}
	if int32(held) == c.held {
		return true
	}
	total := c.g.buffered.Add(int64(held) - int64(c.held))
	c.held = int32(held)
	return held == 0 || total <= c.g.config.MaxBuffered
}

// discard counts what comes after the end.
func (c *conn) discard(n int) {
	if c.dropped += int32(n); c.dropped > maxDiscard {
		c.tearDown()
	}
}

// frame handles the frame at the front of data and returns its length, 0 while it is not complete.
// Its length is judged by its header: nothing is allocated for a frame but for bytes that have come.
func (c *conn) frame(data []byte, now invitation.Time) (int, func()) {
	h, size, err := parseHeader(data)
	if err == nil && size == 0 {
		return 0, nil
	}
	state := ws.StateServerSide
	if c.in != nil && c.in.op != 0 {
		state = state.Set(ws.StateFragmented)
	}
	if err == nil {
		err = ws.CheckHeader(h, state)
	}
	if err != nil {
		c.fail(invitation.EndBadFrame, "BAD_FRAME: not a WebSocket frame of a client: "+err.Error())
		return 0, nil
	}
	begun := int64(0)
	if c.in != nil && !h.OpCode.IsControl() {
		begun = int64(len(c.in.msg))
	}
	if h.Length > int64(c.g.config.MaxFrame)-begun {
		c.fail(invitation.EndFrameTooLarge, "")
		return 0, nil
	}
	whole := size + int(h.Length)
	if len(data) < whole {
		return 0, nil
	}
	payload := data[size:whole]
	ws.Cipher(payload, h.Mask, 0)
	c.heard.Store(int64(now))
	c.g.stats.framesIn.Add(1)
	c.g.stats.bytesIn.Add(uint64(whole))
	return whole, c.handle(h, payload, now)
}

// fail ends a connection whose bytes make no sense, or are too many: what follows is discarded, even
// the answer to the close frame.
func (c *conn) fail(end invitation.End, text string) {
	c.blind = true
	e := invitation.Ending{End: end}
	if end == invitation.EndOverloaded {
		e.RetryAfter = c.g.config.RetryAfter
	}
	c.finish(e, text)
}
