// Command codesdoc writes docs/codes.md, the page of all numbers of the protocol, from package
// invitation: its tables of codes, and the constants in its sources with their comments. Run it by
// `go generate ./internal/codesdoc`; a test fails while the page is not what it would write.
package main

//go:generate go run . ../../invitation ../../docs/codes.md

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: codesdoc FOLDER-OF-PACKAGE-INVITATION FILE")
		os.Exit(2)
	}
	page, err := render(os.Args[1])
	if err == nil {
		err = os.WriteFile(os.Args[2], page, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "codesdoc:", err)
		os.Exit(1)
	}
}
