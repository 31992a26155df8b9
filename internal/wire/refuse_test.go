package wire_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/clientpb"
)

// TestBadFrames lists what is not of the protocol. The connection ends with BAD_FRAME.
func TestBadFrames(t *testing.T) {
	id := sampleID.String()
	word := `{"word":{"invitationId":"` + id + `",`
	binary := map[string]string{
		"random bytes":             "\xde\xad\xbe\xef\x00\x01",
		"truncated":                "\x12\x40abc",
		"empty":                    "",
		"unknown frame":            "\xa2\x06\x00",
		"group never ended":        "\x13",
		"login user not UTF-8":     "\x0a\x03\x1a\x01\xff",
		"word id not UTF-8":        "\x3a\x03\x0a\x01\xff",
		"send not UTF-8, no id":    "\x12\x03\x22\x01\xff",
		"send not UTF-8, cut":      "\x12\x06\x08\x01\x22\x05\xff",
		"send not UTF-8, trailing": "\x12\x05\x08\x01\x22\x01\xff\xff",
		"send with broken timers":  "\x12\x05\x08\x01\x32\x01\xff",
	}
	text := map[string]string{
		"not JSON":                "hello",
		"empty":                   "",
		"array":                   "[]",
		"no frame":                "{}",
		"unknown frame":           `{"dance":{}}`,
		"two frames":              `{"logout":{},"ping":{}}`,
		"trailing":                `{"logout":{}}{}`,
		"truncated":               `{"send":{"requestId":"1"`,
		"not UTF-8":               "{\"send\":{\"requestId\":\"1\",\"content\":\"\xff\"}}",
		"half a surrogate pair":   `{"send":{"requestId":"1","content":"\ud800"}}`,
		"request id absent":       `{"send":{"callee":"bob"}}`,
		"request id zero":         `{"cancel":{"requestId":0,"invitationId":"` + id + `"}}`,
		"request id negative":     `{"cancel":{"requestId":-1}}`,
		"word about nothing":      `{"word":{"seen":{}}}`,
		"word about a bad id":     `{"word":{"invitationId":"x","seen":{}}}`,
		"word of no kind":         word + `"dance":{}}}`,
		"confirmed nobody":        word + `"confirmed":{}}}`,
		"confirmed a bad device":  word + `"confirmed":{"calleeDevice":"a/b"}}}`,
		"local done, live":        word + `"localDone":{"state":"LOCAL_INVITATION_STATE_SENT_TO_REMOTE"}}}`,
		"local done, no state":    word + `"localDone":{}}}`,
		"local done, no such":     word + `"localDone":{"state":7}}}`,
		"local done, 256 + 3":     word + `"localDone":{"state":259}}}`,
		"local done, negative":    word + `"localDone":{"state":-253}}}`,
		"remote done, live":       word + `"remoteDone":{"state":2}}}`,
		"remote done, no such":    word + `"remoteDone":{"state":7}}}`,
		"remote done, 256 + 3":    word + `"remoteDone":{"state":259}}}`,
		"remote done, negative":   word + `"remoteDone":{"state":-252}}}`,
		"accepting, too long":     word + `"seen":{"accepting":{"response":"` + strings.Repeat("r", invitation.MaxResponse+1) + `"}}}}`,
		"seen, too long left":     word + `"seen":{"remainingMs":600001}}}`,
		"sent, too long left":     word + `"sent":{"remainingMs":600001}}}`,
		"sent and seen":           word + `"sent":{},"seen":{}}}`,
		"login with a bad word":   `{"login":{"words":[{"seen":{}}]}}`,
		"login with many words":   `{"login":{"words":[{}` + strings.Repeat(",{}", wire.MaxLoginWords) + `]}}`,
		"long nonsense":           `{"send":` + strings.Repeat("é", 5_000),
		"long number":             `{"send":{"requestId":"` + strings.Repeat("é", 5_000) + `"}}`,
		"deep nonsense":           strings.Repeat("[", 10_000),
		"deep nonsense in a send": `{"send":{"more":` + strings.Repeat("[", 10_000),
	}
	for codec, frames := range map[wire.Codec]map[string]string{wire.Binary: binary, wire.JSON: text} {
		for name, data := range frames {
			t.Run(codec.String()+"/"+name, func(t *testing.T) {
				frame, err := wire.DecodeUp(codec, []byte(data))
				if !errors.Is(err, wire.ErrBadFrame) {
					t.Fatalf("got %+v, %v", frame, err)
				}
				checkReason(t, err)
			})
		}
	}
}

// checkReason checks that an error may be shown to the peer.
func checkReason(t *testing.T, err error) {
	t.Helper()
	if text := err.Error(); len(text) > 200 || !utf8.ValidString(text) || strings.ContainsAny(text, "\u00a0") {
		t.Errorf("the reason is %d bytes: %q", len(text), text)
	}
}

// TestGoodFramesOfBadValues lists requests that the session answers with an error: the values arrive
// as they came.
func TestGoodFramesOfBadValues(t *testing.T) {
	long := strings.Repeat("é", invitation.MaxContent)
	for name, data := range map[string]string{
		"content too long":   `{"send":{"requestId":9,"callee":"bob","key":"k","content":"` + long + `"}}`,
		"channel too long":   `{"send":{"requestId":9,"callee":"bob","key":"k","channelId":"` + long + `"}}`,
		"bad callee":         `{"send":{"requestId":9,"callee":"a/b","key":"k"}}`,
		"no callee":          `{"send":{"requestId":9,"key":"k"}}`,
		"timer too short":    `{"send":{"requestId":9,"callee":"bob","key":"k","timers":{"expireMs":1}}}`,
		"timer too long":     `{"send":{"requestId":9,"callee":"bob","key":"k","timers":{"graceMs":4294967295}}}`,
		"inviting oneself":   `{"send":{"requestId":9,"callee":"alice","key":"k"}}`,
		"unknown field":      `{"send":{"requestId":9,"callee":"a/b","key":"k","since":"version 2"}}`,
		"proto field names":  `{"send":{"request_id":9,"callee":"bob","key":"k","channel_id":"` + long + `"}}`,
		"request id as text": `{"send":{"requestId":"9","callee":"","key":"k"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			frame, err := wire.DecodeUp(wire.JSON, []byte(data))
			if err != nil {
				t.Fatal(err)
			}
			call := frame.Up.Call
			terms := invitation.Terms{
				Caller: "alice", Callee: call.Callee, Content: call.Content, ChannelID: call.ChannelID, Timers: call.Timers,
			}
			if call.RequestID != 9 || terms.Check() != invitation.InvalidArgument {
				t.Errorf("got %+v: %v", call, terms.Check())
			}
		})
	}
}

// TestResumedInNoState keeps a state that is none from being taken for another: it becomes one that the
// gateway refuses.
func TestResumedInNoState(t *testing.T) {
	for _, state := range []string{"7", "257", "-255"} {
		data := `{"send":{"requestId":9,"callee":"bob","key":"k","resumed":{"state":` + state + `,"remainingMs":5}}}`
		frame, err := wire.DecodeUp(wire.JSON, []byte(data))
		if err != nil || *frame.Up.Call.Resumed != (invitation.Resumed{Local: invitation.LocalFailure, Remaining: 5 * time.Millisecond}) {
			t.Errorf("%s: got %+v, %v", state, frame.Up.Call, err)
		}
	}
}

// TestAcceptingToAnOlderNode is a "seen": of a field that it does not know an older node knows the rest.
func TestAcceptingToAnOlderNode(t *testing.T) {
	data, err := wire.EncodeUp(nil, wire.Binary, wordSample(acceptingWord))
	if err != nil {
		t.Fatal(err)
	}
	var frame clientpb.ClientFrame
	if err := proto.Unmarshal(data, &frame); err != nil || frame.GetWord().GetSeen() == nil {
		t.Fatalf("got %v, %v", &frame, err)
	}
}

// TestMalformedIDInACall gets the zero ID, which names no invitation.
func TestMalformedIDInACall(t *testing.T) {
	for _, request := range []string{"cancel", "accept", "refuse", "query"} {
		for _, id := range []string{"", "x", strings.Repeat("z", 26), strings.ToUpper(sampleID.String())} {
			data := `{"` + request + `":{"requestId":"3","invitationId":"` + id + `"}}`
			frame, err := wire.DecodeUp(wire.JSON, []byte(data))
			if err != nil || frame.Up.Call == nil || !frame.Up.Call.ID.IsZero() || frame.Up.Call.RequestID != 3 {
				t.Errorf("%s: got %+v, %v", data, frame.Up.Call, err)
			}
		}
	}
}

// TestNotUTF8 gives protobuf frames that it refuses, and wants the call back so that it can be
// answered.
func TestNotUTF8(t *testing.T) {
	const broken = "ab\xffcd"
	field := func(b []byte, number protowire.Number, text string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), text)
	}
	start := func() []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 77)
	}
	id := sampleID.String()
	send := invitation.Call{Request: invitation.Send, RequestID: 77, Key: "k", Callee: "bob"}
	withContent, withChannel, withKey, withCallee := send, send, send, send
	withContent.Content, withChannel.ChannelID, withKey.Key, withCallee.Callee = broken, broken, broken, broken
	withKey.Callee, withCallee.Key = "", "k"
	withTimers := withContent
	for name, c := range map[string]struct {
		frame protowire.Number
		body  []byte
		want  invitation.Call
	}{
		"content":   {2, field(field(field(start(), 2, "k"), 3, "bob"), 4, broken), withContent},
		"channel":   {2, field(field(field(start(), 2, "k"), 3, "bob"), 5, broken), withChannel},
		"key":       {2, field(start(), 2, broken), withKey},
		"callee":    {2, field(field(start(), 2, "k"), 3, broken), withCallee},
		"timers":    {2, field(field(field(field(start(), 2, "k"), 3, "bob"), 4, broken), 6, "\x08\x01"), withTimers},
		"repeated":  {2, field(field(field(field(start(), 2, "k"), 3, "bob"), 4, broken), 4, "good"), withContent},
		"late id":   {2, append(field(field(field(nil, 2, "k"), 3, "bob"), 4, broken), start()...), withContent},
		"accept":    {4, field(field(start(), 2, id), 3, broken), invitation.Call{Request: invitation.Accept, RequestID: 77, ID: sampleID, Response: broken}},
		"refuse":    {5, field(field(start(), 2, id), 3, broken), invitation.Call{Request: invitation.Refuse, RequestID: 77, ID: sampleID, Response: broken}},
		"cancel id": {3, field(start(), 2, broken), invitation.Call{Request: invitation.Cancel, RequestID: 77}},
		"query id":  {6, field(start(), 2, broken), invitation.Call{Request: invitation.Query, RequestID: 77}},
	} {
		t.Run(name, func(t *testing.T) {
			data := field(nil, c.frame, string(c.body))
			if proto.Unmarshal(data, new(clientpb.ClientFrame)) == nil {
				t.Fatal("protobuf takes the frame: nothing is shown")
			}
			got, err := wire.DecodeUp(wire.Binary, data)
			if err != nil || got.Up.Call == nil || *got.Up.Call != c.want {
				t.Errorf("got %+v, %v; want %+v", got.Up.Call, err, c.want)
			}
			if _, err := wire.EncodeUp(nil, wire.Binary, got); !errors.Is(err, invitation.InvalidArgument) && c.want.ID != (invitation.ID{}) {
				t.Errorf("encoding a text that is not UTF-8: %v", err)
			}
		})
	}
}

// TestLoginOfANewerDevice skips words of a kind that only a newer version has.
func TestLoginOfANewerDevice(t *testing.T) {
	data := `{"login":{"minVersion":1,"maxVersion":9,"words":[{"invitationId":"` + sampleID.String() +
		`","sung":{}},{"invitationId":"` + sampleID.String() + `","seen":{}}]}}`
	frame, err := wire.DecodeUp(wire.JSON, []byte(data))
	if err != nil || len(frame.Login.Words) != 1 || frame.Login.Words[0] != seenWord {
		t.Fatalf("got %+v, %v", frame.Login, err)
	}
}

// TestBadServerFrames lists what a client refuses of a node.
func TestBadServerFrames(t *testing.T) {
	id := `"invitationId":"` + sampleID.String() + `"`
	for name, data := range map[string]string{
		"not JSON":              "hello",
		"view of nothing":       `{"local":{}}`,
		"view of a bad id":      `{"remote":{"invitationId":"x"}}`,
		"local state unknown":   `{"local":{` + id + `,"state":7}}`,
		"local state negative":  `{"local":{` + id + `,"state":-250}}`,
		"remote state unknown":  `{"remote":{` + id + `,"state":7}}`,
		"remote state negative": `{"remote":{` + id + `,"state":-250}}`,
		"code out of range":     `{"local":{` + id + `,"code":256}}`,
		"reason out of range":   `{"remote":{` + id + `,"reason":-1}}`,
		"error out of range":    `{"answer":{"requestId":"1","error":256}}`,
		"answer of a bad id":    `{"answer":{"requestId":"1","invitationId":"x"}}`,
		"answer of a bad view":  `{"answer":{"requestId":"1","local":{}}}`,
		"answer of a bad view2": `{"answer":{"requestId":"1","remote":{}}}`,
		"ending out of range":   `{"ending":{"code":65536}}`,
		"retell of nothing":     `{"retell":{"side":1}}`,
		"retell of no side":     `{"retell":{` + id + `}}`,
		"retell of a new side":  `{"retell":{` + id + `,"side":3}}`,
	} {
		t.Run(name, func(t *testing.T) {
			frame, err := wire.DecodeDown(wire.JSON, []byte(data))
			if !errors.Is(err, wire.ErrBadFrame) {
				t.Fatalf("got %+v, %v", frame, err)
			}
			checkReason(t, err)
		})
	}
}

// TestUnknownServerFrame is ignored by a client; numbers of codes and reasons that it cannot name it
// keeps.
func TestUnknownServerFrame(t *testing.T) {
	for codec, data := range map[wire.Codec]string{wire.Binary: "\xa2\x06\x00", wire.JSON: `{"weather":{"rain":true}}`} {
		if _, err := wire.DecodeDown(codec, []byte(data)); !errors.Is(err, wire.ErrUnknownFrame) {
			t.Errorf("%s: got %v", codec, err)
		}
	}
	frame, err := wire.DecodeDown(wire.JSON, []byte(`{"local":{"invitationId":"`+sampleID.String()+`","state":6,"code":99,"reason":98}}`))
	if err != nil || frame.Down.Notice.Code != 99 || frame.Down.Notice.Reason != 98 {
		t.Errorf("got %+v, %v", frame.Down.Notice, err)
	}
}

// TestEncodeRefuses lists the mistakes of a program.
func TestEncodeRefuses(t *testing.T) {
	word := func(w invitation.Word) wire.ClientFrame { return wordSample(w) }
	for name, frame := range map[string]wire.ClientFrame{
		"nothing":         {},
		"unknown request": callSample(invitation.Call{RequestID: 1}),
		"no word":         word(invitation.Word{ID: sampleID}),
		"done of no side": word(invitation.Word{ID: sampleID, Kind: invitation.WordDone}),
		"login, no word":  {Login: &wire.Login{Login: invitation.Login{Words: make([]invitation.Word, 1)}}},
		"many words":      {Login: &wire.Login{Login: invitation.Login{Words: make([]invitation.Word, wire.MaxLoginWords+1)}}},
	} {
		if out, err := wire.EncodeUp([]byte("kept"), wire.Binary, frame); err == nil || string(out) != "kept" {
			t.Errorf("%s: got %q, %v", name, out, err)
		}
	}
	if out, err := wire.EncodeDown([]byte("kept"), wire.JSON, wire.ServerFrame{}); err == nil || string(out) != "kept" {
		t.Errorf("nothing down: got %q, %v", out, err)
	}
	broken := noticeSample(invitation.Notice{ID: sampleID, Side: invitation.Caller, Response: "\xff"})
	if out, err := wire.EncodeDown([]byte("kept"), wire.Binary, broken); err == nil || string(out) != "kept" {
		t.Errorf("not UTF-8 down: got %q, %v", out, err)
	}
}
