package main

import (
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/chaos"
)

// absence is a time for which a user was without a connection.
type absence struct {
	from, to time.Time // to is zero while it lasts
	noticed  time.Time // when the client noticed; zero: it has not
}

// absences are those of one user, the latest of them.
type absences struct {
	mu  sync.Mutex
	all []absence
}

// keptAbsences bounds what is kept; a call is over long before a user comes and goes so often.
const keptAbsences = 64

// begin notes that the connection was lost.
func (a *absences) begin(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if last := a.last(); last != nil { // it was of no use before
		if last.noticed.IsZero() {
			last.noticed = at
		}
		return
	}
	a.add(absence{from: at, noticed: at})
}

// stall notes that the connection is of no use any more, which the client will notice.
func (a *absences) stall(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last() == nil {
		a.add(absence{from: at})
	}
}

// unstall notes that a connection is of use again, if the client has not noticed.
func (a *absences) unstall(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if last := a.last(); last != nil && last.noticed.IsZero() {
		last.to = at
	}
}

func (a *absences) add(one absence) {
	if len(a.all) == keptAbsences {
		a.all = append(a.all[:0], a.all[1:]...)
	}
	a.all = append(a.all, one)
}

// last returns the absence that lasts, nil if there is none.
func (a *absences) last() *absence {
	if len(a.all) == 0 || !a.all[len(a.all)-1].to.IsZero() {
		return nil
	}
	return &a.all[len(a.all)-1]
}

// end notes that there is a connection again, and returns for how long the client knew that there was none; false
// if it did not, or there was one.
func (a *absences) end(at time.Time) (time.Duration, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	last := a.last()
	if last == nil {
		return 0, false
	}
	last.to = at
	if last.noticed.IsZero() {
		return 0, false
	}
	return at.Sub(last.noticed), true
}

// lasting returns for how long the client has known at a time that the user is away; 0 if it is not.
func (a *absences) lasting(at time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	last := a.last()
	if last == nil || last.noticed.IsZero() {
		return 0
	}
	return at.Sub(last.noticed)
}

// since returns the absences that lasted at a point in time, or began after it.
func (a *absences) since(at time.Time) []absence {
	a.mu.Lock()
	defer a.mu.Unlock()
	var found []absence
	for _, one := range a.all {
		if one.to.IsZero() || one.to.After(at) {
			found = append(found, one)
		}
	}
	return found
}

// away is for how long a user was away during a call.
type away struct {
	times   int
	total   time.Duration
	longest time.Duration // of one absence, with what of it was before the call
}

// during returns how the user was away between two points in time.
func (a *absences) during(from, to time.Time) away {
	a.mu.Lock()
	defer a.mu.Unlock()
	var sum away
	for _, one := range a.all {
		end := one.to
		if end.IsZero() || end.After(to) {
			end = to
		}
		begin := one.from
		if begin.Before(from) {
			begin = from
		}
		if !end.After(begin) {
			continue
		}
		sum.times++
		sum.total += end.Sub(begin)
		sum.longest = max(sum.longest, end.Sub(one.from))
	}
	return sum
}

// circumstances are what a call met that it is judged with.
type circumstances struct {
	caller, callee away
	patience       time.Duration // by how much absences may delay a call at most
	late           time.Duration // by how much events may be later than promised for other causes

	now    time.Time      // when this was
	faults []chaos.Record // of nodes and their network, during the call
	noisy  bool           // messages between nodes are lost, doubled, reordered and late all the time
}

// disturbed reports whether a side was away during the call.
func (c circumstances) disturbed() bool { return c.caller.times+c.callee.times > 0 }

// delay returns how much later than promised the call may end.
func (c circumstances) delay() time.Duration {
	return c.late + min(c.caller.total+c.callee.total, c.patience)
}

// allow returns until when an event may come that was due at a time: later while a fault is being taken over
// (docs/spec.md §7, P2).
func (c circumstances) allow(due time.Time) time.Time {
	for i := range c.faults {
		f := &c.faults[i]
		if until := f.Takeover(c.now).Add(slack); f.Separates() && !f.Began.After(due) && until.After(due) {
			due = until
		}
	}
	return due.Add(c.delay())
}

// separated reports whether a fault kept the sides from each other at some time between two.
func (c circumstances) separated(from, until time.Time) bool {
	for i := range c.faults {
		f := &c.faults[i]
		if f.Separates() && !f.Began.After(until) && !f.Over(c.now).Add(slack).Before(from) {
			return true
		}
	}
	return false
}

// calm reports whether no fault lasted, or was being taken over, at a time.
func (c circumstances) calm(at time.Time) bool {
	for i := range c.faults {
		if f := &c.faults[i]; !at.Before(f.Began) && !at.After(f.Over(c.now).Add(slack)) {
			return false
		}
	}
	return true
}
