package explore

import "testing"

// TestMutants shows that the explorer finds what is wrong with each wrong machine.
func TestMutants(t *testing.T) {
	for _, w := range Mutants() {
		t.Run(w.Mutant.Name, func(t *testing.T) {
			if testing.Short() && w.Crashes > 0 {
				t.Skip("takes long under the race detector")
			}
			r := Explore(w, 2_000_000)
			switch {
			case r.Violation == nil:
				t.Fatalf("not found to break %s: %v", w.Mutant.Breaks, r)
			case r.Violation.Promise != w.Mutant.Breaks:
				for _, line := range r.Story {
					t.Log(line)
				}
				t.Fatalf("found to break another promise than %s: %v", w.Mutant.Breaks, r)
			}
			t.Log(r)
		})
	}
}
