package faultproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// maxPieces is how many pieces of one side of a stream may be under way; then no more is read.
	maxPieces = 64
	// dialTimeout bounds how long a node may take to accept.
	dialTimeout = 5 * time.Second
)

// accept takes connections until the door is closed.
func (d *door) accept() {
	for {
		conn, err := d.tcp.Accept()
		if closed(err) {
			return
		}
		if err != nil {
			select { // out of file descriptors, most likely
			case <-d.ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		d.proxy.running.Go(func() { d.attend(conn.(*net.TCPConn)) }) // a TCP listener makes no others
	}
}

// stream is a connection through a door.
type stream struct {
	proxy  *Proxy
	ctx    context.Context // ends with the stream
	cancel context.CancelFunc
	maker  *net.TCPConn
	node   *net.TCPConn // nil until it is made
	out    *side        // what the maker says
	back   *side        // what the node answers
}

// side is one direction of a stream.
type side struct {
	stream *stream
	way    way
	from   *net.TCPConn
	to     *net.TCPConn
	pieces chan part
	gone   chan struct{} // closed when from has ended
}

// part is a piece of a stream, or its end.
type part struct {
	data []byte
	due  time.Time
	end  error // io.EOF for an end in order
}

// attend serves a connection until both its sides have ended.
func (d *door) attend(conn *net.TCPConn) {
	p := d.proxy
	who := p.config.Who(addressOf(conn.RemoteAddr()), addressOf(conn.LocalAddr()))
	s := &stream{proxy: p, maker: conn}
	s.ctx, s.cancel = context.WithCancel(d.ctx)
	defer s.cancel()
	s.out, s.back = s.side(way{Pair{who, d.Node}, d.Kind}, conn), s.side(way{Pair{d.Node, who}, d.Kind}, nil)
	p.count(s.out.way.Pair, func(st *Stats) { st.Connections++ })
	var parts sync.WaitGroup
	defer parts.Wait()
	defer s.reset() // ends whatever still reads or writes
	parts.Go(func() { s.out.read(d.Framing) })
	if !s.passable() {
		return
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	node, err := dialer.DialContext(s.ctx, "tcp", d.Target)
	if err != nil {
		return
	}
	s.node = node.(*net.TCPConn) // the network is tcp
	s.out.to, s.back.from, s.back.to = s.node, s.node, conn
	parts.Go(func() { s.back.read(d.Framing) })
	var sides sync.WaitGroup
	sides.Go(s.out.write)
	sides.Go(s.back.write)
	ended := make(chan struct{})
	parts.Go(func() {
		sides.Wait()
		close(ended)
	})
	if s.watch(ended) {
		_, _ = conn.Close(), s.node.Close() // what was written last may still be on its way
	}
}

func addressOf(a net.Addr) netip.AddrPort {
	address, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{} // of no TCP connection
	}
	return netip.AddrPortFrom(address.Addr().Unmap(), address.Port())
}

func (s *stream) side(w way, from *net.TCPConn) *side {
	return &side{stream: s, way: w, from: from, pieces: make(chan part, maxPieces), gone: make(chan struct{})}
}

// passable waits until nothing is cut between the two, as the segments that open a connection go both ways. false:
// it came to nothing before.
func (s *stream) passable() bool {
	for {
		out, changed := s.proxy.rule(s.out.way)
		back, _ := s.proxy.rule(s.back.way)
		if out.Reset || back.Reset {
			s.proxy.count(s.out.way.Pair, func(st *Stats) { st.Resets++ })
			return false
		}
		if !out.Cut && !back.Cut {
			return true
		}
		select {
		case <-changed:
		case <-s.out.gone:
			return false
		case <-s.ctx.Done():
			return false
		}
	}
}

// watch waits until both sides have ended in order, or something else ends the stream: false.
func (s *stream) watch(ended <-chan struct{}) bool {
	for {
		out, changed := s.proxy.rule(s.out.way)
		back, _ := s.proxy.rule(s.back.way)
		if out.Reset || back.Reset {
			s.proxy.count(s.out.way.Pair, func(st *Stats) { st.Resets++ })
			return false
		}
		select {
		case <-changed:
		case <-ended:
			return s.ctx.Err() == nil
		case <-s.ctx.Done():
			return false
		}
	}
}

// reset ends both connections at once; one that has ended in order is not touched by it.
func (s *stream) reset() {
	s.cancel()
	for _, conn := range []*net.TCPConn{s.maker, s.node} {
		if conn != nil {
			_ = conn.SetLinger(0) // the other end is told by a reset
			_ = conn.Close()
		}
	}
}

// read takes what comes, and notes when it is due.
func (s *side) read(framing *Framing) {
	defer close(s.gone)
	defer close(s.pieces)
	p := s.stream.proxy
	var longest time.Duration // of the frames in a piece
	decided := false          // whether there is such a frame
	f := newFramer(s.from, framing, func(size int) fate {
		of := p.fate(s.way, size)
		longest, decided = max(longest, of.delay), true
		return of
	})
	var last time.Time
	for {
		longest, decided = 0, false
		data, err := f.next()
		if err == nil && len(data) == 0 {
			continue
		}
		if !decided {
			longest = p.delay(s.way, len(data))
		}
		due := time.Now().Add(longest)
		if due.Before(last) {
			due = last
		}
		last = due
		if err != nil && s.stream.ctx.Err() != nil {
			return
		}
		select {
		case s.pieces <- part{data, due, err}:
		case <-s.stream.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// write passes on what is due, while it may.
func (s *side) write() {
	for piece := range s.pieces {
		if !s.wait(piece.due) {
			return
		}
		switch {
		case piece.end == nil:
			if _, err := s.to.Write(piece.data); err != nil {
				s.stream.cancel()
				return
			}
		case errors.Is(piece.end, io.EOF):
			_ = s.to.CloseWrite() // it has ended, too, if that fails
			return
		default:
			s.stream.cancel()
			return
		}
	}
}

// wait waits until a time has come and nothing is cut. false: the stream has ended before.
func (s *side) wait(due time.Time) bool {
	if d := time.Until(due); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.stream.ctx.Done():
			return false
		}
	}
	for {
		rule, changed := s.stream.proxy.rule(s.way)
		if !rule.Cut {
			return true
		}
		select {
		case <-changed:
		case <-s.stream.ctx.Done():
			return false
		}
	}
}
