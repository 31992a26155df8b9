package chaos

import (
	"slices"
	"sync"
	"time"
)

// Record is a fault that has begun.
type Record struct {
	Fault
	Node    string    // the name of the node; "" for all
	Began   time.Time // as Ended and Settled by the clock of this process
	Ended   time.Time // the node answers again, or is reached again; zero: not yet
	Settled time.Time // all nodes see each other and no shard is under way; zero: not yet
}

// Takeover returns until when the fault may hold events back (docs/spec.md §7, P2), without the second that
// the contract adds. It is the begin for a fault that may not.
func (r *Record) Takeover(now time.Time) time.Time {
	from := r.Began
	if r.Kind == All { // nobody is there to take over before
		if from = r.Ended; from.IsZero() {
			from = now
		}
	}
	return from.Add(facts[r.Kind].takeover)
}

// Separates reports whether the fault can keep two nodes, or two sides of an invitation, from each other.
func (r *Record) Separates() bool { return facts[r.Kind].takeover > 0 }

// Over returns when neither the fault nor what it does to others lasts any more.
func (r *Record) Over(now time.Time) time.Time {
	ended := r.Ended
	if ended.IsZero() {
		ended = now
	}
	if until := r.Takeover(now); until.After(ended) {
		return until
	}
	return ended
}

// Log is the faults of a run. Safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	records []Record
}

// Add adds a fault and returns its place.
func (l *Log) Add(r Record) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, r)
	return len(l.records) - 1
}

// Change changes the fault at a place.
func (l *Log) Change(place int, change func(*Record)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.records[place])
}

// All returns all faults, the earliest first.
func (l *Log) All() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.records)
}

// Between returns the faults that lasted, or were being taken over, at some time between two.
func (l *Log) Between(from, to time.Time) []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []Record
	for i := len(l.records) - 1; i >= 0; i-- {
		r := &l.records[i]
		if !r.Began.After(to) && !r.Over(to).Before(from) {
			found = append(found, *r)
		}
	}
	slices.Reverse(found)
	return found
}
