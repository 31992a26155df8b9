package invitation_test

var timers = []sentence{
	{section: "§6", says: "the defaults, and 1 s to 10 min for one invitation", by: "TestDefaultTimers TestTimersInBounds TestTimersOr"},
	{
		section: "§6", says: "no response: per invitation",
		script: "login alice; send alice to bob as c1 noresponse=2s; advance 2s",
		want:   []string{"2s alice ! LocalInvitationFailure c1 1 REMOTE_OFFLINE (CALLEE_OFFLINE)"},
	},
	{
		section: "§6", says: "expire: per invitation, from the ack",
		script: "login alice; send alice to bob as c1 expire=5s; advance 10s; login bob; advance 5s",
		want:   []string{"15s alice ! LocalInvitationFailure c1 3 EXPIRE (EXPIRED)", "15s bob ! RemoteInvitationFailure c1 3 EXPIRE (EXPIRED)"},
	},
	{
		section: "§6", says: "accept window: per invitation, from the accept",
		script: "login alice bob; lose alice confirmed; send alice to bob as c1 window=3s; advance 7s; accept bob c1; advance 3s",
		want:   []string{"10s bob ! RemoteInvitationFailure c1 2 ACCEPT_FAILURE (ACCEPT_NOT_CONFIRMED)"},
	},
	{
		section: "§6", says: "an accept stops the expiry: the window is whole",
		script: ringing + "advance 59s; drop alice; accept bob c1; advance 14s; back alice",
		want:   []string{"73s bob ! RemoteInvitationAccepted c1", "73s alice ! LocalInvitationAccepted c1"},
		never:  []string{"EXPIRE"},
	},
	{
		section: "§6", says: "grace: per invitation, from the loss of the connection",
		script: "login alice bob; send alice to bob as c1 grace=4s; advance 10s; drop alice; advance 4s",
		want:   []string{"14s bob ! RemoteInvitationCanceled c1 (CALLER_GONE)"},
	},
	{
		section: "§6", says: "grace: each loss has its own",
		script: ringing + "drop alice; advance 20s; back alice; drop alice; advance 20s; back alice; advance 1s; accept bob c1",
		want:   []string{"41s alice ! LocalInvitationAccepted c1"},
		never:  []string{"CALLER_GONE"},
	},
	{
		section: "§6", says: "linger: per invitation, from the outcome",
		script: "login alice bob; send alice to bob as c1 linger=10s; drop bob; cancel alice c1; advance 10s; back bob",
		want:   []string{"10s bob ! RemoteInvitationFailure c1 3 EXPIRE (OUTCOME_FORGOTTEN)"},
	},
	{
		section: "§6", says: "a reconnect restarts no timer",
		script: ringing + "advance 30s; drop bob; advance 10s; back bob; drop alice; advance 10s; back alice; advance 10s",
		want:   []string{"60s alice ! LocalInvitationFailure c1 3 EXPIRE (EXPIRED)", "60s bob ! RemoteInvitationFailure c1 3 EXPIRE (EXPIRED)"},
	},
	{section: "§6", says: "timers fire within 100 ms with a million pending", in: "actors, loadtest: measured with the wheel"},
	{section: "§6", says: "after both acknowledgements nothing is kept but the id", by: "TestNothingIsKept"},
	{
		section: "§6", says: "the memory of ids is bounded; after it an unknown id is NOT_FOUND",
		script: "config remember=1; " + ringing + "refuse bob c1; raw bob accept c1; send alice to bob as c2; refuse bob c2; raw bob accept c1; raw bob accept c2",
		want:   []string{"0s bob < answer #2 accept ALREADY_END", "0s bob < answer #4 accept NOT_FOUND", "0s bob < answer #5 accept ALREADY_END"},
	},
}

var handshake = []sentence{
	{section: "§7", says: "the four steps, in order", by: "scenario/accept"},
	{
		section: "§7", says: "the sending device confirms unless it has already asked to cancel",
		script: ringing + "hold alice cancel; cancel alice c1; accept bob c1; release",
		want:   []string{"0s alice ! LocalInvitationCanceled c1 (CALLER_CANCELED)", "0s bob ! RemoteInvitationCanceled c1 (CALLER_CANCELED)"},
		never:  []string{"CONFIRMED"},
	},
	{section: "§7", says: "it names the callee's device, and confirms no other", by: "TestLocalExhaustively scenario/multi_answered_elsewhere_race"},
	{section: "§7", says: "once it has confirmed it can no longer cancel", by: "scenario/race_accept_wins scenario/confirmed_cannot_cancel"},
	{
		section: "§7", says: "only after the callee's device said so the caller gets LocalInvitationAccepted",
		script: ringing + "hold bob done; accept bob c1; advance 4s; release",
		want:   []string{"0s bob ! RemoteInvitationAccepted c1", "4s alice ! LocalInvitationAccepted c1"},
		never:  []string{"0s alice ! LocalInvitationAccepted"},
	},
	{section: "§7", says: "confirmed or canceled, never both; accepted or failed, never both", by: "TestLocalSequences TestRemoteSequences"},
	{
		section: "§7", says: "a device that has confirmed ends only by the callee's verdict",
		script: ringing + "hold alice confirmed; accept bob c1; drop bob; advance 15s; release; advance 1s; back bob",
		want: []string{
			"15s alice < notice c1 FAILURE 3 ACCEPT_NOT_CONFIRMED", "16s bob ! RemoteInvitationFailure c1 2 ACCEPT_FAILURE (ACCEPT_NOT_CONFIRMED)",
			"16s alice ! LocalInvitationFailure c1 3 EXPIRE (ACCEPT_NOT_CONFIRMED)",
		},
		never: []string{"15s alice !"},
	},
	{section: "§7", says: "or by CALLEE_LOST, after the grace", by: "scenario/callee_lost"},
	{section: "§7", says: "the arbiter cannot break agreement, even twice", in: "internal/explore: two arbiters of one invitation"},
	{section: "§7", says: "words are kept until both sides have concluded, and repeated after a reconnect", by: "scenario/callee_back_after_confirm scenario/caller_away_at_the_end"},
}

var promises = []sentence{
	{section: "§7", says: "P1 one outcome: accepted on one side means accepted on the other", by: "TestScenarios TestSpec"},
	{section: "§7", says: "P1 under loss, doubling and reordering", in: "internal/explore and internal/sim: every interleaving, random worlds"},
	{section: "§7", says: "P2 no limbo: an arbiter left alone ends by its timers", by: "TestProperties"},
	{
		section: "§7", says: "P2 for a device that is away: when it reconnects",
		script: ringing + "drop bob; advance 60s; back bob",
		want:   []string{"60s alice ! LocalInvitationFailure c1 3 EXPIRE (EXPIRED)", "60s bob ! RemoteInvitationFailure c1 3 EXPIRE (EXPIRED)"},
	},
	{section: "§7", says: "P3 order: no event twice, none after the end, none backwards", by: "TestLocalExhaustively TestRemoteExhaustively scenario/doubled_messages"},
	{
		section: "§7", says: "P4 no ghost ring: an offer that was canceled is not shown to who comes online",
		script: "login alice; send alice to bob as c1; cancel alice c1; login bob; advance 1m",
		want:   []string{"0s alice ! LocalInvitationCanceled c1 (CALLER_CANCELED)"},
		never:  []string{"bob !", "bob < notice"},
	},
	{
		section: "§7", says: "P4 a parked offer is shown on a word given after the device connected",
		script: "login alice; send alice to bob as c1; now hold bob CALLEE; login bob; cancel alice c1; release",
		want:   []string{"0s alice ! LocalInvitationCanceled c1 (CALLER_CANCELED)"},
		never:  []string{"bob !"},
	},
	{
		section: "§7", says: "P4 an offer already on its way is followed by its end",
		script: "login alice bob; hold bob notice; send alice to bob as c1; cancel alice c1; release",
		want:   []string{"0s bob ! RemoteInvitationReceived c1 from alice", "0s bob ! RemoteInvitationCanceled c1 (CALLER_CANCELED)"},
	},
	{section: "§7", says: "P5 fair race: what reaches the arbiter first wins", by: "scenario/race_cancel_wins scenario/race_refuse_and_cancel"},
	{section: "§7", says: "P5 an accept wins when the caller's device confirms it", by: "scenario/race_accept_wins scenario/race_cancel_before_confirm"},
	{section: "§7", says: "P6 survival of a restart, a drain, a cut", in: "cluster and the process tests: a machine does not know of nodes"},
	{section: "§7", says: "P7 nothing assumed: lost messages are made good, doubled ones do no harm", by: "scenario/lost_messages scenario/doubled_messages"},
	{section: "§7", says: "no client can make another's device ring, accept or end what it did not", by: "TestStrangers scenario/not_found TestSilenced"},
}

var sessions = []sentence{
	{section: "§8", says: "a wrong, expired or missing token is refused", in: "gateway: authentication"},
	{section: "§8", says: "protocol versions are negotiated", in: "gateway, internal/wire"},
	{
		section: "§8", says: "on return everything live is brought up to date, by state",
		script: ringing + "drop alice; drop bob; advance 10s; back bob; back alice",
		want: []string{
			"10s bob < notice c1 INVITATION_RECEIVED 50s left", "10s alice < notice c1 RECEIVED_BY_REMOTE 50s left",
		},
	},
	{
		section: "§8", says: "on return everything lingering is brought up to date",
		script: ringing + "drop bob; cancel alice c1; advance 4m; back bob",
		want:   []string{"240s bob ! RemoteInvitationCanceled c1 (CALLER_CANCELED)"},
	},
	{
		section: "§8", says: "a re-attach is not a login: nothing is canceled, nothing shown again",
		script: ringing + "drop alice; back alice; drop bob; back bob",
		want:   []string{"0s bob < notice c1 INVITATION_RECEIVED 60s left"},
		never:  []string{"CANCELED"},
	},
	{section: "§8", says: "policy single: the newer login wins, with REMOTE_LOGIN", by: "scenario/single_second_login_caller scenario/single_second_login_callee"},
	{
		section: "§8", says: "policy single: the older device's outgoing invitations are canceled, the incoming ring on",
		script: ringing + "send bob to alice as c2; login alice.tablet; accept alice.tablet c2",
		want: []string{
			"0s bob ! RemoteInvitationCanceled c1 (CALLER_LOGGED_OUT)", "0s alice.tablet ! RemoteInvitationReceived c2 from bob",
			"0s bob ! LocalInvitationAccepted c2",
		},
	},
	{section: "§8", says: "policy multi: all devices ring, the first accept wins, the others cannot answer again", by: "scenario/multi_answered_elsewhere scenario/multi_answered_elsewhere_race scenario/multi_late_device"},
	{section: "§8", says: "only the sending device of a caller confirms", by: "scenario/multi_only_the_sender_confirms TestStrangers"},
	{
		section: "§8", says: "caller logs out: canceled with CALLER_LOGGED_OUT",
		script: ringing + "logout alice",
		want:   []string{"0s bob ! RemoteInvitationCanceled c1 (CALLER_LOGGED_OUT)"},
	},
	{section: "§8", says: "caller lost and not back inside the grace: canceled with CALLER_GONE", by: "scenario/caller_gone scenario/caller_back_in_time"},
	{section: "§8", says: "callee logs out after its ack: on to EXPIRE", by: "scenario/callee_logout_after_ack"},
	{
		section: "§8", says: "neither a logout nor a loss undoes a confirm",
		script: ringing + "hold bob notice; accept bob c1; drop alice; advance 29s; release",
		want:   []string{"29s bob ! RemoteInvitationAccepted c1"},
	},
	{section: "§8", says: "a logout does not undo a confirm", by: "scenario/confirmed_cannot_cancel"},
	{section: "§8", says: "over a bound: LIMIT_EXCEEDED, nothing half done", by: "scenario/limit_outgoing scenario/limit_incoming scenario/limit_incoming_offline scenario/limit_rate scenario/limit_devices"},
	{section: "§8", says: "no sequence of inputs passes a bound", by: "TestProperties"},
	{section: "§8", says: "every view carries the time remaining", by: "TestNotices scenario/expire_at_the_ack"},
	{section: "§8", says: "every view carries the server's time", in: "internal/wire: the frame carries it, a machine has no clock"},
	{section: "§8", says: "what a client brings is not believed about another user", by: "TestStrangers TestEveryCell"},
}
