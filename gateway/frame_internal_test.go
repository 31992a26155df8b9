package gateway

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet/invitation"
)

// TestHeaders compares both directions of the frame codec with the library's.
func TestHeaders(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 1 << 20} {
		payload := bytes.Repeat([]byte("x"), n)
		want, err := ws.CompileFrame(ws.NewBinaryFrame(payload))
		if err != nil {
			t.Fatal(err)
		}
		for _, before := range []string{"", "earlier frames"} {
			b := append([]byte(before), make([]byte, headerRoom)...)
			b = frameAround(append(b, payload...), len(before), ws.OpBinary)
			if string(b[:len(before)]) != before || !bytes.Equal(b[len(before):], want) {
				t.Errorf("%d bytes after %q: wrong", n, before)
			}
		}
		for _, masked := range []bool{false, true} {
			h := ws.Header{Fin: true, OpCode: ws.OpText, Masked: masked, Length: int64(n), Rsv: 5}
			if masked {
				h.Mask = [4]byte{1, 2, 3, 4}
			}
			var w bytes.Buffer
			if err := ws.WriteHeader(&w, h); err != nil {
				t.Fatal(err)
			}
			for cut := range w.Len() {
				if _, size, err := parseHeader(w.Bytes()[:cut]); size != 0 || err != nil {
					t.Errorf("a header of %d bytes, cut at %d: got %d, %v", w.Len(), cut, size, err)
				}
			}
			if got, size, err := parseHeader(w.Bytes()); got != h || size != w.Len() || err != nil {
				t.Errorf("got %+v, %d, %v; want %+v", got, size, err, h)
			}
		}
	}
}

func TestCloseFrameFits(t *testing.T) {
	b := appendClose(nil, 4000, string(bytes.Repeat([]byte("x"), 200)))
	if h, size, err := parseHeader(b); err != nil || h.Length != ws.MaxControlFramePayloadSize || size+int(h.Length) != len(b) {
		t.Errorf("got %+v, %d, %v", h, size, err)
	}
}

// TestBucket: a burst of 3 at 10 per second.
func TestBucket(t *testing.T) {
	var b bucket
	now := invitation.Time(time.Hour)
	take := func() time.Duration { return b.take(now, 10, 3) }
	for range 3 {
		if over := take(); over > 0 {
			t.Errorf("over by %v in the burst", over)
		}
	}
	if over := take(); over != 100*time.Millisecond {
		t.Errorf("over by %v", over)
	}
	now = now.Add(200 * time.Millisecond)
	if over := take(); over > 0 {
		t.Errorf("over by %v after waiting", over)
	}
	now = now.Add(time.Hour)
	for range 3 {
		if over := take(); over > 0 {
			t.Errorf("over by %v after an hour", over)
		}
	}
	if over := take(); over <= 0 {
		t.Error("an hour's silence gives more than a burst")
	}
}

// TestIdleConnectionIsSmall: the structs that exist once per connection.
func TestIdleConnectionIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(conn{}); size > 288 {
		t.Errorf("a conn has %d bytes, more than the size class of 288", size)
	}
	if size := unsafe.Sizeof(Local{}); size > 96 {
		t.Errorf("a Local has %d bytes, more than the size class of 96", size)
	}
}

func TestEndsAreCounted(t *testing.T) {
	for _, row := range invitation.Ends {
		if !slices.Contains(ends[:], row.End) {
			t.Errorf("%s has no counter", row.End)
		}
	}
}

// TestAttemptsAreBounded logs in from more addresses than are counted apart: the rest share one count, and all are
// forgotten when they have rested.
func TestAttemptsAreBounded(t *testing.T) {
	a := admission{loginRate: 1 << 30, addresses: rates[netip.Prefix]{rate: 1}}
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	now := invitation.Time(time.Hour)
	for i := range maxAttempts {
		if over := a.login(now, at(i)); over > 0 {
			t.Fatalf("address %d has to wait %v", i, over)
		}
	}
	refused := 0
	for i := range 2 * sourceBurst {
		if a.login(now, at(maxAttempts+i)) > 0 {
			refused++
		}
	}
	if refused != sourceBurst || len(a.addresses.by) != maxAttempts {
		t.Errorf("%d of the addresses that did not fit were refused, and %d are counted", refused, len(a.addresses.by))
	}
	now = now.Add(time.Minute)
	if over := a.login(now, at(maxAttempts)); over > 0 || len(a.addresses.by) != 1 {
		t.Errorf("after a minute: wait %v, %d addresses are counted", over, len(a.addresses.by))
	}
}
