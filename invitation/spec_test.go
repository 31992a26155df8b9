package invitation_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A sentence is one rule of docs/spec.md, in short, and what tests it: a script played by a world, or
// another test by its name.
type sentence struct {
	section string
	says    string

	script string   // as in a scenario file, but on one line, separated by semicolons
	want   []string // lines of the transcript, in this order; others may be between them
	never  []string // what no line contains

	by string // names of tests and scenarios of the packages under invitation
	in string // the package that tests it, where no machine of these can, and how
}

// ringing is how most scripts begin: bob's phone rings.
const ringing = "login alice bob; send alice to bob as c1; "

// TestSpec plays the script of every sentence.
func TestSpec(t *testing.T) {
	for _, list := range [][]sentence{whoAndWhat, statesAndEvents, codes, timers, handshake, promises, sessions} {
		for _, s := range list {
			t.Run(s.section+" "+s.says, func(t *testing.T) { s.check(t) })
		}
	}
}

func (s sentence) check(t *testing.T) {
	given := 0
	for _, test := range []string{s.script, s.by, s.in} {
		if test != "" {
			given++
		}
	}
	if given != 1 {
		t.Fatal("a sentence is tested in one way")
	}
	for name := range strings.FieldsSeq(s.by) {
		if !exists(t, name) {
			t.Errorf("no test or scenario is called %s", name)
		}
	}
	if s.script == "" {
		return
	}
	if len(s.want) == 0 {
		t.Fatal("a script that expects nothing")
	}
	w := newWorld(t)
	lines := w.play(strings.Split(s.script, ";"))
	rest := lines
	for _, want := range s.want {
		found := false
		for len(rest) > 0 && !found {
			found, rest = rest[0] == want, rest[1:]
		}
		if !found {
			t.Fatalf("%q is missing, or comes too early, in\n\t%s", want, strings.Join(lines, "\n\t"))
		}
	}
	for _, never := range s.never {
		for _, line := range lines {
			if strings.Contains(line, never) {
				t.Errorf("%q must not be, but there is %q", never, line)
			}
		}
	}
	if err := w.verdict(); err != nil {
		t.Error(err)
	}
}

var testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)

// exists reports whether a test function or a scenario of this name is there.
func exists(t *testing.T, name string) bool {
	if scenario, ok := strings.CutPrefix(name, "scenario/"); ok {
		_, err := os.Stat(filepath.Join("testdata", "scenarios", scenario+".txt"))
		return err == nil
	}
	for _, pattern := range []string{"*_test.go", filepath.Join("*", "*_test.go")} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range testFunction.FindAllStringSubmatch(string(text), -1) {
				if m[1] == name {
					return true
				}
			}
		}
	}
	return false
}

var whoAndWhat = []sentence{
	{section: "§1", says: "a user id is 1-64 bytes of the printable ASCII listed", by: "TestUsersAndDevices"},
	{
		section: "§1", says: "online is a device connected now; the grace does not make a user online",
		script: ringing + "drop bob; send alice to bob as c2; advance 30s",
		want:   []string{"30s alice ! LocalInvitationFailure c2 1 REMOTE_OFFLINE (CALLEE_OFFLINE)"},
	},
	{section: "§1", says: "an id is unique, issued by the server", by: "TestIDGolden TestIDsDiffer TestParseIDIsStrict FuzzParseID"},
	{
		section: "§1", says: "nothing is keyed by user: two invitations of one pair are two",
		script: ringing + "send alice to bob as c2; refuse bob c1; accept bob c2",
		want: []string{
			"0s alice ! LocalInvitationRefused c1", "0s alice ! LocalInvitationAccepted c2",
		},
	},
	{
		section: "§1", says: "repeating the send key returns the same invitation and never rings twice",
		script: "login alice bob; lose alice answer once; send alice to bob as c1; again alice",
		want: []string{
			"0s bob ! RemoteInvitationReceived c1 from alice", "0s alice < answer #1 send OK: c1 RECEIVED_BY_REMOTE 60s left",
		},
		never: []string{"c1 FAILURE"},
	},
	{section: "§1", says: "content, channel id and response: lengths, UTF-8, optional", by: "TestTermsCheck TestLimits scenario/invalid_argument"},
	{
		section: "§1", says: "the channel id is carried, never interpreted",
		script: `login alice bob; send alice to bob as c1 channel="../会议 42"`,
		want:   []string{`0s bob ! RemoteInvitationReceived c1 from alice channel "../会议 42"`},
	},
	{
		section: "§1", says: "a response comes with an accept or with a refuse",
		script: ringing + "accept bob c1 yes; send alice to bob as c2; refuse bob c2 no",
		want:   []string{`0s alice ! LocalInvitationAccepted c1 "yes"`, `0s alice ! LocalInvitationRefused c2 "no"`},
	},
	{section: "§2", says: "a caller has many invitations at a time", by: "scenario/many_at_once scenario/glare"},
	{
		section: "§2", says: "both query the state at any time",
		script: ringing + "query alice c1; query bob c1; advance 20s; query bob c1",
		want: []string{
			"0s alice < answer #2 query OK: c1 RECEIVED_BY_REMOTE 60s left", "0s bob < answer #1 query OK: c1 INVITATION_RECEIVED 60s left",
			"20s bob < answer #2 query OK: c1 INVITATION_RECEIVED 40s left",
		},
	},
}

var statesAndEvents = []sentence{
	{section: "§3", says: "numbers and names of the states; 3 and 4 are swapped", by: "TestNumbersAndNames TestConstants"},
	{section: "§3", says: "the moves of either side", by: "TestLocalExhaustively TestRemoteExhaustively TestEdges"},
	{
		section: "§3", says: "SENT_TO_REMOTE may go straight to a terminal state",
		script: "login alice bob; hold bob seen; send alice to bob as c1; refuse bob c1",
		want:   []string{"0s alice ! LocalInvitationRefused c1"},
		never:  []string{"LocalInvitationReceivedByPeer"},
	},
	{
		section: "§3", says: "an ack that is overtaken does not hold an accept back",
		script: "login alice bob; hold bob seen; send alice to bob as c1; accept bob c1",
		want:   []string{"0s bob ! RemoteInvitationAccepted c1", "0s alice ! LocalInvitationAccepted c1"},
	},
	{
		section: "§4", says: "RemoteInvitationReceived carries caller, content and channel id",
		script: "login alice bob; send alice to bob as c1 text=hello channel=room",
		want:   []string{`0s bob ! RemoteInvitationReceived c1 from alice "hello" channel "room"`, "0s alice ! LocalInvitationReceivedByPeer c1"},
	},
	{section: "§4", says: "exactly one terminal event fires, nothing after it", by: "TestLocalSequences TestRemoteSequences TestScenarios"},
}

var codes = []sentence{
	{section: "§5", says: "numbers and names of the codes and reasons", by: "TestNumbersAndNames TestCallErrors"},
	{
		section: "§5", says: "REMOTE_OFFLINE: offline for 30 s after the send, not at once",
		script: "login alice; send alice to bob as c1; advance 29999ms; query alice c1; advance 1ms",
		want: []string{
			"29.999s alice < answer #2 query OK: c1 SENT_TO_REMOTE 0.001s left",
			"30s alice ! LocalInvitationFailure c1 1 REMOTE_OFFLINE (CALLEE_OFFLINE)",
		},
	},
	{
		section: "§5", says: "the offer is kept and delivered if the callee comes online inside the 30 s",
		script: "login alice; send alice to bob as c1; advance 29999ms; login bob",
		want:   []string{"29.999s bob ! RemoteInvitationReceived c1 from alice", "29.999s alice ! LocalInvitationReceivedByPeer c1"},
	},
	{section: "§5", says: "REMOTE_NO_RESPONSE: online at the end, no ack", by: "scenario/no_response_online"},
	{
		section: "§5", says: "offline or online is judged at the end of the 30 s",
		script: "login alice; send alice to bob as c1; advance 29s; lose bob notice; login bob; advance 1s",
		want:   []string{"30s alice ! LocalInvitationFailure c1 2 REMOTE_NO_RESPONSE (NO_RESPONSE)"},
	},
	{section: "§5", says: "EXPIRE: 60 s after the ack was recorded", by: "scenario/expire scenario/expire_at_the_ack"},
	{section: "§5", says: "NOT_LOGGED_IN: send without a session", by: "TestLocalNotLoggedIn scenario/not_logged_in"},
	{section: "§5", says: "LOCAL_OFFLINE", by: "scenario/unconfirmed_caller_offline"},
	{section: "§5", says: "ACCEPT_FAILURE", by: "scenario/unconfirmed_caller_online"},
	{
		section: "§5", says: "LOCAL_OFFLINE is not for a caller who was back inside the window and did not confirm",
		script: ringing + "drop alice; accept bob c1; advance 5s; lose alice confirmed; back alice; advance 10s",
		want:   []string{"15s bob ! RemoteInvitationFailure c1 2 ACCEPT_FAILURE (ACCEPT_NOT_CONFIRMED)"},
	},
	{section: "§5", says: "INVALID_ARGUMENT", by: "scenario/invalid_argument TestTermsCheck TestNonsense"},
	{section: "§5", says: "NOT_STARTED: cancel before send", by: "scenario/not_started"},
	{section: "§5", says: "ALREADY_END", by: "scenario/already_end scenario/already_end_while_lingering scenario/confirmed_cannot_cancel TestReject"},
	{section: "§5", says: "ALREADY_ACCEPT: second accept, or refuse, while the caller is asked", by: "scenario/already_accept TestReject"},
	{section: "§5", says: "ALREADY_SENT: second send", by: "scenario/already_sent"},
	{section: "§5", says: "LIMIT_EXCEEDED", by: "scenario/limit_outgoing scenario/limit_incoming scenario/limit_rate"},
	{section: "§5", says: "NOT_FOUND: no such invitation, or not yours", by: "scenario/not_found TestStrangers"},
	{section: "§5", says: "FORBIDDEN: the MayInvite hook said no", in: "gateway, root package: the hook is asked before a session is"},
	{section: "§5", says: "UNAVAILABLE: overloaded or draining", in: "gateway, actors: queues and draining are theirs"},
	{
		section: "§5", says: "a call that breaks a rule changes nothing: the invitation goes on",
		script: ringing + "raw bob cancel c1; raw alice accept c1; raw bob accept c1 bytes=8193; accept bob c1",
		want:   []string{"0s bob < answer #1 cancel NOT_FOUND", "0s alice ! LocalInvitationAccepted c1"},
	},
	{section: "§5", says: "a repeated request id repeats its answer, a new one gets ALREADY_…", by: "scenario/repeated_requests scenario/repeated_accept_while_asked"},
	{section: "§5", says: "the table of outcomes", by: "TestOutcomes TestLiveStages TestForgottenNotice"},
	{
		section: "§5", says: "not delivered: a callee who was never shown it is told nothing",
		script: "login alice; send alice to bob as c1; advance 30s; login bob; advance 1m",
		want:   []string{"30s alice ! LocalInvitationFailure c1 1 REMOTE_OFFLINE (CALLEE_OFFLINE)"},
		never:  []string{"bob !", "bob < notice"},
	},
	{
		section: "§5", says: "not delivered: a callee whose ack was lost is told FAILURE (3)",
		script: "login alice bob; lose bob seen; send alice to bob as c1; advance 30s",
		want: []string{
			"30s alice ! LocalInvitationFailure c1 2 REMOTE_NO_RESPONSE (NO_RESPONSE)", "30s bob ! RemoteInvitationFailure c1 3 EXPIRE (NO_RESPONSE)",
		},
	},
	{section: "§5", says: "confirmed, callee lost", by: "scenario/callee_lost"},
	{section: "§5", says: "other devices of the callee", by: "scenario/multi_answered_elsewhere scenario/multi_rejected_elsewhere"},
	{section: "§5", says: "a side that is back after the linger", by: "scenario/outcome_forgotten scenario/outcome_forgotten_caller"},
}
