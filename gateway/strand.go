package gateway

// The strand of a polled connection passes from the poller to a goroutine and back. These functions
// are its hand-over; an event that comes while somebody is the strand is remembered.

// beginStrand makes the caller the strand, unless there is one. over tells that the peer hung up.
func (c *conn) beginStrand(over bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = c.over || over
	if c.reading || c.dead {
		c.again = c.reading
		return false
	}
	c.reading = true
	return true
}

// pauseStrand ends the strand, unless there is more to read, or the connection was torn down
// meanwhile.
func (c *conn) pauseStrand() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.again && !c.dead {
		c.again = false
		return false
	}
	c.reading = false
	c.releaseLocked()
	return true
}

// readSome reads once, and reports whether to wait for the next event: there was nothing, or less
// than there was room for and no hang-up was seen that could be hidden behind it.
func (c *conn) readSome(buf []byte) (n int, wait bool) {
	c.mu.Lock()
	over, dead := c.over, c.dead
	c.mu.Unlock()
	if dead {
		return 0, true
	}
	n, empty, err := c.poll.read(c.fd, buf)
	if n == 0 && !empty || err != nil {
		c.tearDown() // the end of the stream, or an error
		return 0, true
	}
	return n, empty || n < len(buf) && !over
}

// readAlone is the strand of a polled connection from a frame on that may block, until there is
// nothing more to read. It is a goroutine of its own.
func (c *conn) readAlone(work func()) {
	c.workSafely(work)
	c.feedAll(nil)
	buf := readBuffers.Get().(*[readSize]byte)
	defer readBuffers.Put(buf)
	for {
		n, wait := c.readSome(buf[:])
		c.feedAll(buf[:n])
		if wait && c.pauseStrand() {
			return
		}
	}
}
