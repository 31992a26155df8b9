package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// conn is one WebSocket connection. A node holds hundreds of thousands that are idle, so what is
// here is what an idle one needs; the rest exists while there is work.
//
// Three parties meet in it. The strand reads and handles frames: one goroutine at a time, which one
// is said by reading. Writers are the flusher and, without a poller, writeAll. Everybody else
// (Deliver, the wheel, Shutdown) puts frames into the queue and sets flags.
type conn struct {
	g  *Gateway
	id uint64

	// The socket: either nc, with a goroutine that reads, or poll and fd.
	nc   net.Conn
	poll *poller
	fd   int32

	// Of the strand.
	codec   wire.Codec
	blind   bool // framing is lost: what comes is discarded
	joined  bool // the backend has taken the login
	one     [1]byte
	dropped int32 // bytes that came after the end
	held    int32 // bytes of in that are counted in Gateway.buffered
	frames  bucket
	in      *inbox        // nil while no frame has begun
	hello   *auth.Request // what the HTTP request brought; nil once logged in

	user   invitation.User // set before the backend knows of the connection, then constant
	device invitation.Device
	opened invitation.Time
	addr   netip.Addr

	heard atomic.Int64 // when the last whole frame came, an invitation.Time

	backend struct { // makes the calls to the Backend one after the other; taken before mu
		sync.Mutex
		attached, detached bool
	}

	mu        sync.Mutex
	out       *buffer // frames that wait
	sending   *buffer // frames that are being written, of which sent bytes are
	sent      int32
	owed      int32 // bytes that wait, counted in Gateway.buffered, when stalled
	outFrames int32
	end       invitation.End // why it ended; 0 for one that was lost or closed by the client
	reading   bool           // a goroutine is the strand
	again     bool           // more may be there to read, found while reading
	over      bool           // the peer hung up: read to the end
	writing   bool           // a goroutine writes
	queued    bool           // in the list of a flusher
	stalled   bool           // the socket takes no more
	room      bool           // it does again, found while writing
	closing   bool           // a close frame is queued or sent: nothing else will be
	finished  bool           // the client's close frame has come
	dead      bool           // torn down; fd is closed as soon as nobody uses it
	pending   bool           // has yet to log in
	greeted   bool           // a Welcome has come

	stamp  uint64          // of the last Welcome
	due    invitation.Time // when closing: until when the client may answer; else when stalled: until when bytes have to move
	pinged invitation.Time
	lease  *lease // nil: for ever

	nextQueued *conn // guarded by the flusher
	place      place // guarded by the wheel
}

// deliver queues a frame. It is called by any goroutine, and does not block.
func (c *conn) deliver(down invitation.Down) {
	if down.Ending != nil {
		c.finish(*down.Ending, "")
		return
	}
	f := wire.ServerFrame{Down: down, Time: c.g.config.WallClock()}
	if down.Welcome != nil {
		if !c.greet(down.Welcome) {
			return
		}
		f.Info = c.info()
	}
	c.send(f)
}

// send encodes a frame into the queue. Over the queue's bounds the connection ends.
func (c *conn) send(f wire.ServerFrame) {
	if f.Down.Answer != nil {
		c.g.answered(c.id, f.Down.Answer)
	}
	slow, err := c.enqueue(f)
	if err != nil {
		c.g.faults.Log(slog.LevelError, "encode", "a frame could not be encoded", slog.Uint64("conn", c.id), slog.Any("error", err))
		c.finish(invitation.Ending{End: invitation.EndInternal}, "")
	}
	if slow {
		c.finish(invitation.Ending{End: invitation.EndSlowReader}, "")
	}
}

// enqueue reports whether the queue is over its bounds.
func (c *conn) enqueue(f wire.ServerFrame) (slow bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.dead {
		return false, nil
	}
	if err := c.appendFrame(f); err != nil {
		return false, err
	}
	c.queueLocked()
	return c.overLocked(), nil
}

// appendFrame appends an encoded frame to the queue.
func (c *conn) appendFrame(f wire.ServerFrame) error {
	if c.out == nil {
		c.out = takeBuffer()
	}
	start := len(c.out.b)
	b, err := wire.EncodeDown(append(c.out.b, make([]byte, headerRoom)...), c.codec, f)
	if err != nil {
		c.out.b = c.out.b[:start]
		return err
	}
	c.out.b = frameAround(b, start, c.opcode())
	c.outFrames++
	c.g.stats.framesOut.Add(1)
	if c.stalled {
		c.owe(len(c.out.b) - start)
	}
	return nil
}

// opcode returns that of the messages both sides send.
func (c *conn) opcode() ws.OpCode {
	if c.codec.Text() {
		return ws.OpText
	}
	return ws.OpBinary
}

// overLocked reports whether more waits than may.
func (c *conn) overLocked() bool {
	return int(c.outFrames) > c.g.config.QueueFrames || c.waitingLocked() > c.g.config.QueueBytes ||
		c.stalled && c.g.buffered.Load() > c.g.config.MaxBuffered
}

// waitingLocked returns the number of bytes that wait to be written.
func (c *conn) waitingLocked() int {
	n := 0
	if c.out != nil {
		n = len(c.out.b)
	}
	if c.sending != nil {
		n += len(c.sending.b) - int(c.sent)
	}
	return n
}

// owe counts bytes that wait for a stalled socket; a negative n takes back.
func (c *conn) owe(n int) {
	c.owed += int32(n)
	c.g.buffered.Add(int64(n))
}

// queueLocked has a flusher write what waits, unless somebody is at it or the socket takes no more.
// One that is closing is always queued: the flusher also tells the backend.
func (c *conn) queueLocked() {
	if !c.queued && !c.dead && (c.closing || !c.writing && !c.stalled) {
		c.queued = true
		c.g.flusher(c.id).push(c)
	}
}

// finish ends the connection with an Ending frame and a close frame. The first end counts. It may be
// called by any goroutine and does not block; the backend is told by a flusher.
func (c *conn) finish(e invitation.Ending, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.dead {
		return
	}
	if e.End == invitation.EndSlowReader && c.out != nil {
		c.out.b, c.outFrames = c.out.b[:0], 0 // too late to be read; the code may not be
	}
	c.end = e.End
	f := wire.ServerFrame{Down: invitation.Down{Ending: &e}, Text: text}
	if err := c.appendFrame(f); err != nil {
		c.g.faults.Log(slog.LevelError, "encode", "an ending could not be encoded", slog.Uint64("conn", c.id), slog.Any("error", err))
	}
	c.closeLocked(ws.StatusCode(e.End), e.End.String())
}

// closeLocked queues the close frame, after which nothing is sent.
func (c *conn) closeLocked(code ws.StatusCode, reason string) {
	if c.out == nil {
		c.out = takeBuffer()
	}
	c.out.b = appendClose(c.out.b, code, reason)
	c.closing = true
	c.due = c.g.now().Add(c.g.config.CloseTimeout)
	c.g.wheel.put(c, c.due)
	c.queueLocked()
}

// closedByClient answers the client's close frame. Called by the strand.
func (c *conn) closedByClient(payload []byte) {
	c.mu.Lock()
	c.finished = true
	if !c.closing {
		c.closeLocked(closeReply(payload), "")
	}
	flushed := c.flushedLocked()
	c.mu.Unlock()
	if flushed {
		c.tearDown()
	}
}

func (c *conn) flushedLocked() bool { return c.out == nil && c.sending == nil && !c.writing }

// detach tells the backend that the connection is gone.
func (c *conn) detach() {
	c.backend.Lock()
	defer c.backend.Unlock()
	if c.backend.detached {
		return
	}
	c.backend.detached = true
	if c.backend.attached {
		c.g.backend.Detach(c.id, c.user, c.device)
	}
}

// tearDown closes the socket, wakes whoever waits for it, and forgets the connection.
func (c *conn) tearDown() {
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return
	}
	c.dead = true
	end, pending := c.end, c.pending
	if c.nc != nil {
		go c.nc.Close() // that of TLS says farewell, and may wait
	} else {
		c.poll.hangUp(c.fd)
	}
	c.out.release()
	c.out = nil
	c.releaseLocked()
	c.mu.Unlock()

	c.detach()
	c.g.wheel.drop(c)
	c.g.forget(c, end, pending)
	if c.g.log.Enabled(context.Background(), slog.LevelDebug) {
		c.g.log.LogAttrs(context.Background(), slog.LevelDebug, "connection closed", slog.Uint64("conn", c.id),
			slog.String("end", endName(end)), slog.Duration("age", c.g.now().Sub(c.opened)))
	}
}

// cut ends the connection without a word.
func (c *conn) cut() { c.tearDown() }

// releaseLocked closes the file descriptor of a dead connection once neither the strand nor a writer
// can use it: its number may be another's the moment after.
func (c *conn) releaseLocked() {
	if !c.dead || c.reading || c.writing {
		return
	}
	c.sending.release()
	c.sending = nil
	c.owe(-int(c.owed))
	c.in = nil
	c.g.buffered.Add(-int64(c.held))
	c.held = 0
	if c.poll != nil && c.fd >= 0 {
		c.poll.close(c.fd)
		c.fd = -1
	}
}

// guard is deferred around the handling of frames: a panic ends this connection and nothing else.
func (c *conn) guard() {
	if fault := recover(); fault != nil {
		c.g.stats.panics.Add(1)
		c.g.faults.Log(slog.LevelError, "panic", "panic while handling a frame", slog.Uint64("conn", c.id),
			slog.Any("panic", fault), slog.String("stack", string(debug.Stack())))
		c.blind = true
		c.finish(invitation.Ending{End: invitation.EndInternal}, "")
	}
}

// callError returns the code in err, or UNAVAILABLE.
func callError(err error) invitation.CallError {
	var code invitation.CallError
	if errors.As(err, &code) && code != invitation.OK {
		return code
	}
	return invitation.Unavailable
}
