package fleet

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
)

const (
	// keptLines is how many of a node's last lines are kept in memory; the file has them all.
	keptLines = 400
	// longestLine is where a line is cut into two.
	longestLine = 64 << 10
)

// Log is what a node has written to its standard output and error, over all its starts.
type Log struct {
	mu   sync.Mutex
	file *os.File
	kept []string // the last lines, the oldest first
	line []byte   // a line that is not ended
}

func newLog(path string) (*Log, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("fleet: log: %w", err)
	}
	return &Log{file: file}, nil
}

// Path returns the path of the file.
func (l *Log) Path() string { return l.file.Name() }

// Write implements io.Writer.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := b
	for {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			break
		}
		l.keep(string(append(l.line, rest[:end]...)))
		l.line, rest = l.line[:0], rest[end+1:]
	}
	if l.line = append(l.line, rest...); len(l.line) > longestLine {
		l.keep(string(l.line))
		l.line = l.line[:0]
	}
	if _, err := l.file.Write(b); err != nil {
		return 0, fmt.Errorf("fleet: log: %w", err)
	}
	return len(b), nil
}

func (l *Log) keep(line string) {
	if len(l.kept) == keptLines {
		l.kept = append(l.kept[:0], l.kept[1:]...)
	}
	l.kept = append(l.kept, line)
}

// Tail returns at most n of the last lines.
func (l *Log) Tail(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.kept[max(0, len(l.kept)-n):], "\n")
}

// Lines returns the lines that have all the parts, read from the file.
func (l *Log) Lines(parts ...string) ([]string, error) {
	text, err := os.ReadFile(l.Path())
	if err != nil {
		return nil, fmt.Errorf("fleet: log: %w", err)
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		if containsAll(line, parts) {
			found = append(found, strings.TrimSuffix(line, "\n"))
		}
	}
	return found, nil
}

func containsAll(line string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(line, p) {
			return false
		}
	}
	return true
}

func (l *Log) close() { _ = l.file.Close() } // what it has was written
