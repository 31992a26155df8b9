package gateway

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// A flusher writes the queues of its share of the connections. Whoever queues a frame leaves the
// write to it: an actor does not wait for system calls, and frames that one turn of an actor, or of
// several, queue for a connection leave in one write. Whoever runs actors writes before it rests
// ([Gateway.Flush]); when nobody does, there is a goroutine for as long as there is something to
// write. Its list holds each connection at most once.
type flusher struct {
	mu          sync.Mutex
	first, last *conn
	running     bool
}

func (f *flusher) push(c *conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last == nil {
		f.first = c
	} else {
		f.last.nextQueued = c
	}
	f.last = c
	if !f.running && !c.g.settles() {
		f.running = true
		go f.run()
	}
}

// flush writes on the caller's goroutine, unless somebody is at it.
func (f *flusher) flush() {
	f.mu.Lock()
	begin := !f.running && f.first != nil
	f.running = f.running || begin
	f.mu.Unlock()
	if begin {
		f.run()
	}
}

// Flush writes what waits for connections, as far as that goes without blocking. [Turns] that settle
// call it.
func (g *Gateway) Flush() {
	for i := range g.flushers {
		g.flushers[i].flush()
	}
}

// settles reports whether Flush is called soon.
func (g *Gateway) settles() bool { return g.config.Turns != nil && g.config.Turns.Settles() }

func (f *flusher) pop() *conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.first
	if c == nil {
		f.running = false
		return nil
	}
	if f.first, c.nextQueued = c.nextQueued, nil; f.first == nil {
		f.last = nil
	}
	return c
}

func (f *flusher) run() {
	for c := f.pop(); c != nil; c = f.pop() {
		c.flush()
	}
}

// flush writes what waits, as far as that goes without blocking, and tells the backend of an end.
func (c *conn) flush() {
	c.mu.Lock()
	c.queued = false
	closing := c.closing
	switch {
	case c.dead || c.writing || c.stalled:
		c.mu.Unlock()
	case c.nc != nil:
		c.writing = true
		c.mu.Unlock()
		go c.writeAll()
	default:
		c.writing = true
		gone := c.writeSome()
		c.mu.Unlock()
		if gone {
			c.tearDown()
		}
	}
	if closing {
		c.detach()
	}
}

// nextLocked makes what waits what is being written.
func (c *conn) nextLocked() bool {
	if c.sending == nil {
		c.sending, c.sent = c.out, 0
		c.out, c.outFrames = nil, 0
	}
	return c.sending != nil
}

// writeSome writes to a polled socket until nothing waits or the socket takes no more, and reports
// whether the connection is to be torn down. It is called with mu, which it gives up while it writes.
func (c *conn) writeSome() (gone bool) {
	defer func() { c.writing = false; c.releaseLocked() }()
	for c.nextLocked() {
		rest := c.sending.b[c.sent:]
		c.room = false
		c.mu.Unlock()
		n, full, err := c.poll.write(c.fd, rest)
		c.mu.Lock()
		c.g.stats.bytesOut.Add(uint64(n))
		switch {
		case c.dead:
			return false
		case err != nil:
			return true
		case full && !c.room:
			c.stallLocked()
			return false
		}
		if c.sent += int32(n); int(c.sent) == len(c.sending.b) {
			c.sending.release()
			c.sending = nil
		}
	}
	return c.finished
}

// stallLocked waits for the poller to say that the socket takes bytes again.
func (c *conn) stallLocked() {
	c.stalled = true
	c.owe(c.waitingLocked())
	if !c.closing {
		c.due = c.g.now().Add(c.g.config.WriteTimeout)
		c.g.wheel.put(c, c.due)
	}
}

// writable is called by the poller when the socket takes bytes.
func (c *conn) writable() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.room = true
	if c.stalled {
		c.stalled = false
		c.owe(-int(c.owed))
		c.queueLocked()
	}
}

// writeAll writes to a socket without a poller until nothing waits. It is a goroutine of its own.
func (c *conn) writeAll() {
	c.mu.Lock()
	var err error
	for err == nil && !c.dead && c.nextLocked() {
		data := c.sending.b
		c.mu.Unlock()
		_ = c.nc.SetWriteDeadline(time.Now().Add(c.g.config.WriteTimeout)) // fails on a dead socket, as the write does
		_, err = c.nc.Write(data)
		c.g.stats.bytesOut.Add(uint64(len(data)))
		c.mu.Lock()
		c.sending.release()
		c.sending = nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && !c.closing {
		c.end = invitation.EndSlowReader // nothing can be written after a part of a frame
	}
	c.writing = false
	gone := err != nil || c.finished
	c.mu.Unlock()
	if gone {
		c.tearDown()
	}
}
