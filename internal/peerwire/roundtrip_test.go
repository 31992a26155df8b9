package peerwire_test

import (
	"cmp"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ringfleet/ringfleet/internal/peerwire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

var (
	namesGen  = rapid.StringMatching(`[a-zA-Z0-9 !#$%&()+:;<=.>?@^_{}|~,-]{1,64}`)
	texts     = rapid.StringN(0, 40, 64) // a channel id has 64 bytes
	rawTexts  = rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 40), func(b []byte) string { return string(b) })
	durations = rapid.Map(rapid.Int64Range(-1e12, 1e12), func(us int64) time.Duration { return time.Duration(us) * time.Microsecond })
	left      = rapid.Map(rapid.Int64Range(0, 600e6), func(us int64) time.Duration { return time.Duration(us) * time.Microsecond })
	ids       = rapid.Custom(func(t *rapid.T) invitation.ID {
		return invitation.NewID(invitation.User(namesGen.Draw(t, "caller")), "d", namesGen.Draw(t, "key"))
	})
	timersGen = rapid.Custom(func(t *rapid.T) invitation.Timers {
		return invitation.Timers{
			NoResponse: durations.Draw(t, "no response"), Expire: durations.Draw(t, "expire"),
			AcceptWindow: durations.Draw(t, "accept window"), Grace: durations.Draw(t, "grace"), Linger: durations.Draw(t, "linger"),
		}
	})
	devices = rapid.Map(namesGen, func(s string) invitation.Device { return invitation.Device(s) })
	users   = rapid.Map(namesGen, func(s string) invitation.User { return invitation.User(s) })
)

func termsGen(t *rapid.T, id invitation.ID) *invitation.Terms {
	return &invitation.Terms{
		ID: id, Caller: users.Draw(t, "caller"), Device: devices.Draw(t, "device"), Callee: users.Draw(t, "callee"),
		Content: texts.Draw(t, "content"), ChannelID: texts.Draw(t, "channel"), Timers: timersGen.Draw(t, "timers"),
	}
}

func viewGen(t *rapid.T) *invitation.View {
	v := &invitation.View{
		Terms: termsGen(t, ids.Draw(t, "id")), Version: rapid.Uint32().Draw(t, "version"),
		Stage:  invitation.Stage(rapid.IntRange(0, invitation.Stages-1).Draw(t, "stage")),
		Chosen: invitation.Device(texts.Draw(t, "chosen")), Response: texts.Draw(t, "response"),
		Outcome: invitation.Outcome(rapid.IntRange(0, invitation.Outcomes-1).Draw(t, "outcome")),
		Reason:  invitation.Reason(rapid.Uint8().Draw(t, "reason")), Verdict: rapid.Bool().Draw(t, "verdict"),
		Settled: rapid.Bool().Draw(t, "settled"), Permit: rapid.Uint64().Draw(t, "permit"), Heard: rapid.Uint64().Draw(t, "heard"),
	}
	v.Heard, v.HeardCallee, v.Recovering = rapid.Uint64().Draw(t, "heard"), rapid.Uint64().Draw(t, "heard callee"), rapid.Bool().Draw(t, "recovering")
	if rapid.Bool().Draw(t, "ends") {
		v.Deadline = max(now.Add(durations.Draw(t, "remaining")), 1)
		v.Deadline -= (v.Deadline - now) % invitation.Time(time.Microsecond)
	}
	return v
}

func wordGen(t *rapid.T) invitation.Word {
	w := invitation.Word{ID: ids.Draw(t, "id")}
	switch rapid.IntRange(0, 5).Draw(t, "word") {
	case 0:
		w.Side, w.Kind, w.Remaining = invitation.Callee, invitation.WordSeen, left.Draw(t, "remaining")
	case 4:
		w.Side, w.Kind, w.Remaining = invitation.Callee, invitation.WordAccepting, left.Draw(t, "remaining")
		w.Response = rawTexts.Draw(t, "response")
	case 5:
		w.Side, w.Kind, w.Remaining = invitation.Caller, invitation.WordSent, left.Draw(t, "remaining")
	case 1:
		w.Side, w.Kind, w.Named = invitation.Caller, invitation.WordConfirmed, devices.Draw(t, "named")
	case 2:
		w.Side, w.Kind = invitation.Caller, invitation.WordDone
		w.Local = invitation.LocalState(rapid.IntRange(0, 6).Draw(t, "state"))
	default:
		w.Side, w.Kind = invitation.Callee, invitation.WordDone
		w.Remote = invitation.RemoteState(rapid.IntRange(0, 6).Draw(t, "state"))
	}
	return w
}

func last(w invitation.Word) int {
	if w.Kind == invitation.WordSent {
		return 1
	}
	return 0
}

func resumedGen(t *rapid.T) *invitation.Resumed {
	if rapid.Bool().Draw(t, "first") {
		return nil
	}
	r := &invitation.Resumed{
		Local: invitation.LocalState(rapid.IntRange(0, 2).Draw(t, "local")), Remaining: left.Draw(t, "remaining"),
	}
	if rapid.Bool().Draw(t, "confirmed") {
		r.Confirmed = devices.Draw(t, "device")
	}
	return r
}

func callGen(t *rapid.T) *invitation.Call {
	c := &invitation.Call{
		Request:   invitation.Request(rapid.IntRange(1, invitation.Requests-1).Draw(t, "request")),
		RequestID: rapid.Uint64Min(1).Draw(t, "request id"), Response: rawTexts.Draw(t, "response"),
		Key: rawTexts.Draw(t, "key"), Callee: invitation.User(rawTexts.Draw(t, "callee")),
		Content: rawTexts.Draw(t, "content"), ChannelID: rawTexts.Draw(t, "channel"), Timers: timersGen.Draw(t, "timers"),
	}
	c.Resumed = resumedGen(t)
	if rapid.Bool().Draw(t, "has id") {
		c.ID = ids.Draw(t, "id")
	}
	return c
}

func inputGen(t *rapid.T) *session.Input {
	in := &session.Input{
		Kind: rapid.SampledFrom([]session.InputKind{
			session.InAttach, session.InDetach, session.InLogout, session.InCall, session.InWord, session.InView,
			session.InReply, session.InUnknown,
		}).Draw(t, "kind"),
	}
	if in.Kind <= session.InWord {
		in.Conn = session.Conn{Node: namesGen.Draw(t, "node"), Number: rapid.Uint64().Draw(t, "number")}
		if in.Kind != session.InAttach {
			in.Device = devices.Draw(t, "device")
		}
	}
	switch in.Kind {
	case session.InAttach:
		in.Login = &invitation.Login{
			User: users.Draw(t, "user"), Device: devices.Draw(t, "device"), Resume: rapid.Bool().Draw(t, "resume"),
			Stamp: rapid.Uint64().Draw(t, "stamp"),
		}
		in.Device = in.Login.Device
		in.Login.Reattach = rapid.Bool().Draw(t, "reattach")
		in.Login.Age = time.Duration(rapid.IntRange(0, 1_000_000).Draw(t, "age")) * time.Microsecond
		for range rapid.IntRange(0, 3).Draw(t, "words") {
			in.Login.Words = append(in.Login.Words, wordGen(t))
		}
		slices.SortStableFunc(in.Login.Words, func(a, b invitation.Word) int { // those of more_words are the last
			return cmp.Compare(last(a), last(b))
		})
	case session.InCall:
		in.Call = callGen(t)
	case session.InWord:
		in.Word = new(wordGen(t))
	case session.InView:
		in.View = viewGen(t)
	case session.InReply:
		in.Reply = &invitation.Reply{
			ID: ids.Draw(t, "id"), Device: devices.Draw(t, "device"),
			Request:   invitation.Request(rapid.IntRange(0, invitation.Requests-1).Draw(t, "request")),
			RequestID: rapid.Uint64().Draw(t, "request id"), Error: invitation.CallError(rapid.Uint8().Draw(t, "error")),
		}
		if rapid.Bool().Draw(t, "has view") {
			in.Reply.View = viewGen(t)
		}
	case session.InUnknown:
		in.ID, in.Over = ids.Draw(t, "id"), rapid.Bool().Draw(t, "over")
	default:
	}
	return in
}

func messageGen(t *rapid.T) *invitation.Message {
	flag := func(label string) bool { return rapid.Bool().Draw(t, label) }
	m := &invitation.Message{
		Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Fresh: flag("fresh"), Remaining: left.Draw(t, "remaining"),
		ID: ids.Draw(t, "id"), User: users.Draw(t, "user"), Device: devices.Draw(t, "device"),
		RequestID: rapid.Uint64().Draw(t, "request id"), Response: rawTexts.Draw(t, "response"),
		Named: invitation.Device(texts.Draw(t, "named")), Chosen: invitation.Device(texts.Draw(t, "chosen")),
		Local:  invitation.LocalState(rapid.IntRange(0, 6).Draw(t, "local")),
		Remote: invitation.RemoteState(rapid.IntRange(0, 6).Draw(t, "remote")),
		Reason: invitation.Reason(rapid.Uint8().Draw(t, "reason")), Online: flag("online"), Connected: flag("connected"),
		Full: flag("full"), Concluded: flag("concluded"), Ask: flag("ask"), Permit: rapid.Uint64().Draw(t, "permit"),
	}
	if m.Kind == invitation.MsgStart || flag("terms") {
		m.Terms = termsGen(t, m.ID)
	}
	if m.Resumed = resumedGen(t); m.Kind == invitation.MsgRecover {
		m.View = viewGen(t)
		m.View.Terms.ID = m.ID
	}
	return m
}

// kinds are those that travel.
var kinds = []invitation.MessageKind{
	invitation.MsgStart, invitation.MsgCancel, invitation.MsgConfirm, invitation.MsgCallerDone, invitation.MsgCaller,
	invitation.MsgSeen, invitation.MsgAccept, invitation.MsgRefuse, invitation.MsgCalleeDone, invitation.MsgCallee,
	invitation.MsgRecover,
}

func noticeGen(t *rapid.T) *invitation.Notice {
	return &invitation.Notice{
		ID: ids.Draw(t, "id"), Side: invitation.Side(rapid.IntRange(1, 2).Draw(t, "side")), Peer: users.Draw(t, "peer"),
		Content: texts.Draw(t, "content"), ChannelID: texts.Draw(t, "channel"), Response: texts.Draw(t, "response"),
		Local:  invitation.LocalState(rapid.IntRange(0, 6).Draw(t, "local")),
		Remote: invitation.RemoteState(rapid.IntRange(0, 6).Draw(t, "remote")),
		Code:   rapid.Uint8().Draw(t, "code"), Reason: invitation.Reason(rapid.Uint8().Draw(t, "reason")),
		Confirm: invitation.Device(texts.Draw(t, "confirm")), Verdict: rapid.Bool().Draw(t, "verdict"),
		Settled: rapid.Bool().Draw(t, "settled"), Remaining: durations.Draw(t, "remaining"),
	}
}

func deliveryGen(t *rapid.T) *peerwire.Delivery {
	d := &peerwire.Delivery{Conn: rapid.Uint64().Draw(t, "conn")}
	if rapid.Bool().Draw(t, "addressed") {
		d.User, d.Device = users.Draw(t, "user"), devices.Draw(t, "device")
	}
	switch rapid.IntRange(0, 4).Draw(t, "down") {
	case 0:
		d.Down.Welcome = &invitation.Welcome{Stamp: rapid.Uint64().Draw(t, "stamp"), Tell: rapid.Bool().Draw(t, "tell")}
	case 4:
		d.Down.Retell = &invitation.Retell{ID: ids.Draw(t, "id"), Side: invitation.Side(rapid.IntRange(1, 2).Draw(t, "side"))}
	case 1:
		d.Down.Answer = &invitation.Answer{
			Request:   invitation.Request(rapid.IntRange(0, invitation.Requests-1).Draw(t, "request")),
			RequestID: rapid.Uint64().Draw(t, "request id"), Error: invitation.CallError(rapid.Uint8().Draw(t, "error")),
			RetryAfter: durations.Draw(t, "retry after"),
		}
		if rapid.Bool().Draw(t, "known") {
			d.Down.Answer.ID, d.Down.Answer.Notice = ids.Draw(t, "id"), noticeGen(t)
		}
	case 2:
		d.Down.Notice = noticeGen(t)
	default:
		d.Down.Ending = &invitation.Ending{
			End: invitation.End(rapid.Uint16().Draw(t, "end")), RetryAfter: durations.Draw(t, "retry after"),
		}
	}
	return d
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := sample{peerwire.KindDevice, nil}
		switch rapid.IntRange(0, 2).Draw(t, "payload") {
		case 0:
			want = sample{peerwire.KindSession, inputGen(t)}
		case 1:
			want = sample{peerwire.KindArbiter, messageGen(t)}
		default:
			want.payload = deliveryGen(t)
		}
		data, err := codecAt(now).Append(nil, want.kind, want.payload)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := codecAt(now).Decode(want.kind, "", data); err != nil || !reflect.DeepEqual(got, want.payload) {
			t.Fatalf("%+v arrives as %+v, %v", want.payload, got, err)
		}
	})
}
