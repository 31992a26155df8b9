package faultproxy_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/internal/faultproxy"
)

func asTimeout(err error, timeout *net.Error) bool {
	return errors.As(err, timeout) && (*timeout).Timeout()
}

// TestStreamsPass: both directions, a lot of data, an end of one side alone, and the end.
func TestStreamsPass(t *testing.T) {
	w := newWorld(t)
	b := w.server("b", nil)
	maker, node := b.pair("a")
	w.write(maker, "question")
	w.read(node, "question")
	if err := maker.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := w.ended(node); !errors.Is(err, io.EOF) {
		t.Errorf("the end of one side is %v", err)
	}
	answer := strings.Repeat("answer ", 1<<20)
	go func() {
		_, _ = node.Write([]byte(answer)) // what does not arrive is missed below
		_ = node.Close()
	}()
	got, err := io.ReadAll(maker)
	if err != nil || string(got) != answer {
		t.Errorf("read %d bytes of %d, %v", len(got), len(answer), err)
	}
	if s := w.proxy.Stats()[faultproxy.Pair{From: "a", To: "b"}]; s.Connections != 1 || s.Bytes != 8 {
		t.Errorf("counted %+v", s)
	}
}

// TestStreamsAreReset: an end out of order is passed on as one, a node that is not there is one, and so is
// a rule.
func TestStreamsAreReset(t *testing.T) {
	w := newWorld(t)
	b := w.server("b", nil)
	maker, node := b.pair("a")
	if err := node.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	_ = node.Close()
	if err := w.ended(maker); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a reset is passed on as %v", err)
	}
	maker, node = b.pair("a")
	other, _ := b.pair("c")
	w.proxy.Set("b", "a", faultproxy.Rule{Reset: true}) // either direction ends it
	for _, conn := range []*net.TCPConn{maker, node, b.dial("a")} {
		if err := w.ended(conn); err == nil {
			t.Error("not reset by a rule")
		}
	}
	w.silent(other)
	w.proxy.Clear()
	_ = b.listener.Close()
	if err := w.ended(b.dial("a")); err == nil {
		t.Error("a connection to nobody stands")
	}
	if s := w.proxy.Stats()[faultproxy.Pair{From: "a", To: "b"}]; s.Resets != 2 {
		t.Errorf("counted %+v", s)
	}
	w.proxy.Close()
	if err := w.ended(other); err == nil {
		t.Error("a connection outlives the proxy")
	}
}

// TestStreamsStandStill: a cut holds one direction of a stream, its end included, and nothing is lost.
func TestStreamsStandStill(t *testing.T) {
	w := newWorld(t)
	b := w.server("b", nil)
	maker, node := b.pair("a")
	w.proxy.Set("a", "b", faultproxy.Rule{Cut: true})
	w.write(maker, "held")
	w.write(node, "passes")
	w.read(maker, "passes")
	if err := maker.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	w.silent(node)
	w.proxy.Set("a", "b", faultproxy.Rule{})
	w.read(node, "held")
	if err := w.ended(node); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
}

// TestNoStreamsThroughACut: a connection that is made during a cut of either direction arrives after it, unless
// its maker has given up.
func TestNoStreamsThroughACut(t *testing.T) {
	w := newWorld(t)
	b := w.server("b", nil)
	for _, cut := range []faultproxy.Pair{{From: "a", To: "b"}, {From: "b", To: "a"}} {
		w.proxy.Set(cut.From, cut.To, faultproxy.Rule{Cut: true})
		given, patient := b.dial("a"), b.dial("a")
		w.write(given, "given up")
		w.write(patient, "patient")
		_ = given.Close()
		if conn := b.taken(quiet); conn != nil {
			t.Fatal("a connection came through a cut")
		}
		w.proxy.Clear()
		conn := b.taken(limit)
		if conn == nil {
			t.Fatal("no connection came after the cut")
		}
		w.read(conn, "patient")
		if conn := b.taken(quiet); conn != nil {
			t.Error("a connection came that was given up")
		}
	}
}

// TestStreamsAreDelayed: what is delayed comes later, in order.
func TestStreamsAreDelayed(t *testing.T) {
	w := newWorld(t)
	b := w.server("b", nil)
	maker, node := b.pair("a")
	const delay = 100 * time.Millisecond
	w.proxy.Set("a", "b", faultproxy.Rule{Delay: delay, Jitter: delay})
	begin := time.Now()
	for _, word := range []string{"one", "two", "three", "four"} {
		w.write(maker, word)
		runtime.Gosched()
	}
	w.read(node, "onetwothreefour")
	if took := time.Since(begin); took < delay {
		t.Errorf("took %v", took)
	}
}

// framing is of frames with one byte that says whether they are loose, and one for their length.
var framing = &faultproxy.Framing{
	Prefix: []byte("magic"), Header: 2,
	Frame: func(h []byte) (int, bool, bool) { return int(h[1]), h[0] == 1, h[0] <= 1 },
}

func frame(loose byte, number uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{loose, 4}, number)
}

// TestFrames: whole frames are lost, doubled and reordered, others pass, and what is no frame, too.
func TestFrames(t *testing.T) {
	w := newWorld(t)
	b := w.server("b", framing)
	w.proxy.Set("a", "b", faultproxy.Rule{Drop: 0.2, Duplicate: 0.2, Reorder: 0.2})
	maker, node := b.pair("a")
	const count = 2_000
	text := []byte("magic")
	for i := range uint32(count) {
		text = append(text, frame(1, i)...)
		if i%10 == 0 {
			text = append(text, frame(0, i)...)
		}
	}
	go func() {
		for len(text) > 0 { // in pieces that are no frames
			n := min(len(text), 777)
			_, _ = maker.Write(text[:n]) // what does not arrive is missed below
			text = text[n:]
		}
		_, _ = maker.Write(append([]byte{9}, "no frames any more"...))
		_ = maker.Close()
	}()
	got, err := io.ReadAll(node)
	if err != nil {
		t.Fatal(err)
	}
	rest, ok := bytes.CutPrefix(got, []byte("magic"))
	if !ok {
		t.Fatalf("it begins with %q", got[:min(len(got), 20)])
	}
	var firm uint32
	came, back, last := map[uint32]int{}, 0, uint32(0)
	for ; len(rest) >= 6 && rest[0] <= 1; rest = rest[6:] {
		n := binary.BigEndian.Uint32(rest[2:])
		if rest[0] == 0 {
			if n != firm*10 {
				t.Fatalf("after %d firm frames comes %d", firm, n)
			}
			firm++
			continue
		}
		if n < last {
			back++
		}
		last = n
		came[n]++
	}
	if string(rest) != "\x09no frames any more" {
		t.Errorf("it ends with %q", rest[:min(len(rest), 40)])
	}
	twice := 0
	for _, times := range came {
		twice += times - 1
	}
	if lost := count - len(came); firm != count/10 || lost < 300 || lost > 500 || twice < 150 || twice > 450 || back < 100 {
		t.Errorf("%d firm frames; of %d loose ones were %d lost, %d doubled, %d out of order", firm, count, lost, twice, back)
	}
}

// TestFramesUntouched: without a rule a framed stream passes byte for byte, whatever is in it.
func TestFramesUntouched(t *testing.T) {
	w := newWorld(t)
	b := w.server("b", framing)
	for _, text := range []string{
		"magic" + string(frame(1, 7)) + string(frame(0, 8)), string(frame(1, 7)), "\x16\x03\x01 like TLS", "mag", "magic",
		"magic" + string(frame(1, 7)[:1]), "m\x00", "magic\x09",
	} {
		maker, node := b.pair("a")
		w.write(maker, text)
		if err := maker.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		w.write(node, text)
		_ = node.CloseWrite() // the read below shows
		for what, conn := range map[string]*net.TCPConn{"out": node, "back": maker} {
			if got, err := io.ReadAll(conn); err != nil || string(got) != text {
				t.Errorf("%s: %q became %q, %v", what, text, got, err)
			}
		}
	}
}
