package outcomes_test

import (
	"fmt"
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
	if !ok || got.Side != invitation.Caller || !got.Sent.Equal(began.Add(-time.Minute)) || !got.Ended.Equal(began) || got.Local != invitation.LocalRefusedByRemote {
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
		if !list[i].Ended.Before(list[i-1].Ended) {
			t.Error("they are not the newest first")
		}
	}
	var paged []outcomes.Outcome
	for point := (outcomes.Point{}); ; point = paged[len(paged)-1].Point() {
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
		point = page[len(page)-1].Point()
	}
	if len(seen) != 20 {
		t.Errorf("%d came, want 20", len(seen))
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
