package peerwire_test

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/internal/peerwire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// What is written and read by hand has to be what the generated code writes and reads.

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// writesAlike returns what a payload is encoded as.
func writesAlike(t failer, s sample) []byte {
	t.Helper()
	got, err := codecAt(now).Append(nil, s.kind, s.payload)
	want, wantErr := codecAt(now).Generated(nil, s.kind, s.payload)
	if !bytes.Equal(got, want) || !same(err, wantErr) {
		t.Fatalf("%+v is written as\n%x, %v; want\n%x, %v", s.payload, got, err, want, wantErr)
	}
	return got
}

func readsAlike(t failer, kind cluster.Kind, data []byte) {
	t.Helper()
	got, err := codecAt(now).Decode(kind, "", data)
	want, wantErr := codecAt(now).Parse(kind, data)
	if !reflect.DeepEqual(got, want) || !same(err, wantErr) {
		t.Fatalf("%x is read as\n%+v, %v; want\n%+v, %v", data, got, err, want, wantErr)
	}
}

func same(a, b error) bool { return (a == nil) == (b == nil) && (a == nil || a.Error() == b.Error()) }

func anySample(t *rapid.T) sample {
	switch rapid.IntRange(0, 2).Draw(t, "payload") {
	case 0:
		return sample{peerwire.KindSession, inputGen(t)}
	case 1:
		return sample{peerwire.KindArbiter, messageGen(t)}
	}
	return sample{peerwire.KindDevice, deliveryGen(t)}
}

func TestAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anySample(t)
		readsAlike(t, s.kind, writesAlike(t, s))
	})
}

// TestAlikeWhatever: also of bytes that nobody has written.
func TestAlikeWhatever(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anySample(t)
		data := slices.Clone(writesAlike(t, s))
		for range rapid.IntRange(1, 3).Draw(t, "faults") {
			at := rapid.IntRange(0, len(data)).Draw(t, "at")
			switch rapid.IntRange(0, 3).Draw(t, "fault") {
			case 0:
				data = data[:at]
			case 1:
				data = append(data, data[at:]...) // fields twice
			case 2:
				data = slices.Insert(data, at, rapid.SliceOfN(rapid.Byte(), 1, 3).Draw(t, "bytes")...)
			default:
				if at < len(data) {
					data[at] = rapid.Byte().Draw(t, "byte")
				}
			}
		}
		readsAlike(t, s.kind, data)
	})
}

func FuzzAlike(f *testing.F) {
	for name, s := range samples {
		data := golden(f, name)
		f.Add(uint8(s.kind), data)
		f.Add(uint8(s.kind), slices.Concat(data, data))
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) { readsAlike(t, cluster.Kind(kind), data) })
}

// seldom are the samples that are left to the generated code.
var seldom = map[string]bool{
	"session_attach": true, "session_attach_plain": true, "session_attach_words": true, "session_reattach": true, "session_attach_again": true,
	"session_detach": true, "session_logout": true, "session_unknown": true, "session_unknown_over": true,
	"session_word_sent": true, "session_word_accepting": true, "device_welcome": true, "device_welcome_tell": true,
	"device_retell": true, "device_ending": true,
	"session_call_resumed": true, "session_call_repeated": true, "arbiter_start_resumed": true, "arbiter_recover": true, // to be read
}

// TestAlikeIsUsed: all else, of which calls consist, is not.
func TestAlikeIsUsed(t *testing.T) {
	for name, s := range samples {
		_, question := asked[name]
		if seldom[name] || question || s.kind == peerwire.KindHandoff || s.kind == peerwire.KindEvents {
			continue
		}
		if writes, reads := codecAt(now).Ours(s.kind, s.payload, golden(t, name)); !writes || !reads {
			t.Errorf("%s is written by hand %t, read %t", name, writes, reads)
		}
	}
}

// TestAlikeIsComplete: a field that a payload has been given since is written and read by both.
func TestAlikeIsComplete(t *testing.T) {
	terms, view := new(invitation.Terms), new(invitation.View)
	fill(reflect.ValueOf(terms).Elem())
	terms.ID = sampleID
	fill(reflect.ValueOf(view).Elem())
	view.Terms, view.Stage, view.Outcome = terms, invitation.Ended, invitation.Canceled
	call := &invitation.Call{Request: invitation.Accept, ID: sampleID}
	fill(reflect.ValueOf(call).Elem())
	reply := &invitation.Reply{ID: sampleID, View: view}
	fill(reflect.ValueOf(reply).Elem())
	notice := &invitation.Notice{ID: sampleID, Side: invitation.Callee}
	fill(reflect.ValueOf(notice).Elem())
	answer := &invitation.Answer{ID: sampleID, Notice: notice}
	fill(reflect.ValueOf(answer).Elem())
	message := &invitation.Message{Kind: invitation.MsgStart, ID: sampleID, Terms: terms}
	fill(reflect.ValueOf(message).Elem())
	for _, s := range []sample{
		fromDevice(session.Input{Kind: session.InCall, Call: call}), in(session.Input{Kind: session.InView, View: view}),
		in(session.Input{Kind: session.InReply, Reply: reply}),
		{peerwire.KindArbiter, message},
		{peerwire.KindDevice, &peerwire.Delivery{Conn: 5, Down: invitation.Down{Answer: answer}, User: "alice", Device: "phone"}},
		down(invitation.Down{Notice: notice}),
	} {
		data := writesAlike(t, s)
		readsAlike(t, s.kind, data)
		if writes, reads := codecAt(now).Ours(s.kind, s.payload, data); !writes || !reads {
			t.Errorf("%+v is written by hand %t, read %t", s.payload, writes, reads)
		}
	}
}

// TestAlikeLarge: also what is too large for its texts to be parts of one string.
func TestAlikeLarge(t *testing.T) {
	long := string(bytes.Repeat([]byte("x"), 8_000))
	s := to(invitation.Message{Kind: invitation.MsgAccept, User: "bob", Device: "tablet", RequestID: 3, Response: long})
	readsAlike(t, s.kind, writesAlike(t, s))
}
