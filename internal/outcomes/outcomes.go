// Package outcomes remembers how the invitations of a node's users ended, for as long as outcomes linger: what the API
// tells of them. It is memory only: what a node remembers is lost with it, and stays behind when its users move.
package outcomes

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
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

// Outcome is how an invitation ended, for one of its sides.
type Outcome struct {
	ID           invitation.ID
	Side         invitation.Side
	Caller       invitation.User
	CallerDevice invitation.Device
	Callee       invitation.User
	CalleeDevice invitation.Device // that answered
	ChannelID    string
	Outcome      invitation.Outcome
	Local        invitation.LocalState
	Code         invitation.LocalError
	Reason       invitation.Reason
	Sent         time.Time // zero: not known here
	Ended        time.Time // when this node was told
}

func (o *Outcome) user() invitation.User {
	if o.Side == invitation.Caller {
		return o.Caller
	}
	return o.Callee
}

// Store is the memory. Make one with [New]; safe for concurrent use. Its methods hold one lock for some µs.
type Store struct {
	config Config

	mu     sync.Mutex
	byUser map[invitation.User][]*Outcome // the oldest first
	known  map[key]*Outcome               // the same
	all    []*Outcome                     // the oldest first; those before first are gone
	first  int
}

// key names an outcome.
type key struct {
	id   invitation.ID
	side invitation.Side
}

func (o *Outcome) key() key { return key{o.ID, o.Side} }

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
		CalleeDevice: v.Chosen, ChannelID: v.Terms.ChannelID, Outcome: v.Outcome, Sent: sent, Ended: now,
	}
	if user == v.Terms.Caller {
		o.Side = invitation.Caller
	}
	o.Local, o.Code, o.Reason = v.Local()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	if known := s.known[o.key()]; known != nil {
		if known.Sent.IsZero() {
			known.Sent = sent
		}
		return
	}
	of := s.byUser[user]
	if len(of) >= s.config.PerUser {
		delete(s.known, of[0].key())
		of = slices.Delete(of, 0, 1) // it stays in all until it expires
	}
	s.byUser[user] = append(of, o)
	s.all = append(s.all, o)
	s.known[o.key()] = o
}

// expire forgets what is too old or too much.
func (s *Store) expire(now time.Time) {
	for s.first < len(s.all) {
		o := s.all[s.first]
		if now.Sub(o.Ended) < s.config.Linger && len(s.all)-s.first < s.config.Max {
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
	if s.known[o.key()] == o {
		delete(s.known, o.key())
	}
	of := s.byUser[o.user()]
	if i := slices.Index(of, o); i >= 0 {
		of = slices.Delete(of, i, i+1)
	}
	if len(of) == 0 {
		delete(s.byUser, o.user())
		return
	}
	s.byUser[o.user()] = of
}

// Find returns how an invitation ended that a user of this node sent; false: that is not remembered.
func (s *Store) Find(id invitation.ID, now time.Time) (Outcome, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	if o := s.known[key{id, invitation.Caller}]; o != nil {
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
	slices.SortFunc(sorted, func(a, b *Outcome) int { return b.point().compare(a.point()) })
	var found []Outcome
	for _, o := range sorted {
		if len(found) < n && (before == Point{} || o.point().compare(before) < 0) {
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

// Point returns the place of an outcome.
func (o *Outcome) Point() Point { return o.point() }

func (o *Outcome) point() Point { return Point{o.Ended.UnixMilli(), o.ID} }

func (p Point) compare(other Point) int {
	return cmp.Or(cmp.Compare(p.Ended, other.Ended), p.ID.Compare(other.ID))
}

// Len returns how many outcomes are remembered.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all) - s.first
}
