// Package outcomes remembers how the invitations of a node's users ended, for as long as outcomes linger: what the API
// tells of them. It is memory only. It moves with the users; of what is lost with a node the nodes of the other sides know
// the same.
package outcomes

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/snapshot"
)

// The defaults of [Config].
const (
	DefaultMax     = 100_000
	DefaultPerUser = 1_000
)

// Config bounds a [Store].
type Config struct {
	Linger  time.Duration // how long an outcome is remembered; the default is that of invitation.DefaultTimers
	Max     int           // outcomes in all; over it the oldest are forgotten; the default is 100,000
	PerUser int           // outcomes of a user, likewise; the default is 1,000
}

// Outcome is what is remembered.
type Outcome = snapshot.Outcome

// Store is the memory. Make one with [New]; safe for concurrent use. Its methods hold one lock for some µs.
type Store struct {
	config Config

	mu     sync.Mutex
	byUser map[invitation.User][]*Outcome // as they came
	known  map[key]*Outcome               // the same
	all    []*Outcome                     // as they came; those before first are gone
	first  int
}

// key names an outcome.
type key struct {
	id   invitation.ID
	side invitation.Side
}

func keyOf(o *Outcome) key { return key{o.ID, o.Side} }

// New returns an empty store.
func New(config Config) *Store {
	config.Linger = cmp.Or(config.Linger, invitation.DefaultTimers.Linger)
	config.Max = cmp.Or(config.Max, DefaultMax)
	config.PerUser = cmp.Or(config.PerUser, DefaultPerUser)
	return &Store{config: config, byUser: map[invitation.User][]*Outcome{}, known: map[key]*Outcome{}}
}

// Add remembers an ended invitation of a user. What is remembered of it already stays, but for what was not known.
func (s *Store) Add(user invitation.User, v *invitation.View, sent, now time.Time) {
	o := &Outcome{
		ID: v.Terms.ID, Side: invitation.Callee, Caller: v.Terms.Caller, CallerDevice: v.Terms.Device, Callee: v.Terms.Callee,
		CalleeDevice: v.Chosen, ChannelID: v.Terms.ChannelID, Outcome: v.Outcome, Sent: micro(sent), Ended: micro(now),
	}
	if user == v.Terms.Caller {
		o.Side = invitation.Caller
	}
	o.Local, o.Code, o.Reason = v.Local()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	s.add(o)
}

func (s *Store) add(o *Outcome) {
	if known := s.known[keyOf(o)]; known != nil {
		if known.Sent == 0 {
			known.Sent = o.Sent
		}
		return
	}
	of := s.byUser[o.User()]
	if len(of) >= s.config.PerUser {
		oldest := 0
		for i := range of { // those that came from another node are not in order
			if of[i].Ended < of[oldest].Ended {
				oldest = i
			}
		}
		delete(s.known, keyOf(of[oldest]))
		of = slices.Delete(of, oldest, oldest+1) // it stays in all until it expires
	}
	s.byUser[o.User()] = append(of, o)
	s.all = append(s.all, o)
	s.known[keyOf(o)] = o
}

// expire forgets what is too old or too much.
func (s *Store) expire(now time.Time) {
	for s.first < len(s.all) {
		o := s.all[s.first]
		if s.young(o, now) && len(s.all)-s.first < s.config.Max {
			break
		}
		s.all[s.first] = nil
		s.first++
		s.forget(o)
	}
	if s.first > len(s.all)/2 {
		s.all = slices.Clone(s.all[s.first:])
		s.first = 0
	}
}

func (s *Store) forget(o *Outcome) {
	if s.known[keyOf(o)] == o {
		delete(s.known, keyOf(o))
	}
	of := s.byUser[o.User()]
	if i := slices.Index(of, o); i >= 0 {
		of = slices.Delete(of, i, i+1)
	}
	if len(of) == 0 {
		delete(s.byUser, o.User())
		return
	}
	s.byUser[o.User()] = of
}

// young reports whether an outcome lingers. One that came from another node may be older than what came before it.
func (s *Store) young(o *Outcome, now time.Time) bool {
	return now.Sub(time.UnixMicro(o.Ended)) < s.config.Linger
}

// micro returns a time as an outcome has it.
func micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Take remembers outcomes that another node has remembered. What is remembered already stays.
func (s *Store) Take(list []snapshot.Outcome, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range list {
		if o := new(list[i]); s.young(o, now) {
			s.expire(now)
			s.add(o)
		}
	}
}

// Give forgets the outcomes of users for whom it returns true, and returns them.
func (s *Store) Give(of func(invitation.User) bool, now time.Time) []snapshot.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	var list []snapshot.Outcome
	for user, outcomes := range s.byUser {
		if !of(user) {
			continue
		}
		for _, o := range outcomes {
			delete(s.known, keyOf(o))
			if s.young(o, now) {
				list = append(list, *o)
			}
		}
		delete(s.byUser, user)
	}
	if len(list) > 0 {
		s.all = slices.DeleteFunc(s.all[s.first:], func(o *Outcome) bool { return s.known[keyOf(o)] != o })
		s.first = 0
	}
	return list
}

// Mirrors returns, as the other side has them, the outcomes whose other side is a user for whom of returns true.
func (s *Store) Mirrors(of func(invitation.User) bool, now time.Time) []snapshot.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []snapshot.Outcome
	for _, o := range s.known {
		if other := o.Mirrored(); s.young(o, now) && of(other.User()) {
			list = append(list, other)
		}
	}
	return list
}

// Find returns how an invitation ended that a user of this node sent; false: that is not remembered.
func (s *Store) Find(id invitation.ID, now time.Time) (Outcome, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	if o := s.known[key{id, invitation.Caller}]; o != nil && s.young(o, now) {
		return *o, true
	}
	return Outcome{}, false
}

// List returns the outcomes of a user that ended before a point, the newest first, at most n. Of those of one instant
// the one with the higher id is newer. A zero point stands for now.
func (s *Store) List(user invitation.User, before Point, n int, now time.Time) []Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	sorted := slices.Clone(s.byUser[user])
	slices.SortFunc(sorted, func(a, b *Outcome) int { return PointOf(b).compare(PointOf(a)) })
	var found []Outcome
	for _, o := range sorted {
		if len(found) < n && s.young(o, now) && (before == Point{} || PointOf(o).compare(before) < 0) {
			found = append(found, *o)
		}
	}
	return found
}

// Point is a place in the list of a user's outcomes.
type Point struct {
	Ended int64 // Unix milliseconds
	ID    invitation.ID
}

// PointOf returns the place of an outcome.
func PointOf(o *Outcome) Point { return Point{o.Ended / 1_000, o.ID} }

func (p Point) compare(other Point) int {
	return cmp.Or(cmp.Compare(p.Ended, other.Ended), p.ID.Compare(other.ID))
}

// Len returns how many outcomes are remembered.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all) - s.first
}
