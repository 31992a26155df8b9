package arrivals

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func all(p Plan) []time.Duration {
	var found []time.Duration
	s := p.Schedule()
	for at, _, ok := s.Next(); ok; at, _, ok = s.Next() {
		found = append(found, at)
	}
	return found
}

func stages(t *testing.T, text string) []Stage {
	t.Helper()
	found, err := ParseStages(text)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestConstantComesOnTime(t *testing.T) {
	got := all(Plan{Stages: stages(t, "4/1s,2/1s")})
	var want []time.Duration
	for _, ms := range []int64{0, 250, 500, 750, 1000, 1500} {
		want = append(want, time.Duration(ms)*time.Millisecond)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestForEver has as many in each second, however late it is.
func TestForEver(t *testing.T) {
	s := At(100, Constant, 1).Schedule()
	for i := range 1_000_000 {
		at, _, ok := s.Next()
		if want := time.Duration(i) * 10 * time.Millisecond; !ok || (at-want).Abs() > time.Microsecond {
			t.Fatalf("arrival %d is due at %v, want %v", i, at, want)
		}
	}
}

// TestRamp has a quarter of the calls of a ramp from nothing in its first half.
func TestRamp(t *testing.T) {
	got := all(Plan{Stages: stages(t, "0..200/10s")})
	if len(got) != 1000 || !slices.IsSorted(got) || got[len(got)-1] >= 10*time.Second {
		t.Fatalf("%d arrivals, the last at %v", len(got), got[len(got)-1])
	}
	if half, _ := slices.BinarySearch(got, 5*time.Second); half < 249 || half > 251 {
		t.Errorf("%d in the first half, want 250", half)
	}
	down := all(Plan{Stages: stages(t, "200..0/10s")})
	if half, _ := slices.BinarySearch(down, 5*time.Second); len(down) != 1000 || half < 749 || half > 751 {
		t.Errorf("down: %d of %d in the first half, want 750", half, len(down))
	}
}

// TestPoisson compares the draws of a seed with what the process is known by: the mean, a deviation of the times as
// large as their mean, and as many arrivals in each second as the rate has, with their variance.
func TestPoisson(t *testing.T) {
	const rate, seconds = 200, 500
	p := Plan{Process: Poisson, Seed: 42, Stages: []Stage{{From: rate, To: rate, Lasts: seconds * time.Second}}}
	got := all(p)
	if !slices.Equal(got, all(p)) {
		t.Fatal("the same seed draws another schedule")
	}
	if other := p; true {
		other.Seed++
		if slices.Equal(got, all(other)) {
			t.Fatal("another seed draws the same schedule")
		}
	}
	if n := float64(len(got)); math.Abs(n-rate*seconds) > 4*math.Sqrt(rate*seconds) {
		t.Errorf("%d arrivals, want about %d", len(got), rate*seconds)
	}
	var sum, squares float64
	for i := 1; i < len(got); i++ {
		gap := (got[i] - got[i-1]).Seconds()
		sum, squares = sum+gap, squares+gap*gap
	}
	n := float64(len(got) - 1)
	mean := sum / n
	deviation := math.Sqrt(squares/n - mean*mean)
	if math.Abs(deviation/mean-1) > 0.02 {
		t.Errorf("the times deviate by %.3f of their mean, want as much", deviation/mean)
	}
	counts := make([]float64, seconds)
	for _, at := range got {
		counts[int(at.Seconds())]++
	}
	var variance float64
	for _, c := range counts {
		variance += (c - rate) * (c - rate) / seconds
	}
	if math.Abs(variance/rate-1) > 0.25 {
		t.Errorf("the arrivals of a second have a variance of %.0f, want about %d", variance, rate)
	}
}

// TestSharesAreThePlan puts the parts of several generators together.
func TestSharesAreThePlan(t *testing.T) {
	p := Plan{Stages: stages(t, "10..100/5s,100/5s")}
	var together []time.Duration
	for i := range 3 {
		together = append(together, all(p.Share(i, 3))...)
	}
	slices.Sort(together)
	whole := all(p)
	if len(together) != len(whole) {
		t.Fatalf("%d arrivals together, want %d", len(together), len(whole))
	}
	for i := range whole {
		if (together[i] - whole[i]).Abs() > time.Microsecond {
			t.Fatalf("arrival %d is due at %v, want %v", i, together[i], whole[i])
		}
	}
	p.Process = Poisson
	if a, b := all(p.Share(0, 2)), all(p.Share(1, 2)); slices.Equal(a, b) {
		t.Error("two generators draw the same arrivals")
	}
}

func TestStages(t *testing.T) {
	var all []string
	for _, s := range stages(t, "100/30s, 0..500/1m, 100..300+100/90s, 30..10+10/1h") {
		all = append(all, s.String())
	}
	if got, want := strings.Join(all, ","), "100/30s,0..500/1m,100/1m30s,200/1m30s,300/1m30s,30/1h,20/1h,10/1h"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	p := Plan{Stages: stages(t, "1/1s,0/5s,1/1s")}
	s := p.Schedule()
	_, first, _ := s.Next()
	at, second, ok := s.Next()
	if first != 0 || second != 2 || at != 6*time.Second || !ok || p.Lasts() != 7*time.Second {
		t.Errorf("stages %d and %d, at %v", first, second, at)
	}
}

func TestWrongStages(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "how long",
		"100":              "how long",
		"100/fast":         "no time",
		"100/-1s":          "no time",
		"-1/1s":            "want a number",
		"NaN/1s":           "want a number",
		"1e9/1s":           "want a number",
		"1..x/1s":          "want a number",
		"1..5+0/1s":        "step",
		"1..1000000+1/1s":  "step",
		"1/1s,,2/1s":       "how long",
		"1..5+x/1s":        "want a number",
		"0..999+1/1s,1/1s": "more than 1000",
	} {
		_, err := ParseStages(text)
		var typed *StageError
		if !errors.As(err, &typed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", text, err, want)
		}
	}
}
