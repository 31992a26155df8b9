package peerwire_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/internal/peerwire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

// TestDeadlinesTravelAsTimeRemaining: the receiver's clock has another origin, and what remains is the
// same on it.
func TestDeadlinesTravelAsTimeRemaining(t *testing.T) {
	const theirs = invitation.Time(7 * time.Hour)
	for _, c := range []struct{ ours, want invitation.Time }{
		{now.Add(30 * time.Second), theirs.Add(30 * time.Second)},
		{now.Add(-time.Second), theirs.Add(-time.Second)},
		{now, theirs},
		{0, 0}, // never
	} {
		v := *sampleView
		v.Deadline = c.ours
		data, err := codecAt(now).Append(nil, peerwire.KindSession, &session.Input{Kind: session.InView, View: &v})
		if err != nil {
			t.Fatal(err)
		}
		got, err := codecAt(theirs).Decode(peerwire.KindSession, "bob", data)
		if err != nil {
			t.Fatal(err)
		}
		if d := got.(*session.Input).View.Deadline; d != c.want {
			t.Errorf("a deadline at %d arrives as %d, want %d", c.ours, d, c.want)
		}
		// A node that has just started: what was due before its clock's origin is due, not never.
		got, err = codecAt(1).Decode(peerwire.KindSession, "bob", data)
		if err != nil {
			t.Fatal(err)
		}
		if d := got.(*session.Input).View.Deadline; (d == 0) != (c.ours == 0) || d < 0 {
			t.Errorf("a deadline at %d arrives at the origin as %d", c.ours, d)
		}
	}
}

// TestNotForPeers: what is between a machine and its host does not travel, nor what would mean something else
// on another node.
func TestNotForPeers(t *testing.T) {
	for name, s := range map[string]sample{
		"abort":            {peerwire.KindArbiter, &invitation.Message{Kind: invitation.MsgAbort, ID: sampleID}},
		"callee lost":      {peerwire.KindArbiter, &invitation.Message{Kind: invitation.MsgCalleeLost, ID: sampleID}},
		"lost":             {peerwire.KindSession, &session.Input{Kind: session.InLost}},
		"recover no terms": {peerwire.KindArbiter, &invitation.Message{Kind: invitation.MsgRecover, ID: sampleID, View: new(invitation.View)}},
		"tick":             {peerwire.KindArbiter, &invitation.Message{Kind: invitation.MsgTick, ID: sampleID}},
		"session tick":     {peerwire.KindSession, &session.Input{Kind: session.InTick}},
		"session resend":   {peerwire.KindSession, &session.Input{Kind: session.InResend}},
		"no node":          {peerwire.KindSession, &session.Input{Kind: session.InDetach, Conn: session.Conn{Number: 1}}},
		"no login":         {peerwire.KindSession, &session.Input{Kind: session.InAttach, Conn: sampleConn}},
		"no call":          {peerwire.KindSession, &session.Input{Kind: session.InCall, Conn: sampleConn}},
		"no word":          {peerwire.KindSession, &session.Input{Kind: session.InWord, Conn: sampleConn}},
		"no kind of word":  {peerwire.KindSession, &session.Input{Kind: session.InWord, Conn: sampleConn, Word: new(invitation.Word)}},
		"no view":          {peerwire.KindSession, &session.Input{Kind: session.InView}},
		"no terms":         {peerwire.KindSession, &session.Input{Kind: session.InView, View: new(invitation.View)}},
		"no reply":         {peerwire.KindSession, &session.Input{Kind: session.InReply}},
		"nothing":          {peerwire.KindDevice, &peerwire.Delivery{}},
		"wrong kind":       {peerwire.KindSession, &invitation.Message{ID: sampleID}},
		"no kind":          {0, &session.Input{}},
		"stranger":         {peerwire.KindSession, "text"},
		"not UTF-8": {peerwire.KindDevice, &peerwire.Delivery{Down: invitation.Down{
			Notice: &invitation.Notice{ID: sampleID, Side: invitation.Caller, Response: "\xff"},
		}}},
	} {
		if out, err := codecAt(now).Append([]byte("x"), s.kind, s.payload); err == nil || string(out) != "x" {
			t.Errorf("%s: encoded as %x, %v", name, out, err)
		}
	}
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestNewerVersions: what a newer node may say is told from what nobody can have said.
func TestNewerVersions(t *testing.T) {
	newInput := protowire.AppendBytes(protowire.AppendTag(nil, 999, protowire.BytesType), []byte("new"))
	id := sampleID[:]
	for name, c := range map[string]struct {
		kind cluster.Kind
		data []byte
	}{
		"kind":   {99, nil},
		"input":  {peerwire.KindSession, newInput},
		"device": {peerwire.KindDevice, newInput},
		"resumed": {peerwire.KindSession, marshal(t, &peerpb.SessionInput{Input: &peerpb.SessionInput_Call{Call: &peerpb.CallInput{
			Conn: &peerpb.Conn{Node: "n"}, Call: &peerpb.Call{Request: 1, RequestId: 1, Resumed: &peerpb.Resumed{Local: 3}},
		}}})},
		"host's kind":  {peerwire.KindArbiter, marshal(t, &peerpb.ArbiterMessage{Kind: 12, InvitationId: id, User: "u"})},
		"arbiter kind": {peerwire.KindArbiter, marshal(t, &peerpb.ArbiterMessage{Kind: 99, InvitationId: id, User: "u"})},
		"stage": {peerwire.KindSession, marshal(t, &peerpb.SessionInput{Input: &peerpb.SessionInput_View{
			View: &peerpb.View{Terms: &peerpb.Terms{InvitationId: id}, Stage: 99},
		}})},
		"word": {peerwire.KindSession, marshal(t, &peerpb.SessionInput{Input: &peerpb.SessionInput_Word{Word: &peerpb.WordInput{
			Conn: &peerpb.Conn{Node: "n"}, Word: &peerpb.Word{InvitationId: id},
		}}})},
	} {
		if got, err := codecAt(now).Decode(c.kind, "", c.data); !errors.Is(err, cluster.ErrUnknown) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	// A login with a word that is not known counts without it.
	data := marshal(t, &peerpb.SessionInput{Input: &peerpb.SessionInput_Attach{Attach: &peerpb.Attach{
		Conn: &peerpb.Conn{Node: "n"}, Login: &peerpb.Login{User: "u", Device: "d", MoreWords: []*peerpb.Word{{InvitationId: id}}},
	}}})
	if got, err := codecAt(now).Decode(peerwire.KindSession, "", data); err != nil || got.(*session.Input).Login.Words != nil {
		t.Errorf("with a new word: %+v, %v", got, err)
	}
	// A field that is not known changes nothing.
	data = append(golden(t, "arbiter_start"), newInput...)
	if got, err := codecAt(now).Decode(peerwire.KindArbiter, "", data); err != nil || !reflect.DeepEqual(got, samples["arbiter_start"].payload) {
		t.Errorf("with a new field: %+v, %v", got, err)
	}
}

func TestMalformed(t *testing.T) {
	id, conn := sampleID[:], &peerpb.Conn{Node: "n"}
	input := func(in *peerpb.SessionInput) []byte { return marshal(t, in) }
	call := func(c *peerpb.Call) []byte {
		return input(&peerpb.SessionInput{Input: &peerpb.SessionInput_Call{Call: &peerpb.CallInput{Conn: conn, Call: c}}})
	}
	for name, c := range map[string]struct {
		kind cluster.Kind
		data []byte
	}{
		"random session": {peerwire.KindSession, []byte("\xff\xff\xff")},
		"random arbiter": {peerwire.KindArbiter, []byte("\xff\xff\xff")},
		"random device":  {peerwire.KindDevice, []byte("\xff\xff\xff")},
		"no id":          {peerwire.KindArbiter, marshal(t, &peerpb.ArbiterMessage{Kind: peerpb.MessageKind_MESSAGE_KIND_SEEN})},
		"short id": {peerwire.KindArbiter, marshal(t, &peerpb.ArbiterMessage{
			Kind: peerpb.MessageKind_MESSAGE_KIND_SEEN, InvitationId: id[:15],
		})},
		"no such shard": {peerwire.KindArbiter, marshal(t, &peerpb.ArbiterMessage{
			Kind: peerpb.MessageKind_MESSAGE_KIND_SEEN, InvitationId: append([]byte{0xff}, id[1:]...),
		})},
		"start without terms": {peerwire.KindArbiter, marshal(t, &peerpb.ArbiterMessage{
			Kind: peerpb.MessageKind_MESSAGE_KIND_START, InvitationId: id,
		})},
		"start of another": {peerwire.KindArbiter, marshal(t, &peerpb.ArbiterMessage{
			Kind: peerpb.MessageKind_MESSAGE_KIND_START, InvitationId: id, Terms: &peerpb.Terms{InvitationId: otherID[:]},
		})},
		"no conn":         {peerwire.KindSession, input(&peerpb.SessionInput{Input: &peerpb.SessionInput_Detach{}})},
		"no login":        {peerwire.KindSession, input(&peerpb.SessionInput{Input: &peerpb.SessionInput_Attach{Attach: &peerpb.Attach{Conn: conn}}})},
		"no terms":        {peerwire.KindSession, input(&peerpb.SessionInput{Input: &peerpb.SessionInput_View{View: &peerpb.View{}}})},
		"no request":      {peerwire.KindSession, call(&peerpb.Call{RequestId: 1})},
		"no request id":   {peerwire.KindSession, call(&peerpb.Call{Request: peerpb.Request_REQUEST_QUERY})},
		"endless timer":   {peerwire.KindSession, call(&peerpb.Call{Request: 1, RequestId: 1, Timers: &peerpb.Timers{GraceUs: 1 << 62}})},
		"a reason of 256": {peerwire.KindDevice, marshal(t, &peerpb.DeviceMessage{Down: &peerpb.DeviceMessage_Notice{Notice: &peerpb.Notice{InvitationId: id, Side: 1, Reason: 256}}})},
		"retell no side":  {peerwire.KindDevice, marshal(t, &peerpb.DeviceMessage{Down: &peerpb.DeviceMessage_Retell{Retell: &peerpb.Retell{InvitationId: id}}})},
		"retell no id":    {peerwire.KindDevice, marshal(t, &peerpb.DeviceMessage{Down: &peerpb.DeviceMessage_Retell{Retell: &peerpb.Retell{Side: 1}}})},
		"recover nothing": {peerwire.KindArbiter, marshal(t, &peerpb.ArbiterMessage{Kind: peerpb.MessageKind_MESSAGE_KIND_RECOVER, InvitationId: id})},
		"recover another": {peerwire.KindArbiter, marshal(t, &peerpb.ArbiterMessage{
			Kind: peerpb.MessageKind_MESSAGE_KIND_RECOVER, InvitationId: id, View: &peerpb.View{Terms: &peerpb.Terms{InvitationId: otherID[:]}},
		})},
		"resumed too long":  {peerwire.KindSession, call(&peerpb.Call{Request: 1, RequestId: 1, Resumed: &peerpb.Resumed{RemainingUs: 600_000_001}})},
		"resumed below 0":   {peerwire.KindSession, call(&peerpb.Call{Request: 1, RequestId: 1, Resumed: &peerpb.Resumed{RemainingUs: -1}})},
		"resumed no device": {peerwire.KindSession, call(&peerpb.Call{Request: 1, RequestId: 1, Resumed: &peerpb.Resumed{Confirmed: "a/b"}})},
		"no side":           {peerwire.KindDevice, marshal(t, &peerpb.DeviceMessage{Down: &peerpb.DeviceMessage_Notice{Notice: &peerpb.Notice{InvitationId: id}}})},
	} {
		if got, err := codecAt(now).Decode(c.kind, "", c.data); !errors.Is(err, peerwire.ErrMalformed) || got != nil && !reflect.ValueOf(got).IsNil() {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

// TestNothingIsShared: a decoded message lives on when the buffer it came from is used again.
func TestNothingIsShared(t *testing.T) {
	for name, want := range samples {
		data, err := codecAt(now).Append(nil, want.kind, want.payload)
		if err != nil {
			t.Fatal(err)
		}
		got, err := codecAt(now).Decode(want.kind, "", data)
		if err != nil {
			t.Fatal(err)
		}
		for i := range data {
			data[i] = 'x'
		}
		if !reflect.DeepEqual(got, want.payload) {
			t.Errorf("%s has changed to %+v", name, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for name, s := range samples {
		data := golden(f, name)
		f.Add(uint8(s.kind), data)
		f.Add(uint8(s.kind), data[:len(data)/2])
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		codec := codecAt(now)
		got, err := codec.Decode(cluster.Kind(kind), "", data)
		if err != nil {
			if !errors.Is(err, peerwire.ErrMalformed) && !errors.Is(err, cluster.ErrUnknown) {
				t.Fatalf("an untyped error: %v", err)
			}
			return
		}
		again, err := codec.Append(nil, cluster.Kind(kind), got)
		if err != nil {
			t.Fatalf("%+v does not encode: %v", got, err)
		}
		if twice, err := codec.Decode(cluster.Kind(kind), "", again); err != nil || !reflect.DeepEqual(twice, got) {
			t.Fatalf("%+v arrives as %+v, %v", got, twice, err)
		}
	})
}

// BenchmarkCodec also says what the generated code would take.
func BenchmarkCodec(b *testing.B) {
	codec := codecAt(now)
	for _, name := range []string{"session_view", "session_word_seen", "arbiter_accept", "device_notice"} {
		s := samples[name]
		data, err := codec.Append(nil, s.kind, s.payload)
		if err != nil {
			b.Fatal(err)
		}
		measure := func(what string, do func() error) {
			b.Run(what+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := do(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		buf := make([]byte, 0, 2*len(data))
		measure("append", func() error { _, err := codec.Append(buf, s.kind, s.payload); return err })
		measure("append generated", func() error { _, err := codec.Generated(buf, s.kind, s.payload); return err })
		measure("decode", func() error { _, err := codec.Decode(s.kind, "", data); return err })
		measure("decode generated", func() error { _, err := codec.Parse(s.kind, data); return err })
	}
}
