package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

func (p *Plan) readScenarios(key string, n *yaml.Node) error {
	return each(key, n, func(name string, n *yaml.Node) error {
		s := Scenario{Name: name, Callee: "connected", Answer: "none", Cancel: "never", Line: n.Line}
		err := object(name, n, map[string]reader{
			"about":  text(&s.About),
			"callee": oneOf(&s.Callee, "connected", "absent", "late"),
			"answer": oneOf(&s.Answer, "accept", "refuse", "none"),
			"cancel": oneOf(&s.Cancel, "never", "at-once", "ringing"),
			"after": func(key string, n *yaml.Node) error {
				if n.Kind == yaml.ScalarNode {
					err := duration(&s.Most)(key, n)
					s.Least = s.Most
					return err
				}
				return object(key, n, map[string]reader{"least": duration(&s.Least), "most": duration(&s.Most)})
			},
			"timers": func(key string, n *yaml.Node) error {
				return object(key, n, map[string]reader{
					"no_response": duration(&s.NoResponse), "expire": duration(&s.Expire), "accept_window": duration(&s.AcceptWindow),
				})
			},
		})
		if err == nil {
			err = s.check()
		}
		p.Scenarios = append(p.Scenarios, s)
		return err
	})
}

// check returns what makes no sense together.
func (s *Scenario) check() error {
	wrong := func(key, value, want string) error {
		return &ValueError{Line: s.Line, Key: s.Name + "." + key, Value: value, Want: want}
	}
	switch {
	case s.Least > s.Most:
		return wrong("after", fmt.Sprintf("%v to %v", s.Least, s.Most), "least, then most")
	case s.Callee == "absent" && s.Answer != "none":
		return wrong("answer", s.Answer, "none, as the callee is absent")
	case s.Callee != "connected" && s.Cancel == "ringing":
		return wrong("cancel", s.Cancel, "never or at-once: it is not sure to ring")
	case s.Callee != "absent" && s.Cancel == "at-once":
		return wrong("cancel", s.Cancel, "never or ringing: when it rings before, how it ends is luck")
	case s.Answer == "refuse" && s.Cancel != "never":
		return wrong("cancel", s.Cancel, "never, where the callee refuses")
	case s.Most > 0 && s.Answer == "none" && s.Cancel != "ringing":
		return wrong("after", s.Most.String(), "none: nobody answers or cancels")
	}
	return nil
}

func text(to *string) reader {
	return func(key string, n *yaml.Node) (err error) {
		*to, err = word(key, n)
		return err
	}
}

func oneOf(to *string, values ...string) reader {
	return func(key string, n *yaml.Node) error {
		var err error
		if *to, err = word(key, n); err == nil && !slices.Contains(values, *to) {
			err = bad(key, n, strings.Join(values, ", or "))
		}
		return err
	}
}

func duration(to *time.Duration) reader {
	return func(key string, n *yaml.Node) error {
		value, err := aTime.check(key, n)
		if err != nil {
			return err
		}
		*to, err = time.ParseDuration(value)
		return err
	}
}
