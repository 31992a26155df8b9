package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ringfleet/ringfleet/invitation"
)

// TestCodesAndReasons plays the stories: each code and reason of the contract is told to a device over
// a WebSocket, at the time that the contract says.
func TestCodesAndReasons(t *testing.T) {
	for _, s := range slices.Concat(outcomes, callErrors) {
		t.Run(s.name, func(t *testing.T) {
			bubble(t, s.config, func(w *world) {
				s.play(w)
				for _, code := range s.shows {
					if !w.seen[code] {
						t.Errorf("no device was told %T %v", code, code)
					}
				}
			})
		})
	}
}

// TestNoCodeIsMissing compares the stories with the numbers of package invitation.
func TestNoCodeIsMissing(t *testing.T) {
	shown := map[any]bool{}
	for _, s := range slices.Concat(outcomes, callErrors) {
		for _, code := range s.shows {
			shown[code] = true
		}
	}
	want := func(code any) {
		if !shown[code] {
			t.Errorf("no story shows %T %v", code, code)
		}
	}
	for code := range invitation.LocalError(invitation.LocalErrors) {
		want(code)
	}
	for code := range invitation.RemoteError(invitation.RemoteErrors) {
		want(code)
	}
	for _, row := range invitation.Codes {
		want(row.Error)
	}
	for reason := range invitation.Reason(invitation.Reasons) {
		if reason != invitation.NoReason {
			want(reason)
		}
	}
}

// nameOf returns the contract's name of a code or reason.
func nameOf(code any) string {
	if e, ok := code.(invitation.CallError); ok {
		return e.String() // fmt would take its Error
	}
	return fmt.Sprint(code)
}

// codeName matches the names of codes and reasons in the tables of the contract's §5.
var codeName = regexp.MustCompile(`\b[A-Z]{2,}(?:_[A-Z]+)*\b`)

// TestNoCodeOfTheContractIsMissing compares the stories with the text of docs/spec.md §5.
func TestNoCodeOfTheContractIsMissing(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "spec.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## 5. ")
	section, _, closed := strings.Cut(section, "\n## 6. ")
	if !found || !closed {
		t.Fatal("docs/spec.md has no §5")
	}
	shown := map[string]bool{}
	for _, s := range slices.Concat(outcomes, callErrors) {
		for _, code := range s.shows {
			shown[nameOf(code)] = true
		}
	}
	names := 0
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		cell := cells[2] // of the tables of codes
		if len(cells) == 6 {
			cell = cells[4] // of the table of outcomes
		}
		for _, name := range codeName.FindAllString(cell, -1) {
			names++
			if !shown[name] {
				t.Errorf("no story shows %s, of the row %s", name, line)
			}
		}
	}
	if names < 31 {
		t.Errorf("only %d codes and reasons were found in docs/spec.md §5", names)
	}
}
