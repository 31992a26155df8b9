// Package report makes a page of a result of the load generator.
package report

import (
	"io"

	"github.com/ringfleet/ringfleet/loadtest/figures"
)

// Render writes the page.
func Render(w io.Writer, run *figures.Run) error { return nil }
