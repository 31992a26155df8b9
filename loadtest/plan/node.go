package plan

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// reader takes the value of a key.
type reader func(key string, n *yaml.Node) error

// object reads an object with known keys, none of them twice.
func object(key string, n *yaml.Node, keys map[string]reader) error {
	return each(key, n, func(name string, value *yaml.Node) error {
		read, known := keys[name]
		if !known {
			return &KeyError{Line: value.Line, Key: name, Known: slices.Sorted(maps.Keys(keys))}
		}
		return read(name, value)
	})
}

// each reads an object with any keys, none of them twice.
func each(key string, n *yaml.Node, read reader) error {
	if n.Kind != yaml.MappingNode {
		return bad(key, n, "an object, as key: value")
	}
	there := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if there[name.Value] {
			return &KeyError{Line: name.Line, Key: name.Value, Twice: true}
		}
		there[name.Value] = true
		if err := read(name.Value, value); err != nil {
			return err
		}
	}
	return nil
}

func list(key string, n *yaml.Node, read func(*yaml.Node) error) error {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return bad(key, n, "a list, as - value")
	}
	for _, one := range n.Content {
		if err := read(one); err != nil {
			return err
		}
	}
	return nil
}

func bad(key string, n *yaml.Node, want string) error {
	return &ValueError{Line: n.Line, Key: key, Value: n.Value, Want: want}
}

func word(key string, n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode {
		return "", bad(key, n, "text")
	}
	return n.Value, nil
}

func number(key string, n *yaml.Node) (int, error) {
	value, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		return 0, bad(key, n, "a whole number")
	}
	return value, nil
}

// kind is what a value must be.
type kind uint8

const (
	aWord kind = iota
	aCount
	aRate
	aTime
)

// check returns the value as text.
func (k kind) check(key string, n *yaml.Node) (string, error) {
	value, err := word(key, n)
	if err != nil {
		return "", err
	}
	switch k {
	case aCount:
		if _, err := strconv.ParseUint(value, 10, 64); err != nil {
			return "", bad(key, n, "a whole number, 0 or more")
		}
	case aRate:
		if f, err := strconv.ParseFloat(value, 64); err != nil || !(f >= 0) {
			return "", bad(key, n, "a number, 0 or more")
		}
	case aTime:
		if d, err := time.ParseDuration(value); err != nil || d < 0 {
			return "", bad(key, n, "a time with its unit, as 30s or 1m30s")
		}
	case aWord:
	}
	return value, nil
}
