package link

import (
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

// road is a connection on which what one end writes waits while it is shut.
type road struct {
	net.Conn
	mu   sync.Mutex
	open *sync.Cond
	shut bool
	held [][]byte
	over bool
}

func newRoad(conn net.Conn, shut bool) *road {
	r := &road{Conn: conn, shut: shut}
	r.open = sync.NewCond(&r.mu)
	go r.carry()
	return r
}

func (r *road) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = append(r.held, append([]byte(nil), b...))
	r.open.Signal()
	return len(b), nil
}

func (r *road) Close() error {
	r.mu.Lock()
	r.over = true
	r.open.Signal()
	r.mu.Unlock()
	return r.Conn.Close()
}

func (r *road) set(shut bool) {
	r.mu.Lock()
	r.shut = shut
	r.open.Signal()
	r.mu.Unlock()
}

func (r *road) carry() {
	for {
		r.mu.Lock()
		for !r.over && (r.shut || len(r.held) == 0) {
			r.open.Wait()
		}
		if r.over {
			r.mu.Unlock()
			return
		}
		next := r.held[0]
		r.held = r.held[1:]
		r.mu.Unlock()
		if _, err := r.Conn.Write(next); err != nil {
			return
		}
	}
}

// pair are two streams in a bubble, of which a sends to b, with what has come there: a line of text and its age.
type pair struct {
	a, b *Stream
	road chan *road  // of each connection of a's
	shut atomic.Bool // whether the next one begins so
	mu   sync.Mutex
	got  []string
}

var toB = cluster.Member{Name: "b", Boot: 2, Peer: "10.0.0.1:7947"}

func newPair(t *testing.T) *pair {
	w, p := &pair{road: make(chan *road, 8)}, newPipes()
	var err error
	if w.b, err = Listen(StreamConfig{Node: "b", Boot: 2, listener: p, Timeout: time.Minute}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.b.Close)
	if err := w.b.Start(func(_ string, e []byte, age time.Duration) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.got = append(w.got, fmt.Sprint(string(e), " ", age.Round(100*time.Millisecond)))
	}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Hour) // the clocks of the two have nothing in common
	w.a, err = Listen(StreamConfig{Node: "a", Boot: 1, listener: newPipes(), Timeout: time.Minute, dial: w.dial(p)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.a.Close)
	return w
}

func (w *pair) dial(p *pipes) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := p.dial(ctx, address)
		if err != nil {
			return nil, err
		}
		r := newRoad(conn, w.shut.Load())
		w.road <- r
		return r, nil
	}
}

func (w *pair) send(t *testing.T, text string) {
	t.Helper()
	if err := w.a.Send(toB, []byte(text)); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func (w *pair) is(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if fmt.Sprint(w.got) != fmt.Sprint(want) {
		t.Errorf("%q have come, want %q", w.got, want)
	}
	w.got = nil
}

// TestHeldBack: what a network, a queue or a new connection holds back comes with its age, what follows without, and so
// does what crosses a slow network that was never faster.
func TestHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPair(t)
		w.a.SetPeers([]cluster.Member{toB})
		way := <-w.road
		synctest.Wait()
		w.send(t, "quick")
		w.is(t, "quick 0s")
		way.set(true)
		w.send(t, "first")
		time.Sleep(2 * time.Second)
		w.send(t, "second")
		time.Sleep(time.Second)
		w.is(t)
		way.set(false)
		synctest.Wait()
		w.send(t, "after")
		w.is(t, "first 3s", "second 1s", "after 0s")

		w.a.SetPeers(nil) // another connection, of the same starts
		synctest.Wait()
		w.shut.Store(true)
		w.a.SetPeers([]cluster.Member{toB})
		w.send(t, "before the connection stands") // and the hello is held back too
		way = <-w.road
		time.Sleep(3 * time.Second)
		w.is(t)
		way.set(false)
		synctest.Wait()
		time.Sleep(time.Second)
		w.is(t, "before the connection stands 3s")
	})
}

// TestSlowNetwork: what takes long as ever is not older for that.
func TestSlowNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, clock := &offset{}, ticks(1)
		for range 3_600 {
			clock += ticks(time.Second / time.Microsecond)
			d := dated{offset: o, stamp: clock}
			d.least = o.hear(clock+400_000, clock)
			if age := d.age(clock + 400_000); age != 0 {
				t.Fatalf("it is %v old", age)
			}
		}
	})
}

// TestClocks: clocks that drift apart, and one that has stood still, count as what they are before long.
func TestClocks(t *testing.T) {
	for _, drift := range []int64{-200, 200} { // ppm
		o := &offset{}
		for second := int64(1); second < 100_000; second++ {
			stamp := ticks(second * 1_000_000)
			now := stamp + ticks(second*drift)
			d := dated{offset: o, stamp: stamp}
			d.least = o.hear(now, stamp)
			if age := d.age(now); age != 0 {
				t.Fatalf("after %d s at %d ppm it is %v old", second, drift, age)
			}
			if age := d.age(now + 3_000_000); age < 3*time.Second-tolerance || age > 3*time.Second-stampEvery {
				t.Fatalf("after %d s at %d ppm what was held back for 3 s is %v old", second, drift, age)
			}
		}
	}
	o, now := &offset{}, ticks(1_000_000)
	for second := range 300 {
		now += 1_000_000
		stamp := now
		if second >= 100 {
			stamp -= 10_000_000 // the sender's machine stood still
		}
		d := dated{offset: o, stamp: stamp}
		d.least = o.hear(now, stamp)
		if age := d.age(now); second > 100+2*60 && age != 0 {
			t.Fatalf("%d s after a stop of 10 s it is %v old", second-100, age)
		}
	}
}

// TestStamps: a stamp that no clock says ends the connection, and one that does says nothing of a peer without a clock.
func TestStamps(t *testing.T) {
	d := dated{offset: new(offset)}
	for _, body := range [][]byte{nil, make([]byte, 7), make([]byte, 8), {255, 255, 255, 255, 255, 255, 255, 255}} {
		if err := d.read(1, body); !errors.Is(err, errGarbage) || d.stamp != 0 {
			t.Errorf("%x: %v", body, err)
		}
	}
	if err := d.read(9, []byte{0, 0, 0, 0, 0, 0, 0, 5, 77}); err != nil || d.stamp != 5 || d.least != 4*time.Microsecond {
		t.Errorf("%+v, %v", &d, err)
	}
	var none dated
	if err := none.read(9, make([]byte, 7)); err == nil || none.age(1<<40) != 0 {
		t.Error("a peer without a clock")
	}
	if err := none.read(9, []byte{0, 0, 0, 0, 0, 0, 0, 5}); err != nil || none.age(1<<40) != 0 {
		t.Errorf("a peer without a clock: %v, %v old", err, none.age(1<<40))
	}
}

// TestOffsetsAreBounded: names that come and go leave nothing behind for long, and a start has a clock of its own.
func TestOffsetsAreBounded(t *testing.T) {
	s := &Stream{config: StreamConfig{MaxPeers: 4}, offsets: map[string]*offset{}}
	for i := range 100 {
		s.offset(fmt.Sprint(i), 1)
	}
	if len(s.offsets) > 8 {
		t.Errorf("%d are kept", len(s.offsets))
	}
	if o := s.offset("a", 1); o != s.offset("a", 1) || o == s.offset("a", 2) {
		t.Error("a start has another one's clock, or none for long")
	}
}

// TestOldPeerGetsNoStamps: a node of the version before says nothing of a clock, and is not bothered.
func TestOldPeerGetsNoStamps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		a, err := Listen(StreamConfig{Node: "a", Boot: 1, listener: newPipes(), dial: p.dial})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		a.SetPeers([]cluster.Member{toB})
		conn, err := p.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		r := newFrameReader(conn)
		if hello, err := readHello(r); err != nil || hello.GetClockUs() == 0 {
			t.Fatalf("the hello says %v, %v", hello, err)
		}
		old := []byte{0x10, 1, 0x28, 0xff, 0xff, 3} // version 1, 65,535 bytes at most
		if _, err := conn.Write(append(appendHeader(nil, frameAnswer, len(old)), old...)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for range 3 {
			if err := a.Send(toB, []byte("x")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond)
			if frame, body, err := r.next(100); err != nil || frame != frameEnvelope || string(body) != "x" {
				t.Errorf("a frame %d: %q, %v", frame, body, err)
			}
		}
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		p.pulled.Store(true)
	})
}
