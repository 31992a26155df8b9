package explore

import (
	"flag"
	"testing"
	"time"
)

var (
	world  = flag.String("world", "", "")
	losses = flag.Int("losses", 0, "")
	breaks = flag.Int("breaks", 0, "")
	dups   = flag.Int("dups", 0, "")
	limit  = flag.Int("limit", 100_000_000, "")
)

func TestScratch(t *testing.T) {
	w := Named(*world, *losses, *dups, *breaks)
	start := time.Now()
	r := Explore(w, *limit)
	t.Log(r, time.Since(start))
	if r.Violation != nil {
		for _, l := range r.Story {
			t.Log(l)
		}
		t.Fatal(r.Violation)
	}
}
