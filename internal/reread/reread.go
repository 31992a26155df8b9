// Package reread keeps what was read from files, and reads it again when they have changed: keys, tokens and
// certificates are rotated by writing the files, without a restart and without a signal.
//
// A change is seen by the time and size of a file, at the first [Source.Get] that is [Every] or more after the
// last look; nothing runs in between, so there is nothing to stop. [Source.Reload] reads at once. What cannot be
// read, or is wrong, is logged, and what was read before goes on counting: a slip of an operator locks nobody out.
package reread

import (
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Every is how often the files are looked at, at most.
const Every = time.Second

// Source is what was read from some files. Make it with [New]; safe for concurrent use.
type Source[T any] struct {
	what   string
	logger *slog.Logger
	load   func() (T, error)
	files  []string

	value  atomic.Pointer[T]
	looked atomic.Int64 // Unix nanoseconds

	mu     sync.Mutex // held while looking and reading
	stamps []stamp
}

// stamp tells versions of a file apart; zero for one that is not there.
type stamp struct {
	modified time.Time
	size     int64
}

// New reads the files by load, and returns the source or load's error. load must not keep what it is given. what
// names it in the log; a nil logger discards.
func New[T any](what string, logger *slog.Logger, load func() (T, error), files ...string) (*Source[T], error) {
	if len(files) == 0 {
		return nil, errors.New("reread: no files")
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &Source[T]{what: what, logger: logger, load: load, files: files}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Get returns what was read last, and first looks whether it has changed, unless that was done within [Every] or
// is being done. It blocks for a look at the files, once in that time for one caller.
func (s *Source[T]) Get() T {
	if now := time.Now().UnixNano(); now-s.looked.Load() >= int64(Every) && s.mu.TryLock() {
		s.looked.Store(now)
		s.lookLocked()
		s.mu.Unlock()
	}
	return *s.value.Load()
}

// Reload reads the files at once, changed or not. On an error what was read before stays.
func (s *Source[T]) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked.Store(time.Now().UnixNano())
	return s.readLocked(s.look())
}

// lookLocked reads the files if they have changed. A version that was wrong is not read twice.
func (s *Source[T]) lookLocked() {
	stamps := s.look()
	same := true
	for i := range stamps {
		same = same && stamps[i].size == s.stamps[i].size && stamps[i].modified.Equal(s.stamps[i].modified)
	}
	if same {
		return
	}
	if err := s.readLocked(stamps); err != nil {
		s.logger.Error("changed files are not taken, what was read before goes on counting", "what", s.what, "error", err)
		return
	}
	s.logger.Info("read again", "what", s.what, "files", s.files)
}

func (s *Source[T]) readLocked(stamps []stamp) error {
	s.stamps = stamps // from before they are read: a change meanwhile shows
	value, err := s.load()
	if err != nil {
		return err
	}
	s.value.Store(&value)
	return nil
}

func (s *Source[T]) look() []stamp {
	stamps := make([]stamp, len(s.files))
	for i, name := range s.files {
		if info, err := os.Stat(name); err == nil {
			stamps[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}
