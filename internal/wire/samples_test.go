package wire_test

import (
	"time"

	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// The frames behind the golden files, by file name: one or more of each kind. Add samples and run
// the tests with -write-golden; a file that exists is never written again, as it stands for what
// clients in the field send and expect.

var (
	sampleID   = invitation.NewID("alice", "phone", "key-1")
	otherID    = invitation.NewID("bob", "tablet", "key-2")
	sampleTime = time.UnixMilli(1_800_000_000_123).UTC()
	someTimers = invitation.Timers{
		NoResponse: 5 * time.Second, Expire: 20 * time.Second, AcceptWindow: 3 * time.Second,
		Grace: 10 * time.Second, Linger: time.Minute,
	}
	newToken = "ddd.eee.fff"
	number   = uint64(18_000_000_000_000_000_000)
)

func callSample(c invitation.Call) wire.ClientFrame {
	return wire.ClientFrame{Up: invitation.Up{Call: &c}}
}

func wordSample(w invitation.Word) wire.ClientFrame {
	return wire.ClientFrame{Up: invitation.Up{Word: &w}}
}

func noticeSample(n invitation.Notice) wire.ServerFrame {
	return wire.ServerFrame{Down: invitation.Down{Notice: &n}, Time: sampleTime}
}

func answerSample(a invitation.Answer) wire.ServerFrame {
	f := wire.ServerFrame{Down: invitation.Down{Answer: &a}}
	if a.Notice != nil {
		f.Time = sampleTime
	}
	return f
}

var (
	seenWord = invitation.Word{ID: sampleID, Side: invitation.Callee, Kind: invitation.WordSeen}
	confWord = invitation.Word{ID: otherID, Side: invitation.Caller, Kind: invitation.WordConfirmed, Named: "tablet"}
	callerOK = invitation.Word{
		ID: otherID, Side: invitation.Caller, Kind: invitation.WordDone, Local: invitation.LocalAcceptedByRemote,
	}
	sentWord      = invitation.Word{ID: sampleID, Side: invitation.Caller, Kind: invitation.WordSent, Remaining: 12_345 * time.Millisecond}
	acceptingWord = invitation.Word{
		ID: otherID, Side: invitation.Callee, Kind: invitation.WordAccepting, Response: "好", Remaining: invitation.MaxTimer,
	}
	calleeOK = invitation.Word{
		ID: sampleID, Side: invitation.Callee, Kind: invitation.WordDone, Remote: invitation.RemoteAccepted,
	}
)

var clientSamples = map[string]wire.ClientFrame{
	"client_login": {Login: &wire.Login{
		Login: invitation.Login{User: "alice", Device: "phone"}, Token: "aaa.bbb.ccc", MinVersion: 1, MaxVersion: 1,
	}},
	"client_login_resume": {Login: &wire.Login{
		Login: invitation.Login{
			User: "alice", Device: "phone", Resume: true, Stamp: number,
			Words: []invitation.Word{seenWord, confWord, callerOK, calleeOK},
		},
		MinVersion: 1, MaxVersion: 2,
	}},
	"client_send": callSample(invitation.Call{
		Request: invitation.Send, RequestID: number, Key: "f0e1d2c3b4a5968778695a4b3c2d1e0f", Callee: "bob",
		Content: "dinner?\n\"晚饭\"", ChannelID: "房间-7", Timers: someTimers,
	}),
	"client_login_words": {Login: &wire.Login{
		Login: invitation.Login{
			User: "alice", Device: "phone", Resume: true, Stamp: 1, Words: []invitation.Word{sentWord, acceptingWord},
		},
		MinVersion: 1, MaxVersion: 1,
	}},
	"client_send_resumed": callSample(invitation.Call{
		Request: invitation.Send, RequestID: 9, Key: "k", Callee: "bob", Resumed: &invitation.Resumed{
			Local: invitation.LocalReceivedByRemote, Remaining: 41_007 * time.Millisecond, Confirmed: "tablet",
		},
	}),
	"client_send_resumed_late": callSample(invitation.Call{
		Request: invitation.Send, RequestID: 9, Key: "k", Callee: "bob",
		Resumed: &invitation.Resumed{Local: invitation.LocalSentToRemote},
	}),
	"client_send_repeated": callSample(invitation.Call{
		Request: invitation.Send, RequestID: 9, Key: "k", Callee: "bob", Resumed: &invitation.Resumed{},
	}),
	"client_word_seen_again": wordSample(invitation.Word{
		ID: sampleID, Side: invitation.Callee, Kind: invitation.WordSeen, Remaining: time.Second,
	}),
	"client_send_plain": callSample(invitation.Call{Request: invitation.Send, RequestID: 1, Key: "k", Callee: "bob"}),
	"client_cancel":     callSample(invitation.Call{Request: invitation.Cancel, RequestID: 2, ID: sampleID}),
	"client_accept":     callSample(invitation.Call{Request: invitation.Accept, RequestID: 3, ID: sampleID, Response: "好"}),
	"client_refuse":     callSample(invitation.Call{Request: invitation.Refuse, RequestID: 4, ID: sampleID, Response: "busy"}),
	"client_query":      callSample(invitation.Call{Request: invitation.Query, RequestID: 5, ID: sampleID}),

	"client_word_seen":      wordSample(seenWord),
	"client_word_sent":      wordSample(sentWord),
	"client_word_accepting": wordSample(acceptingWord),
	"client_word_accepting_plain": wordSample(invitation.Word{
		ID: sampleID, Side: invitation.Callee, Kind: invitation.WordAccepting,
	}),
	"client_word_confirmed": wordSample(confWord),
	"client_word_local_done": wordSample(invitation.Word{
		ID: sampleID, Side: invitation.Caller, Kind: invitation.WordDone, Local: invitation.LocalCanceled,
	}),
	"client_word_remote_done": wordSample(invitation.Word{
		ID: sampleID, Side: invitation.Callee, Kind: invitation.WordDone, Remote: invitation.RemoteRefused,
	}),
	"client_logout": {Up: invitation.Up{Logout: true}},
	"client_ping":   {Ping: &number},
	"client_renew":  {Renew: &newToken},
}

var serverSamples = map[string]wire.ServerFrame{
	"server_welcome": {
		Down: invitation.Down{Welcome: &invitation.Welcome{Stamp: number}},
		Info: &wire.Info{
			Version: 1, User: "alice", PingInterval: 25 * time.Second, IdleTimeout: 60 * time.Second, MaxFrame: 65_536,
			Timers: invitation.DefaultTimers, Node: "node-0",
		},
		Time: sampleTime,
	},
	"server_welcome_tell": {
		Down: invitation.Down{Welcome: &invitation.Welcome{Stamp: number, Tell: true}},
		Info: &wire.Info{Version: 1, User: "alice"},
		Time: sampleTime,
	},
	"server_welcome_token": {
		Down: invitation.Down{Welcome: &invitation.Welcome{Stamp: number}},
		Info: &wire.Info{Version: 1, User: "alice", TokenRemaining: time.Hour},
		Time: sampleTime,
	},
	"server_token":         {Token: &wire.TokenState{Remaining: time.Minute}},
	"server_token_refused": {Token: &wire.TokenState{Remaining: time.Second, Refused: "it is for another user", RetryAfter: 2 * time.Second}},
	"server_retell_caller": {Down: invitation.Down{Retell: &invitation.Retell{ID: sampleID, Side: invitation.Caller}}},
	"server_retell_callee": {Down: invitation.Down{Retell: &invitation.Retell{ID: otherID, Side: invitation.Callee}}},
	"server_answer_ok": answerSample(invitation.Answer{
		RequestID: number, ID: sampleID, Notice: &invitation.Notice{
			ID: sampleID, Side: invitation.Caller, Peer: "bob", Local: invitation.LocalSentToRemote, Remaining: 30 * time.Second,
		},
	}),
	"server_answer_remote": answerSample(invitation.Answer{
		RequestID: 3, Notice: &invitation.Notice{
			ID: sampleID, Side: invitation.Callee, Peer: "alice", Remote: invitation.RemoteAcceptSentToLocal,
			Response: "好", Content: "dinner?", Remaining: 15 * time.Second,
		},
	}),
	"server_answer_error": answerSample(invitation.Answer{
		RequestID: 7, Error: invitation.LimitExceeded, RetryAfter: 1500 * time.Millisecond,
	}),
	"server_local_asked": noticeSample(invitation.Notice{
		ID: sampleID, Side: invitation.Caller, Peer: "bob", Local: invitation.LocalReceivedByRemote, Response: "好",
		Confirm: "tablet", Remaining: 14_999 * time.Millisecond,
	}),
	"server_local_accepted": noticeSample(invitation.Notice{
		ID: sampleID, Side: invitation.Caller, Peer: "bob", Local: invitation.LocalAcceptedByRemote, Response: "好",
		Verdict: true, Settled: true,
	}),
	"server_local_failure": noticeSample(invitation.Notice{
		ID: sampleID, Side: invitation.Caller, Peer: "bob", Local: invitation.LocalFailure,
		Code: uint8(invitation.LocalRemoteOffline), Reason: invitation.CalleeOffline, Verdict: true,
	}),
	"server_remote_received": noticeSample(invitation.Notice{
		ID: sampleID, Side: invitation.Callee, Peer: "alice", Remote: invitation.RemoteInvitationReceived,
		Content: "dinner?\n\"晚饭\"", ChannelID: "房间-7", Remaining: time.Minute,
	}),
	"server_remote_failure": noticeSample(invitation.Notice{
		ID: sampleID, Side: invitation.Callee, Peer: "alice", Remote: invitation.RemoteFailure,
		Code: uint8(invitation.RemoteAcceptFailure), Reason: invitation.AcceptNotConfirmed, Response: "好", Settled: true,
	}),
	"server_ending": {
		Down: invitation.Down{Ending: &invitation.Ending{End: invitation.EndShutdown, RetryAfter: 5 * time.Second}},
		Text: "the node restarts",
	},
	"server_pong": {Pong: &number},
}
