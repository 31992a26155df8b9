package ringfleet_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// requirement matches a line of a go.mod that names a module and its version.
var requirement = regexp.MustCompile(`^(?:require )?\s*([^\s/]+\.\S+) v\S+`)

// modules returns what a go.mod requires, directly or not.
func modules(t *testing.T, gomod string) []string {
	t.Helper()
	var found []string
	for line := range strings.Lines(read(t, gomod)) {
		if m := requirement.FindStringSubmatch(line); m != nil {
			found = append(found, m[1])
		}
	}
	return found
}

// moduleOf returns the module that provides an import path, "" when none does.
func moduleOf(required []string, imported string) string {
	best := ""
	for _, m := range required {
		if (imported == m || strings.HasPrefix(imported, m+"/")) && len(m) > len(best) {
			best = m
		}
	}
	return best
}

// dependencyLine matches a row of the tables in docs/dependencies.md: | `module` | why it | not instead |.
var dependencyLine = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| [^|]{20,} \\| [^|]{20,} \\|$")

// TestDependencies compares docs/dependencies.md with what the code imports and the tools that are
// pinned: each direct dependency has a line, and each line is a direct dependency.
func TestDependencies(t *testing.T) {
	used := map[string]bool{}
	required := modules(t, "go.mod")
	for _, f := range repository(t) {
		for _, imported := range f.imported() {
			if !matches("others", imported) {
				continue
			}
			m := moduleOf(required, imported)
			if m == "" {
				t.Errorf("%s imports %s, which go.mod does not require", f.path, imported)
				continue
			}
			used[m] = true
		}
	}
	for _, m := range tools(t) {
		used[m] = true
	}
	documented := map[string]bool{}
	for _, row := range dependencyLine.FindAllStringSubmatch(read(t, filepath.Join("docs", "dependencies.md")), -1) {
		documented[row[1]] = true
	}
	for m := range used {
		if !documented[m] {
			t.Errorf("docs/dependencies.md has no line for `%s`: say why it and not the next best", m)
		}
	}
	for m := range documented {
		if !used[m] {
			t.Errorf("docs/dependencies.md has a line for %s, which nothing uses", m)
		}
	}
}

// tools returns the modules of the tools that tools/go.mod pins.
func tools(t *testing.T) []string {
	t.Helper()
	gomod := filepath.Join("tools", "go.mod")
	_, block, found := strings.Cut(read(t, gomod), "\ntool (\n")
	block, _, closed := strings.Cut(block, "\n)")
	if !found || !closed {
		t.Fatalf("%s has no tool block", gomod)
	}
	required := modules(t, gomod)
	var list []string
	for line := range strings.Lines(block) {
		m := moduleOf(required, strings.TrimSpace(line))
		if m == "" {
			t.Errorf("%s: no module requires the tool %q", gomod, line)
			continue
		}
		list = append(list, m)
	}
	return list
}

// TestDecisionsAreListed compares docs/adr with its index.
func TestDecisionsAreListed(t *testing.T) {
	index := read(t, filepath.Join("docs", "adr", "README.md"))
	files, err := filepath.Glob(filepath.Join("docs", "adr", "[0-9]*.md"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no decisions found: %v", err)
	}
	for _, name := range files {
		base := filepath.Base(name)
		if !strings.Contains(index, "]("+base+")") {
			t.Errorf("docs/adr/README.md does not list %s", base)
		}
		text := read(t, name)
		for _, heading := range []string{"## Context", "## Decision", "## Consequences"} {
			if !strings.Contains(text, "\n"+heading+"\n") {
				t.Errorf("docs/adr/%s has no %q", base, heading)
			}
		}
	}
}

var (
	link   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fenced = regexp.MustCompile("(?s)\n```.*?\n```")
)

// TestLinks follows each link of the documents to a file of this repository.
func TestLinks(t *testing.T) {
	for _, name := range documents(t) {
		text := fenced.ReplaceAllString(read(t, name), "")
		for _, target := range link.FindAllStringSubmatch(text, -1) {
			file, _, _ := strings.Cut(target[1], "#")
			if file == "" || strings.Contains(file, "://") || strings.HasPrefix(file, "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), filepath.FromSlash(file))); err != nil {
				t.Errorf("%s links to %s, which does not exist", name, target[1])
			}
		}
	}
}

// documentPath matches what the comments of the code refer to.
var documentPath = regexp.MustCompile(`\bdocs/[\w/.-]+\.md\b`)

// TestReferredDocuments follows each document that a comment names.
func TestReferredDocuments(t *testing.T) {
	missing := map[string][]string{}
	for _, f := range repository(t) {
		for _, name := range documentPath.FindAllString(string(f.text), -1) {
			if _, err := os.Stat(filepath.FromSlash(name)); err != nil && !slices.Contains(missing[name], f.path) {
				missing[name] = append(missing[name], f.path)
			}
		}
	}
	for name, files := range missing {
		t.Errorf("%s does not exist, but these refer to it: %s", name, strings.Join(files, ", "))
	}
}

var (
	target       = regexp.MustCompile(`(?m)^([a-z-]+):.* ## `)
	targetNamed  = regexp.MustCompile("(?:`|    |^section \\S+ )make ([a-z][a-z-]*)")
	targetInCode = regexp.MustCompile("`make ([a-z][a-z-]*)`")
	makefilePath = regexp.MustCompile(`(?:^|\s)(\./[\w/]+|scripts/[\w-]+|\.ci/run)`)
)

// TestMakeTargets compares the targets that documents, comments and CI name with those that exist, and looks for
// the folders and scripts that the targets run.
func TestMakeTargets(t *testing.T) {
	makefile := read(t, "Makefile")
	exists := map[string]bool{}
	for _, m := range target.FindAllStringSubmatch(makefile, -1) {
		exists[m[1]] = true
	}
	for _, name := range append(documents(t), filepath.Join(".ci", "run"), filepath.Join("scripts", "generate-check")) {
		for line := range strings.Lines(read(t, name)) {
			for _, m := range targetNamed.FindAllStringSubmatch(line, -1) {
				if !exists[m[1]] {
					t.Errorf("%s names `make %s`, which the Makefile does not have", name, m[1])
				}
			}
		}
	}
	for _, f := range repository(t) {
		for _, m := range targetInCode.FindAllSubmatch(f.text, -1) {
			if !exists[string(m[1])] {
				t.Errorf("%s names `make %s`, which the Makefile does not have", f.path, m[1])
			}
		}
	}
	for line := range strings.Lines(makefile) {
		for _, m := range makefilePath.FindAllStringSubmatch(line, -1) {
			if _, err := os.Stat(filepath.FromSlash(m[1])); err != nil {
				t.Errorf("the Makefile runs %s, which does not exist", m[1])
			}
		}
	}
}

// documents returns the Markdown files of this repository.
func documents(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(name, ".md") {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
