package chaos

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func list(config ScheduleConfig, n int) []Fault {
	s := NewSchedule(config)
	var all []Fault
	for range n {
		all = append(all, s.Next())
	}
	return all
}

// TestScheduleIsItsSeeds draws the same schedule twice, and another one for everything else that it is drawn from.
func TestScheduleIsItsSeeds(t *testing.T) {
	config := ScheduleConfig{Seed: 7, Nodes: 3, Weights: DefaultWeights(), Every: 10 * time.Second}
	first := list(config, 100)
	if !slices.Equal(first, list(config, 100)) {
		t.Error("the same seed gives another schedule")
	}
	for _, change := range []func(*ScheduleConfig){
		func(c *ScheduleConfig) { c.Seed++ },
		func(c *ScheduleConfig) { c.Nodes++ },
		func(c *ScheduleConfig) { c.Weights[All]++ },
		func(c *ScheduleConfig) { c.Every++; c.Every *= 2 },
		func(c *ScheduleConfig) { c.Longest = 2 * time.Second },
	} {
		other := config
		change(&other)
		if slices.Equal(first, list(other, 100)) {
			t.Errorf("%+v gives the same schedule as %+v", other, config)
		}
	}
}

// TestScheduleKeepsItsBounds looks at many faults: every kind as often as its weight says, every node, and no wait or
// length beyond its bounds.
func TestScheduleKeepsItsBounds(t *testing.T) {
	config := ScheduleConfig{Seed: 3, Nodes: 4, Weights: DefaultWeights(), Every: 8 * time.Second, Longest: 25 * time.Second}
	round := 0
	for _, weight := range config.Weights {
		round += weight
	}
	seen, nodes, offsets := map[Kind]int{}, map[int]int{}, map[time.Duration]int{}
	for n, f := range list(config, 50*round) {
		seen[f.Kind]++
		nodes[f.Node]++
		offsets[f.Offset]++
		most := min(facts[f.Kind].most, config.Longest)
		if f.N != n+1 || f.Wait < config.Every/2 || f.Wait > config.Every*3/2 || f.Lasts < facts[f.Kind].least || f.Lasts > most {
			t.Fatalf("%+v is out of its bounds", f)
		}
		if (f.Offset != 0) != (f.Kind == Clock) || f.Hears && f.Kind != OneWay {
			t.Fatalf("%+v has what another kind has", f)
		}
		if (n+1)%round == 0 {
			for kind, weight := range config.Weights {
				if seen[Kind(kind)] != weight*(n+1)/round {
					t.Fatalf("after %d faults: %v", n+1, seen)
				}
			}
		}
	}
	if len(nodes) != config.Nodes || len(offsets) != 3 {
		t.Errorf("nodes %v, offsets %v", nodes, offsets)
	}
}

func TestParseWeights(t *testing.T) {
	w, err := ParseWeights("kill=2, pause, drain=0")
	if err != nil || w != (Weights{Kill: 2, Pause: 1}) {
		t.Errorf("got %v, %v", w, err)
	}
	if w, err = ParseWeights("all-kinds"); err != nil || w != DefaultWeights() || slices.Contains(w[:], 0) {
		t.Errorf("all-kinds: got %v, %v", w, err)
	}
	for _, bad := range []string{"", "kil", "kill=-1", "kill=x", "kill=0", "kill=1001"} {
		if w, err = ParseWeights(bad); err == nil {
			t.Errorf("%q: got %v", bad, w)
		}
	}
	for k := range kinds {
		if !strings.Contains(Help(), k.String()) {
			t.Errorf("the help lacks %v", k)
		}
	}
}

// TestLog shows which faults are found about a time, and what each allows.
func TestLog(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1_000_000+int64(s), 0) }
	l := &Log{}
	l.Add(Record{Fault: Fault{N: 1, Kind: Kill}, Began: at(100), Ended: at(102)})
	l.Add(Record{Fault: Fault{N: 2, Kind: Partition}, Began: at(200), Ended: at(230)})
	l.Add(Record{Fault: Fault{N: 3, Kind: Drain}, Began: at(300), Ended: at(306)})
	place := l.Add(Record{Fault: Fault{N: 4, Kind: All}, Began: at(400)})
	for _, c := range []struct {
		from, to int
		want     []int
	}{
		{0, 99, nil},
		{0, 100, []int{1}},
		{105, 110, []int{1}},
		{106, 199, nil},
		{229, 301, []int{2, 3}},
		{231, 299, nil},
		{450, 460, []int{4}}, // it has not ended
	} {
		var got []int
		for _, r := range l.Between(at(c.from), at(c.to)) {
			got = append(got, r.N)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("between %d and %d: %v, want %v", c.from, c.to, got, c.want)
		}
	}
	l.Change(place, func(r *Record) { r.Ended = at(410) })
	for n, until := range []int{105, 215, 300, 415} {
		if r := l.All()[n]; !r.Takeover(at(1000)).Equal(at(until)) {
			t.Errorf("%v is taken over at %v, want %v", r.Fault, r.Takeover(at(1000)), at(until))
		}
	}
}
