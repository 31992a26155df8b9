package explore

import (
	"testing"
	"time"
)

func one() World {
	return World{
		Name: "one",
		Devices: []Device{
			{User: "ann", Name: "ann-1", Online: true, Break: true},
			{User: "ben", Name: "ben-1", Online: true, Break: true},
		},
		Calls: []Call{{From: 0, To: "ben", Cancel: true, Accept: true, Refuse: true}},
	}
}

func TestOne(t *testing.T) {
	w := one()
	debug = true
	start := time.Now()
	r := Explore(w, 4_000_000)
	t.Log(r, time.Since(start))
	if r.Violation != nil {
		for _, l := range r.Story {
			t.Log(l)
		}
		t.Fatal(r.Violation)
	}
}
