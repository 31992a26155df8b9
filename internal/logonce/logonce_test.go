package logonce_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/internal/logonce"
)

// lines returns what was logged since the last call, without the time.
func lines(out *bytes.Buffer) []string {
	defer out.Reset()
	var list []string
	for line := range strings.Lines(out.String()) {
		_, rest, _ := strings.Cut(line, "level=")
		list = append(list, strings.TrimSpace(rest))
	}
	return list
}

func want(t *testing.T, out *bytes.Buffer, wanted ...string) {
	t.Helper()
	if got := lines(out); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", wanted) {
		t.Errorf("logged\n%q, want\n%q", got, wanted)
	}
}

func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := logonce.New(slog.New(slog.NewTextHandler(&out, nil)))
		say := func(key string) { l.Log(slog.LevelWarn, key, "said "+key) }
		for range 99 {
			say("a")
		}
		say("b")
		want(t, &out, `WARN msg="said a"`, `WARN msg="said b"`)
		say("a")
		time.Sleep(logonce.Again - 1)
		say("a")
		want(t, &out)
		time.Sleep(time.Nanosecond)
		say("a")
		say("b")
		want(t, &out, `WARN msg="said a" repeated=100`, `WARN msg="said b"`)
	})
}

// TestCausesAreBounded: more causes than there is room for are one, so that whoever makes up causes fills no disk; those
// that have not come for long make room.
func TestCausesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := logonce.New(slog.New(slog.NewTextHandler(&out, nil)))
		made := 0
		flood := func(n int) int {
			for range n {
				made++
				l.Log(slog.LevelInfo, fmt.Sprint(made), "said")
			}
			return len(lines(&out))
		}
		if n := flood(logonce.Causes); n != logonce.Causes {
			t.Errorf("of %d causes %d were logged", logonce.Causes, n)
		}
		if n := flood(10_000); n != 1 {
			t.Errorf("of 10,000 further ones %d were logged, want one", n)
		}
		time.Sleep(logonce.Again)
		if n := flood(logonce.Causes); n != logonce.Causes {
			t.Errorf("later %d were logged, want %d", n, logonce.Causes)
		}
	})
	logonce.New(nil).Log(slog.LevelError, "k", "to nowhere")
}

// TestSampled: of one warning the first hundred are logged, then each power of ten; what tells no fault is logged whole,
// and so is what must be.
func TestSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		logger := logonce.Sampled(slog.New(slog.NewTextHandler(&out, nil)))
		if logonce.Sampled(logger) != logger {
			t.Error("sampled twice")
		}
		part := logger.With("part", 1).WithGroup("g")
		for i := range 1000 {
			part.Warn("hot", "i", i)
		}
		if got := lines(&out); len(got) != logonce.Hot+1 || got[logonce.Hot] != `WARN msg=hot part=1 g.i=999 g.repeated=899` {
			t.Errorf("%d lines: %q", len(got), got[max(0, len(got)-2):])
		}
		logger.Warn("hot") // is counted with the others, wherever it is from
		want(t, &out)
		logger.Warn("another")
		logger.Error("hot")
		want(t, &out, "WARN msg=another", "ERROR msg=hot")
		time.Sleep(logonce.Again)
		logger.Warn("hot")
		want(t, &out, "WARN msg=hot repeated=1")
		for range 1000 {
			logger.Info("call")
			logonce.Whole(logger).Error("who did what")
		}
		if got := lines(&out); len(got) != 2000 {
			t.Errorf("%d lines", len(got))
		}
		once := logonce.New(logger) // samples by itself, of more causes than messages
		for i := range 2 * logonce.Hot {
			once.Log(slog.LevelWarn, fmt.Sprint(i), "gossip")
		}
		if got := lines(&out); len(got) != 2*logonce.Hot {
			t.Errorf("%d lines", len(got))
		}
	})
}
