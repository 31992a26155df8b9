package session

import (
	"strconv"
	"testing"

	"github.com/ringfleet/ringfleet/invitation"
)

// TestOthersLingering checks that a stranger who never acknowledges the ends of its invitations can
// not keep a user from being called, nor from calling.
func TestOthersLingering(t *testing.T) {
	bounds := Config{MaxIncoming: 2, MaxOutgoing: 2}.WithDefaults()
	m := New(bob, &bounds)
	m.Step(began, attach("pad"), nil)
	come := func(i int, stage invitation.Stage, version uint32) []Effect {
		terms := *comingTerms
		terms.ID = invitation.NewID(alice, "pad", strconv.Itoa(i))
		return m.Step(began, &Input{Kind: InView, View: viewed(&terms, version, stage)}, nil)
	}
	for i := range 10 * lingering {
		for _, e := range come(i, invitation.Offering, 1) {
			if e.Message.Full {
				t.Fatalf("offer %d is over the bound", i)
			}
		}
		come(i, invitation.Ended, 2)
		m.Step(began, word("pad", invitation.Word{
			ID: invitation.NewID(alice, "pad", strconv.Itoa(i)), Side: invitation.Callee,
			Kind: invitation.WordDone, Remote: invitation.RemoteCanceled,
		}), nil)
		if n := len(m.entries); n > lingering*bounds.MaxIncoming {
			t.Fatalf("%d invitations are kept", n)
		}
	}
	out := m.Step(began, call("pad", invitation.Call{Request: invitation.Send, Key: "mine", Callee: alice}), nil)
	if len(out) != 1 || out[0].Kind != ToArbiter || out[0].Message.Kind != invitation.MsgStart {
		t.Errorf("the send gave %+v", out)
	}
}

// TestOwedLingers checks that an invitation of which the user's device owes the end is not forgotten to
// make room.
func TestOwedLingers(t *testing.T) {
	bounds := Config{MaxIncoming: 1, MaxOutgoing: 1}.WithDefaults()
	m := New(bob, &bounds)
	m.Step(began, attach("pad"), nil)
	full := false
	for i := range lingering + 1 {
		terms := *comingTerms
		terms.ID = invitation.NewID(alice, "pad", strconv.Itoa(i))
		for _, e := range m.Step(began, &Input{Kind: InView, View: viewed(&terms, 1, invitation.Offering)}, nil) {
			full = full || e.Message.Full
		}
		m.Step(began, &Input{Kind: InView, View: viewed(&terms, 2, invitation.Ended)}, nil)
	}
	if !full || len(m.entries) != lingering {
		t.Errorf("%d invitations are kept, full %v", len(m.entries), full)
	}
}

// TestManyDevices checks that devices that come, say their last word and go leave nothing behind, be
// they logged out, displaced, or lost.
func TestManyDevices(t *testing.T) {
	for _, policy := range []Policy{Single, Multi} {
		for name, leave := range map[string]InputKind{"logout": InLogout, "lost": InDetach} {
			bounds := Config{Policy: policy, MaxDevices: 4}.WithDefaults()
			m := New(bob, &bounds)
			m.Step(began, &Input{Kind: InView, View: viewed(comingTerms, 1, invitation.Ringing)}, nil)
			for i := range 100 {
				device, at := invitation.Device("d"+strconv.Itoa(i)), Conn{Number: uint64(i + 1)}
				step := func(in *Input) { in.Device, in.Conn = device, at; m.Step(began, in, nil) }
				step(&Input{Kind: InAttach, Login: &invitation.Login{User: bob, Device: device, Stamp: uint64(i + 1)}})
				w := invitation.Word{ID: comingTerms.ID, Side: invitation.Callee, Kind: invitation.WordSeen}
				step(&Input{Kind: InWord, Word: &w})
				if i%2 == 0 {
					done := w
					done.Kind, done.Remote = invitation.WordDone, invitation.RemoteFailure
					step(&Input{Kind: InWord, Word: &done})
				}
				step(&Input{Kind: leave})
			}
			if n := len(m.entry(comingTerms.ID).shown); n > bounds.MaxDevices {
				t.Errorf("policy %d, %s: %d devices are remembered", policy, name, n)
			}
		}
	}
}

// TestAttachTwice checks that a login that comes twice, as it may between nodes, is one login: what its
// device has sent in the meantime goes on.
func TestAttachTwice(t *testing.T) {
	bounds := Config{}.WithDefaults()
	m := New(bob, &bounds)
	first := attach("pad")
	m.Step(began, first, nil)
	m.Step(began, call("pad", invitation.Call{Request: invitation.Send, Key: "mine", Callee: alice}), nil)
	before := m.State()
	out := m.Step(began, first, nil)
	if len(out) != 1 || out[0].Down.Welcome == nil || out[0].Down.Welcome.Stamp != before.Devices[0].Stamp {
		t.Errorf("the second time gave %+v, want a welcome to the same login", out)
	}
	if after := m.State(); len(after.Entries) != 1 || after.Entries[0].Withdrawn || after.Changes != before.Changes {
		t.Errorf("the second time left %+v", after)
	}
}

// TestOneCallerDoesNotFill checks that a caller gets no more of a user's places than its share, that others get the
// rest, and that it gets another when one of its invitations has ended.
func TestOneCallerDoesNotFill(t *testing.T) {
	bounds := Config{MaxIncoming: 10, MaxPerCaller: 3}.WithDefaults()
	m := New(bob, &bounds)
	m.Step(began, attach("pad"), nil)
	come := func(caller invitation.User, i int, stage invitation.Stage, version uint32) (full bool) {
		terms := *comingTerms
		terms.Caller, terms.ID = caller, invitation.NewID(caller, "pad", strconv.Itoa(i))
		for _, e := range m.Step(began, &Input{Kind: InView, View: viewed(&terms, version, stage)}, nil) {
			full = full || e.Message.Full
		}
		return full
	}
	for i := range 10 {
		if full := come("stranger", i, invitation.Offering, 1); full != (i >= 3) {
			t.Errorf("offer %d of a stranger: full %v", i, full)
		}
	}
	for i := range 7 {
		caller := invitation.User("friend-" + strconv.Itoa(i))
		if come(caller, 0, invitation.Offering, 1) {
			t.Errorf("the offer of %s finds no place", caller)
		}
	}
	if !come("friend-7", 0, invitation.Offering, 1) {
		t.Error("the user's bound does not hold")
	}
	come("friend-0", 0, invitation.Ended, 2)
	come("stranger", 0, invitation.Ended, 2)
	if come("stranger", 10, invitation.Offering, 1) {
		t.Error("a stranger of whose invitations one has ended finds no place")
	}
}
