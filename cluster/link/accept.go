package link

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/ringfleet/ringfleet/internal/rawio"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

// inbound is a connection that a peer has made.
type inbound struct {
	conn net.Conn
	node string
	boot uint64
	time dated // of what comes, once it is seated
}

// accept takes connections until the link is closed.
func (s *Stream) accept() {
	for {
		conn, err := s.listener.Accept()
		if s.ctx.Err() != nil {
			if err == nil {
				_ = conn.Close() // it came while the link was closed
			}
			return
		}
		if err != nil {
			s.once.Log(slog.LevelWarn, "accept", "accept a connection of a peer", slog.Any("error", err))
			select {
			case <-s.ctx.Done():
			case <-time.After(firstBackoff): // out of file descriptors, most likely
			}
			continue
		}
		conn = rawio.Conn(conn)
		if !s.enter(conn) {
			// Or the link was closed just now, and this is not worth a word.
			s.refuse("strangers", conn.RemoteAddr(), errors.New("too many connections that said no hello"))
			_ = conn.Close() // nothing was said on it
			continue
		}
		s.running.Go(func() {
			defer s.leave(conn)
			s.attend(conn)
		})
	}
}

// enter counts a connection whose hello is to come. false: there are too many.
func (s *Stream) enter(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.strangers >= maxStrangers || s.ctx.Err() != nil {
		return false
	}
	s.strangers++
	s.conns[conn] = true
	return true
}

func (s *Stream) leave(conn net.Conn) {
	_ = conn.Close() // nothing is left to be said
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// attend serves a connection until it ends.
func (s *Stream) attend(raw net.Conn) {
	conn, reader, in, err := s.welcome(raw)
	s.mu.Lock()
	s.strangers--
	s.mu.Unlock()
	if err != nil {
		if s.ctx.Err() == nil {
			s.refuse(causeOf(err), raw.RemoteAddr(), err)
		}
		return
	}
	if in == nil {
		return // was refused, and told so
	}
	err = s.take(conn, reader, in)
	if current := s.unseat(in); !current || s.ctx.Err() != nil {
		return // the peer has another connection by now, or the link is closed
	}
	if errors.Is(err, errGarbage) {
		s.refuse(causeOf(err), raw.RemoteAddr(), err, slog.String("peer", in.node))
		return
	}
	s.config.Evidence(in.node, in.boot, fmt.Errorf("its connection broke: %w", err))
}

// causeOf returns what errors of one cause have in common: all but addresses.
func causeOf(err error) string {
	var op *net.OpError
	switch {
	case errors.Is(err, errGarbage):
		return "garbage"
	case errors.As(err, &op):
		return "handshake " + op.Op + " " + op.Err.Error()
	}
	return "handshake " + err.Error()
}

// welcome reads a hello and answers it. in is nil if the answer was a refusal.
func (s *Stream) welcome(raw net.Conn) (conn net.Conn, reader *frameReader, in *inbound, err error) {
	conn = raw
	if err := raw.SetDeadline(time.Now().Add(s.config.Timeout)); err != nil {
		return nil, nil, nil, fmt.Errorf("set a deadline: %w", err)
	}
	if s.config.TLS != nil {
		secure := tls.Server(raw, s.config.TLS.server())
		if err := secure.HandshakeContext(s.ctx); err != nil {
			return nil, nil, nil, fmt.Errorf("TLS: %w", err)
		}
		conn = secure
	}
	wait := &patient{conn: conn}
	reader = newFrameReader(wait)
	hello, err := readHello(reader)
	if err != nil {
		return nil, nil, nil, err
	}
	in = &inbound{conn: raw, node: hello.GetNode(), boot: hello.GetBoot()}
	came := s.now()
	refusal := s.judge(hello)
	if refusal == peerpb.Refusal_REFUSAL_UNSPECIFIED {
		refusal = s.seat(in)
	}
	answer, err := s.answer(refusal)
	if err == nil {
		_, err = conn.Write(answer)
	}
	if err != nil {
		s.unseat(in)
		return nil, nil, nil, fmt.Errorf("answer a hello: %w", err)
	}
	if refusal != peerpb.Refusal_REFUSAL_UNSPECIFIED {
		s.turnAway(raw, hello, refusal)
		return nil, nil, nil, nil
	}
	if clock := ticks(hello.GetClockUs()); clock > 0 {
		in.time.offset = s.offset(in.node, in.boot)
		in.time.offset.hear(came, clock)
	}
	wait.most = s.config.Timeout
	s.config.Logger.Debug("a peer has connected", slog.String("peer", in.node))
	return conn, reader, in, nil
}

// turnAway logs a refusal. Strangers are no news: a node that joins, or was away, is one for a moment.
func (s *Stream) turnAway(raw net.Conn, hello *peerpb.Hello, refusal peerpb.Refusal) {
	if refusal == peerpb.Refusal_REFUSAL_STRANGER || refusal == peerpb.Refusal_REFUSAL_NODE {
		s.counts.refused.Add(1)
		s.config.Logger.Debug("a peer is refused", slog.String("peer", hello.GetNode()), slog.Any("error", &refusedError{refusal}))
		return
	}
	s.refuse(refusal.String(), raw.RemoteAddr(), &refusedError{refusal}, slog.String("peer", hello.GetNode()),
		slog.String("cluster", hello.GetCluster()))
}

// seat makes a connection the peer's only one, and ends an older one.
func (s *Stream) seat(in *inbound) peerpb.Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.inbound[in.node]
	if old == nil && len(s.inbound) >= s.config.MaxPeers {
		return peerpb.Refusal_REFUSAL_FULL
	}
	if old != nil {
		_ = old.conn.Close() // to end its reader
	}
	s.inbound[in.node] = in
	return peerpb.Refusal_REFUSAL_UNSPECIFIED
}

// unseat forgets a connection, and reports whether it was still the peer's.
func (s *Stream) unseat(in *inbound) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inbound[in.node] != in {
		return false
	}
	delete(s.inbound, in.node)
	return true
}

// take hands over what a peer sends until the connection ends.
func (s *Stream) take(conn net.Conn, reader *frameReader, in *inbound) error {
	pong := appendHeader(nil, framePong, 0)
	come := arrivals{stream: s, reader: reader, from: in.node, time: in.time}
	hand := come.hand // made once, as each would be an allocation
	for {
		t, body, err := reader.next(s.config.MaxEnvelope)
		if err != nil {
			return err
		}
		switch t {
		case frameEnvelope:
			come.first = body
			if s.config.Turns != nil {
				s.config.Turns.Help(hand)
			} else {
				hand()
			}
			if come.err != nil {
				return come.err
			}
		case frameStamp:
			if err := come.time.read(s.now(), body); err != nil {
				return err
			}
		case framePing:
			if err := conn.SetWriteDeadline(time.Now().Add(s.config.Timeout)); err != nil {
				return fmt.Errorf("set a deadline: %w", err)
			}
			if _, err := conn.Write(pong); err != nil {
				return fmt.Errorf("answer a ping: %w", err)
			}
		default:
			s.counts.skipped.Add(1)
		}
	}
}

// arrivals are the envelopes that have come together from a peer.
type arrivals struct {
	stream *Stream
	reader *frameReader
	from   string
	time   dated
	first  []byte
	err    error
}

// hand hands them over.
func (a *arrivals) hand() {
	t, body := frameEnvelope, a.first
	for a.err == nil {
		if now := a.stream.now(); t == frameStamp {
			a.err = a.time.read(now, body)
		} else {
			a.stream.counts.received.Add(1)
			a.stream.receive(a.from, body, a.time.age(now))
		}
		if a.err != nil || !a.reader.ready() {
			return
		}
		t, body, a.err = a.reader.next(a.stream.config.MaxEnvelope)
	}
}

// patient reads from a connection, each time for at most a while; 0: by the deadline that is set.
type patient struct {
	conn net.Conn
	most time.Duration
}

var _ io.Reader = (*patient)(nil)

func (p *patient) Read(b []byte) (int, error) {
	if p.most > 0 {
		if err := p.conn.SetReadDeadline(time.Now().Add(p.most)); err != nil {
			return 0, fmt.Errorf("set a deadline: %w", err)
		}
	}
	return p.conn.Read(b)
}
