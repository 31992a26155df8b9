// Command diagram draws the transition tables of the machines under invitation into docs/states.md:
// state diagrams from the moves, and what each machine does with each input in each state. It
// replaces what is between the markers of that page,
//
//	<!-- drawn: NAME -->
//	<!-- end -->
//
// and leaves the rest alone. Without -w it prints the page. Run it by `go generate ./internal/diagram`;
// a test fails while the page is not what it would write.
package main

//go:generate go run . -w -file ../../docs/states.md

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/device"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/invitation/table"
)

func main() {
	file := flag.String("file", "docs/states.md", "the page")
	write := flag.Bool("w", false, "write the page instead of printing it")
	flag.Parse()
	if err := run(*file, *write); err != nil {
		fmt.Fprintln(os.Stderr, "diagram:", err)
		os.Exit(1)
	}
}

func run(file string, write bool) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	drawn, err := redraw(string(page))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if !write {
		fmt.Print(drawn)
		return nil
	}
	return os.WriteFile(file, []byte(drawn), 0o644)
}

const (
	opening = "<!-- drawn: "
	closing = "<!-- end -->\n"
)

// redraw returns the page with every drawing made anew. Each drawing has to be on it once.
func redraw(page string) (string, error) {
	missing := drawings()
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(page, opening)
		b.WriteString(before)
		if !found {
			break
		}
		name, rest, named := strings.Cut(rest, " -->\n")
		_, rest, closed := strings.Cut(rest, closing)
		drawing, known := missing[name]
		if !named || !closed || !known {
			return "", fmt.Errorf("the marker %q is not closed, not known, or there twice", name)
		}
		delete(missing, name)
		b.WriteString(opening + name + " -->\n" + drawing + closing)
		page = rest
	}
	for name := range missing {
		return "", fmt.Errorf("no marker for %q", name)
	}
	return b.String(), nil
}

// drawings returns what the page shows, by the names of the markers.
func drawings() map[string]string {
	terminal := func(name string) bool {
		for s := range invitation.LocalState(invitation.LocalStates) {
			if s.Terminal() && s.String() == name {
				return true
			}
		}
		for s := range invitation.RemoteState(invitation.RemoteStates) {
			if s.Terminal() && s.String() == name {
				return true
			}
		}
		return name == invitation.Ended.String()
	}
	diagram := func(initial string, edges []table.Edge) string {
		return "```mermaid\n" + table.Mermaid(initial, edges, terminal) + "```\n"
	}
	return map[string]string{
		"local diagram":   diagram(invitation.LocalIdle.String(), device.LocalEdges()),
		"local table":     device.LocalTable().Markdown(),
		"remote diagram":  diagram(invitation.RemoteIdle.String(), device.RemoteEdges()),
		"remote table":    device.RemoteTable().Markdown(),
		"arbiter diagram": diagram(invitation.Offering.String(), arbiter.Edges()),
		"arbiter table":   arbiter.Table().Markdown(),
		"session table":   session.Table().Markdown(),
	}
}
