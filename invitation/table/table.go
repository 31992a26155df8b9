// Package table holds what the transition tables of the machines have in common: the verdict each
// cell gives and the drawing of a table as a Mermaid state diagram. It is pure data.
//
// A machine's table has a cell for every state and input. A cell without a verdict is a hole, and a
// test of each machine fails on one.
package table

import (
	"slices"
	"strings"
)

// Verdict says what a machine does with an input in a state.
type Verdict uint8

// The verdicts. The zero Verdict is a hole in the table.
const (
	Hole   Verdict = iota
	Move           // the input may change the state, to one of the cell's targets
	Repeat         // it has been dealt with before: repeat the answer
	Ignore         // it comes late or does not matter here
	Reject         // it breaks a rule: answer with an error, change nothing
)

// String returns the verdict in lower case.
func (v Verdict) String() string {
	return [...]string{"hole", "move", "repeat", "ignore", "reject"}[v]
}

// Edge is a possible move.
type Edge struct{ From, To, On string }

// Mermaid draws edges as a state diagram. Edges between the same states share one arrow; states of
// which final reports true lead to the end. The text is stable: the same edges give the same bytes.
func Mermaid(initial string, edges []Edge, final func(state string) bool) string {
	type arrow struct{ from, to string }
	labels := map[arrow][]string{}
	var arrows []arrow
	var ends []string
	for _, e := range edges {
		a := arrow{e.From, e.To}
		if _, ok := labels[a]; !ok {
			arrows = append(arrows, a)
		}
		if !slices.Contains(labels[a], e.On) {
			labels[a] = append(labels[a], e.On)
		}
		if final(e.To) && !slices.Contains(ends, e.To) {
			ends = append(ends, e.To)
		}
	}
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n    [*] --> " + initial + "\n")
	for _, a := range arrows {
		b.WriteString("    " + a.from + " --> " + a.to + ": " + strings.Join(labels[a], ", ") + "\n")
	}
	for _, e := range ends {
		b.WriteString("    " + e + " --> [*]\n")
	}
	return b.String()
}

// Table is what a machine does with each input in each state.
type Table struct {
	States, Inputs []string
	Verdicts       [][]Verdict // by state, then input
}

// New returns a table of holes with the names that state and input give.
func New(states, inputs int, state, input func(int) string) Table {
	var t Table
	for s := range states {
		t.States = append(t.States, state(s))
		t.Verdicts = append(t.Verdicts, make([]Verdict, inputs))
	}
	for i := range inputs {
		t.Inputs = append(t.Inputs, input(i))
	}
	return t
}

// Markdown draws a table with a row for each input and a column for each state.
func (t Table) Markdown() string {
	var b strings.Builder
	b.WriteString("| |")
	for _, s := range t.States {
		b.WriteString(" " + s + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(t.States)) + "\n")
	for i, input := range t.Inputs {
		b.WriteString("| " + input + " |")
		for s := range t.States {
			b.WriteString(" " + t.Verdicts[s][i].String() + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}
