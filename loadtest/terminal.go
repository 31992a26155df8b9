package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/crew"
	"github.com/ringfleet/ringfleet/loadtest/stats"
)

// screen is where a run writes for people: whole lines, of several goroutines, and on a terminal one line below them that
// tells how it goes and is written over.
type screen struct {
	mu     sync.Mutex
	w      io.Writer
	over   bool // the status is written over
	quiet  bool // there is none
	status string
}

// newScreen returns a screen that shows the status as --progress has it.
func newScreen(w io.Writer, progress string) *screen {
	return &screen{w: w, over: progress == "line" || progress == "auto" && isTerminal(w), quiet: progress == "none"}
}

// isTerminal reports whether somebody watches.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" || os.Getenv("TERM") == "" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// trouble is left out of a line that is written over while there is none, so that the line is short.
var trouble = strings.NewReplacer("  0 lost connections", "", "  0 failed", "", "  0 errors", "")

// clearLine goes to the begin of a line and clears it.
const clearLine = "\r\x1b[K"

// Write implements io.Writer.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status == "" {
		return s.w.Write(p)
	}
	fmt.Fprint(s.w, clearLine)
	n, err := s.w.Write(p)
	fmt.Fprint(s.w, s.status)
	return n, err
}

// show shows how it goes.
func (s *screen) show(status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.quiet:
	case s.over:
		s.status = strings.Join(strings.Fields(trouble.Replace(status)), " ")
		fmt.Fprint(s.w, clearLine+s.status)
	default:
		fmt.Fprintln(s.w, status)
	}
}

// end takes the status away.
func (s *screen) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status != "" {
		fmt.Fprint(s.w, clearLine)
		s.status = ""
	}
}

// interval is how often the status is told.
func (s *screen) interval() time.Duration {
	if s.over {
		return progressInterval / 4
	}
	return progressInterval
}

// progressInterval is how often a running run tells how it is going.
const progressInterval = 2 * time.Second

// statusOf tells how a run goes in a line: since it began, and since the line before.
func statusOf(p *crew.Progress, since, lasted time.Duration, completedBefore int64) string {
	ringing := p.Ringing
	if ringing == nil {
		ringing = &stats.Histogram{}
	}
	rang := "ringing -"
	if q := ringing.Quick(); q.Count > 0 {
		rang = fmt.Sprintf("ringing p50 %.2f ms p99 %.2f ms", q.P50, q.P99)
	}
	return fmt.Sprintf("%6.0f s  %9d calls  %7.0f/s  %6d in flight  %6d online  %s  "+
		"%d lost connections  %d violations  %d failed  %d errors", since.Seconds(), p.Completed,
		float64(p.Completed-completedBefore)/max(lasted.Seconds(), 1e-3), p.InFlight, p.Online, rang, p.Lost, p.Violations, p.Failed, p.Errors)
}
