package ringfleet_test

import (
	"bytes"
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// maxLines is the length that no file of ours passes; most are half as long.
const maxLines = 600

// TestFileLengths keeps each file short enough to hold in one's head.
func TestFileLengths(t *testing.T) {
	for _, f := range repository(t) {
		if !f.generated && f.lines > maxLines {
			t.Errorf("%s has %d lines, more than %d: divide it by what its parts are about", f.path, f.lines, maxLines)
		}
	}
}

// TestNoSleep keeps the tests free of the wall clock's luck: a test may sleep in a file that runs its
// tests in synctest bubbles, where sleeping takes no time and is exact, and a helper of such a package
// in a file without tests; elsewhere a test waits for what it wants to see, with a deadline. A
// benchmark may sleep: what idling costs shows in no other way.
func TestNoSleep(t *testing.T) {
	for _, name := range sleepers(repository(t)) {
		t.Errorf("%s calls time.Sleep outside a synctest bubble: wait for the event itself, with a deadline", name)
	}
}

func TestNoSleepBites(t *testing.T) {
	sleeping := "package p\nimport \"time\"\nfunc nap() { time.Sleep(1) }\n"
	plain := parse(t, "p/plain_test.go", sleeping+"func TestX(t *testing.T) { nap() }\n")
	helper := parse(t, "p/helper_test.go", sleeping)
	bubble := parse(t, "p/bubble_test.go", sleeping+"func TestY(t *testing.T) { synctest.Wait() }\n")
	for _, c := range []struct {
		files []source
		want  []string
	}{
		{[]source{plain}, []string{plain.path}},
		{[]source{helper}, []string{helper.path}},
		{[]source{plain, helper, bubble}, []string{plain.path}},
	} {
		if got := sleepers(c.files); !slices.Equal(got, c.want) {
			t.Errorf("found %v, want %v", got, c.want)
		}
	}
}

// sleepers returns the test files that sleep on the wall clock.
func sleepers(files []source) []string {
	bubbles := map[string]bool{}
	for _, f := range files {
		if f.test && bytes.Contains(f.text, []byte("synctest.")) {
			bubbles[f.path], bubbles[f.pkg()] = true, true
		}
	}
	var found []string
	for _, f := range files {
		helps := bubbles[f.pkg()] && !bytes.Contains(f.text, []byte("\nfunc Test"))
		if f.test && !bubbles[f.path] && !helps && sleeps(f.ast) {
			found = append(found, f.path)
		}
	}
	return found
}

func sleeps(file *ast.File) bool {
	found := false
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			return !measures(n)
		case *ast.SelectorExpr:
			id, ok := n.X.(*ast.Ident)
			found = found || ok && id.Name == "time" && n.Sel.Name == "Sleep"
		}
		return true
	})
	return found
}

// measures reports whether a function takes a *testing.B.
func measures(f *ast.FuncDecl) bool {
	return slices.ContainsFunc(f.Type.Params.List, func(p *ast.Field) bool {
		star, ok := p.Type.(*ast.StarExpr)
		if !ok {
			return false
		}
		b, ok := star.X.(*ast.SelectorExpr)
		return ok && b.Sel.Name == "B"
	})
}

// TestPackageDocs asks of each package that one file, and only one, says what it is.
func TestPackageDocs(t *testing.T) {
	docs := map[string][]string{}
	for _, f := range repository(t) {
		if f.test {
			continue
		}
		if docs[f.pkg()] == nil {
			docs[f.pkg()] = []string{}
		}
		if f.ast.Doc != nil {
			docs[f.pkg()] = append(docs[f.pkg()], f.path)
		}
	}
	for pkg, files := range docs {
		switch {
		case len(files) == 0:
			t.Errorf("package %s has no package doc: say what it is for, what it guarantees and who may call it", pkg)
		case len(files) > 1:
			t.Errorf("package %s has a package doc in each of %s: keep one", pkg, strings.Join(files, ", "))
		}
	}
}
