package explore

import (
	"testing"

	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// TestApartBites shows that calls which notice each other are found out.
func TestApartBites(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long under the race detector")
	}
	busy := &Mutant{
		Name: "busy", Breaks: judge.P2, Why: "a session that has a live call sends no other",
		Session: func(m *session.Machine, in *session.Input, step sessionStep) []session.Effect {
			if out, _ := m.Live(); out > 0 && in.Kind == session.InCall && in.Call.Request == invitation.Send {
				return nil
			}
			return step(in)
		},
	}
	forgets := &Mutant{
		Name: "forgets", Breaks: judge.P2, Why: "a session that hears of one call forgets the others",
		Session: func(m *session.Machine, in *session.Input, step sessionStep) []session.Effect {
			out := step(in)
			if known := knownCalls(m); in.Kind == session.InView && known > 1 {
				*m = *session.New(in.View.Terms.Caller, &session.Config{})
			}
			return out
		},
	}
	for _, mutant := range []*Mutant{busy, forgets} {
		w := Named("pair", 0, 0, 0)
		w.Mutant = mutant
		if a := Split(w, 1_000_000); a.Differs == "" {
			t.Errorf("%s is not found: %v", mutant.Name, a)
		} else {
			t.Log(a)
		}
	}
}

func knownCalls(m *session.Machine) int {
	n := 0
	for call := range maxCalls {
		for _, user := range []invitation.User{"ann", "ben"} {
			if _, ok := m.Knows(invitation.NewID(user, invitation.Device(user+"-1"), key(call))); ok {
				n++
			}
		}
	}
	return n
}
