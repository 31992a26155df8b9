package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
)

// pipes is a listener and its dialer in memory, with a cable that can be pulled.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
	pulled   atomic.Bool
}

func newPipes() *pipes {
	return &pipes{accepted: make(chan net.Conn, 16), closed: make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 7947} }

func (p *pipes) dial(ctx context.Context, _ string) (net.Conn, error) {
	if p.pulled.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	here, there := net.Pipe()
	p.accepted <- cable{there, p}
	return cable{here, p}, nil
}

// cable loses what is written once it was pulled.
type cable struct {
	net.Conn
	p *pipes
}

func (c cable) Write(b []byte) (int, error) {
	if c.p.pulled.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// TestSilence: a cable that is pulled, without a word from anybody, is noticed on both sides within the timeout
// and a ping; what stands idle for an hour stays.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		var mu sync.Mutex
		evidence := map[string]time.Duration{}
		start := time.Now()
		listen := func(node string, c StreamConfig) *Stream {
			c.Node, c.Boot = node, 1
			c.Evidence = func(about string, _ uint64, _ error) {
				mu.Lock()
				defer mu.Unlock()
				if what := node + " about " + about; evidence[what] == 0 {
					evidence[what] = time.Since(start)
				}
			}
			s, err := Listen(c)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		b := listen("b", StreamConfig{listener: p})
		defer b.Close()
		var got atomic.Int64
		if err := b.Start(func(string, []byte, time.Duration) { got.Add(1) }); err != nil {
			t.Fatal(err)
		}
		a := listen("a", StreamConfig{listener: newPipes(), dial: p.dial})
		defer a.Close()
		member := cluster.Member{Name: "b", Boot: 1, Peer: "10.0.0.1:7947"}
		a.SetPeers([]cluster.Member{member})
		time.Sleep(time.Hour)
		if a.Stats().Connected != 1 || len(evidence) != 0 {
			t.Fatalf("after an idle hour: %+v, %v", a.Stats(), evidence)
		}
		if err := a.Send(member, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got.Load() != 1 {
			t.Error("nothing has arrived")
		}
		mu.Lock()
		start = time.Now()
		mu.Unlock()
		p.pulled.Store(true)
		time.Sleep(7 * time.Second)
		mu.Lock()
		for _, what := range []string{"a about b", "b about a"} {
			if took := evidence[what]; took == 0 || took > 6*time.Second+10*time.Millisecond {
				t.Errorf("%s: evidence after %v", what, took)
			}
		}
		t.Logf("evidence after a cable was pulled: %v", evidence)
		mu.Unlock()
		if err := a.Send(member, nil); !errors.Is(err, cluster.ErrUnreachable) {
			t.Errorf("sent into a pulled cable: %v", err)
		}
		p.pulled.Store(false)
		time.Sleep(6 * time.Second)
		if err := a.Send(member, []byte("again")); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got.Load() != 2 {
			t.Error("nothing has arrived after it was mended")
		}
	})
}

// TestStuckWriter: a peer that stops reading is given up, and nobody waits for it.
func TestStuckWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		evidence := make(chan error, 10)
		a, err := Listen(StreamConfig{
			Node: "a", Boot: 1, listener: newPipes(), dial: p.dial, Evidence: func(_ string, _ uint64, err error) { evidence <- err },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		go func() { // says the right things, then nothing
			conn, err := p.Accept()
			if err != nil {
				return
			}
			b := &Stream{config: StreamConfig{Node: "b", Boot: 1, MaxEnvelope: 1000}}
			if _, err := readHello(newFrameReader(conn)); err != nil {
				t.Error(err)
			}
			answer, err := b.answer(0)
			if err != nil {
				t.Error(err)
			}
			if _, err := conn.Write(answer); err != nil {
				t.Error(err)
			}
		}()
		member := cluster.Member{Name: "b", Boot: 1, Peer: "10.0.0.1:7947"}
		a.SetPeers([]cluster.Member{member})
		synctest.Wait()
		start := time.Now()
		for range 10 {
			if err := a.Send(member, make([]byte, 900)); err != nil {
				t.Fatal(err)
			}
		}
		if time.Since(start) != 0 {
			t.Error("Send has waited")
		}
		if err := <-evidence; err == nil {
			t.Error("evidence of nothing")
		}
		if took := time.Since(start); took > 6*time.Second {
			t.Errorf("given up after %v", took)
		}
		synctest.Wait()
		if s := a.Stats(); s.Dropped != 10 || s.Connected != 0 {
			t.Errorf("counted %+v", s)
		}
		p.pulled.Store(true)
	})
}

// TestUnknownFrames: frames of a newer version are skipped.
func TestUnknownFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		b, err := Listen(StreamConfig{Cluster: "c", Node: "b", Boot: 2, listener: p})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		var got []string
		if err := b.Start(func(from string, e []byte, _ time.Duration) { got = append(got, from+":"+string(e)) }); err != nil {
			t.Fatal(err)
		}
		conn, err := p.dial(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		a := &Stream{config: StreamConfig{Cluster: "c", Node: "a", Boot: 1}}
		hello, err := a.hello(cluster.Member{Name: "b", Boot: 2})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(hello); err != nil {
			t.Fatal(err)
		}
		if answer, err := readAnswer(newFrameReader(conn)); err != nil || answer.GetMaxEnvelope() != cluster.DefaultMaxEnvelope {
			t.Fatalf("answered %v, %v", answer, err)
		}
		frames := append(appendHeader(nil, 99, 3), "new"...)
		frames = append(appendHeader(frames, frameEnvelope, 5), "hello"...)
		if _, err := conn.Write(frames); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if fmt.Sprint(got) != "[a:hello]" || b.Stats().Skipped != 1 {
			t.Errorf("received %v, counted %+v", got, b.Stats())
		}
	})
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("ringpeer\x01\x00\x00\x02\xff\xff"))
	hello, err := (&Stream{config: StreamConfig{Cluster: "c", Node: "a", Boot: 1}}).hello(cluster.Member{Name: "b"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(hello, "\x03\x00\x00\x01x\x04\x00\x00\x00\x09\x00\x01\x00"...))
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 70_000
		r := newFrameReader(bytes.NewReader(data))
		if _, err := readHello(r); err != nil {
			return
		}
		read := 0
		for {
			_, body, err := r.next(limit)
			if err != nil {
				if !errors.Is(err, errGarbage) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatalf("an untyped error: %v", err)
				}
				return
			}
			if read += frameHeader + len(body); len(body) > limit || read > len(data) {
				t.Fatalf("read %d bytes of %d", read, len(data))
			}
		}
	})
}
