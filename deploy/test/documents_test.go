package deploy

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocuments compares the settings and tests that the documents name with those that there are.
func TestDocuments(t *testing.T) {
	known := settings(t)
	foreign := []string{ // flags of other programs
		"target", "user", "token", "no-create-home", "shell", "system", "now", "previous", "help",
	}
	for _, name := range []string{"operations.md", "security.md"} {
		for _, m := range regexp.MustCompile("[ `(]--([a-z][a-z-]+)").FindAllSubmatch(document(t, name), -1) {
			flag := string(m[1])
			if _, ok := known[flag]; !ok && !slices.Contains(foreign, flag) {
				t.Errorf("docs/%s names --%s, which the node does not have", name, flag)
			}
		}
		for _, m := range regexp.MustCompile(`RINGFLEET_([A-Z_]+)`).FindAllSubmatch(document(t, name), -1) {
			if _, ok := known[strings.ToLower(strings.ReplaceAll(string(m[1]), "_", "-"))]; !ok {
				t.Errorf("docs/%s names %s, which is no setting", name, m[0])
			}
		}
	}
	var tests []byte
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		tests = append(tests, text...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Z][A-Za-z]+)`").FindAllSubmatch(document(t, "security.md"), -1)
	for _, m := range named {
		if !bytes.Contains(tests, []byte("\nfunc "+string(m[1])+"(")) {
			t.Errorf("docs/security.md names %s, and there is no such test", m[1])
		}
	}
	if len(named) < 20 {
		t.Errorf("docs/security.md names %d tests", len(named))
	}
}

func document(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
