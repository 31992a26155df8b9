package explore

import (
	"slices"
	"testing"
)

// TestMovesAreDeclared finds no move of a machine that its table does not have, and prints the moves
// of the tables that these worlds do not reach.
func TestMovesAreDeclared(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long under the race detector")
	}
	declared := Declared()
	seen := map[string]bool{}
	for _, w := range []World{
		Named("one-brief", 2, 1, 0), Named("devices", 0, 0, 0), Named("late", 1, 1, 0), Named("late-device", 0, 0, 0),
		Named("callee-breaks", 0, 0, 1), Named("caller-breaks", 0, 0, 1),
		Named("callee-logs-out", 1, 0, 0), Named("caller-logs-out", 0, 0, 0), Named("one", 0, 0, 0),
		losing("cancel-brief", 3), losing("refuse-brief", 1), losing("refuse-brief", 2), losing("accept-brief", 1),
	} {
		r := Explore(w, 100_000) // and no more of the worlds that are larger
		if r.Violation != nil {
			t.Fatal(w.Name, r)
		}
		for e := range r.Edges {
			seen[e] = true
		}
	}
	for e := range seen {
		if !slices.Contains(declared, e) {
			t.Errorf("seen, but not in a table: %s", e)
		}
	}
	reached := 0
	for _, e := range declared {
		if seen[e] {
			reached++
		} else {
			t.Log("not reached: ", e)
		}
	}
	t.Logf("%d of %d declared moves reached", reached, len(declared))
}
