package outcomes_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/internal/outcomes"
	"github.com/ringfleet/ringfleet/invitation"
)

var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func ended(caller invitation.User, key string) *invitation.View {
	return &invitation.View{
		Terms: &invitation.Terms{ID: invitation.NewID(caller, "d", key), Caller: caller, Device: "d", Callee: "bob", ChannelID: "room"},
		Stage: invitation.Ended, Outcome: invitation.Refused, Chosen: "desk", Response: "no",
	}
}

func TestOutcomesOfBothSides(t *testing.T) {
	s := outcomes.New(outcomes.Config{})
	v := ended("alice", "k")
	s.Add("bob", v, time.Time{}, began)
	s.Add("alice", v, time.Time{}, began)
	s.Add("alice", v, began.Add(-time.Minute), began.Add(time.Second)) // told again, by who knows more
	got, ok := s.Find(v.Terms.ID, began)
	if !ok || got.Side != invitation.Caller || got.Sent != began.Add(-time.Minute).UnixMicro() || got.Ended != began.UnixMicro() || got.Local != invitation.LocalRefusedByRemote {
		t.Errorf("found %+v, %v", got, ok)
	}
	for _, user := range []invitation.User{"alice", "bob"} {
		if list := s.List(user, outcomes.Point{}, 10, began); len(list) != 1 {
			t.Errorf("%s has %+v", user, list)
		}
	}
	if s.Len() != 2 {
		t.Errorf("%d are remembered, want 2", s.Len())
	}
	if _, ok := s.Find(v.Terms.ID, began.Add(invitation.DefaultTimers.Linger)); ok || s.Len() != 0 {
		t.Error("it is remembered for longer than outcomes linger")
	}
}

func TestOutcomesAreBounded(t *testing.T) {
	s := outcomes.New(outcomes.Config{Max: 50, PerUser: 10})
	for i := range 200 {
		caller := invitation.User(fmt.Sprint("user", i%3))
		s.Add(caller, ended(caller, fmt.Sprint(i)), time.Time{}, began.Add(time.Duration(i)*time.Millisecond))
	}
	now := began.Add(time.Second)
	if s.Len() != 50 {
		t.Errorf("%d are remembered, want 50", s.Len())
	}
	list := s.List("user1", outcomes.Point{}, 100, now)
	if len(list) != 10 || list[0].ID != invitation.NewID("user1", "d", "199") {
		t.Errorf("a user has %d, the newest %v", len(list), list[0].ID)
	}
	for i := 1; i < len(list); i++ {
		if list[i].Ended >= list[i-1].Ended {
			t.Error("they are not the newest first")
		}
	}
	var paged []outcomes.Outcome
	for point := (outcomes.Point{}); ; point = outcomes.PointOf(&paged[len(paged)-1]) {
		page := s.List("user1", point, 3, now)
		if len(page) == 0 {
			break
		}
		paged = append(paged, page...)
	}
	if len(paged) != len(list) {
		t.Errorf("in pages there are %d, want %d", len(paged), len(list))
	}
}

// TestOutcomesOfOneInstant: those that end at once come in pages too, each once.
func TestOutcomesOfOneInstant(t *testing.T) {
	s := outcomes.New(outcomes.Config{})
	for i := range 20 {
		s.Add("alice", ended("alice", fmt.Sprint(i)), time.Time{}, began)
	}
	seen := map[invitation.ID]bool{}
	for point := (outcomes.Point{}); ; {
		page := s.List("alice", point, 7, began)
		if len(page) == 0 {
			break
		}
		for i := range page {
			if seen[page[i].ID] {
				t.Fatal("one came twice")
			}
			seen[page[i].ID] = true
		}
		point = outcomes.PointOf(&page[len(page)-1])
	}
	if len(seen) != 20 {
		t.Errorf("%d came, want 20", len(seen))
	}
}

// TestOutcomesMove gives those of one user to another store, in which they stay for what is left of their time and
// under the same bounds, and come back.
func TestOutcomesMove(t *testing.T) {
	one, other := outcomes.New(outcomes.Config{}), outcomes.New(outcomes.Config{PerUser: 15, Max: 20})
	for i := range 20 {
		v, at := ended("alice", fmt.Sprint(i)), began.Add(time.Duration(i)*time.Second)
		one.Add("alice", v, time.Time{}, at)
		one.Add("bob", v, time.Time{}, at)
	}
	now := began.Add(time.Minute)
	other.Add("carol", ended("carol", "k"), time.Time{}, now) // what comes is older
	given := one.Give(func(u invitation.User) bool { return u == "alice" }, now)
	if len(given) != 20 || one.Len() != 20 || len(one.List("alice", outcomes.Point{}, 100, now)) != 0 {
		t.Fatalf("%d are given, %d are left", len(given), one.Len())
	}
	for range 2 {
		other.Take(given, now)
	}
	list := other.List("alice", outcomes.Point{}, 100, now)
	if len(list) != 15 || list[0].ID != invitation.NewID("alice", "d", "19") || list[14].ID != invitation.NewID("alice", "d", "5") {
		t.Errorf("%d have come, from %v to %v, want the newest 15", len(list), list[0].ID, list[len(list)-1].ID)
	}
	if _, ok := other.Find(list[0].ID, now); !ok {
		t.Error("the newest is not found")
	}
	late := began.Add(invitation.DefaultTimers.Linger + 10*time.Second)
	if list := other.List("alice", outcomes.Point{}, 100, late); len(list) != 9 {
		t.Errorf("%d are left in the end, want those that are younger than the linger, 9", len(list))
	}
	if _, ok := other.Find(invitation.NewID("alice", "d", "6"), late); ok {
		t.Error("what is older than the linger is found")
	}
	one.Take(given, now)
	if list := one.List("alice", outcomes.Point{}, 100, now); len(list) != 20 || one.Len() != 40 {
		t.Errorf("%d have come back, of %d", len(list), one.Len())
	}
	one.Take(given, late.Add(time.Hour))
	if one.Add("alice", ended("alice", "new"), time.Time{}, late.Add(time.Hour)); one.Len() != 1 {
		t.Errorf("%d are remembered, want the new one", one.Len())
	}
}

// TestOutcomesOfTheOtherSide: what a node knows of one side is what the node of the other side knew.
func TestOutcomesOfTheOtherSide(t *testing.T) {
	here, lost := outcomes.New(outcomes.Config{}), outcomes.New(outcomes.Config{})
	for i := range 5 {
		v := ended("alice", fmt.Sprint(i))
		here.Add("bob", v, time.Time{}, began)
		lost.Add("alice", v, time.Time{}, began)
	}
	here.Add("bob", ended("carol", "k"), time.Time{}, began)
	again := outcomes.New(outcomes.Config{})
	again.Take(here.Mirrors(func(u invitation.User) bool { return u == "alice" }, began), began)
	want, got := lost.List("alice", outcomes.Point{}, 10, began), again.List("alice", outcomes.Point{}, 10, began)
	if !slices.Equal(got, want) || len(got) != 5 || again.Len() != 5 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func BenchmarkAdd(b *testing.B) {
	s := outcomes.New(outcomes.Config{})
	views := make([]*invitation.View, 10_000)
	for i := range views {
		views[i] = ended(invitation.User(fmt.Sprint("user", i)), fmt.Sprint(i))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		v := views[i%len(views)]
		s.Add(v.Terms.Caller, v, began, began.Add(time.Duration(i)*time.Millisecond))
		i++
	}
}
