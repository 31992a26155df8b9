package ringfleet_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/ringfleet/ringfleet"

// A source is one Go file of this repository.
type source struct {
	path      string // from the root, with slashes
	test      bool
	generated bool
	lines     int
	text      []byte
	imports   []string // import paths
	ast       *ast.File
}

func dirOf(file string) string { return path.Dir(file) }

// pkg returns the file's package in the notation of the import rules: "." or "./gateway".
func (s source) pkg() string {
	if dir := dirOf(s.path); dir != "." {
		return "./" + dir
	}
	return "."
}

// imported returns the imports in the notation of the import rules.
func (s source) imported() []string {
	var list []string
	for _, p := range s.imports {
		if p == module {
			p = "."
		} else if rest, ours := strings.CutPrefix(p, module+"/"); ours {
			p = "./" + rest
		}
		list = append(list, p)
	}
	return list
}

// repository returns every Go file of the module, whatever its build tags.
func repository(t *testing.T) []source {
	t.Helper()
	files, err := readRepository()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

var readRepository = sync.OnceValues(func() ([]source, error) {
	var files []source
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if skipped(name) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		file, err := parseFile(filepath.ToSlash(name), text)
		files = append(files, file)
		return err
	})
	return files, err
})

// skipped reports whether a folder holds nothing of this module.
func skipped(dir string) bool {
	base := filepath.Base(dir)
	if dir == "." {
		return false
	}
	if strings.HasPrefix(base, ".") || base == "testdata" {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod")) // another module
	return err == nil
}

func parse(t *testing.T, name, text string) source {
	t.Helper()
	file, err := parseFile(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func parseFile(name string, text []byte) (source, error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	s := source{
		path:      name,
		test:      strings.HasSuffix(name, "_test.go"),
		generated: ast.IsGenerated(file),
		lines:     bytes.Count(text, []byte("\n")),
		text:      text,
		ast:       file,
	}
	for _, spec := range file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, err
		}
		s.imports = append(s.imports, p)
	}
	return s, nil
}
