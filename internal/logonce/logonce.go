// Package logonce samples what is logged of hot errors: what a misconfigured or hostile peer does a thousand times a
// second must neither fill the disk nor hide what else is said.
package logonce

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Bounds of what is logged.
const (
	// Again is how long a cause is counted. What a [Logger] is given is logged once in this time for each cause, with how many
	// were not since the last line.
	Again = 10 * time.Minute
	// Causes is how many causes are told apart. Further ones count as one, until some have not come for Again.
	Causes = 256
)

// Logger logs each cause that it is given once in [Again]. Make one with [New]; safe for concurrent use.
type Logger struct {
	logger *slog.Logger
	causes causes
}

// New returns a Logger that writes to logger, or if that is sampled, to what [Sampled] made it of; nil: to nowhere.
func New(logger *slog.Logger) *Logger {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Logger{logger: Whole(logger), causes: causes{whole: 1}}
}

// Log logs the message, unless it is one of many with this key.
func (l *Logger) Log(level slog.Level, key, message string, attrs ...slog.Attr) {
	left, say := l.causes.count(key, time.Now())
	if !say {
		return
	}
	if left > 0 {
		attrs = append(attrs, repeated(left))
	}
	l.logger.LogAttrs(context.Background(), level, message, attrs...) //nolint:sloglint // a constant of the caller's
}

// repeated is the attribute that tells how many lines were left out.
func repeated(n int) slog.Attr { return slog.Int("repeated", n) }

// causes counts what has come, of each cause.
type causes struct {
	whole int  // of each cause so many are said before any is left out
	tens  bool // and then each power of ten

	mu    sync.Mutex
	seen  map[string]*cause
	rest  cause     // of those that there is no room for
	swept time.Time // when it was last looked for what is old
}

type cause struct {
	since time.Time
	count int // since then
	left  int // out, since the last that was said
}

// count counts one of a cause, and reports whether it is to be said and how many were left out before.
func (s *causes) count(key string, now time.Time) (left int, say bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cause(key, now)
	if now.Sub(c.since) >= Again {
		c.since, c.count = now, 0
	}
	c.count++
	if c.count > s.whole && !(s.tens && powerOfTen(c.count)) {
		c.left++
		return 0, false
	}
	left, c.left = c.left, 0
	return left, true
}

// cause returns that of a key, or the rest. It is called with the mutex.
func (s *causes) cause(key string, now time.Time) *cause {
	if c := s.seen[key]; c != nil {
		return c
	}
	if len(s.seen) >= Causes && now.Sub(s.swept) >= Again/10 {
		s.swept = now
		for key, c := range s.seen {
			if now.Sub(c.since) >= Again {
				delete(s.seen, key)
			}
		}
	}
	if len(s.seen) >= Causes {
		return &s.rest
	}
	if s.seen == nil {
		s.seen = map[string]*cause{}
	}
	c := &cause{since: now}
	s.seen[key] = c
	return c
}

func powerOfTen(n int) bool {
	for n > 1 && n%10 == 0 {
		n /= 10
	}
	return n == 1
}
