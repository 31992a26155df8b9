package main

import (
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/loadtest/chaos"
)

// The ids of the invitations in the histories.
var firstID, secondID = invitation.ID{1}, invitation.ID{2}

// notice makes the observation of a state that a side was told, with the time that remains.
func notice(at time.Duration, side invitation.Side, ringing bool, remaining time.Duration) client.Observation {
	n := &invitation.Notice{ID: firstID, Side: side, Remaining: remaining}
	switch {
	case side == invitation.Callee:
		n.Remote, n.Content = invitation.RemoteInvitationReceived, "content"
	case ringing:
		n.Local = invitation.LocalReceivedByRemote
	default:
		n.Local = invitation.LocalSentToRemote
	}
	return client.Observation{Step: client.StepNoticed, At: epoch.Add(at), ID: firstID, Side: side, Notice: n}
}

// fault makes one that began and ended at times after the epoch.
func fault(kind chaos.Kind, began, ended time.Duration) chaos.Record {
	return chaos.Record{Fault: chaos.Fault{N: 1, Kind: kind}, Node: "a", Began: epoch.Add(began), Ended: epoch.Add(ended)}
}

// judged judges a history under faults, some time after its end.
func judged(s *scenario, faults []chaos.Record, observed ...client.Observation) *history {
	h := &history{scenario: s, timers: s.timers.Or(invitation.DefaultTimers), content: "content"}
	h.begin(epoch)
	for _, o := range observed {
		side := o.Side
		if o.Step == client.StepEvent {
			side = invitation.Caller
			if o.Event >= client.RemoteInvitationReceived {
				side = invitation.Callee
			}
			o.ID, o.Side = firstID, side
		}
		h.take(side, o)
	}
	now := epoch.Add(time.Hour)
	h.finish(now, circumstances{now: now, faults: faults})
	return h
}

// TestSurvivalBites shows that what an invitation must keep is checked: its id, its content, its deadlines, and that it
// can be answered; and that a fault excuses only what the contract has it excuse.
func TestSurvivalBites(t *testing.T) {
	const (
		caller, callee = invitation.Caller, invitation.Callee
		s              = time.Second
	)
	shown, ringing := told(0, client.RemoteInvitationReceived), told(0, client.LocalInvitationReceivedByPeer)
	ends := func(at time.Duration) []client.Observation {
		return []client.Observation{told(at, client.RemoteInvitationAccepted), told(at, client.LocalInvitationAccepted)}
	}
	expires := func(at time.Duration) []client.Observation {
		return []client.Observation{told(at, client.LocalInvitationFailure), told(at, client.RemoteInvitationFailure)}
	}
	kinds := []client.Observation{told(2*s, client.LocalInvitationCanceled), told(2*s, client.RemoteInvitationRefused)}
	otherID, otherContent := notice(2*s, callee, true, 58*s), notice(2*s, callee, true, 58*s)
	otherID.ID, otherContent.Notice.Content = secondID, "contents"
	accept, expire, race := scenarioNamed("accept"), scenarioNamed("long-expire"), scenarioNamed("race")
	kill, cut := []chaos.Record{fault(chaos.Kill, s, 2*s)}, []chaos.Record{fault(chaos.Partition, s, 21*s)}
	for _, test := range []struct {
		name   string
		s      *scenario
		faults []chaos.Record
		middle []client.Observation
		end    []client.Observation
		want   string // in what is broken; "" nothing is
		allow  bool   // by a fault
	}{
		{"kept over a kill", accept, kill, []client.Observation{notice(0, caller, true, 60*s), notice(20*s, caller, true, 40*s)}, ends(21 * s), "", false},
		{"another id", accept, kill, []client.Observation{otherID}, ends(3 * s), "P6", false},
		{"another content", accept, kill, []client.Observation{otherContent}, ends(3 * s), "P6", false},
		{"a deadline restarted, as the caller is told", accept, kill, []client.Observation{notice(20*s, caller, true, 60*s)}, ends(21 * s), "P6", false},
		{"a deadline restarted, as the callee is told", accept, kill, []client.Observation{notice(20*s, callee, true, 60*s)}, ends(21 * s), "P6", false},
		{"a deadline too soon", accept, kill, []client.Observation{notice(10*s, caller, true, 20*s)}, ends(11 * s), "P6", false},
		{"a notice that was under way during a cut", accept, cut, []client.Observation{notice(15*s, caller, true, 50*s)}, ends(16 * s), "", false},
		{"the same without a cut", accept, nil, []client.Observation{notice(15*s, caller, true, 50*s)}, ends(16 * s), "P6", false},
		{"expired right after the takeover", expire, []chaos.Record{fault(chaos.Kill, 11*s, 12*s)}, nil, expires(17 * s), "", false},
		{"expired later than that", expire, []chaos.Record{fault(chaos.Kill, 11*s, 12*s)}, nil, expires(18 * s), "P2", false},
		{"expired late, with a drain", expire, []chaos.Record{fault(chaos.Drain, 11*s, 12*s)}, nil, expires(14 * s), "P2", false},
		{"expired late, the fault came after", expire, []chaos.Record{fault(chaos.Kill, 14*s, 15*s)}, nil, expires(15 * s), "P2", false},
		{"expired though it was to be accepted", accept, kill, nil, expires(60 * s), "P5", false},
		{"canceled though it was to be accepted", accept, kill, nil, []client.Observation{told(3*s, client.LocalInvitationCanceled), told(3*s, client.RemoteInvitationCanceled)}, "P5", false},
		{"it ran out during the takeover", accept, []chaos.Record{fault(chaos.Kill, 58*s, 59*s)}, nil, expires(61 * s), "", true},
		{"two kinds of no call, apart", race, cut, nil, kinds, "", true},
		{"two kinds of no call, together", race, nil, nil, kinds, "P1", false},
		{"accepted on one side, apart", race, cut, nil, []client.Observation{told(2*s, client.LocalInvitationCanceled), told(2*s, client.RemoteInvitationAccepted)}, "P1", false},
		{"no end, though there was a fault", accept, kill, nil, nil, "P2", false},
	} {
		observed := append([]client.Observation{shown, ringing}, test.middle...)
		h := judged(test.s, test.faults, append(observed, test.end...)...)
		broken := strings.Join(h.broken, "; ")
		if test.want == "" && broken != "" || !strings.Contains(broken, test.want) || (h.allowed != "") != test.allow {
			t.Errorf("%s: broken is %q, want %q; allowed is %q\n%v", test.name, broken, test.want, h.allowed, h)
		}
	}
}

// TestStalled follows a user whose node stands still, and who notices or does not.
func TestStalled(t *testing.T) {
	at := func(s int) time.Time { return epoch.Add(time.Duration(s) * time.Second) }
	var a absences
	a.stall(at(10))
	a.unstall(at(12))
	if got := a.during(at(0), at(100)); got.times != 1 || got.total != 2*time.Second {
		t.Errorf("stalled for 2 s: %+v", got)
	}
	a.stall(at(20))
	a.begin(at(26)) // it has noticed
	a.unstall(at(27))
	if known := a.lasting(at(28)); known != 2*time.Second {
		t.Errorf("it has known for %v", known)
	}
	known, was := a.end(at(29))
	if got := a.during(at(15), at(100)); !was || known != 3*time.Second || got.times != 1 || got.longest != 9*time.Second {
		t.Errorf("stalled, then away: %+v, %v", got, known)
	}
}

// TestRecoveryTime finds when set-ups were as before.
func TestRecoveryTime(t *testing.T) {
	var s setups
	for i := range 400 { // ten each second
		took := 10 * time.Millisecond
		if i >= 200 && i < 235 || i == 251 {
			took = 2 * time.Second
		}
		s.add(epoch.Add(time.Duration(i)*100*time.Millisecond), took)
	}
	s.add(epoch.Add(24*time.Second), neverRang)
	at := epoch.Add(20 * time.Second)
	normal := s.normal(epoch, []chaos.Record{{Began: at}})
	if got, ok := s.recovery(at, epoch.Add(40*time.Second), normal); normal != 10*time.Millisecond || !ok || got != 6*time.Second {
		t.Errorf("recovered after %v, %v; normal is %v", got, ok, normal)
	}
	if got, ok := s.recovery(at, epoch.Add(23*time.Second), normal); ok {
		t.Errorf("recovered after %v, before it was", got)
	}
}

// TestLeft shows what counts as left on a node.
func TestLeft(t *testing.T) {
	before := resources{Goroutines: 40, Heap: 5 << 20}
	for _, test := range []struct {
		after resources
		heap  bool
		want  string
	}{
		{resources{Goroutines: 45, Heap: 9 << 20}, true, ""},
		{resources{Goroutines: 40, Heap: 90 << 20}, false, ""},
		{resources{Goroutines: 40, Heap: 90 << 20}, true, "heap"},
		{resources{Goroutines: 400}, true, "goroutines"},
		{resources{Connections: 1}, true, "connections"},
		{resources{Sessions: 1}, true, "sessions"},
		{resources{Invitations: 1}, true, "invitations"},
		{resources{Actors: 1}, true, "actors"},
		{resources{Timers: 1}, true, "timers"},
	} {
		if left := test.after.left(before, test.heap); test.want == "" && left != "" || !strings.Contains(left, test.want) {
			t.Errorf("%+v: left is %q, want %q", test.after, left, test.want)
		}
	}
}

// TestRepeat wants a command that has the seeds, whether they were given or drawn.
func TestRepeat(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--rate", "9"}, "go run ./loadtest --rate 9 --chaos-seed 5 --seed 6"},
		{[]string{"-seed=6", "--rate", "9"}, "go run ./loadtest -seed=6 --rate 9 --chaos-seed 5"},
		{[]string{"--chaos-seed", "5"}, "go run ./loadtest --chaos-seed 5 --seed 6"},
	} {
		c := chaosRun{options: &chaosOptions{seed: 5, command: test.args}, seed: 6}
		if got := c.repeat(); got != test.want {
			t.Errorf("%v: %s, want %s", test.args, got, test.want)
		}
	}
}
