package wire_test

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

const idCharacters = "abcXYZ019 !#$%&()+-:;<=.>?@[]^_{}|~,"

var (
	idTexts  = rapid.StringOfN(rapid.SampledFrom([]rune(idCharacters)), 1, invitation.MaxUser, invitation.MaxUser)
	texts    = rapid.StringN(0, 40, -1)
	codecGen = rapid.SampledFrom(codecs)
	idGen    = rapid.Custom(func(t *rapid.T) invitation.ID {
		return invitation.NewID(invitation.User(idTexts.Draw(t, "caller")), invitation.Device(idTexts.Draw(t, "device")), idTexts.Draw(t, "key"))
	})
	durations  = rapid.Map(rapid.Uint32(), func(ms uint32) time.Duration { return time.Duration(ms) * time.Millisecond })
	timersLeft = rapid.Map(rapid.Uint32Range(0, 600_000), func(ms uint32) time.Duration { return time.Duration(ms) * time.Millisecond })
	timersGen  = rapid.Custom(func(t *rapid.T) invitation.Timers {
		return invitation.Timers{
			NoResponse: durations.Draw(t, "no response"), Expire: durations.Draw(t, "expire"),
			AcceptWindow: durations.Draw(t, "accept window"), Grace: durations.Draw(t, "grace"), Linger: durations.Draw(t, "linger"),
		}
	})
	instants = rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMilli(rapid.Int64Range(1, 1<<45).Draw(t, "ms")).UTC()
	})
)

func callGen(t *rapid.T) invitation.Call {
	c := invitation.Call{
		Request:   invitation.Request(rapid.IntRange(1, invitation.Requests-1).Draw(t, "request")),
		RequestID: rapid.Uint64Min(1).Draw(t, "request id"),
	}
	if c.Request == invitation.Send {
		c.Key, c.Callee = texts.Draw(t, "key"), invitation.User(texts.Draw(t, "callee"))
		c.Content, c.ChannelID = texts.Draw(t, "content"), texts.Draw(t, "channel")
		c.Timers = timersGen.Draw(t, "timers")
		if rapid.Bool().Draw(t, "resumed") {
			c.Resumed = &invitation.Resumed{
				Local: invitation.LocalState(rapid.IntRange(0, 6).Draw(t, "state")), Remaining: durations.Draw(t, "remaining"),
				Confirmed: invitation.Device(texts.Draw(t, "confirmed")),
			}
		}
		return c
	}
	c.ID = idGen.Draw(t, "id")
	if c.Request == invitation.Accept || c.Request == invitation.Refuse {
		c.Response = texts.Draw(t, "response")
	}
	return c
}

func wordGen(t *rapid.T) invitation.Word {
	w := invitation.Word{ID: idGen.Draw(t, "id")}
	switch rapid.IntRange(0, 5).Draw(t, "word") {
	case 0:
		w.Side, w.Kind, w.Remaining = invitation.Callee, invitation.WordSeen, timersLeft.Draw(t, "remaining")
	case 1:
		w.Side, w.Kind = invitation.Caller, invitation.WordConfirmed
		w.Named = invitation.Device(idTexts.Draw(t, "named"))
	case 2:
		w.Side, w.Kind, w.Remaining = invitation.Caller, invitation.WordSent, timersLeft.Draw(t, "remaining")
	case 3:
		w.Side, w.Kind, w.Response = invitation.Callee, invitation.WordAccepting, texts.Draw(t, "response")
		w.Remaining = timersLeft.Draw(t, "remaining")
	case 4:
		w.Side, w.Kind = invitation.Caller, invitation.WordDone
		w.Local = invitation.LocalState(rapid.IntRange(3, 6).Draw(t, "state"))
	default:
		w.Side, w.Kind = invitation.Callee, invitation.WordDone
		w.Remote = invitation.RemoteState(rapid.IntRange(3, 6).Draw(t, "state"))
	}
	return w
}

func loginGen(t *rapid.T) *wire.Login {
	l := &wire.Login{
		Login: invitation.Login{
			User: invitation.User(texts.Draw(t, "user")), Device: invitation.Device(texts.Draw(t, "device")),
			Resume: rapid.Bool().Draw(t, "resume"), Stamp: rapid.Uint64().Draw(t, "stamp"),
		},
		Token:      texts.Draw(t, "token"),
		MinVersion: rapid.Uint32().Draw(t, "min"),
		MaxVersion: rapid.Uint32().Draw(t, "max"),
	}
	for range rapid.IntRange(0, 4).Draw(t, "words") {
		l.Words = append(l.Words, wordGen(t))
	}
	return l
}

func TestRoundTripUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want wire.ClientFrame
		switch rapid.IntRange(0, 4).Draw(t, "frame") {
		case 0:
			want.Login = loginGen(t)
		case 1:
			word := wordGen(t)
			want.Up.Word = &word
		case 2:
			want.Up.Logout = true
		case 3:
			number := rapid.Uint64().Draw(t, "number")
			want.Ping = &number
		default:
			call := callGen(t)
			want.Up.Call = &call
		}
		codec := codecGen.Draw(t, "codec")
		data, err := wire.EncodeUp(nil, codec, want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := wire.DecodeUp(codec, data); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v arrives as %+v, %v", want, got, err)
		}
	})
}

func noticeGen(t *rapid.T) *invitation.Notice {
	n := &invitation.Notice{
		ID: idGen.Draw(t, "id"), Peer: invitation.User(texts.Draw(t, "peer")), Response: texts.Draw(t, "response"),
		Code: rapid.Uint8().Draw(t, "code"), Reason: invitation.Reason(rapid.Uint8().Draw(t, "reason")),
		Settled: rapid.Bool().Draw(t, "settled"), Remaining: durations.Draw(t, "remaining"),
	}
	if rapid.Bool().Draw(t, "caller") {
		n.Side, n.Local = invitation.Caller, invitation.LocalState(rapid.IntRange(0, 6).Draw(t, "state"))
		n.Confirm, n.Verdict = invitation.Device(texts.Draw(t, "confirm")), rapid.Bool().Draw(t, "verdict")
	} else {
		n.Side, n.Remote = invitation.Callee, invitation.RemoteState(rapid.IntRange(0, 6).Draw(t, "state"))
		n.Content, n.ChannelID = texts.Draw(t, "content"), texts.Draw(t, "channel")
	}
	return n
}

func answerGen(t *rapid.T) *invitation.Answer {
	a := &invitation.Answer{
		RequestID: rapid.Uint64().Draw(t, "request id"), Error: invitation.CallError(rapid.Uint8().Draw(t, "error")),
		RetryAfter: durations.Draw(t, "retry after"),
	}
	if rapid.Bool().Draw(t, "has id") {
		a.ID = idGen.Draw(t, "id")
	}
	if rapid.Bool().Draw(t, "has notice") {
		a.Notice = noticeGen(t)
	}
	return a
}

func infoGen(t *rapid.T) *wire.Info {
	return &wire.Info{
		Version: rapid.Uint32().Draw(t, "version"), User: invitation.User(texts.Draw(t, "user")),
		PingInterval: durations.Draw(t, "ping"), IdleTimeout: durations.Draw(t, "idle"),
		MaxFrame: rapid.Uint32().Draw(t, "max frame"), Timers: timersGen.Draw(t, "timers"), Node: texts.Draw(t, "node"),
	}
}

func TestRoundTripDown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want wire.ServerFrame
		switch rapid.IntRange(0, 5).Draw(t, "frame") {
		case 0:
			want.Down.Welcome = &invitation.Welcome{
				Stamp: rapid.Uint64().Draw(t, "stamp"), Tell: rapid.Bool().Draw(t, "tell"),
			}
			want.Info, want.Time = infoGen(t), instants.Draw(t, "time")
		case 1:
			want.Down.Answer = answerGen(t)
			if want.Down.Answer.Notice != nil {
				want.Time = instants.Draw(t, "time")
			}
		case 2:
			want.Down.Ending = &invitation.Ending{
				End: invitation.End(rapid.Uint16().Draw(t, "end")), RetryAfter: durations.Draw(t, "retry after"),
			}
			want.Text = rapid.StringN(1, 40, -1).Draw(t, "text")
		case 3:
			number := rapid.Uint64().Draw(t, "number")
			want.Pong = &number
		case 4:
			want.Down.Retell = &invitation.Retell{
				ID: idGen.Draw(t, "id"), Side: invitation.Side(rapid.IntRange(1, 2).Draw(t, "side")),
			}
		default:
			want.Down.Notice, want.Time = noticeGen(t), instants.Draw(t, "time")
		}
		codec := codecGen.Draw(t, "codec")
		data, err := wire.EncodeDown(nil, codec, want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := wire.DecodeDown(codec, data); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v arrives as %+v, %v", want, got, err)
		}
	})
}

// TestScratchIsClean encodes one frame after another with the same reused messages: nothing of one
// may show in the next.
func TestScratchIsClean(t *testing.T) {
	for first, full := range serverSamples {
		for second, frame := range serverSamples {
			fresh := throughDown(t, wire.JSON, frame)
			throughDown(t, wire.JSON, full)
			if again := throughDown(t, wire.JSON, frame); !reflect.DeepEqual(again, fresh) {
				t.Errorf("%s after %s: got %+v, want %+v", second, first, again, fresh)
			}
		}
	}
}
