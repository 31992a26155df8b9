package main

import (
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
)

// told makes the observation of an event, as a client would.
func told(at time.Duration, kind client.EventKind) client.Observation {
	o := client.Observation{Step: client.StepEvent, Event: kind, At: epoch.Add(at)}
	switch kind {
	case client.LocalInvitationReceivedByPeer:
		o.LocalState = invitation.LocalReceivedByRemote
	case client.LocalInvitationAccepted:
		o.LocalState = invitation.LocalAcceptedByRemote
	case client.LocalInvitationRefused:
		o.LocalState = invitation.LocalRefusedByRemote
	case client.LocalInvitationCanceled:
		o.LocalState, o.Reason = invitation.LocalCanceled, invitation.CallerCanceled
	case client.LocalInvitationFailure:
		o.LocalState, o.LocalCode, o.Reason = invitation.LocalFailure, invitation.LocalExpire, invitation.Expired
	case client.RemoteInvitationReceived:
		o.RemoteState = invitation.RemoteInvitationReceived
	case client.RemoteInvitationAccepted:
		o.RemoteState = invitation.RemoteAccepted
	case client.RemoteInvitationRefused:
		o.RemoteState = invitation.RemoteRefused
	case client.RemoteInvitationCanceled:
		o.RemoteState, o.Reason = invitation.RemoteCanceled, invitation.CallerCanceled
	case client.RemoteInvitationFailure:
		o.RemoteState, o.RemoteCode, o.Reason = invitation.RemoteFailure, invitation.RemoteExpire, invitation.Expired
	default:
	}
	return o
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// play judges a history of events.
func play(s *scenario, events ...client.Observation) *history {
	h := watch(s, events...)
	h.finish(epoch.Add(time.Hour), circumstances{})
	return h
}

// watch notes a history of events; those of a kind of the callee are the callee's.
func watch(s *scenario, events ...client.Observation) *history {
	h := &history{scenario: s, timers: s.timers.Or(invitation.DefaultTimers)}
	h.begin(epoch)
	for _, o := range events {
		side := invitation.Caller
		if o.Event >= client.RemoteInvitationReceived || o.Request == invitation.Accept {
			side = invitation.Callee
		}
		h.take(side, o)
	}
	return h
}

// TestJudgeBites shows that each promise is checked: what must pass passes, and each history that
// breaks a promise is told to break that one.
func TestJudgeBites(t *testing.T) {
	const (
		ringing, accepted, canceled, failed = client.LocalInvitationReceivedByPeer, client.LocalInvitationAccepted,
			client.LocalInvitationCanceled, client.LocalInvitationFailure
		shown, remoteAccepted, remoteRefused, remoteCanceled, remoteFailed = client.RemoteInvitationReceived,
			client.RemoteInvitationAccepted, client.RemoteInvitationRefused, client.RemoteInvitationCanceled,
			client.RemoteInvitationFailure
	)
	accept, race, expire, before := scenarioNamed("accept"), scenarioNamed("race"), scenarioNamed("expire"), scenarioNamed("cancel-before")
	late := epochEvent
	for _, test := range []struct {
		name   string
		s      *scenario
		events []client.Observation
		want   string // in what is broken; "" nothing is
	}{
		{"accepted", accept, late(shown, ringing, remoteAccepted, accepted), ""},
		{"canceled in a race", race, late(shown, ringing, canceled, remoteCanceled), ""},
		{"canceled unseen", before, late(canceled), ""},
		{"expired", expire, []client.Observation{told(0, shown), told(0, ringing), told(shortTimer, failed), told(shortTimer, remoteFailed)}, ""},
		{"accepted by the caller only", race, late(shown, ringing, accepted, remoteCanceled), "P1"},
		{"accepted by the callee only", race, late(shown, ringing, remoteAccepted, canceled), "P1"},
		{"two kinds of ending", race, late(shown, ringing, remoteRefused, canceled), "P1"},
		{"two ends", race, late(shown, ringing, accepted, canceled, remoteAccepted), "P3"},
		{"no end of the caller", accept, late(shown, ringing, remoteAccepted), "P2"},
		{"no end of the callee", race, late(shown, ringing, canceled), "P2"},
		{"expired early", expire, []client.Observation{told(0, shown), told(time.Millisecond, failed), told(time.Millisecond, remoteFailed)}, "P2"},
		{"expired late", expire, []client.Observation{told(0, shown), told(time.Minute, failed), told(time.Minute, remoteFailed)}, "P2"},
		{"an event after the end", accept, late(shown, remoteAccepted, accepted, ringing), "P3"},
		{"an event twice", accept, late(shown, ringing, ringing, remoteAccepted, accepted), "P3"},
		{"shown after the end", race, late(shown, ringing, remoteCanceled, canceled, shown), "P3"},
		{"told the end unshown", before, late(remoteCanceled, canceled), "P4"},
		{"shown to who is not there", before, late(shown, remoteCanceled, canceled), "P4"},
		{"an outcome that the scenario rules out", accept, late(shown, ringing, canceled, remoteCanceled), "P5"},
		{
			"the client saw the node break the contract", accept,
			append(late(shown, ringing, remoteAccepted, accepted), client.Observation{Step: client.StepViolation, Violation: client.OtherEnding}),
			"contract",
		},
	} {
		h := play(test.s, test.events...)
		broken := strings.Join(h.broken, "; ")
		if test.want == "" && broken != "" || !strings.Contains(broken, test.want) {
			t.Errorf("%s: broken is %q, want %q\n%v", test.name, broken, test.want, h)
		}
	}
}

// TestExcuses shows what an absence excuses, and that a shorter one excuses nothing.
func TestExcuses(t *testing.T) {
	end := func(local, remote invitation.Reason, code invitation.LocalError) []client.Observation {
		l, r := told(0, client.LocalInvitationFailure), told(0, client.RemoteInvitationFailure)
		l.Reason, l.LocalCode, r.Reason = local, code, remote
		return append(epochEvent(client.RemoteInvitationReceived, client.LocalInvitationReceivedByPeer), l, r)
	}
	gone := epochEvent(client.RemoteInvitationReceived, client.LocalInvitationReceivedByPeer, client.LocalInvitationCanceled,
		client.RemoteInvitationCanceled)
	gone[2].Reason, gone[3].Reason = invitation.CallerGone, invitation.CallerGone
	forgotten := epochEvent(client.RemoteInvitationReceived, client.LocalInvitationReceivedByPeer, client.LocalInvitationRefused)
	forgotten = append(forgotten, end(invitation.Expired, invitation.OutcomeForgotten, invitation.LocalExpire)[3])
	timers := invitation.DefaultTimers
	for _, test := range []struct {
		name   string
		s      *scenario
		events []client.Observation
		side   invitation.Side // who was away
		limit  time.Duration
	}{
		{"the caller gone", scenarioNamed("accept"), gone, invitation.Caller, timers.Grace},
		{"the callee lost", scenarioNamed("accept"), end(invitation.CalleeLost, invitation.CalleeLost, invitation.LocalExpire), invitation.Callee, timers.Grace},
		{"forgotten", scenarioNamed("accept"), end(invitation.OutcomeForgotten, invitation.OutcomeForgotten, invitation.LocalExpire), invitation.Caller, timers.Linger},
		{"forgotten by the callee", scenarioNamed("refuse"), forgotten, invitation.Callee, timers.Linger},
	} {
		for _, c := range []struct {
			away time.Duration
			ok   bool
		}{{0, false}, {test.limit / 2, false}, {test.limit, true}} {
			met := circumstances{}
			one := away{times: 1, total: c.away, longest: c.away}
			if test.side == invitation.Caller {
				met.caller = one
			} else {
				met.callee = one
			}
			h := watch(test.s, test.events...)
			h.finish(epoch.Add(time.Hour), met)
			if ok := len(h.broken) == 0 && h.failed == ""; ok != c.ok {
				t.Errorf("%s, away for %v: broken is %q, failed %q, excused %q", test.name, c.away, h.broken, h.failed, h.excused)
			}
		}
	}
}

// TestDue shows which deadline holds at each stage of a call.
func TestDue(t *testing.T) {
	timers := invitation.DefaultTimers
	h := &history{timers: timers, sent: epoch}
	for _, stage := range []struct {
		name string
		at   *time.Time
		want time.Duration
	}{
		{"sent", &h.sent, timers.NoResponse},
		{"taken", &h.taken, timers.NoResponse},
		{"shown", &h.shown, timers.Expire},
		{"rung", &h.rung, timers.Expire},
		{"accepted", &h.accepted, timers.Expire - time.Second}, // since it rang: the accept may not be recorded
		{"recorded", &h.recorded, timers.AcceptWindow + timers.Grace},
	} {
		*stage.at = h.sent.Add(time.Second)
		if stage.name == "accepted" || stage.name == "recorded" {
			*stage.at = h.rung.Add(time.Second)
		}
		if got, want := h.due(), stage.at.Add(stage.want+slack); !got.Equal(want) {
			t.Errorf("%s: due at %v, want %v", stage.name, got.Sub(epoch), want.Sub(epoch))
		}
	}
}

// epochEvent makes events that all come at once.
func epochEvent(kinds ...client.EventKind) []client.Observation {
	var events []client.Observation
	for _, k := range kinds {
		events = append(events, told(0, k))
	}
	return events
}

func TestParseMix(t *testing.T) {
	m, err := parseMix("accept=3, refuse=1,accept=2")
	if err != nil || m.total != 3 || m.parts[0].scenario != scenarioNamed("accept") || m.parts[0].weight != 2 {
		t.Errorf("parseMix gave %v, %v", m, err)
	}
	for _, bad := range []string{"accept=", "acept=1", "accept=-1", "accept=0", "no-such-file"} {
		if _, err := parseMix(bad); err == nil {
			t.Errorf("parseMix(%q) gave no error", bad)
		}
	}
}
