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

// TestDocumentsAreCurrent compares the documents with what would be written.
func TestDocumentsAreCurrent(t *testing.T) {
	root := filepath.Join("..", "..")
	documents, err := render(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range documents {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the code says; run `go generate ./internal/docgen`", name)
		}
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
	if _, err := codesPage(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no constant") {
		t.Errorf("got %v", err)
	}
}
