package session

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ringfleet/ringfleet/invitation"
)

func multi() *Config { return new(Config{Policy: Multi}.WithDefaults()) }

func steps(m *Machine, inputs ...*Input) []Effect {
	var out []Effect
	for _, in := range inputs {
		given := *in
		out = append(out, m.Step(began, &given, nil)...)
	}
	return out
}

func login(device invitation.Device, number, stamp uint64) *Input {
	return &Input{
		Kind: InAttach, Device: device, Conn: Conn{Number: number}, Login: &invitation.Login{User: bob, Device: device, Stamp: stamp},
	}
}

func offered(version uint32, stage invitation.Stage) *Input {
	return &Input{Kind: InView, View: viewed(comingTerms, version, stage)}
}

// endings returns which connections are told to end, and why.
func endings(out []Effect) map[uint64]invitation.End {
	ends := map[uint64]invitation.End{}
	for _, e := range out {
		if e.Kind == ToDevice && e.Down.Ending != nil {
			ends[e.Conn.Number] = e.Down.Ending.End
		}
	}
	return ends
}

func TestMergeOfDevices(t *testing.T) {
	single := new(Config{Policy: Single}.WithDefaults())
	for name, c := range map[string]struct {
		config     *Config
		one, other []*Input
		ends       map[uint64]invitation.End // which connections are
		left       int
	}{
		"both": {multi(), []*Input{login("phone", 1, 1)}, []*Input{login("tablet", 2, 1)}, nil, 2},
		"the newer login of a device": {
			multi(), []*Input{login("phone", 1, 1)}, []*Input{login("phone", 2, 2)}, map[uint64]invitation.End{1: invitation.EndReplaced}, 1,
		},
		"one login that is connected twice": {
			multi(), []*Input{login("phone", 1, 1)}, []*Input{login("phone", 2, 1)}, map[uint64]invitation.End{2: invitation.EndInternal}, 1,
		},
		"one login that is connected once": {
			multi(),
			[]*Input{login("phone", 1, 1), {Kind: InDetach, Device: "phone", Conn: Conn{Number: 1}}},
			[]*Input{login("phone", 2, 1)},
			nil, 1,
		},
		"policy single": {
			single, []*Input{login("phone", 1, 5)}, []*Input{login("tablet", 2, 4)}, map[uint64]invitation.End{2: invitation.EndRemoteLogin}, 1,
		},
		"policy single, the other": {
			single, []*Input{login("phone", 1, 4)}, []*Input{login("tablet", 2, 5)}, map[uint64]invitation.End{1: invitation.EndRemoteLogin}, 1,
		},
	} {
		m, other := New(bob, c.config), New(bob, c.config)
		steps(m, c.one...)
		steps(other, c.other...)
		out := m.Merge(began, other.State(), nil)
		got := endings(out)
		for number, why := range c.ends {
			if got[number] != why {
				t.Errorf("%s: connection %d is told %v, want %v", name, number, got[number], why)
			}
		}
		if len(got) != len(c.ends) || m.Devices() != c.left {
			t.Errorf("%s: ended %v, %d are left, want %v and %d", name, got, m.Devices(), c.ends, c.left)
		}
	}
}

// TestMergeOfOneLogin: a login comes to two sessions, one of which takes its connection for lost meanwhile and hears the login
// again. It is one login, on one connection, which goes on; the device is told its number.
func TestMergeOfOneLogin(t *testing.T) {
	first, second := New(bob, multi()), New(bob, multi())
	steps(first, login("phone", 1, 5))
	steps(second, login("tablet", 2, 9), login("phone", 1, 5))
	stamp := second.device("phone").stamp
	steps(second, &Input{Kind: InDetach, Device: "phone", Conn: Conn{Number: 1}}, login("phone", 1, 5))
	if got := second.device("phone").stamp; got != stamp {
		t.Errorf("said again it is login %d, was %d", got, stamp)
	}
	for name, merged := range map[string][2]*Machine{"one": {first, second}, "the other": {second, first}} {
		m := Restore(merged[0].State(), multi())
		out := m.Merge(began, merged[1].State(), nil)
		if ends := endings(out); len(ends) != 0 {
			t.Errorf("%s: ended %v", name, ends)
		}
		told := slices.ContainsFunc(out, func(e Effect) bool {
			w := e.Down.Welcome
			return e.Kind == ToDevice && e.Conn.Number == 1 && w != nil && w.Stamp == stamp && w.Tell
		})
		if d := m.device("phone"); !told || !d.connected || d.stamp != stamp {
			t.Errorf("%s: told %v, %+v", name, told, d)
		}
	}
}

// TestMergeOfAnInvitation: what either knows holds, and the devices of both are told.
func TestMergeOfAnInvitation(t *testing.T) {
	m, other := New(bob, multi()), New(bob, multi())
	steps(m, login("phone", 1, 1), offered(1, invitation.Offering))
	steps(other, login("tablet", 2, 1), offered(1, invitation.Offering), offered(5, invitation.Ended),
		&Input{Kind: InWord, Device: "tablet", Conn: Conn{Number: 2}, Word: &invitation.Word{
			ID: comingTerms.ID, Side: invitation.Callee, Kind: invitation.WordDone, Remote: invitation.RemoteCanceled,
		}})
	out := m.Merge(began, other.State(), nil)
	e := m.entry(comingTerms.ID)
	if e.view.Version != 5 || len(e.shown) != 2 || e.showing("phone").done || !e.showing("tablet").done {
		t.Errorf("knows version %d, shown to %+v", e.view.Version, e.shown)
	}
	told := slices.ContainsFunc(out, func(e Effect) bool {
		return e.Kind == ToDevice && e.Conn.Number == 1 && e.Down.Notice != nil && e.Down.Notice.Remote == invitation.RemoteCanceled
	})
	if !told {
		t.Errorf("the phone still rings: %+v", out)
	}
	reported := slices.ContainsFunc(out, func(e Effect) bool {
		return e.Kind == ToArbiter && e.Message.Kind == invitation.MsgCallee && !e.Message.Concluded && e.Message.Permit == m.changes
	})
	if !reported || m.changes <= other.changes {
		t.Errorf("the arbiter is not told of presence %d: %+v", m.changes, out)
	}
	if !counted(m) {
		t.Errorf("counts %v and %v", m.live, m.known)
	}
}

// TestMergeShowsOnlyByNewPermits: an answer to a question of before the merge permits nothing.
func TestMergeShowsOnlyByNewPermits(t *testing.T) {
	m, other := New(bob, multi()), New(bob, multi())
	steps(m, login("phone", 1, 1), login("watch", 3, 1), offered(1, invitation.Offering))
	steps(other, login("tablet", 2, 1))
	asked := m.changes
	m.Merge(began, other.State(), nil)
	late := offered(1, invitation.Offering)
	late.View.Permit = asked
	if steps(m, late); m.entry(comingTerms.ID).showing("tablet") != nil {
		t.Error("shown to the tablet by a view of before it was here")
	}
	late.View.Permit = m.changes
	if steps(m, late); m.entry(comingTerms.ID).showing("tablet") == nil {
		t.Error("not shown to the tablet")
	}
}

// TestMergeCancelsWhatIsWithdrawn: the one knew that the login has ended, the other that the send was answered.
func TestMergeCancelsWhatIsWithdrawn(t *testing.T) {
	send := call("phone", invitation.Call{Request: invitation.Send, Key: "key", Callee: alice})
	send.Conn = Conn{Number: 1}
	m, other := New(bob, multi()), New(bob, multi())
	steps(m, login("phone", 1, 1), send, &Input{Kind: InLogout, Device: "phone", Conn: Conn{Number: 1}})
	steps(other, &Input{Kind: InView, View: viewed(sentTerms, 2, invitation.Ringing)})
	out := m.Merge(began, other.State(), nil)
	if !slices.ContainsFunc(out, func(e Effect) bool { return e.Kind == ToArbiter && e.Message.Kind == invitation.MsgCancel }) {
		t.Errorf("rings on: %+v", out)
	}
}

// TestMergeRemembers: what has ended with either is not taken for new, the last ones first.
func TestMergeRemembers(t *testing.T) {
	c := new(Config{Remember: 3}.WithDefaults())
	m, other := New(bob, c), New(bob, c)
	id := func(n byte) invitation.ID { return invitation.ID{15: n} }
	for n := range byte(5) {
		m.remember(id(n))         // keeps 2, 3, 4
		other.remember(id(n + 3)) // keeps 5, 6, 7
	}
	m.Merge(began, other.State(), nil)
	for n := range byte(8) {
		if want := n >= 2 && n <= 4; m.remembers(id(n)) != want {
			t.Errorf("remembers %d: %v, want %v", n, !want, want)
		}
	}
	m.remember(id(9))
	if m.remembers(id(2)) || !m.remembers(id(9)) {
		t.Error("the oldest did not go first")
	}
}

// counted reports whether what is counted is what there is. (The bounds may be passed by a merge: nothing more
// is taken then.)
func counted(m *Machine) bool {
	var live, known [3]int32
	for _, e := range m.entries {
		known[e.side]++
		if e.view.Stage != invitation.Ended {
			live[e.side]++
		}
	}
	return live == m.live && known == m.known
}

// TestMergeOfAny merges what came of any inputs to two sessions, and goes on.
func TestMergeOfAny(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newTester(t)
		other := New(bob, x.m.config)
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			if x.one("here", 2) {
				x.step(x.draw())
				continue
			}
			other.Step(x.now, x.draw(), nil)
		}
		before, theirs := x.m.State(), other.State()
		out := x.m.Merge(x.now, theirs, nil)
		if !counted(x.m) {
			t.Fatalf("counts %v and %v", x.m.live, x.m.known)
		}
		logins := 0
		for i := range x.m.devices {
			if d := &x.m.devices[i]; d.why == 0 && !d.agent() {
				logins++
			}
		}
		if logins > 1 && x.m.config.Policy == Single || x.m.seats() > x.m.config.MaxDevices && x.m.config.Policy == Multi {
			t.Fatalf("%d devices: %+v", len(x.m.devices), x.m.devices)
		}
		for _, s := range []State{before, theirs} {
			for i := range s.Entries {
				e := s.Entries[i].entry(bob)
				kept := x.m.entry(e.view.Terms.ID)
				// What has ended, and nobody here owes a word about any more, may go; that may be by the merge.
				if kept == nil && (e.view.Stage != invitation.Ended || !x.m.remembers(e.view.Terms.ID)) || kept != nil && kept.view.Version < e.view.Version {
					t.Fatalf("%+v comes to %+v; %+v", *e.view, kept, out)
				}
			}
			if x.m.changes <= s.Changes {
				t.Fatalf("presence %d after %d", x.m.changes, s.Changes)
			}
		}
		for range 10 {
			x.m.Step(x.now, x.draw(), nil)
			if !counted(x.m) {
				t.Fatalf("counts %v and %v", x.m.live, x.m.known)
			}
		}
	})
}

// TestMergeTellsOfAReturn: a device whose word is awaited was back for a moment at one of two sessions. The arbiter, which
// has heard from the other one, is told that it was, and then that it is away.
func TestMergeTellsOfAReturn(t *testing.T) {
	confirmed := offered(2, invitation.Confirmed)
	confirmed.View.Chosen = "phone"
	m, other := New(bob, multi()), New(bob, multi())
	lose := func(m *Machine, at Time) {
		m.Step(at, &Input{Kind: InDetach, Device: "phone", Conn: Conn{Number: 1}}, nil)
	}
	steps(m, login("phone", 1, 1))
	lose(m, began.Add(15*time.Second))
	steps(other, login("phone", 1, 1), offered(1, invitation.Offering), confirmed)
	lose(other, began)
	var told []bool
	var permit uint64
	for _, e := range m.Merge(began.Add(20*time.Second), other.State(), nil) {
		if e.Kind == ToArbiter && e.Message.Kind == invitation.MsgCallee && e.Message.Chosen == "phone" {
			if e.Message.Permit <= permit {
				t.Errorf("report %d after %d", e.Message.Permit, permit)
			}
			told, permit = append(told, e.Message.Connected), e.Message.Permit
		}
	}
	if !slices.Equal(told, []bool{true, false}) {
		t.Errorf("the phone is told to be connected: %v", told)
	}
	if d := m.device("phone"); d.since != began.Add(15*time.Second) {
		t.Errorf("it was lost at %v", d.since)
	}
}
