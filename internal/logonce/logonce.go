// Package logonce logs a cause once, however often it comes: what a misconfigured or hostile peer does
// a thousand times a second must neither fill the disk nor hide what else is said.
package logonce

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Defaults of a [Logger].
const (
	// Again is after what time a cause is logged again, with how often it came in between.
	Again = 10 * time.Minute
	// Causes is how many causes are told apart; when there are more, all of them may be logged again.
	Causes = 256
)

// Logger logs each cause once in [Again]. Make one with [New]; safe for concurrent use.
type Logger struct {
	logger *slog.Logger
	mu     sync.Mutex
	seen   map[string]*cause
}

type cause struct {
	logged time.Time
	count  int // since then
}

// New returns a Logger that writes to logger; nil: to nowhere.
func New(logger *slog.Logger) *Logger {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Logger{logger: logger, seen: map[string]*cause{}}
}

// Log logs the message unless a message with this key was logged lately.
func (l *Logger) Log(level slog.Level, key, message string, attrs ...slog.Attr) {
	now := time.Now()
	l.mu.Lock()
	c := l.seen[key]
	if c != nil && now.Sub(c.logged) < Again {
		c.count++
		l.mu.Unlock()
		return
	}
	if c == nil {
		if len(l.seen) >= Causes {
			clear(l.seen)
		}
		c = new(cause)
		l.seen[key] = c
	}
	if c.count > 0 {
		attrs = append(attrs, slog.Int("repeated", c.count))
	}
	*c = cause{logged: now}
	l.mu.Unlock()
	l.logger.LogAttrs(context.Background(), level, message, attrs...) //nolint:sloglint // a constant of the caller's
}
