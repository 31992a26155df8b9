package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/internal/rawio"
	"github.com/ringfleet/ringfleet/internal/wake"
)

// peer is the connection to one member in one of its starts.
type peer struct {
	stream *Stream
	member cluster.Member
	ctx    context.Context // ends when the member goes
	cancel context.CancelFunc
	wake   chan struct{} // a hint that something waits

	mu      sync.Mutex
	waiting blocks       // frames
	urgent  bool         // some of them are not to wait for others
	down    bool         // the last attempt has failed: nothing is taken
	up      bool         // a connection stands
	most    int          // bytes of an envelope that the member takes
	try     rawio.Writer // the connection, if it can be written to without blocking
	writing bool         // somebody writes batch
	handed  bool         // who began to write batch has left the rest to run
	fault   error        // why it could not be written

	unstamped bool  // the member reads no stamps
	stamped   ticks // the last stamp that was put into waiting; 0: none since that was emptied

	batch   blocks // what is being written, by whoever has set writing
	written int    // bytes of its first block that were written
}

func newPeer(s *Stream, m cluster.Member) *peer {
	p := &peer{stream: s, member: m, wake: make(chan struct{}, 1), most: s.config.MaxEnvelope}
	p.ctx, p.cancel = context.WithCancel(s.ctx)
	return p
}

func (p *peer) load() (queued int, up bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting.bytes, p.up
}

// send appends an envelope to what waits; later says that it may wait for the next one.
func (p *peer) send(envelope []byte, later bool) error {
	p.mu.Lock()
	switch {
	case p.down:
		p.mu.Unlock()
		return cluster.ErrUnreachable
	case len(envelope) > p.most:
		p.mu.Unlock()
		return cluster.ErrTooLarge
	case p.waiting.bytes+len(envelope)+2*frameHeader+stampSize > p.stream.config.Queue:
		p.mu.Unlock()
		p.stream.counts.busy.Add(1)
		return cluster.ErrBusy
	}
	p.stampLocked()
	p.waiting.add(frameEnvelope, envelope)
	try := p.try != nil
	later = later && p.waiting.bytes < blockSize/2
	p.urgent = p.urgent || !later
	p.mu.Unlock()
	if later {
		p.stream.wait()
	} else if !try || !p.stream.settles() {
		p.rouse()
	}
	return nil
}

// rouse has run write.
func (p *peer) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run connects, and connects again, until the member goes.
func (p *peer) run() {
	defer p.fail()
	backoff := firstBackoff
	for p.ctx.Err() == nil {
		conn, reader, err := p.connect()
		if err == nil {
			backoff = firstBackoff
			p.stream.config.Logger.Debug("connected to a peer", slog.String("peer", p.member.Name))
			err = p.serve(conn, reader)
		}
		p.fail()
		if p.ctx.Err() != nil {
			return
		}
		p.broken(err)
		select {
		case <-p.ctx.Done():
		case <-time.After(backoff/2 + rand.N(backoff)):
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// broken counts, logs and tells that a connection could not be made, or broke.
func (p *peer) broken(err error) {
	p.stream.counts.broken.Add(1)
	p.stream.once.Log(slog.LevelInfo, "broken "+p.member.Name+" "+err.Error(), "no connection to a peer",
		slog.String("peer", p.member.Name), slog.String("address", p.member.Peer), slog.Any("error", err))
	if provesDeath(err) {
		p.stream.config.Evidence(p.member.Name, p.member.Boot, err)
	}
}

// fail drops what waits and takes no more until the next connection stands.
func (p *peer) fail() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stream.counts.dropped.Add(uint64(p.waiting.count))
	p.waiting.clear()
	p.stamped = 0
	p.down, p.up, p.try, p.fault = true, false, nil, nil
	if p.handed {
		p.abandonLocked()
	}
}

// connect makes a connection and says hello.
func (p *peer) connect() (net.Conn, *frameReader, error) {
	s := p.stream
	ctx, cancel := context.WithTimeout(p.ctx, dialTimeout)
	defer cancel()
	raw, err := s.config.dial(ctx, p.member.Peer)
	if err != nil {
		return nil, nil, fmt.Errorf("connect: %w", err)
	}
	stop := context.AfterFunc(p.ctx, func() { _ = raw.Close() }) // ends what is under way
	defer stop()
	conn, reader, err := p.greet(ctx, raw)
	if err != nil {
		_ = raw.Close() // the first error tells more
		return nil, nil, err
	}
	return conn, reader, nil
}

// greet says hello, inside TLS if that is configured.
func (p *peer) greet(ctx context.Context, conn net.Conn) (net.Conn, *frameReader, error) {
	s := p.stream
	if err := conn.SetDeadline(time.Now().Add(s.config.Timeout)); err != nil {
		return nil, nil, fmt.Errorf("set a deadline: %w", err)
	}
	if s.config.TLS != nil {
		config, err := s.config.TLS.client()
		if err != nil {
			return nil, nil, err
		}
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, nil, fmt.Errorf("TLS: %w", err)
		}
		conn = secure
	}
	hello, err := s.hello(p.member)
	if err != nil {
		return nil, nil, err
	}
	if _, err := conn.Write(hello); err != nil {
		return nil, nil, fmt.Errorf("say hello: %w", err)
	}
	reader := newFrameReader(conn)
	answer, err := readAnswer(reader)
	if err != nil {
		return nil, nil, err
	}
	if clock := ticks(answer.GetClockUs()); clock > 0 {
		s.offset(p.member.Name, p.member.Boot).hear(s.now(), clock)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, nil, fmt.Errorf("clear a deadline: %w", err)
	}
	p.mu.Lock()
	p.down, p.up, p.most = false, true, int(min(answer.GetMaxEnvelope(), maxFrame))
	p.unstamped = answer.GetClockUs() == 0
	p.mu.Unlock()
	return conn, reader, nil
}

// errSilent is the error of a connection on which nothing was heard.
var errSilent = errors.New("nothing was heard in time")

// serve writes what waits until the connection breaks or the member goes.
func (p *peer) serve(conn net.Conn, reader *frameReader) error {
	var heard atomic.Int64 // since the start, in nanoseconds
	start := time.Now()
	ended := make(chan error, 1)
	p.stream.running.Go(func() { ended <- listen(reader, func() { heard.Store(int64(time.Since(start))) }) })
	defer conn.Close()
	ping := time.NewTimer(wake.Next(p.stream.config.Ping))
	defer ping.Stop()
	try, _ := conn.(rawio.Writer)
	p.mu.Lock()
	p.try = try
	p.mu.Unlock()
	p.rouse() // for what was sent before
	for {
		select {
		case <-p.ctx.Done():
			return p.ctx.Err()
		case err := <-ended:
			return fmt.Errorf("broken: %w", err)
		case <-p.wake:
		case <-ping.C:
			ping.Reset(wake.Next(p.stream.config.Ping))
			if time.Since(start)-time.Duration(heard.Load()) > p.stream.config.Timeout {
				return errSilent
			}
			p.mu.Lock()
			p.stampLocked()
			p.waiting.add(framePing, nil)
			p.mu.Unlock()
		}
		if err := p.write(conn); err != nil {
			return err
		}
	}
}

// listen reads the pongs of a peer until the connection ends.
func listen(reader *frameReader, heard func()) error {
	for {
		if _, _, err := reader.next(maxHello); err != nil {
			return err
		}
		heard()
	}
}
