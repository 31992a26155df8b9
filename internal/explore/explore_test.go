package explore

import (
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"
)

var (
	long   = flag.Bool("explore.long", false, "explore within the large bounds, to closure (`make explore`)")
	within = flag.String("explore.bounds", "", "explore within these `losses,dups,breaks` instead")
	only   = flag.String("explore.world", "", "explore only the world with this `name`")
	limit  = flag.Int("explore.limit", 15_000_000, "give up after this many `states`")
)

// bounds are the faults within which a world is explored.
type bounds struct{ losses, dups, breaks int }

// plans are the bounds of each world: those of every test run, and the large ones. Worlds with neither
// have not been closed: docs/verification.md says how far they came.
var plans = []struct {
	world string
	short []bounds
	long  []bounds
}{
	{"one", []bounds{{0, 0, 0}, {1, 0, 0}}, []bounds{{2, 1, 0}}},
	{"pair", []bounds{{1, 1, 0}}, []bounds{{2, 1, 0}}},
	{"devices", []bounds{{0, 1, 0}}, []bounds{{2, 1, 0}}},
	{"glare", []bounds{{1, 1, 0}}, []bounds{{2, 1, 0}}},

	{"one-brief", []bounds{{2, 1, 0}}, []bounds{{2, 1, 0}}},
	{"pair-together", nil, nil},
	{"pair-turns", nil, nil},
	{"glare-turns", nil, nil},
	{"late", []bounds{{1, 0, 0}}, []bounds{{2, 1, 0}}},
	{"callee-breaks", nil, nil},
	{"caller-breaks", nil, []bounds{{0, 0, 1}}},
	{"caller-logs-out", nil, []bounds{{1, 0, 0}}},
	{"callee-logs-out", nil, []bounds{{1, 0, 0}}},
	{"second-login", nil, nil},
	{"caller-second-login", nil, nil},
	{"late-device", []bounds{{0, 0, 0}}, []bounds{{0, 0, 0}}},
}

// TestWorlds explores every world to closure and finds every promise kept.
func TestWorlds(t *testing.T) {
	for _, p := range plans {
		all := p.short
		if *long {
			all = p.long
		}
		if *within != "" {
			var b bounds
			if _, err := fmt.Sscanf(*within, "%d,%d,%d", &b.losses, &b.dups, &b.breaks); err != nil {
				t.Fatal(err)
			}
			all = []bounds{b}
		}
		for _, b := range all {
			if *only != "" && p.world != *only {
				continue
			}
			t.Run(fmt.Sprintf("%s/losses=%d,dups=%d,breaks=%d", p.world, b.losses, b.dups, b.breaks), func(t *testing.T) {
				if testing.Short() && (p.world != "one" || b != bounds{}) {
					t.Skip("takes long under the race detector")
				}
				world(t, Named(p.world, b.losses, b.dups, b.breaks))
			})
		}
	}
}

// world explores a world, or its calls apart, and logs what it found.
func world(t *testing.T, w World) {
	began := time.Now()
	var found fmt.Stringer
	var parts []*Result
	complete := false
	if w.Creep != 0 && len(w.Calls) > 1 {
		a := Split(w, *limit)
		found, parts, complete = a, a.Parts, a.Complete()
	} else {
		r := Explore(w, *limit)
		found, parts, complete = r, []*Result{r}, r.Complete && r.Violation == nil
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	t.Logf("%v, %v, %d MiB", found, time.Since(began).Round(time.Millisecond), memory.Sys>>20)
	for _, r := range parts {
		for _, line := range r.Story {
			t.Log(line)
		}
	}
	if !complete {
		t.Fatalf("not every promise is kept, or it was cut off: %v", found)
	}
}
