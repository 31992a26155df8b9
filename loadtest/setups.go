package main

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/chaos"
)

// setups are how long calls to connected users took to ring, by when they were due.
type setups struct {
	mu  sync.Mutex
	all []setup
}

type setup struct {
	due  time.Time
	took time.Duration
}

// neverRang stands for the set-up of a call that has ended without ringing.
const neverRang = time.Duration(math.MaxInt64)

// maxSetups bounds what is kept: 24 bytes each.
const maxSetups = 4_000_000

func (s *setups) add(due time.Time, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) < maxSetups {
		s.all = append(s.all, setup{due, took})
	}
}

// How the time until set-up is as before is found.
const (
	recoverySlot  = time.Second           // the percentile is of so much of the run
	recoverySlots = 3                     // that many in a row are normal, then it has recovered from the first on
	recoveryMore  = 50 * time.Millisecond // more than in the calm time before the first fault is normal, too
)

// between returns the sorted set-ups of the calls that were due in a part of the run.
func (s *setups) between(from, to time.Time) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []time.Duration
	for _, one := range s.all {
		if !one.due.Before(from) && one.due.Before(to) {
			found = append(found, one.took)
		}
	}
	slices.Sort(found)
	return found
}

// p99 returns the 99th percentile of sorted set-ups, 0 of none.
func p99(sorted []time.Duration) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)*99/100, len(sorted)-1)]
}

// normal returns the largest 99th percentile of a slot of the calm time before the first fault.
func (s *setups) normal(begin time.Time, faults []chaos.Record) time.Duration {
	until := time.Now()
	if len(faults) > 0 {
		until = faults[0].Began
	}
	var most time.Duration
	for at := begin; at.Before(until); at = at.Add(recoverySlot) {
		most = max(most, p99(s.between(at, at.Add(recoverySlot))))
	}
	return most
}

// recovery returns how long after a time set-ups were as in calm times; false if they were not before until.
func (s *setups) recovery(from, until time.Time, normal time.Duration) (time.Duration, bool) {
	most := normal + recoveryMore
	run := 0
	var first time.Time
	for at := from; at.Before(until); at = at.Add(recoverySlot) {
		if p99(s.between(at, at.Add(recoverySlot))) > most {
			run = 0
			continue
		}
		if run++; run == 1 {
			first = at
		}
		if run == recoverySlots {
			return first.Sub(from), true
		}
	}
	if run > 0 { // calm until the next fault, if that came soon
		return first.Sub(from), true
	}
	return 0, false
}
