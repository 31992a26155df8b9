package invitation_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the scenario files' transcripts anew")

// TestScenarios plays every file of testdata/scenarios and compares the transcript. After a change
// that is meant, `go test ./invitation -run Scenarios -rewrite` writes the files; read the diff.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "scenarios", "*.txt"))
	if err != nil || len(files) < 30 {
		t.Fatalf("%d scenarios found: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { scenario(t, file) })
	}
}

func scenario(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	steps := parse(string(text))
	for i := range steps {
		got := w.play(steps[i].commands)
		if !*rewrite && !slices.Equal(got, steps[i].want) {
			t.Errorf("%s\n%s", strings.Join(steps[i].commands, "\n"), difference(steps[i].want, got))
		}
		steps[i].want = got
	}
	if err := w.verdict(); err != nil {
		t.Error(err)
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(format(steps)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// difference shows two transcripts, what they share once.
func difference(want, got []string) string {
	var b strings.Builder
	for len(want) > 0 || len(got) > 0 {
		switch {
		case len(want) > 0 && len(got) > 0 && want[0] == got[0]:
			b.WriteString("    " + want[0] + "\n")
			want, got = want[1:], got[1:]
		case len(want) > 0 && !slices.Contains(got, want[0]):
			b.WriteString("  - " + want[0] + "\n")
			want = want[1:]
		case len(got) > 0:
			b.WriteString("  + " + got[0] + "\n")
			got = got[1:]
		default:
			b.WriteString("  - " + want[0] + "\n")
			want = want[1:]
		}
	}
	return b.String()
}
