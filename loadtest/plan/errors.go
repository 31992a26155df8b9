package plan

import (
	"fmt"
	"slices"
	"strings"
)

// SyntaxError is a file that is neither YAML nor JSON.
type SyntaxError struct{ Cause error }

// Error implements error.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("this is neither YAML nor JSON: %v", e.Cause)
}

// Unwrap returns the cause.
func (e *SyntaxError) Unwrap() error { return e.Cause }

// KeyError is a key that is unknown, or there twice.
type KeyError struct {
	Line  int
	Key   string
	Twice bool
	Known []string // what there may be in its place
}

// Error implements error.
func (e *KeyError) Error() string {
	if e.Twice {
		return fmt.Sprintf("line %d: %s is there twice: keep one", e.Line, e.Key)
	}
	near := ""
	if n := nearest(e.Key, e.Known); n != "" {
		near = fmt.Sprintf("; did you mean %s?", n)
	}
	return fmt.Sprintf("line %d: there is no key %q here: want one of %s%s", e.Line, e.Key, strings.Join(e.Known, ", "), near)
}

// ValueError is a value that makes no sense.
type ValueError struct {
	Line  int
	Key   string
	Value string
	Want  string
}

// Error implements error.
func (e *ValueError) Error() string {
	return fmt.Sprintf("line %d: %s: %q: want %s", e.Line, e.Key, e.Value, e.Want)
}

// nearest returns the known name that takes the fewest changes, "" if none is near.
func nearest(name string, known []string) string {
	best, fewest := "", 3
	for _, k := range known {
		if d := distance(name, k); d < fewest {
			best, fewest = k, d
		}
	}
	return best
}

// distance returns how many letters must be put in, taken out or replaced.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := slices.Clone(row)
		row[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(last[j]+change, last[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
