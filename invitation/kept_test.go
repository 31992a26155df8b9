package invitation_test

import "testing"

// TestNothingIsKept: after both sides have acknowledged, neither an arbiter nor an entry of a session
// is left, and sessions without devices leave after the grace.
func TestNothingIsKept(t *testing.T) {
	for _, script := range [][]string{
		{"accept bob c1"},
		{"refuse bob c1"},
		{"cancel alice c1"},
		{"advance 60s"},
		{"drop alice", "advance 30s", "back alice"},
		{"drop bob", "cancel alice c1", "advance 1m", "back bob"},
		{"drop bob", "cancel alice c1", "advance 5m"},
		{"logout alice", "advance 5m"},
		{"logout bob", "advance 60s"},
		{"abort c1"},
		{"drop alice", "drop bob", "advance 7m"},
	} {
		w := newWorld(t)
		w.play(append([]string{"login alice bob", "send alice to bob as c1"}, script...))
		if len(w.arbiters) != 0 {
			t.Errorf("%q: an arbiter is left", script)
		}
		for user, m := range w.sessions {
			if out, in := m.Live(); out != 0 || in != 0 {
				t.Errorf("%q: %s has %d outgoing and %d incoming live", script, user, out, in)
			}
			if m.Deadline() != 0 && m.Devices() != 0 {
				t.Errorf("%q: the session of %s waits for something", script, user)
			}
		}
		w.play([]string{"drop alice", "drop bob", "advance 6m"})
		if len(w.sessions) != 0 {
			t.Errorf("%q: %d sessions are left", script, len(w.sessions))
		}
	}
}
