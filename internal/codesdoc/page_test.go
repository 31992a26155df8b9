package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringfleet/ringfleet/invitation"
)

var sources = filepath.Join("..", "..", "invitation")

// TestPageIsCurrent compares docs/codes.md with what would be written.
func TestPageIsCurrent(t *testing.T) {
	want, err := render(sources)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("..", "..", "docs", "codes.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/codes.md is not what package invitation says; run `go generate ./internal/codesdoc`")
	}
}

// TestTablesAreComplete compares the tables with the constants, in both directions.
func TestTablesAreComplete(t *testing.T) {
	named, err := constants(sources)
	if err != nil {
		t.Fatal(err)
	}
	for kind, rows := range map[string]int{
		"CallError": len(invitation.Codes), "End": len(invitation.Ends), "Reason": invitation.Reasons,
		"LocalError": invitation.LocalErrors, "RemoteError": invitation.RemoteErrors,
		"LocalState": invitation.LocalStates, "RemoteState": invitation.RemoteStates,
	} {
		if len(named[kind]) != rows {
			t.Errorf("%d constants of type %s, %d rows", len(named[kind]), kind, rows)
		}
	}
	for n, meaning := range meanings {
		if meaning == "" {
			t.Errorf("reason %s has no meaning", invitation.Reason(n))
		}
	}
	for i := 1; i < len(invitation.Ends); i++ {
		if invitation.Ends[i-1].End >= invitation.Ends[i].End {
			t.Errorf("end %s is out of order", invitation.Ends[i].Name)
		}
	}
	for i := 1; i < len(invitation.Codes); i++ {
		if invitation.Codes[i-1].Error >= invitation.Codes[i].Error {
			t.Errorf("code %s is out of order", invitation.Codes[i].Name)
		}
	}
}

// TestMissingConstant shows that a number without a constant is an error and not an empty cell.
func TestMissingConstant(t *testing.T) {
	if _, err := render(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no constant") {
		t.Errorf("got %v", err)
	}
}
