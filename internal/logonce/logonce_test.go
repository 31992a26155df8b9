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

func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := logonce.New(slog.New(slog.NewTextHandler(&out, nil)))
		say := func(key string) { l.Log(slog.LevelWarn, key, "said "+key, slog.String("x", "y")) }
		for range 100 {
			say("a")
			say("b")
		}
		if text := out.String(); strings.Count(text, "said a") != 1 || strings.Count(text, "said b") != 1 {
			t.Errorf("logged\n%s", text)
		}
		time.Sleep(logonce.Again)
		out.Reset()
		say("a")
		if text := out.String(); strings.Count(text, "said a") != 1 || !strings.Contains(text, "repeated=99") {
			t.Errorf("logged\n%s", text)
		}
	})
}

func TestBounded(t *testing.T) {
	var out bytes.Buffer
	l := logonce.New(slog.New(slog.NewTextHandler(&out, nil)))
	for range 2 {
		for i := range logonce.Causes + 1 {
			l.Log(slog.LevelInfo, fmt.Sprint(i), "said")
		}
	}
	// The map was emptied once in each round: at most, everything was said twice.
	if n := strings.Count(out.String(), "said"); n < logonce.Causes+1 || n > 2*(logonce.Causes+1) {
		t.Errorf("logged %d times", n)
	}
	logonce.New(nil).Log(slog.LevelError, "k", "to nowhere")
}
