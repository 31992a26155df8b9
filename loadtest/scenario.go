package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// scenario is one kind of call.
type scenario struct {
	name     string
	about    string
	weight   int               // in the default mix
	chaotic  int               // in the default mix of --chaos
	timers   invitation.Timers // zero fields: the node's
	callee   calleeKind
	answer   invitation.Request   // what the callee does when it rings: Accept, Refuse or NoRequest
	cancel   cancelTime           // when the caller cancels
	wait     waiting              // how long callee and caller take to answer and cancel
	outcomes []invitation.Outcome // how it may end
}

type calleeKind uint8

const (
	connected calleeKind = iota // one of the users
	absent                      // a user who never logs in
	late                        // a user who logs in after the send
)

type cancelTime uint8

const (
	never     cancelTime = iota
	atOnce               // when the send was answered
	onRinging            // when the callee rings
)

// lateBy is how long after the send a late callee logs in.
const lateBy = 300 * time.Millisecond

// shortTimer is the time limit of calls that are to run out.
const shortTimer = time.Second

// longTimer is the time limit of calls that are to run out while nodes are hurt.
const longTimer = 12 * time.Second

// waiting is how long somebody takes, which is drawn. Zero: no time.
type waiting struct{ least, most time.Duration }

// patient is how long those of the long scenarios take.
var patient = waiting{least: time.Second, most: 20 * time.Second}

var scenarios = []*scenario{
	{
		name: "accept", about: "the callee accepts", weight: 50, chaotic: 30,
		answer: invitation.Accept, outcomes: []invitation.Outcome{invitation.Accepted},
	},
	{
		name: "refuse", about: "the callee refuses", weight: 15, chaotic: 10,
		answer: invitation.Refuse, outcomes: []invitation.Outcome{invitation.Refused},
	},
	{
		name: "cancel", about: "the caller cancels when it rings", weight: 10, chaotic: 8,
		cancel: onRinging, outcomes: []invitation.Outcome{invitation.Canceled},
	},
	{
		name: "cancel-before", about: "the caller cancels before an offline callee could ring", weight: 5, chaotic: 4,
		callee: absent, cancel: atOnce, outcomes: []invitation.Outcome{invitation.Canceled},
	},
	{
		name: "race", about: "the callee accepts while the caller cancels", weight: 10, chaotic: 10,
		answer: invitation.Accept, cancel: onRinging, outcomes: []invitation.Outcome{invitation.Accepted, invitation.Canceled},
	},
	{
		name: "expire", about: "nobody answers for a second", weight: 5, chaotic: 4, timers: invitation.Timers{Expire: shortTimer},
		outcomes: []invitation.Outcome{invitation.Unanswered},
	},
	{
		name: "offline", about: "the callee stays offline for a second", weight: 3, chaotic: 3, timers: invitation.Timers{NoResponse: shortTimer},
		callee: absent, outcomes: []invitation.Outcome{invitation.Undelivered},
	},
	{
		name: "late", about: "the callee logs in after the send, and accepts", weight: 2, chaotic: 5,
		callee: late, answer: invitation.Accept, outcomes: []invitation.Outcome{invitation.Accepted},
	},
	{
		name: "long-accept", about: "the callee accepts after up to 20 s", chaotic: 10,
		answer: invitation.Accept, wait: patient, outcomes: []invitation.Outcome{invitation.Accepted},
	},
	{
		name: "long-refuse", about: "the callee refuses after up to 20 s", chaotic: 6,
		answer: invitation.Refuse, wait: patient, outcomes: []invitation.Outcome{invitation.Refused},
	},
	{
		name: "long-cancel", about: "the caller cancels after up to 20 s", chaotic: 6,
		cancel: onRinging, wait: patient, outcomes: []invitation.Outcome{invitation.Canceled},
	},
	{
		name: "long-expire", about: "nobody answers for 12 seconds", chaotic: 2, timers: invitation.Timers{Expire: longTimer},
		outcomes: []invitation.Outcome{invitation.Unanswered},
	},
	{
		name: "long-offline", about: "the callee stays offline for 12 seconds", chaotic: 2, timers: invitation.Timers{NoResponse: longTimer},
		callee: absent, outcomes: []invitation.Outcome{invitation.Undelivered},
	},
}

func scenarioNamed(name string) *scenario {
	for _, s := range scenarios {
		if s.name == name {
			return s
		}
	}
	return nil
}

// mix is scenarios with weights. Its zero value has none.
type mix struct {
	parts []weighted
	total int
}

type weighted struct {
	scenario *scenario
	weight   int
}

// set gives a scenario a weight.
func (m *mix) set(s *scenario, weight int) {
	m.total += weight
	for i := range m.parts {
		if m.parts[i].scenario == s {
			m.total -= m.parts[i].weight
			m.parts[i].weight = weight
			return
		}
	}
	m.parts = append(m.parts, weighted{s, weight})
}

func defaultMix(chaotic bool) mix {
	var m mix
	for _, s := range scenarios {
		weight := s.weight
		if chaotic {
			weight = s.chaotic
		}
		m.set(s, weight)
	}
	return m
}

// parseMix reads "accept=80,refuse=20", or a file with one name=weight a line and # comments.
func parseMix(text string) (mix, error) {
	var parts []string
	if strings.Contains(text, "=") {
		parts = strings.Split(text, ",")
	} else {
		file, err := os.Open(text)
		if err != nil {
			return mix{}, fmt.Errorf("mix %q is neither name=weight,… nor a file: %w", text, err)
		}
		defer file.Close()
		for s := bufio.NewScanner(file); s.Scan(); {
			line, _, _ := strings.Cut(s.Text(), "#")
			if line = strings.TrimSpace(line); line != "" {
				parts = append(parts, line)
			}
		}
	}
	var m mix
	for _, part := range parts {
		name, number, _ := strings.Cut(part, "=")
		s := scenarioNamed(strings.TrimSpace(name))
		if s == nil {
			return mix{}, fmt.Errorf("mix: there is no scenario %q; there are %s", name, scenarioNames())
		}
		weight, err := strconv.Atoi(strings.TrimSpace(number))
		if err != nil || weight < 0 || weight > 1_000_000 {
			return mix{}, fmt.Errorf("mix: the weight of %s is %q: want a number from 0 to 1000000", s.name, number)
		}
		m.set(s, weight)
	}
	if m.total == 0 {
		return mix{}, errors.New("mix: no scenario has a weight")
	}
	return m, nil
}

func scenarioNames() string {
	names := make([]string, len(scenarios))
	for i, s := range scenarios {
		names[i] = s.name
	}
	return strings.Join(names, ", ")
}

// pick draws a scenario.
func (m mix) pick(r *rand.Rand) *scenario {
	n := r.IntN(m.total)
	for _, p := range m.parts {
		if n -= p.weight; n < 0 {
			return p.scenario
		}
	}
	panic("the weights add up")
}
