package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/figures"
)

// slowest keeps the slowest calls: those with the longest time from when the call was to be made to
// ReceivedByPeer, or from the accept to Accepted on either side.
type slowest struct {
	most int // 0: none are kept

	mu    sync.Mutex
	calls []figures.SlowCall // the slowest first
}

// add keeps the call if it is one of the slowest. It is called with the call's mutex.
func (s *slowest) add(c *call, met circumstances, begin time.Time) {
	ms := float64(c.history.slowest.Microseconds()) / 1000
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.most == 0 || ms == 0 || len(s.calls) == s.most && ms <= s.calls[s.most-1].Ms {
		return
	}
	one := figures.SlowCall{
		T: c.intended.Sub(begin).Seconds(), Ms: ms, Scenario: c.history.scenario.name, Caller: c.node.target,
		Away:    float64((met.caller.total + met.callee.total).Microseconds()) / 1000,
		History: strings.Split(strings.TrimRight(c.history.String(), "\n"), "\n"),
	}
	if c.peer != nil {
		one.Callee = c.peer.place.node().target
	}
	at, _ := slices.BinarySearchFunc(s.calls, ms, func(c figures.SlowCall, ms float64) int { return cmp.Compare(ms, c.Ms) })
	s.calls = slices.Insert(s.calls, at, one)
	s.calls = s.calls[:min(len(s.calls), s.most)]
}

// report returns the calls that are kept.
func (s *slowest) report() []figures.SlowCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func printSlowest(w io.Writer, calls []figures.SlowCall) {
	for _, c := range calls {
		fmt.Fprintf(w, "\nslow: %.1f ms, %s, at %.3f s, from %s to %s, away for %.1f ms\n%s\n",
			c.Ms, c.Scenario, c.T, c.Caller, c.Callee, c.Away, strings.Join(c.History, "\n"))
	}
}
