package events_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/invitation"
)

// TestEncoding: what is written by hand is what encoding/json makes of the message, whatever users have written, and
// has all that the event says.
func TestEncoding(t *testing.T) {
	got := make(paper, 1)
	s := stream(t, events.Config{
		Sinks: []events.SinkConfig{{Name: "paper", Sink: got, Batch: 1}}, Content: true,
		Links: &events.Links{Base: "https://ring.example", Key: secret},
	})
	duration := rapid.Map(rapid.Int64Range(0, 1<<40), func(n int64) time.Duration { return time.Duration(n) })
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "plain", `"quoted"\`, "<a&b>", "\x00\u2028\x7f", "你好"}))
		e := &invitation.Event{
			Kind: invitation.EventKind(rapid.IntRange(1, invitation.EventKinds-1).Draw(t, "kind")),
			ID:   invitation.NewID("alice", "phone", rapid.StringN(1, 8, 8).Draw(t, "key")),
			At:   rapid.Int64Range(0, 4e15).Draw(t, "at"), Caller: invitation.User(text.Draw(t, "caller")),
			CallerDevice: invitation.Device(text.Draw(t, "caller device")), Callee: invitation.User(text.Draw(t, "callee")),
			CalleeDevice: invitation.Device(text.Draw(t, "callee device")), ChannelID: text.Draw(t, "channel"),
			Content: text.Draw(t, "content"), Response: text.Draw(t, "response"), Remaining: duration.Draw(t, "remaining"),
			Remote:  invitation.RemoteState(rapid.IntRange(0, invitation.RemoteStates-1).Draw(t, "remote")),
			Outcome: invitation.Outcome(rapid.IntRange(0, invitation.Outcomes-1).Draw(t, "outcome")),
			Local:   invitation.LocalState(rapid.IntRange(0, invitation.LocalStates-1).Draw(t, "local")),
			SetUp:   duration.Draw(t, "set-up"), Ring: duration.Draw(t, "ring"), Total: duration.Draw(t, "total"),
			Recovered: rapid.Bool().Draw(t, "recovered"),
		}
		s.Emit(e)
		body := (<-got).Body
		m := new(events.Message)
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(m); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		var again bytes.Buffer
		encoder := json.NewEncoder(&again)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(m); err != nil || !bytes.Equal(bytes.TrimSuffix(again.Bytes(), []byte("\n")), body) {
			t.Fatalf("written as\n%s; encoding/json makes\n%s, %v", body, &again, err)
		}
		d := m.Data
		ended := e.Kind == invitation.EventEnded
		switch {
		case m.ID != events.ID(e.Kind, e.ID), m.Type != events.Type(e.Kind), m.Subject != e.ID.String(), m.Time.UnixMicro() != e.At,
			d.Invitation != m.Subject, d.Caller != string(e.Caller), d.CallerDevice != string(e.CallerDevice),
			d.Callee != string(e.Callee), d.CalleeDevice != string(e.CalleeDevice), d.ChannelID != e.ChannelID,
			d.Content != e.Content, d.Response != e.Response,
			ended && (d.Outcome != e.Outcome.String() || d.State != e.Local.String() || d.Code != e.Code.String()),
			ended && (d.DurationMs == nil) != e.Recovered, e.Kind == invitation.EventClose && d.State != e.Remote.String(),
			(d.ValidURL != "") != (e.Kind == invitation.EventCalleeOffline),
			(d.ExpiresAt != nil) != (e.Kind < invitation.EventClose),
			d.ExpiresAt != nil && !d.ExpiresAt.Equal(m.Time.Add(e.Remaining)):
			t.Fatalf("%+v is told as %+v", e, m)
		}
	})
}
