package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Version is the version of the format.
const Version = 1

// Plan is what a file says.
type Plan struct {
	About     string
	Flags     []Flag // in the order of the file
	Rules     []string
	Mix       []Weight
	Scenarios []Scenario
}

// Flag is what a file says that a flag could: its name, without dashes, and its value.
type Flag struct{ Name, Value string }

// Weight is the weight of a scenario in the mix.
type Weight struct {
	Scenario string
	Weight   int
	Line     int
}

// Scenario is a scenario of the file's own.
type Scenario struct {
	Name   string
	About  string
	Callee string // connected, absent or late
	Answer string // accept, refuse or none
	Cancel string // never, at-once or ringing
	// How long callee and caller take to answer and cancel. Zero: no time.
	Least, Most time.Duration
	// Zero: the nodes'.
	NoResponse, Expire, AcceptWindow time.Duration
	Line                             int
}

// maxFile bounds a file.
const maxFile = 1 << 20

// Read reads a plan from a file.
func Read(path string) (*Plan, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--plan: %w", err)
	}
	p, err := Parse(text, strings.HasSuffix(path, ".json"))
	if err != nil {
		return nil, fmt.Errorf("--plan %s: %w", path, err)
	}
	return p, nil
}

// Parse reads a plan in YAML, or in JSON.
func Parse(text []byte, isJSON bool) (*Plan, error) {
	if len(text) > maxFile {
		return nil, &SyntaxError{fmt.Errorf("it has %d bytes, more than %d", len(text), maxFile)}
	}
	if isJSON {
		if err := json.Unmarshal(text, new(any)); err != nil {
			return nil, &SyntaxError{err}
		}
		text = bytes.ReplaceAll(text, []byte("\t"), []byte(" ")) // no string of JSON has one
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, &SyntaxError{err}
	}
	if len(document.Content) == 0 {
		return nil, &SyntaxError{fmt.Errorf("it is empty")}
	}
	p := &Plan{}
	return p, p.read(document.Content[0])
}

// plain are the keys that stand for a flag, with a value of one word.
var plain = map[string]struct {
	flag string
	kind kind
}{
	"users": {"users", aCount}, "calls": {"calls", aCount}, "concurrency": {"concurrency", aCount}, "workers": {"workers", aCount},
	"duration": {"duration", aTime}, "rate": {"rate", aRate}, "content_bytes": {"content-bytes", aCount}, "seed": {"seed", aCount},
	"arrivals": {"arrivals", aWord},
}

func (p *Plan) read(root *yaml.Node) error {
	version := 0
	keys := map[string]reader{
		"version": func(key string, n *yaml.Node) error {
			v, err := number(key, n)
			if version = v; err == nil && v != Version {
				err = bad(key, n, fmt.Sprintf("%d", Version))
			}
			return err
		},
		"about": func(key string, n *yaml.Node) (err error) {
			p.About, err = word(key, n)
			return err
		},
		"stages":    p.readStages,
		"mix":       p.readMix,
		"scenarios": p.readScenarios,
		"fail_if":   p.readRules,
		"hold": p.flags(map[string]string{"invitations": "hold", "rate": "hold-rate", "for": "hold-lasts"},
			map[string]kind{"invitations": aCount, "rate": aRate, "for": aTime}, ""),
		"storm": p.flags(map[string]string{"connect_rate": "connect-rate", "cuts": "storm-cuts", "every": "storm-every", "share": "storm-share"},
			map[string]kind{"connect_rate": aRate, "cuts": aCount, "every": aTime, "share": aRate}, "storm"),
	}
	for name, k := range plain {
		keys[name] = func(key string, n *yaml.Node) error { return p.flag(key, k.flag, k.kind, n) }
	}
	if err := object("the file", root, keys); err != nil {
		return err
	}
	if version == 0 {
		return &ValueError{Line: root.Line, Key: "version", Want: fmt.Sprintf("version: %d", Version)}
	}
	return nil
}

// flag takes a value for a flag.
func (p *Plan) flag(key, flag string, k kind, n *yaml.Node) error {
	value, err := k.check(key, n)
	if err == nil {
		p.Flags = append(p.Flags, Flag{flag, value})
	}
	return err
}

// flags reads an object of which each key stands for a flag; itself is a flag that its being there sets.
func (p *Plan) flags(names map[string]string, kinds map[string]kind, itself string) reader {
	return func(key string, n *yaml.Node) error {
		if itself != "" {
			p.Flags = append(p.Flags, Flag{itself, "true"})
		}
		keys := map[string]reader{}
		for name, flag := range names {
			keys[name] = func(key string, n *yaml.Node) error { return p.flag(key, flag, kinds[name], n) }
		}
		return object(key, n, keys)
	}
}

// readStages reads stages, each {rate, for} or {from, to, for}.
func (p *Plan) readStages(key string, n *yaml.Node) error {
	var all []string
	err := list(key, n, func(n *yaml.Node) error {
		got := map[string]string{}
		take := func(k kind) reader {
			return func(key string, n *yaml.Node) (err error) {
				got[key], err = k.check(key, n)
				return err
			}
		}
		if err := object("a stage", n, map[string]reader{"rate": take(aRate), "from": take(aRate), "to": take(aRate), "for": take(aTime)}); err != nil {
			return err
		}
		rate := got["rate"]
		if got["from"] != "" && got["to"] != "" && rate == "" {
			rate = got["from"] + ".." + got["to"]
		} else if rate == "" || got["from"]+got["to"] != "" {
			return &ValueError{Line: n.Line, Key: key, Want: "{rate: R, for: TIME} or {from: R, to: R, for: TIME}"}
		}
		if got["for"] == "" {
			return &ValueError{Line: n.Line, Key: key, Want: "for: TIME in each stage"}
		}
		all = append(all, rate+"/"+got["for"])
		return nil
	})
	p.Flags = append(p.Flags, Flag{"stages", strings.Join(all, ",")})
	return err
}

func (p *Plan) readMix(key string, n *yaml.Node) error {
	return each(key, n, func(name string, n *yaml.Node) error {
		weight, err := number(name, n)
		if err == nil && (weight < 0 || weight > maxWeight) {
			err = bad(name, n, fmt.Sprintf("a weight from 0 to %d", maxWeight))
		}
		p.Mix = append(p.Mix, Weight{name, weight, n.Line})
		return err
	})
}

const maxWeight = 1_000_000

func (p *Plan) readRules(key string, n *yaml.Node) error {
	return list(key, n, func(n *yaml.Node) error {
		rule, err := word(key, n)
		p.Rules = append(p.Rules, rule)
		return err
	})
}
