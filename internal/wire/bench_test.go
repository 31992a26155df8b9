package wire_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// The frames of one accepted call, with a content of 200 bytes.
var (
	benchID      = invitation.NewID("alice", "phone", "k1")
	benchContent = strings.Repeat("x", 200)
	benchUps     = map[string]wire.ClientFrame{
		"send": {Up: invitation.Up{Call: &invitation.Call{
			Request: invitation.Send, RequestID: 1 << 40, Key: "0123456789abcdef0123456789abcdef", Callee: "bob", Content: benchContent,
		}}},
		"accept": {Up: invitation.Up{Call: &invitation.Call{Request: invitation.Accept, RequestID: 1 << 40, ID: benchID}}},
		"seen": {Up: invitation.Up{Word: &invitation.Word{
			ID: benchID, Side: invitation.Callee, Kind: invitation.WordSeen,
		}}},
		"confirmed": {Up: invitation.Up{Word: &invitation.Word{
			ID: benchID, Side: invitation.Caller, Kind: invitation.WordConfirmed, Named: "tablet",
		}}},
	}
	benchDowns = map[string]wire.ServerFrame{
		"local": {Time: time.UnixMilli(1_800_000_000_000), Down: invitation.Down{Notice: &invitation.Notice{
			ID: benchID, Side: invitation.Caller, Peer: "bob", Local: invitation.LocalReceivedByRemote, Remaining: time.Minute,
		}}},
		"remote": {Time: time.UnixMilli(1_800_000_000_000), Down: invitation.Down{Notice: &invitation.Notice{
			ID: benchID, Side: invitation.Callee, Peer: "alice", Remote: invitation.RemoteInvitationReceived,
			Content: benchContent, Remaining: time.Minute,
		}}},
		"answer": {Time: time.UnixMilli(1_800_000_000_000), Down: invitation.Down{Answer: &invitation.Answer{
			RequestID: 1 << 40, ID: benchID, Notice: &invitation.Notice{
				ID: benchID, Side: invitation.Caller, Peer: "bob", Local: invitation.LocalSentToRemote, Remaining: 30 * time.Second,
			},
		}}},
	}
)

var codecs = []wire.Codec{wire.Binary, wire.JSON}

func BenchmarkEncodeDown(b *testing.B) {
	for _, codec := range codecs {
		for name, frame := range benchDowns {
			b.Run(codec.String()+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				buf := make([]byte, 0, 1024)
				for b.Loop() {
					var err error
					if buf, err = wire.EncodeDown(buf[:0], codec, frame); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkDecodeUp(b *testing.B) {
	for _, codec := range codecs {
		for name, frame := range benchUps {
			data, err := wire.EncodeUp(nil, codec, frame)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(codec.String()+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := wire.DecodeUp(codec, data); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkEncodeUp(b *testing.B) {
	for _, codec := range codecs {
		for name, frame := range benchUps {
			b.Run(codec.String()+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				buf := make([]byte, 0, 1024)
				for b.Loop() {
					var err error
					if buf, err = wire.EncodeUp(buf[:0], codec, frame); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkDecodeDown(b *testing.B) {
	for _, codec := range codecs {
		for name, frame := range benchDowns {
			data, err := wire.EncodeDown(nil, codec, frame)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(codec.String()+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := wire.DecodeDown(codec, data); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
