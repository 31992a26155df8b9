package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPageIsCurrent fails when a table of a machine changed and docs/states.md did not.
func TestPageIsCurrent(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "states.md"))
	if err != nil {
		t.Fatal(err)
	}
	drawn, err := redraw(string(page))
	if err != nil {
		t.Fatal(err)
	}
	if drawn != string(page) {
		t.Error("docs/states.md is not what the tables say: run `go generate ./internal/diagram`")
	}
	if strings.Contains(drawn, "hole") {
		t.Error("a table has a hole")
	}
}

func TestRedraw(t *testing.T) {
	var page strings.Builder
	page.WriteString("before\n")
	for name := range drawings() {
		page.WriteString(opening + name + " -->\nstale\n" + closing + "between\n")
	}
	drawn, err := redraw(page.String())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(drawn, "stale") || strings.Count(drawn, "between\n") != len(drawings()) || !strings.HasPrefix(drawn, "before\n") {
		t.Errorf("drawn:\n%s", drawn)
	}
	again, err := redraw(drawn)
	if err != nil || again != drawn {
		t.Errorf("the second time it is another page: %v", err)
	}
	for name, bad := range map[string]string{
		"no markers":      "text\n",
		"a marker twice":  drawn + opening + "local table -->\n" + closing,
		"an unknown one":  drawn + opening + "other -->\n" + closing,
		"one not closed":  strings.TrimSuffix(strings.TrimSuffix(drawn, "between\n"), closing),
		"one with no end": drawn + opening + "local table",
	} {
		if _, err := redraw(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestRun(t *testing.T) {
	if err := run(filepath.Join(t.TempDir(), "none.md"), true); err == nil {
		t.Error("no error for a page that does not exist")
	}
}
