// Command docgen writes the parts of the documents that are facts of the code: docs/codes.md, the
// page of all numbers of the protocol, from package invitation; and the stories and the transcript
// in docs/protocol.md, by playing them with the machines that run in production. Run it by
// `go generate ./internal/docgen`; a test fails while the documents are not what it would write.
package main

//go:generate go run . ../..

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: docgen ROOT-OF-THE-REPOSITORY")
		os.Exit(2)
	}
	if err := generate(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "docgen:", err)
		os.Exit(1)
	}
}

// generate writes the documents under root.
func generate(root string) error {
	documents, err := render(root)
	if err != nil {
		return err
	}
	for name, text := range documents {
		if err := os.WriteFile(filepath.Join(root, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// render returns the documents that docgen writes, by their names under root.
func render(root string) (map[string][]byte, error) {
	codes, err := codesPage(filepath.Join(root, "invitation"))
	if err != nil {
		return nil, err
	}
	protocol := filepath.Join("docs", "protocol.md")
	text, err := os.ReadFile(filepath.Join(root, protocol))
	if err != nil {
		return nil, err
	}
	if text, err = fillStories(text); err != nil {
		return nil, fmt.Errorf("%s: %w", protocol, err)
	}
	return map[string][]byte{filepath.Join("docs", "codes.md"): codes, protocol: text}, nil
}
