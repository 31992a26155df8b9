package main

import (
	"sync"
	"time"
)

// absence is a time for which a user was without a connection.
type absence struct {
	from, to time.Time // to is zero while it lasts
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
	if len(a.all) == keptAbsences {
		a.all = append(a.all[:0], a.all[1:]...)
	}
	a.all = append(a.all, absence{from: at})
}

// end notes that there is a connection again, and returns for how long there was none; false if there
// was one.
func (a *absences) end(at time.Time) (time.Duration, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.all) == 0 || !a.all[len(a.all)-1].to.IsZero() {
		return 0, false
	}
	last := &a.all[len(a.all)-1]
	last.to = at
	return at.Sub(last.from), true
}

// lasting returns for how long the user has been away at a time; 0 if it is not.
func (a *absences) lasting(at time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.all) == 0 || !a.all[len(a.all)-1].to.IsZero() {
		return 0
	}
	return at.Sub(a.all[len(a.all)-1].from)
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
}

// disturbed reports whether a side was away during the call.
func (c circumstances) disturbed() bool { return c.caller.times+c.callee.times > 0 }

// delay returns how much later than promised the call may end.
func (c circumstances) delay() time.Duration {
	return c.late + min(c.caller.total+c.callee.total, c.patience)
}
