package gateway

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"testing"

	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// recorder is a Backend that writes down what the strand tells it; Detach comes from elsewhere.
type recorder struct{ log []string }

func (r *recorder) Attach(_ uint64, l invitation.Login) error {
	r.log = append(r.log, fmt.Sprintf("attach %q %q %d", l.User, l.Device, len(l.Words)))
	return nil
}

func (r *recorder) Say(_ uint64, _ invitation.User, _ invitation.Device, up invitation.Up) error {
	switch {
	case up.Call != nil:
		r.log = append(r.log, fmt.Sprintf("%+v", *up.Call))
	case up.Word != nil:
		r.log = append(r.log, fmt.Sprintf("%+v", *up.Word))
	default:
		r.log = append(r.log, "logout")
	}
	return nil
}

func (*recorder) Detach(uint64, invitation.User, invitation.Device) {}

type believing struct{}

func (believing) Authenticate(_ context.Context, r auth.Request) (auth.Identity, error) {
	return auth.Identity{User: r.User}, nil
}

// outcome is what came of a conversation.
type outcome struct {
	log  string
	end  invitation.End
	held int64
}

// converse feeds data to a connection in pieces of the sizes that cuts gives, over and over.
func converse(t *testing.T, codec wire.Codec, data, cuts []byte) outcome {
	r := new(recorder)
	g, err := New(Config{Authenticator: believing{}, FrameRate: 1_000_000, FrameBurst: 1_000_000, Logger: slog.New(slog.DiscardHandler)}, r)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	c := &conn{
		g: g, id: 1, fd: -1, nc: ours, codec: codec, hello: new(auth.Request), opened: g.now(), pending: true, reading: true,
		writing: true, // the queue is looked at, not written
	}
	defer theirs.Close()
	data = bytes.Clone(data) // is unmasked in place
	for i := 0; len(data) > 0; i++ {
		n := len(data)
		if len(cuts) > 0 {
			n = min(n, int(cuts[i%len(cuts)])+1)
		}
		c.feedAll(data[:n])
		data = data[n:]
		if held := g.buffered.Load(); held > int64(g.config.MaxFrame)+ws.MaxHeaderSize || held < 0 {
			t.Fatalf("%d bytes are kept", held)
		}
	}
	if n := g.stats.panics.Load(); n > 0 {
		t.Fatal("a frame made the gateway panic")
	}
	o := outcome{end: c.end, held: g.buffered.Load(), log: fmt.Sprint(r.log)}
	c.mu.Lock()
	c.writing = false
	c.mu.Unlock()
	c.endStrand()
	if held := g.buffered.Load(); held != 0 {
		t.Fatalf("%d bytes are kept after the end", held)
	}
	return o
}

// FuzzFrames feeds bytes to a connection at once and in pieces: it never panics, keeps no more than a
// frame, and how the bytes were cut makes no difference to what comes of them.
func FuzzFrames(f *testing.F) {
	frames := func(codec wire.Codec, up ...wire.ClientFrame) (all []byte) {
		for _, u := range up {
			data, err := wire.EncodeUp(nil, codec, u)
			if err != nil {
				f.Fatal(err)
			}
			op := ws.OpBinary
			if codec.Text() {
				op = ws.OpText
			}
			frame, err := ws.CompileFrame(ws.MaskFrameWith(ws.NewFrame(op, true, data), [4]byte{1, 2, 3, 4}))
			if err != nil {
				f.Fatal(err)
			}
			all = append(all, frame...)
		}
		return all
	}
	login := wire.ClientFrame{Login: &wire.Login{Login: invitation.Login{User: "alice", Device: "phone"}, MinVersion: 1, MaxVersion: 1}}
	call := wire.ClientFrame{Up: invitation.Up{Call: &invitation.Call{Request: invitation.Send, RequestID: 1, Key: "k", Callee: "bob"}}}
	word := wire.ClientFrame{Up: invitation.Up{Word: &invitation.Word{Side: invitation.Callee, Kind: invitation.WordSeen}}}
	logout := wire.ClientFrame{Up: invitation.Up{Logout: true}}
	for _, codec := range []wire.Codec{wire.Binary, wire.JSON} {
		f.Add(codec.Text(), frames(codec, login, call, word, logout), []byte{3})
		f.Add(codec.Text(), frames(codec, call), []byte{0})
	}
	f.Add(false, []byte{0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4}, []byte{5})
	f.Add(false, []byte{0x02, 0x81, 0, 0, 0, 0, 'x', 0x80, 0x80, 0, 0, 0, 0}, []byte{1})
	f.Add(false, []byte{0x88, 0x82, 0, 0, 0, 0, 3, 0xe8}, []byte{})
	f.Add(false, []byte{0x89, 0x81, 0, 0, 0, 0, 'p', 0x8a, 0x80, 0, 0, 0, 0}, []byte{2})
	f.Fuzz(func(t *testing.T, text bool, data, cuts []byte) {
		codec := wire.Binary
		if text {
			codec = wire.JSON
		}
		if len(data) > 1<<17 {
			t.Skip("beyond what a connection may send after its end")
		}
		whole, pieces := converse(t, codec, data, nil), converse(t, codec, data, cuts)
		if whole != pieces {
			t.Errorf("at once\n\t%+v\nin pieces\n\t%+v", whole, pieces)
		}
	})
}
