package membership

import (
	"bytes"
	"io"
	"log/slog"
	"regexp"
	"strings"

	"github.com/ringfleet/ringfleet/internal/logonce"
)

// memberlistLog returns where memberlist is to write its log, lines like "2026/11/22 20:21:22 [WARN]
// memberlist: what". What it warns of is logged once for each cause, the rest at level Debug.
func memberlistLog(logger *slog.Logger, once *logonce.Logger) io.Writer {
	return &logWriter{logger, once}
}

type logWriter struct {
	logger *slog.Logger
	once   *logonce.Logger
}

// variable matches what differs between two messages of one cause: numbers, also hexadecimal ones, and what
// is quoted, to its end or to the end that the message was cut to.
var variable = regexp.MustCompile(`'[^']*'|"(\\.|[^"\\])*("|\\?$)|\b[0-9a-f]{6,}\b|\d+`)

// from matches the address of a peer, without its port, where memberlist writes it: at the end, as a peer may write one elsewhere.
var from = regexp.MustCompile(`from=\[?([0-9a-f:.]+?)\]?:\d+$`)

// causeOf returns what two messages of one cause have in common: what failed, and with whom.
func causeOf(message string) string {
	peer := ""
	if m := from.FindStringSubmatch(message); m != nil {
		message, peer = strings.ReplaceAll(message, m[0], ""), m[1]
	}
	message = variable.ReplaceAllString(message, "")
	parts := strings.SplitN(message, ": ", 3) // what failed, why, and often what was received
	return "gossip " + strings.Join(parts[:min(len(parts), 2)], ": ") + " " + peer
}

var logLevels = []struct {
	prefix string
	level  slog.Level
}{
	{"[ERR] ", slog.LevelWarn}, // of a peer's doing, or of the network's
	{"[WARN] ", slog.LevelWarn},
	{"[INFO] ", slog.LevelDebug},
	{"[DEBUG] ", slog.LevelDebug},
}

// Write implements io.Writer for one line.
func (w *logWriter) Write(line []byte) (int, error) {
	level, text := slog.LevelDebug, bytes.TrimSpace(line)
	if i := bytes.IndexByte(text, '['); i > 0 {
		text = text[i:]
	}
	for _, l := range logLevels {
		if rest, ok := bytes.CutPrefix(text, []byte(l.prefix)); ok {
			level, text = l.level, rest
			break
		}
	}
	text = bytes.TrimPrefix(text, []byte("memberlist: "))
	const most = 300 // parts of it may be a peer's
	message := string(text[:min(len(text), most)])
	switch {
	case isOurs(text):
		// NotifyAlive and NotifyMerge have said it already.
	case level == slog.LevelDebug:
		w.logger.Debug("gossip", slog.String("says", message))
	default:
		// The cause is of the whole line: a part of it that is cut in two is not known for what it is.
		w.once.Log(level, causeOf(string(text)), "gossip", slog.String("says", message))
	}
	return len(line), nil
}

// isOurs reports whether a line repeats a refusal.
func isOurs(text []byte) bool { return bytes.Contains(text, []byte(errRefused.Error())) }
