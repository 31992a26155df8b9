package reread_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/internal/reread"
)

var errWrong = errors.New("wrong")

// source reads a file that must not say "wrong"; log gets what is said of it.
func source(t *testing.T, text string, log *strings.Builder) (*reread.Source[string], func(text string)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	stamp := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	write := func(text string) {
		t.Helper()
		stamp = stamp.Add(time.Millisecond) // the file system's own clock may be too coarse
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, stamp, stamp)); err != nil {
			t.Fatal(err)
		}
	}
	write(text)
	s, err := reread.New("words", slog.New(slog.NewTextHandler(log, nil)), func() (string, error) {
		data, err := os.ReadFile(path)
		if string(data) == "wrong" {
			err = errWrong
		}
		return string(data), err
	}, path)
	if err != nil {
		t.Fatal(err)
	}
	return s, write
}

// TestChange writes the file, and sees it within Every, and not by looking all the time.
func TestChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s, write := source(t, "old", &log)
		write("new")
		if got := s.Get(); got != "old" {
			t.Errorf("%q, want what was read just now", got)
		}
		time.Sleep(reread.Every)
		if got := s.Get(); got != "new" {
			t.Errorf("%q, want new", got)
		}
		if !strings.Contains(log.String(), "read again") {
			t.Errorf("the log says %q", log.String())
		}
	})
}

// TestWrongChange keeps what was read before, says so once, and takes the file when it is right again.
func TestWrongChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s, write := source(t, "old", &log)
		write("wrong")
		for range 3 {
			time.Sleep(reread.Every)
			if got := s.Get(); got != "old" {
				t.Errorf("%q, want old", got)
			}
		}
		if n := strings.Count(log.String(), "not taken"); n != 1 {
			t.Errorf("%d complaints, want 1: %s", n, log.String())
		}
		if err := s.Reload(); !errors.Is(err, errWrong) {
			t.Errorf("asked for, it says %v", err)
		}
		write("good") // as long as wrong, less one
		if err := s.Reload(); err != nil || s.Get() != "good" {
			t.Errorf("%v, %q", err, s.Get())
		}
	})
}

func TestNothingToRead(t *testing.T) {
	load := func() (string, error) { return "", errWrong }
	if _, err := reread.New("words", nil, load); err == nil {
		t.Error("no files are taken")
	}
	if _, err := reread.New("words", nil, load, "no-such-file"); !errors.Is(err, errWrong) {
		t.Errorf("%v, want what is wrong", err)
	}
}
