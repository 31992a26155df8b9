package link

import (
	"fmt"
	"net"
	"time"

	"github.com/ringfleet/ringfleet/internal/rawio"
)

// What waits for a peer is written in batches, by one writer at a time: either by flush, which whoever runs
// actors calls and which does not block, or by the peer's own goroutine, which may. When a batch does not go out
// at once, flush hands it to that goroutine.

// flush writes what waits, as far as that goes without blocking; not if all of it may wait for others, unless patient
// too is set. It returns false if it cannot on this connection.
func (p *peer) flush(patient bool) bool {
	p.mu.Lock()
	try := p.try
	if try == nil || p.fault != nil || !p.urgent && !patient || !p.beginLocked() {
		p.mu.Unlock()
		return try != nil
	}
	p.mu.Unlock()
	done, err := p.attempt(try)
	p.mu.Lock()
	switch {
	case err != nil:
		p.abandonLocked()
		if p.try == try {
			p.fault = fmt.Errorf("write: %w", err)
		}
	case !done && p.try == try:
		p.handed = true
	case !done:
		p.abandonLocked() // the connection has broken meanwhile
	default:
		p.finishLocked()
	}
	more := p.handed || p.fault != nil || p.waiting.bytes > 0
	p.mu.Unlock()
	if more {
		p.rouse()
	}
	return true
}

// attempt writes as much of the batch as goes without blocking, and reports whether that was all.
func (p *peer) attempt(try rawio.Writer) (done bool, err error) {
	for len(p.batch.list) > 0 {
		block := p.batch.list[0]
		n, err := try.TryWrite(block)
		p.stream.counts.writes.Add(1)
		p.stream.counts.bytes.Add(uint64(n))
		if err != nil {
			return false, err
		}
		if p.written = n; n < len(block) {
			return false, nil
		}
		p.batch.drop()
		p.written = 0
	}
	return true, nil
}

// write writes all that waits, and what flush has left of a batch, and returns why that failed.
func (p *peer) write(conn net.Conn) error {
	p.mu.Lock()
	fault := p.fault
	mine := fault == nil && (p.handed || p.beginLocked())
	p.handed = p.handed && !mine
	p.mu.Unlock()
	if !mine {
		return fault // of nothing: whoever writes rouses this goroutine, should something be left
	}
	err := p.writeBatch(conn)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.abandonLocked()
		return err
	}
	p.finishLocked()
	if p.waiting.bytes > 0 {
		p.rouse()
	}
	return nil
}

func (p *peer) writeBatch(conn net.Conn) error {
	for _, block := range p.batch.list {
		if err := conn.SetWriteDeadline(time.Now().Add(p.stream.config.Timeout)); err != nil {
			return fmt.Errorf("set a deadline: %w", err)
		}
		rest := block[p.written:]
		p.written = 0
		if _, err := conn.Write(rest); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		p.stream.counts.writes.Add(1)
		p.stream.counts.bytes.Add(uint64(len(rest)))
	}
	if err := conn.SetWriteDeadline(time.Time{}); err != nil { // or it would end an attempt of flush
		return fmt.Errorf("clear a deadline: %w", err)
	}
	return nil
}

// beginLocked makes the caller the writer of what waits, unless there is one, or nothing waits.
func (p *peer) beginLocked() bool {
	if p.writing || p.waiting.bytes == 0 {
		return false
	}
	p.writing, p.urgent = true, false
	p.batch, p.waiting = p.waiting, p.batch
	return true
}

// finishLocked ends the writing of a batch.
func (p *peer) finishLocked() {
	p.stream.counts.sent.Add(uint64(p.batch.count))
	p.batch.clear()
	p.writing = false
}

// abandonLocked ends it without success. Some envelopes of the batch may have arrived.
func (p *peer) abandonLocked() {
	p.stream.counts.dropped.Add(uint64(p.batch.count))
	p.batch.clear()
	p.writing, p.handed, p.written = false, false, 0
}
