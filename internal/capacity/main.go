// Command capacity computes the tables of docs/capacity.md: what a node and a cluster should carry. It takes what was
// measured from figures.txt, in which scripts/capacity's lines are; placement from cluster/placement, as nodes would
// decide it; and how clients come back after a loss from a simulation of their back-off. To see what your own machines
// should carry, measure there, put the lines into figures.txt, and run
//
//	go generate ./internal/capacity
//
// The page's text is written by hand; what is between `<!-- capacity NAME -->` and `<!-- end -->` is replaced. A test
// fails while the page is not what would be written.
//
// The model is arithmetic and no more: it knows nothing of caches, locks and networks that the figures do not know.
package main

//go:generate go run . ../../docs/capacity.md

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: capacity PAGE")
		os.Exit(2)
	}
	if err := generate(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "capacity:", err)
		os.Exit(1)
	}
}

// generate fills the tables of a page.
func generate(name string) error {
	page, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if page, err = fill(page); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(name, page, 0o644)
}

// block matches one table of the page, with its marks.
var block = regexp.MustCompile(`(?s)<!-- capacity ([\w-]+) -->\n.*?<!-- end -->`)

// fill returns the page with its tables as they follow from the figures.
func fill(page []byte) ([]byte, error) {
	f, err := parse(measured)
	if err != nil {
		return nil, err
	}
	tables, err := newModel(f).tables()
	if err != nil {
		return nil, err
	}
	var unknown error
	filled := map[string]bool{}
	page = block.ReplaceAllFunc(page, func(old []byte) []byte {
		name := string(block.FindSubmatch(old)[1])
		table, ok := tables[name]
		if !ok {
			unknown = fmt.Errorf("there is no table %q", name)
			return old
		}
		filled[name] = true
		return fmt.Appendf(nil, "<!-- capacity %s -->\n%s<!-- end -->", name, bytes.TrimLeft([]byte(table), "\n"))
	})
	for name := range tables {
		if !filled[name] && unknown == nil {
			unknown = fmt.Errorf("the table %q has no place", name)
		}
	}
	return page, unknown
}
