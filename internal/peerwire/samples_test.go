package peerwire_test

import (
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/handoff"
	"github.com/ringfleet/ringfleet/internal/peerwire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/invitation/snapshot"
)

// now is the time at which samples are encoded and decoded.
const now = invitation.Time(90 * time.Second)

func codecAt(t invitation.Time) peerwire.Codec {
	return peerwire.Codec{Now: func() invitation.Time { return t }}
}

// sample is a message of some kind.
type sample struct {
	kind    cluster.Kind
	payload any
}

var (
	sampleID = invitation.NewID("alice", "phone", "f0e1d2c3b4a5968778695a4b3c2d1e0f")
	otherID  = invitation.NewID("carol", "web", "k")

	sampleTimers = invitation.Timers{
		NoResponse: 30 * time.Second, Expire: time.Minute, AcceptWindow: 15 * time.Second, Grace: 1_500 * time.Millisecond,
		Linger: 5 * time.Minute,
	}
	sampleTerms = &invitation.Terms{
		ID: sampleID, Caller: "alice", Device: "phone", Callee: "bob", Content: "dinner?\n\"晚饭\"", ChannelID: "房间-7",
		Timers: sampleTimers,
	}
	sampleConn = session.Conn{Node: "node-2", Number: 1<<63 + 7}

	words = []invitation.Word{
		{ID: sampleID, Side: invitation.Callee, Kind: invitation.WordSeen},
		{ID: otherID, Side: invitation.Caller, Kind: invitation.WordConfirmed, Named: "tablet"},
		{ID: otherID, Side: invitation.Caller, Kind: invitation.WordDone, Local: invitation.LocalCanceled},
		{ID: sampleID, Side: invitation.Callee, Kind: invitation.WordDone, Remote: invitation.RemoteAccepted},
	}
	moreWords = []invitation.Word{
		{ID: sampleID, Side: invitation.Callee, Kind: invitation.WordSeen, Remaining: 7 * time.Second},
		{ID: sampleID, Side: invitation.Callee, Kind: invitation.WordAccepting, Response: "好", Remaining: time.Second},
		{ID: otherID, Side: invitation.Caller, Kind: invitation.WordSent, Remaining: invitation.MaxTimer},
	}
	sampleResumed = &invitation.Resumed{
		Local: invitation.LocalReceivedByRemote, Remaining: 12_345_678 * time.Microsecond, Confirmed: "tablet",
	}
	sampleView = &invitation.View{
		Terms: sampleTerms, Version: 3, Stage: invitation.Accepting, Chosen: "tablet", Response: "好", Permit: 5,
		Deadline: now.Add(14_999_999 * time.Microsecond),
	}
	endedView = &invitation.View{
		Terms: sampleTerms, Version: 9, Stage: invitation.Ended, Outcome: invitation.Canceled,
		Reason: invitation.CallerLoggedOut, Verdict: true, Settled: true, Deadline: now.Add(-time.Second),
	}
	heardView = &invitation.View{
		Terms: sampleTerms, Version: 4, Stage: invitation.Confirmed, Chosen: "tablet", Heard: 1 << 40, Deadline: now.Add(time.Second),
	}
	foreverView = &invitation.View{
		Terms: &invitation.Terms{ID: otherID, Caller: "carol", Device: "web", Callee: "bob"}, Version: 1,
	}
	sampleEvent = &snapshot.Event{
		Event: invitation.Event{
			Kind: invitation.EventEnded, ID: sampleID, At: 1_763_884_800_000_001, Caller: "alice", CallerDevice: "phone", Callee: "bob",
			CalleeDevice: "tablet", ChannelID: "房间-7", Content: "dinner?", Response: "好", Remaining: 29 * time.Second,
			Remote: invitation.RemoteCanceled, Outcome: invitation.Canceled, Local: invitation.LocalCanceled, Code: invitation.LocalExpire,
			Reason: invitation.CallerLoggedOut, SetUp: 40 * time.Millisecond, Ring: 3 * time.Second, Total: 3_050 * time.Millisecond,
			Recovered: true,
		},
		Age: 90 * time.Second, Sinks: []string{"crm", "history"},
	}
	sampleNotice = &invitation.Notice{
		ID: sampleID, Side: invitation.Caller, Peer: "bob", Response: "好", Local: invitation.LocalReceivedByRemote,
		Confirm: "tablet", Verdict: true, Settled: true, Remaining: 14_999 * time.Millisecond,
	}
	failedNotice = &invitation.Notice{
		ID: sampleID, Side: invitation.Callee, Peer: "alice", Content: "dinner?", ChannelID: "房间-7",
		Remote: invitation.RemoteFailure, Code: uint8(invitation.RemoteAcceptFailure), Reason: invitation.AcceptNotConfirmed,
	}
)

func someShards() (s invitation.ShardSet) {
	s.Add(0)
	s.Add(9)
	s.Add(invitation.Shards - 1)
	return s
}

func in(i session.Input) sample {
	return sample{peerwire.KindSession, &i}
}

func fromDevice(i session.Input) sample {
	i.Conn, i.Device = sampleConn, "phone"
	return in(i)
}

func to(m invitation.Message) sample {
	m.ID = sampleID
	return sample{peerwire.KindArbiter, &m}
}

func down(d invitation.Down) sample {
	return sample{peerwire.KindDevice, &peerwire.Delivery{Conn: 1<<63 + 7, Down: d}}
}

// samples has each kind of message at least once, and each field set at least once.
var samples = map[string]sample{
	"session_attach": fromDevice(session.Input{Kind: session.InAttach, Login: &invitation.Login{
		User: "alice", Device: "phone", Resume: true, Stamp: 1 << 60, Words: words,
	}}),
	"session_attach_plain": fromDevice(session.Input{
		Kind: session.InAttach, Login: &invitation.Login{User: "alice", Device: "phone"},
	}),
	"session_attach_words": fromDevice(session.Input{Kind: session.InAttach, Login: &invitation.Login{
		User: "alice", Device: "phone", Resume: true, Stamp: 1, Words: moreWords,
	}}),
	"session_reattach": fromDevice(session.Input{Kind: session.InAttach, Login: &invitation.Login{
		User: "alice", Device: "phone", Resume: true, Reattach: true, Stamp: 1 << 60,
	}}),
	"session_attach_again": fromDevice(session.Input{Kind: session.InAttach, Login: &invitation.Login{
		User: "alice", Device: "phone", Stamp: 1 << 40, Age: 500 * time.Millisecond,
	}}),
	"session_call_resumed": fromDevice(session.Input{Kind: session.InCall, Call: &invitation.Call{
		Request: invitation.Send, RequestID: 1 << 61, Key: "f0e1d2c3", Callee: "bob", Resumed: sampleResumed,
	}}),
	"session_call_repeated": fromDevice(session.Input{Kind: session.InCall, Call: &invitation.Call{
		Request: invitation.Send, RequestID: 1, Key: "f0e1d2c3", Callee: "bob", Resumed: new(invitation.Resumed),
	}}),
	"session_word_sent":      fromDevice(session.Input{Kind: session.InWord, Word: &moreWords[2]}),
	"session_word_accepting": fromDevice(session.Input{Kind: session.InWord, Word: &moreWords[1]}),
	"session_view_recovering": in(session.Input{Kind: session.InView, View: &invitation.View{
		Terms: sampleTerms, Recovering: true, HeardCallee: 1 << 40, Heard: 3,
	}}),
	"session_unknown_over": in(session.Input{Kind: session.InUnknown, ID: sampleID, Over: true}),
	"session_detach":       fromDevice(session.Input{Kind: session.InDetach}),
	"session_logout":       fromDevice(session.Input{Kind: session.InLogout}),
	"session_call_send": fromDevice(session.Input{Kind: session.InCall, Call: &invitation.Call{
		Request: invitation.Send, RequestID: 1 << 61, Key: "f0e1d2c3", Callee: "bob", Content: "dinner?", ChannelID: "房间-7",
		Timers: sampleTimers,
	}}),
	"session_call_not_utf8": fromDevice(session.Input{Kind: session.InCall, Call: &invitation.Call{
		Request: invitation.Send, RequestID: 1, Key: "\xff", Callee: "b\xff", Content: "\xc0\x80", ChannelID: "\xfe",
	}}),
	"session_call_accept": fromDevice(session.Input{Kind: session.InCall, Call: &invitation.Call{
		Request: invitation.Accept, RequestID: 3, ID: sampleID, Response: "好",
	}}),
	"session_word_seen":        fromDevice(session.Input{Kind: session.InWord, Word: &words[0]}),
	"session_word_confirmed":   fromDevice(session.Input{Kind: session.InWord, Word: &words[1]}),
	"session_word_local_done":  fromDevice(session.Input{Kind: session.InWord, Word: &words[2]}),
	"session_word_remote_done": fromDevice(session.Input{Kind: session.InWord, Word: &words[3]}),
	"session_view":             in(session.Input{Kind: session.InView, View: sampleView}),
	"session_view_ended":       in(session.Input{Kind: session.InView, View: endedView}),
	"session_view_heard":       in(session.Input{Kind: session.InView, View: heardView}),
	"session_view_forever":     in(session.Input{Kind: session.InView, View: foreverView}),
	"session_reply": in(session.Input{Kind: session.InReply, Reply: &invitation.Reply{
		ID: sampleID, Device: "phone", Request: invitation.Cancel, RequestID: 4, Error: invitation.AlreadyEnd, View: endedView,
	}}),
	"session_reply_plain": in(session.Input{Kind: session.InReply, Reply: &invitation.Reply{
		ID: sampleID, Device: "phone", Request: invitation.Refuse, RequestID: 4,
	}}),
	"session_unknown": in(session.Input{Kind: session.InUnknown, ID: sampleID}),

	"arbiter_start": to(invitation.Message{
		Kind: invitation.MsgStart, User: "alice", Device: "phone", RequestID: 1 << 61, Terms: sampleTerms, Online: true,
		Connected: true,
	}),
	"arbiter_start_resumed": to(invitation.Message{
		Kind: invitation.MsgStart, User: "alice", Device: "phone", RequestID: 7, Terms: sampleTerms, Resumed: sampleResumed,
	}),
	"arbiter_recover": to(invitation.Message{Kind: invitation.MsgRecover, User: "bob", View: sampleView, Fresh: true}),
	"arbiter_accept_again": to(invitation.Message{
		Kind: invitation.MsgAccept, User: "bob", Device: "tablet", Response: "好", Remaining: 9 * time.Second,
	}),
	"arbiter_cancel": to(invitation.Message{
		Kind: invitation.MsgCancel, User: "alice", Device: "phone", RequestID: 2, Reason: invitation.CallerLoggedOut,
	}),
	"arbiter_confirm":     to(invitation.Message{Kind: invitation.MsgConfirm, User: "alice", Device: "phone", Named: "tablet"}),
	"arbiter_caller_done": to(invitation.Message{Kind: invitation.MsgCallerDone, User: "alice", Device: "phone", Local: invitation.LocalFailure}),
	"arbiter_caller":      to(invitation.Message{Kind: invitation.MsgCaller, User: "alice", Online: true, Ask: true}),
	"arbiter_seen":        to(invitation.Message{Kind: invitation.MsgSeen, User: "bob", Device: "tablet"}),
	"arbiter_accept": to(invitation.Message{
		Kind: invitation.MsgAccept, User: "bob", Device: "tablet", RequestID: 3, Response: "好",
	}),
	"arbiter_refuse_not_utf8": to(invitation.Message{
		Kind: invitation.MsgRefuse, User: "bob", Device: "tablet", RequestID: 3, Response: "\xff",
	}),
	"arbiter_callee_done": to(invitation.Message{
		Kind: invitation.MsgCalleeDone, User: "bob", Device: "tablet", Remote: invitation.RemoteAccepted, Concluded: true,
	}),
	"arbiter_callee": to(invitation.Message{
		Kind: invitation.MsgCallee, User: "bob", Online: true, Connected: true, Chosen: "tablet", Full: true, Ask: true, Permit: 9,
	}),

	"device_welcome":      down(invitation.Down{Welcome: &invitation.Welcome{Stamp: 1 << 60}}),
	"device_welcome_tell": down(invitation.Down{Welcome: &invitation.Welcome{Stamp: 3, Tell: true}}),
	"device_retell": {peerwire.KindDevice, &peerwire.Delivery{
		Conn: 5, Down: invitation.Down{Retell: &invitation.Retell{ID: sampleID, Side: invitation.Callee}},
		User: "alice", Device: "phone",
	}},
	"device_answer": down(invitation.Down{Answer: &invitation.Answer{
		Request: invitation.Send, RequestID: 5, ID: sampleID, Notice: sampleNotice,
	}}),
	"device_answer_error": down(invitation.Down{Answer: &invitation.Answer{
		Request: invitation.Send, RequestID: 5, Error: invitation.LimitExceeded, RetryAfter: 1_500 * time.Millisecond,
	}}),
	"device_notice":         down(invitation.Down{Notice: sampleNotice}),
	"device_notice_failed":  down(invitation.Down{Notice: failedNotice}),
	"handoff_claim":         {peerwire.KindHandoff, &handoff.Message{Kind: handoff.Claim, ID: 1 << 50, Shards: someShards()}},
	"handoff_grant":         {peerwire.KindHandoff, &handoff.Message{Kind: handoff.Grant, ID: 1 << 50, Chunks: 3, Shards: someShards(), Given: invitation.ShardSet{3: 7}, Holders: []string{"node-2", "node-7"}}},
	"handoff_grant_nothing": {peerwire.KindHandoff, &handoff.Message{Kind: handoff.Grant, ID: 7}},
	"handoff_pull":          {peerwire.KindHandoff, &handoff.Message{Kind: handoff.Pull, ID: 1 << 50, Chunk: 2}},
	"handoff_chunk":         {peerwire.KindHandoff, &handoff.Message{Kind: handoff.Chunk, ID: 1 << 50, Chunk: 2, Data: []byte("\x03\x1a\x01\x00")}},
	"handoff_chunk_age":     {peerwire.KindHandoff, &handoff.Message{Kind: handoff.Chunk, ID: 1 << 50, Chunk: 2, Data: []byte("\x03\x1a\x01\x00"), Age: 1500 * time.Microsecond}},
	"handoff_done":          {peerwire.KindHandoff, &handoff.Message{Kind: handoff.Done, ID: 1 << 50}},
	"handoff_lost":          {peerwire.KindHandoff, &handoff.Message{Kind: handoff.Lost, ID: 1 << 50, Shards: someShards()}},
	"handoff_heard":         {peerwire.KindHandoff, &handoff.Message{Kind: handoff.Heard, ID: 1 << 50}},
	"handoff_offer":         {peerwire.KindHandoff, &handoff.Message{Kind: handoff.Offer, Shards: someShards()}},

	"events_copy":      {peerwire.KindEvents, &peerwire.Events{Copy: sampleEvent}},
	"events_held":      {peerwire.KindEvents, &peerwire.Events{Held: []invitation.ID{sampleID, otherID}}},
	"events_delivered": {peerwire.KindEvents, &peerwire.Events{Delivered: []invitation.ID{sampleID}}},

	"device_ending": down(invitation.Down{Ending: &invitation.Ending{
		End: invitation.EndRemoteLogin, RetryAfter: 5 * time.Second,
	}}),
}
