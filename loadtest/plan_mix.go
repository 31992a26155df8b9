package main

import (
	"fmt"
	"slices"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/loadtest/plan"
)

// mixOf returns the mix of a plan: no mix if it has none, all of its own scenarios if it has only those.
func mixOf(p *plan.Plan) (mix, error) {
	var m mix
	own := map[string]*scenario{}
	for i := range p.Scenarios {
		from := &p.Scenarios[i]
		if scenarioNamed(from.Name) != nil {
			return m, &plan.ValueError{Line: from.Line, Key: "scenarios", Value: from.Name, Want: "a name that no scenario of loadtest has"}
		}
		s, err := scenarioOf(from)
		if err != nil {
			return m, err
		}
		own[from.Name] = s
		if len(p.Mix) == 0 {
			m.set(s, 1)
		}
	}
	for _, w := range p.Mix {
		s := own[w.Scenario]
		if s == nil {
			s = scenarioNamed(w.Scenario)
		}
		if s == nil {
			return m, &plan.ValueError{Line: w.Line, Key: "mix", Value: w.Scenario, Want: "a scenario of the file, or one of " + scenarioNames()}
		}
		m.set(s, w.Weight)
	}
	if m.total == 0 && len(p.Mix) > 0 {
		return m, &plan.ValueError{Line: p.Mix[0].Line, Key: "mix", Want: "a weight above 0"}
	}
	return m, nil
}

// scenarioOf returns a scenario of a plan's own. How it may end follows from what the two sides do.
func scenarioOf(from *plan.Scenario) (*scenario, error) {
	s := &scenario{
		name: from.Name, about: from.About, wait: waiting{least: from.Least, most: from.Most},
		timers: invitation.Timers{NoResponse: from.NoResponse, Expire: from.Expire, AcceptWindow: from.AcceptWindow},
		callee: map[string]calleeKind{"connected": connected, "absent": absent, "late": late}[from.Callee],
		answer: map[string]invitation.Request{"accept": invitation.Accept, "refuse": invitation.Refuse}[from.Answer],
		cancel: map[string]cancelTime{"never": never, "at-once": atOnce, "ringing": onRinging}[from.Cancel],
	}
	if s.about == "" {
		s.about = s.name
	}
	wrong := func(key, value, want string) error {
		return &plan.ValueError{Line: from.Line, Key: from.Name + "." + key, Value: value, Want: want}
	}
	if !s.timers.InBounds() {
		return nil, wrong("timers", fmt.Sprint(s.timers), fmt.Sprintf("%v to %v each", invitation.MinTimer, invitation.MaxTimer))
	}
	expire := s.timers.Or(invitation.DefaultTimers).Expire
	if s.wait.most > 0 && s.wait.most > expire-leastLeft {
		return nil, wrong("after", s.wait.most.String(), fmt.Sprintf("%v less than the %v after which it expires, or whether it does is luck", leastLeft, expire))
	}
	s.outcomes = s.ends()
	return s, nil
}

// leastLeft is how long before it expires an invitation must be answered to be sure.
const leastLeft = slack

// ends returns how a call of the scenario may end.
func (s *scenario) ends() []invitation.Outcome {
	var ends []invitation.Outcome
	switch {
	case s.cancel != never && s.answer == invitation.Accept:
		ends = append(ends, invitation.Accepted, invitation.Canceled)
	case s.cancel != never:
		ends = append(ends, invitation.Canceled)
	case s.answer == invitation.Accept:
		ends = append(ends, invitation.Accepted)
	case s.answer == invitation.Refuse:
		ends = append(ends, invitation.Refused)
	case s.callee == absent:
		ends = append(ends, invitation.Undelivered)
	default:
		ends = append(ends, invitation.Unanswered)
	}
	return slices.Clip(ends)
}
