package placement_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ringfleet/ringfleet/cluster/placement"
	"github.com/ringfleet/ringfleet/invitation"
)

func table(t testing.TB, names ...string) *placement.Table {
	t.Helper()
	made, err := placement.New(names)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// pods returns n names as a StatefulSet gives them.
func pods(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return names
}

var namesGen = rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9.-]{1,20}`), 1, 12, rapid.ID[string])

// TestAgreement: the table is a function of the set of names.
func TestAgreement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := namesGen.Draw(t, "names")
		again := append(rapid.Permutation(names).Draw(t, "order"), names[0])
		one, err := placement.New(names)
		if err != nil {
			t.Fatal(err)
		}
		other, err := placement.New(again)
		if err != nil {
			t.Fatal(err)
		}
		if moves := slices.Collect(one.Moves(other)); len(moves) != 0 {
			t.Fatalf("%d shards have two owners, the first is %+v", len(moves), moves[0])
		}
	})
}

// TestMinimalDisruption: only what the newcomer takes moves, and when it goes, back to where it was.
func TestMinimalDisruption(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := namesGen.Draw(t, "names")
		newcomer := rapid.StringMatching(`[A-Z]{1,20}`).Draw(t, "newcomer")
		before, err := placement.New(names)
		if err != nil {
			t.Fatal(err)
		}
		after, err := placement.New(append(names, newcomer))
		if err != nil {
			t.Fatal(err)
		}
		moved := 0
		for move := range before.Moves(after) {
			moved++
			if move.To != newcomer {
				t.Fatalf("%+v is between members that stay", move)
			}
		}
		if owned := len(slices.Collect(after.Owned(newcomer))); owned != moved || owned == 0 {
			t.Fatalf("the newcomer owns %d shards, %d have moved", owned, moved)
		}
	})
}

// TestSpread holds the tolerance that the package documentation states.
func TestSpread(t *testing.T) {
	worst := 0.0
	for _, prefix := range []string{"node", "ringfleet", "ringfleet-0.peers.calls.svc.cluster.local"} {
		for n := 1; n <= 100; n++ {
			made := table(t, pods(prefix, n)...)
			mean := float64(invitation.Shards) / float64(n)
			total := 0
			for i, count := range made.Counts() {
				total += count
				off := math.Abs(float64(count)-mean) / math.Sqrt(mean)
				if worst = max(worst, off); off > 4.5 {
					t.Errorf("of %d members, %s owns %d shards, %.1f√m from the mean %.0f", n, made.Members()[i], count, off, mean)
				}
			}
			if total != invitation.Shards {
				t.Fatalf("%d shards are owned", total)
			}
		}
	}
	t.Logf("no member is further than %.2f√m from the mean m", worst)
}

// TestIndependence: whose shards fall to whom when a member goes is spread over all who stay.
func TestIndependence(t *testing.T) {
	names := pods("node", 10)
	before := table(t, names...)
	heirs := map[string]int{}
	for move := range before.Moves(table(t, names[1:]...)) {
		heirs[move.To]++
	}
	mean := float64(len(slices.Collect(before.Owned(names[0])))) / 9
	for _, name := range names[1:] {
		if off := math.Abs(float64(heirs[name])-mean) / math.Sqrt(mean); off > 4 {
			t.Errorf("%s inherits %d shards, the mean is %.0f", name, heirs[name], mean)
		}
	}
}

func TestBounds(t *testing.T) {
	if _, err := placement.New([]string{"a", ""}); !errors.Is(err, placement.ErrMembers) {
		t.Errorf("a member without a name gives %v", err)
	}
	if _, err := placement.New(pods("node", placement.MaxMembers+1)); !errors.Is(err, placement.ErrMembers) {
		t.Errorf("too many members give %v", err)
	}
	var none *placement.Table
	for _, empty := range []*placement.Table{none, new(placement.Table), table(t)} {
		if name, ok := empty.Owner(7); ok || name != "" {
			t.Errorf("an empty table has the owner %q", name)
		}
		if len(empty.Counts()) != 0 || len(slices.Collect(empty.Owned("a"))) != 0 {
			t.Error("an empty table has owners")
		}
	}
	made := table(t, "a")
	if name, ok := made.Owner(invitation.Shards); ok {
		t.Errorf("%q owns a shard that is none", name)
	}
	if moves := len(slices.Collect(none.Moves(made))); moves != invitation.Shards {
		t.Errorf("the first member gets %d shards", moves)
	}
	if len(slices.Collect(made.Owned("b"))) != 0 {
		t.Error("a stranger owns shards")
	}
}

// TestOwned: Owned, Counts and Owner tell the same.
func TestOwned(t *testing.T) {
	made := table(t, pods("node", 7)...)
	seen := map[invitation.Shard]string{}
	for i, name := range made.Members() {
		n := 0
		for shard := range made.Owned(name) {
			seen[shard] = name
			n++
		}
		if n != made.Counts()[i] {
			t.Errorf("%s owns %d or %d shards", name, n, made.Counts()[i])
		}
	}
	want := map[invitation.Shard]string{}
	for shard := range invitation.Shard(invitation.Shards) {
		want[shard], _ = made.Owner(shard)
	}
	if !maps.Equal(seen, want) {
		t.Error("Owned and Owner differ")
	}
}

func BenchmarkNew(b *testing.B) {
	for _, n := range []int{3, 10, 100} {
		names := pods("node", n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := placement.New(names); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOwner(b *testing.B) {
	made := table(b, pods("node", 10)...)
	r := rand.New(rand.NewPCG(1, 2))
	shards := make([]invitation.Shard, 1024)
	for i := range shards {
		shards[i] = invitation.Shard(r.IntN(invitation.Shards))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, ok := made.Owner(shards[i%len(shards)]); !ok {
			b.Fatal("no owner")
		}
		i++
	}
}
