package stats

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestMerge wants what several histograms counted to have the percentiles of all of it, however it was divided.
func TestMerge(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var whole, merged Histogram
	parts := make([]Histogram, 3)
	var all []time.Duration
	for range 50_000 {
		d := time.Duration(random.ExpFloat64() * float64(20*time.Millisecond))
		all = append(all, d)
		whole.Record(d)
		parts[min(int(d/(15*time.Millisecond)), 2)].Record(d) // the slow ones are not spread evenly
	}
	for i := range parts {
		text, err := json.Marshal(&parts[i])
		if err != nil {
			t.Fatal(err)
		}
		var part Histogram
		if err := json.Unmarshal(text, &part); err != nil {
			t.Fatal(err)
		}
		merged.Merge(&part)
	}
	if merged.Percentiles() != whole.Percentiles() {
		t.Errorf("merged %+v, whole %+v", merged.Percentiles(), whole.Percentiles())
	}
	slices.Sort(all)
	for _, q := range []float64{0.5, 0.9, 0.99, 0.999} {
		exact := all[int(q*float64(len(all)))]
		if got := merged.At(q); (got - exact).Abs() > exact/500+2*time.Microsecond {
			t.Errorf("the %v quantile is %v, want %v", q, got, exact)
		}
	}
}

func TestOutOfRangeCountsAsTheEnd(t *testing.T) {
	var h Histogram
	h.Record(-time.Second)
	h.Record(time.Hour)
	if p := h.Percentiles(); p.Count != 2 || p.P50 != 0.001 || p.Max < 599_000 || p.Max > 601_000 {
		t.Errorf("%+v", p)
	}
}

func TestEmpty(t *testing.T) {
	var h, other Histogram
	h.Merge(&other)
	text, err := json.Marshal(&h)
	if err != nil || string(text) != `""` || h.Percentiles() != (Percentiles{}) {
		t.Errorf("%s, %v, %+v", text, err, h.Percentiles())
	}
	if err := json.Unmarshal(text, &other); err != nil || other.Count() != 0 {
		t.Error(err)
	}
	other.Record(time.Second)
	other.Reset()
	if other.Count() != 0 {
		t.Error("not reset")
	}
}

func TestDamagedTextIsRefused(t *testing.T) {
	var h Histogram
	for _, text := range []string{"!", "AAAA", "HISTFAAAAB"} {
		if err := h.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestCoarse(t *testing.T) {
	coarse := Histogram{Digits: Coarse}
	var h Histogram
	for i := range 1000 {
		coarse.Record(time.Duration(i+1) * 100 * time.Microsecond)
	}
	h.Merge(&coarse)
	if p := h.Percentiles(); p.Count != 1000 || p.P99 < 98 || p.P99 > 100.5 {
		t.Errorf("%+v", p)
	}
}

// TestPacked wants a copy that is packed to be what it is of, to stay packed while it is merged and sent, and to be no part
// of what it is of.
func TestPacked(t *testing.T) {
	h := Histogram{Digits: Coarse}
	if p := h.Packed(); p.Count() != 0 || p.Max() != 0 {
		t.Errorf("of nothing: %+v", p.Percentiles())
	}
	for i := range 1000 {
		h.Record(time.Duration(i+1) * time.Millisecond)
	}
	was, text := h.Percentiles(), marshaled(t, &h)
	p := h.Packed()
	h.Reset()
	var sum, later Histogram
	sum.Merge(p)
	later.Merge(&sum)
	if got := marshaled(t, p); got != text || p.hdr != nil {
		t.Errorf("%s, want %s; unpacked: %v", got, text, p.hdr != nil)
	}
	twice := (&Histogram{Digits: Coarse}).Packed()
	twice.Merge(p)
	twice.Merge(p)
	if twice.hdr != nil || twice.Count() != 2000 || twice.At(1) != p.At(1) {
		t.Errorf("merged %+v", twice.Percentiles())
	}
	if p.Percentiles() != was || sum.Count() != 1000 || p.hdr == nil {
		t.Errorf("%+v, was %+v", p.Percentiles(), was)
	}
	p.Record(time.Hour)
	if p.Count() != 1001 || h.Count() != 0 {
		t.Errorf("%d after another, %d of what was reset", p.Count(), h.Count())
	}
	q := (&sum).Packed()
	q.Reset()
	if q.Count() != 0 {
		t.Error("not reset")
	}
}

func marshaled(t *testing.T, h *Histogram) string {
	t.Helper()
	text, err := h.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
