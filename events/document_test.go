package events_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/invitation"
)

var write = flag.Bool("write", false, "write the samples of docs/events.md anew")

// samples are the events of one invitation.
func samples() []*invitation.Event {
	at := time.Date(2026, 11, 23, 9, 30, 0, 125_000_000, time.UTC)
	base := invitation.Event{
		ID: invitation.NewID("alice", "phone", "f0e1d2c3"), Caller: "alice", CallerDevice: "phone", Callee: "bob", ChannelID: "room-7",
		Content: `{"video": true}`,
	}
	of := func(kind invitation.EventKind, after time.Duration, change func(e *invitation.Event)) *invitation.Event {
		e := base
		e.Kind, e.At = kind, at.Add(after).UnixMicro()
		change(&e)
		return &e
	}
	return []*invitation.Event{
		of(invitation.EventSent, 0, func(e *invitation.Event) { e.Remaining = 30 * time.Second }),
		of(invitation.EventCalleeOffline, 0, func(e *invitation.Event) { e.Remaining = 30 * time.Second }),
		of(invitation.EventRinging, 6*time.Second, func(e *invitation.Event) { e.Remaining = time.Minute }),
		of(invitation.EventClose, 9*time.Second, func(e *invitation.Event) {
			e.CalleeDevice, e.Remote, e.Reason = "tablet", invitation.RemoteCanceled, invitation.AnsweredElsewhere
		}),
		of(invitation.EventEnded, 9*time.Second+30*time.Millisecond, func(e *invitation.Event) {
			e.CalleeDevice, e.Outcome, e.Local, e.Response = "tablet", invitation.Accepted, invitation.LocalAcceptedByRemote, "coming"
			e.SetUp, e.Ring, e.Total = 6*time.Second, 3*time.Second, 9_030*time.Millisecond
		}),
	}
}

// paper is a sink that keeps what it gets.
type paper chan events.Encoded

// Deliver implements events.Sink.
func (p paper) Deliver(_ context.Context, batch []events.Encoded) error {
	for _, e := range batch {
		p <- e
	}
	return nil
}

// TestDocument: the examples of docs/events.md are what is delivered.
func TestDocument(t *testing.T) {
	const name = "../docs/events.md"
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	got := make(paper, invitation.EventKinds)
	s := stream(t, events.Config{
		Sinks: []events.SinkConfig{{Name: "paper", Sink: got}}, Content: true,
		Links: &events.Links{Base: "https://ring.example", Key: secret},
	})
	for _, e := range samples() {
		s.Emit(e)
		var body bytes.Buffer
		if err := json.Indent(&body, (<-got).Body, "", "  "); err != nil {
			t.Fatal(err)
		}
		marker := "<!-- sample " + e.Kind.String() + " -->\n"
		want := marker + "\n```json\n" + body.String() + "\n```\n"
		if strings.Contains(text, want) {
			continue
		}
		if !*write {
			t.Errorf("%s has another sample of %v: write it anew with -write", name, e.Kind)
			continue
		}
		block := regexp.MustCompile("(?s)" + regexp.QuoteMeta(marker) + "(\n```json\n.*?\n```\n)?")
		text = block.ReplaceAllLiteralString(text, want)
	}
	if *write {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
