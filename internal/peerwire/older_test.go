package peerwire_test

import (
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/ask"
	"github.com/ringfleet/ringfleet/cluster/handoff"
	"github.com/ringfleet/ringfleet/internal/peerwire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/invitation/snapshot"
)

// TestDecodeOlder: in whatever travels, time goes by while it is held back; an offer's time has not begun.
func TestDecodeOlder(t *testing.T) {
	const left, age = 30 * time.Second, 3 * time.Second
	now := invitation.Time(time.Hour)
	terms := &invitation.Terms{ID: invitation.NewID("alice", "d", "k"), Caller: "alice", Device: "d", Callee: "bob", Timers: invitation.DefaultTimers}
	view := &invitation.View{Terms: terms, Version: 1, Deadline: now.Add(left)}
	conn := session.Conn{Node: "a", Number: 1}
	resumed := &invitation.Resumed{Local: invitation.LocalSentToRemote, Remaining: left}
	notice := func(side invitation.Side, remote invitation.RemoteState) *peerwire.Delivery {
		return &peerwire.Delivery{Conn: 1, Down: invitation.Down{Notice: &invitation.Notice{ID: terms.ID, Side: side, Remote: remote, Remaining: left}}}
	}
	told := func(payload any) time.Duration { return payload.(*peerwire.Delivery).Down.Notice.Remaining }
	for _, c := range []struct {
		name    string
		kind    cluster.Kind
		payload any
		left    func(any) time.Duration
		want    time.Duration
	}{
		{
			"view", peerwire.KindSession, &session.Input{Kind: session.InView, View: view},
			func(p any) time.Duration { return p.(*session.Input).View.Deadline.Sub(now) }, left - age,
		},
		{
			"reply", peerwire.KindSession, &session.Input{Kind: session.InReply, Reply: &invitation.Reply{ID: terms.ID, View: view}},
			func(p any) time.Duration { return p.(*session.Input).Reply.View.Deadline.Sub(now) }, left - age,
		},
		{"word", peerwire.KindSession, &session.Input{Kind: session.InWord, Conn: conn, Device: "d", Word: &invitation.Word{
			ID: terms.ID, Side: invitation.Callee, Kind: invitation.WordSeen, Remaining: left,
		}}, func(p any) time.Duration { return p.(*session.Input).Word.Remaining }, left - age},
		{"send", peerwire.KindSession, &session.Input{Kind: session.InCall, Conn: conn, Device: "d", Call: &invitation.Call{
			Request: invitation.Send, RequestID: 1, Key: "k", Callee: "bob", Resumed: resumed,
		}}, func(p any) time.Duration { return p.(*session.Input).Call.Resumed.Remaining }, left - age},
		{
			"start", peerwire.KindArbiter, &invitation.Message{Kind: invitation.MsgStart, ID: terms.ID, User: "alice", Terms: terms, Resumed: resumed},
			func(p any) time.Duration { return p.(*invitation.Message).Resumed.Remaining }, left - age,
		},
		{
			"seen", peerwire.KindArbiter, &invitation.Message{Kind: invitation.MsgSeen, ID: terms.ID, User: "bob", Remaining: left},
			func(p any) time.Duration { return p.(*invitation.Message).Remaining }, left - age,
		},
		{
			"recover", peerwire.KindArbiter, &invitation.Message{Kind: invitation.MsgRecover, ID: terms.ID, User: "bob", View: view},
			func(p any) time.Duration { return p.(*invitation.Message).View.Deadline.Sub(now) }, left - age,
		},
		{"notice", peerwire.KindDevice, notice(invitation.Caller, 0), told, left - age},
		{"accepting", peerwire.KindDevice, notice(invitation.Callee, invitation.RemoteAcceptSentToLocal), told, left - age},
		{"offer", peerwire.KindDevice, notice(invitation.Callee, invitation.RemoteInvitationReceived), told, left},
		{"answer", peerwire.KindDevice, &peerwire.Delivery{Conn: 1, Down: invitation.Down{Answer: &invitation.Answer{
			Request: invitation.Send, RequestID: 1, Notice: notice(invitation.Caller, 0).Down.Notice,
		}}}, func(p any) time.Duration { return p.(*peerwire.Delivery).Down.Answer.Notice.Remaining }, left - age},
		{
			"chunk", peerwire.KindHandoff, &handoff.Message{Kind: handoff.Chunk, ID: 1, Age: left},
			func(p any) time.Duration { return p.(*handoff.Message).Age }, left + age,
		},
		{"event", peerwire.KindEvents, &peerwire.Events{Copy: &snapshot.Event{
			Event: invitation.Event{Kind: invitation.EventSent, ID: terms.ID}, Age: left,
		}}, func(p any) time.Duration { return p.(*peerwire.Events).Copy.Age }, left + age},
		{
			"request", peerwire.KindRequest, &ask.Request{ID: 1, Node: "a", Method: "m", Remaining: left},
			func(p any) time.Duration { return p.(*ask.Request).Remaining }, left - age,
		},
	} {
		data, err := codecAt(now).Append(nil, c.kind, c.payload)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		payload, err := codecAt(now).DecodeOlder(c.kind, "", data, age)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := c.left(payload); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if _, err := codecAt(now).DecodeOlder(99, "", nil, age); err == nil {
		t.Error("a kind that there is none of is read")
	}
}
