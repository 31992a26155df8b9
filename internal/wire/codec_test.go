package wire_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/clientpb"
)

func TestNegotiate(t *testing.T) {
	for _, c := range []struct {
		lowest, highest uint32
		ok              bool
	}{{1, 1, true}, {0, 1, true}, {1, 7, true}, {0, 0, false}, {2, 3, false}, {2, 1, false}} {
		got, err := wire.Negotiate(c.lowest, c.highest)
		if c.ok != (err == nil) || (c.ok && got != 1) || (!c.ok && !errors.Is(err, invitation.EndBadVersion)) {
			t.Errorf("%d to %d: got %d, %v", c.lowest, c.highest, got, err)
		}
	}
}

func TestSubprotocols(t *testing.T) {
	for _, name := range wire.Subprotocols {
		codec, ok := wire.CodecOf(name)
		if !ok || codec.Subprotocol() != name || codec.Text() != (codec == wire.JSON) {
			t.Errorf("%s: got %v, %v", name, codec, ok)
		}
	}
	if codec, ok := wire.CodecOf("ringfleet.v2.proto"); ok {
		t.Errorf("got %v for a subprotocol of another version", codec)
	}
}

// TestNumbers compares the numbers and names of package invitation with those of the protocol.
func TestNumbers(t *testing.T) {
	enum := func(e protoreflect.Enum) protoreflect.EnumValueDescriptors { return e.Descriptor().Values() }
	for _, c := range []struct {
		prefix string
		values protoreflect.EnumValueDescriptors
		count  int
		name   func(n uint8) string
	}{
		{
			"LOCAL_INVITATION_STATE_", enum(clientpb.LocalInvitationState(0)), invitation.LocalStates,
			func(n uint8) string { return invitation.LocalState(n).String() },
		},
		{
			"REMOTE_INVITATION_STATE_", enum(clientpb.RemoteInvitationState(0)), invitation.RemoteStates,
			func(n uint8) string { return invitation.RemoteState(n).String() },
		},
		{
			"LOCAL_INVITATION_ERROR_", enum(clientpb.LocalInvitationError(0)), invitation.LocalErrors,
			func(n uint8) string { return invitation.LocalError(n).String() },
		},
		{
			"REMOTE_INVITATION_ERROR_", enum(clientpb.RemoteInvitationError(0)), invitation.RemoteErrors,
			func(n uint8) string { return invitation.RemoteError(n).String() },
		},
		{
			"INVITATION_API_CALL_ERROR_", enum(clientpb.InvitationApiCallError(0)), len(invitation.Codes),
			func(n uint8) string { return invitation.CallError(n).String() },
		},
		{
			"REASON_", enum(clientpb.Reason(0)), invitation.Reasons,
			func(n uint8) string { return invitation.Reason(n).String() },
		},
	} {
		if c.values.Len() != c.count {
			t.Errorf("%s… has %d values, package invitation %d", c.prefix, c.values.Len(), c.count)
		}
		for i := range c.values.Len() {
			value := c.values.Get(i)
			want := c.prefix + c.name(uint8(value.Number()))
			if value.Number() == 0 {
				want = strings.TrimSuffix(want, "_") + "_UNSPECIFIED"
			}
			if string(value.Name()) != want {
				t.Errorf("number %d is %s in the protocol, %s in package invitation", value.Number(), value.Name(), want)
			}
		}
	}
}

// TestDurations travel in whole milliseconds, rounded up, and never become nothing or an absurdity.
func TestDurations(t *testing.T) {
	for _, c := range []struct{ in, want time.Duration }{
		{0, 0},
		{-time.Second, 0},
		{1, time.Millisecond},
		{time.Millisecond, time.Millisecond},
		{time.Millisecond + 1, 2 * time.Millisecond},
		{math.MaxInt64, math.MaxUint32 * time.Millisecond},
	} {
		frame := noticeSample(invitation.Notice{ID: sampleID, Side: invitation.Caller, Remaining: c.in})
		if got := throughDown(t, wire.Binary, frame).Down.Notice.Remaining; got != c.want {
			t.Errorf("remaining %v arrives as %v, want %v", c.in, got, c.want)
		}
	}
	for _, c := range []struct{ in, want time.Duration }{
		{0, 0},
		{-time.Second, time.Millisecond}, // not 0, which would be the deployment's
		{1, time.Millisecond},
		{time.Second, time.Second},
		{math.MaxInt64, math.MaxUint32 * time.Millisecond},
	} {
		frame := callSample(invitation.Call{Request: invitation.Send, RequestID: 1, Timers: invitation.Timers{
			NoResponse: c.in, Expire: c.in, AcceptWindow: c.in, Grace: c.in, Linger: c.in,
		}})
		want := invitation.Timers{NoResponse: c.want, Expire: c.want, AcceptWindow: c.want, Grace: c.want, Linger: c.want}
		if got := throughUp(t, wire.Binary, frame).Up.Call.Timers; got != want {
			t.Errorf("timers of %v arrive as %+v, want %v", c.in, got, c.want)
		}
	}
}

// TestServerTime is told with views, not invented where the node has not told it.
func TestServerTime(t *testing.T) {
	for _, at := range []time.Time{{}, time.UnixMilli(1).UTC(), sampleTime} {
		frame := noticeSample(invitation.Notice{ID: sampleID, Side: invitation.Callee})
		frame.Time = at
		if got := throughDown(t, wire.JSON, frame).Time; !got.Equal(at) {
			t.Errorf("%v arrives as %v", at, got)
		}
	}
}

// TestEndingText falls back to the table of ends.
func TestEndingText(t *testing.T) {
	for _, row := range invitation.Ends {
		frame := wire.ServerFrame{Down: invitation.Down{Ending: &invitation.Ending{End: row.End}}}
		got := throughDown(t, wire.Binary, frame)
		if got.Down.Ending.End != row.End || !strings.HasPrefix(got.Text, row.Name+": ") || !strings.HasSuffix(got.Text, row.Do) {
			t.Errorf("%d arrives as %d %q", row.End, got.Down.Ending.End, got.Text)
		}
	}
}

func throughUp(t testing.TB, codec wire.Codec, f wire.ClientFrame) wire.ClientFrame {
	t.Helper()
	data, err := wire.EncodeUp(nil, codec, f)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.DecodeUp(codec, data)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func throughDown(t testing.TB, codec wire.Codec, f wire.ServerFrame) wire.ServerFrame {
	t.Helper()
	data, err := wire.EncodeDown(nil, codec, f)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.DecodeDown(codec, data)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
