package e2e

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/internal/wire"
)

// terminal is a WebSocket at which a person types text frames.
type terminal struct {
	w     *world
	conn  net.Conn
	lines chan string
}

func (w *world) terminal() *terminal {
	w.t.Helper()
	conn, r := w.upgrade(wire.JSON, nil)
	c := &terminal{w: w, conn: conn, lines: make(chan string, 64)}
	go func() {
		defer close(c.lines)
		for {
			f, err := ws.ReadFrame(r) //nolint:staticcheck // the node is trusted with lengths
			if err != nil {
				return
			}
			if f.Header.OpCode == ws.OpText {
				c.lines <- string(f.Payload)
			}
		}
	}()
	return c
}

func (c *terminal) types(text string) {
	c.w.t.Helper()
	_, err := c.conn.Write(compile(ws.NewTextFrame([]byte(text))))
	c.w.must(err)
}

// shows compares the next frame with a line of the documents, but for what differs from run to run.
func (c *terminal) shows(want string) {
	c.w.t.Helper()
	got := await(c.w, c.lines, want)
	if a, b := normal(c.w.t, got), normal(c.w.t, want); !reflect.DeepEqual(a, b) {
		c.w.t.Errorf("the node said %s\nthe documents say %s", got, want)
	}
}

// varies are the fields that differ from run to run.
var varies = map[string]bool{"serverTimeMs": true, "stamp": true, "node": true, "retryAfterMs": true}

// normal reads a frame, without the fields that vary.
func normal(t *testing.T, text string) map[string]any {
	t.Helper()
	var frame map[string]any
	if err := json.Unmarshal([]byte(text), &frame); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	strip(frame)
	return frame
}

func strip(object map[string]any) {
	for name, value := range object {
		if varies[name] {
			delete(object, name)
		}
		if inner, ok := value.(map[string]any); ok {
			strip(inner)
		}
	}
}

// documented returns the text block of docs/protocol.md that follows a phrase.
func documented(t *testing.T, phrase string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "protocol.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), phrase)
	_, after, open := strings.Cut(after, "```text\n")
	block, _, closed := strings.Cut(after, "\n```")
	if !found || !open || !closed {
		t.Fatalf("docs/protocol.md has no block behind %q", phrase)
	}
	return strings.Split(block, "\n")
}

// spoken matches a line of a conversation: who, the direction, the frame.
var spoken = regexp.MustCompile(`^(\w*) ?([<>]) (\{.*)$`)

// TestDocumentedCall plays the call that docs/protocol.md tells frame by frame against a real node:
// what a person types is sent to the letter, and what the node says is compared.
func TestDocumentedCall(t *testing.T) {
	lines := documented(t, "<!-- frames accept -->")
	bubble(t, ringfleet.Config{}, func(w *world) {
		terminals := map[string]*terminal{}
		frames := 0
		for _, line := range lines {
			m := spoken.FindStringSubmatch(line)
			if m == nil {
				continue // a callback
			}
			frames++
			who := terminals[m[1]]
			if who == nil {
				who = w.terminal()
				terminals[m[1]] = who
			}
			if m[2] == ">" {
				who.types(m[3])
			} else {
				who.shows(m[3])
			}
		}
		if frames < 18 || len(terminals) != 2 {
			t.Errorf("the documents tell %d frames of %d devices", frames, len(terminals))
		}
	})
}

// TestDocumentedMistakes does the same with what is wrong, each on a connection of its own.
func TestDocumentedMistakes(t *testing.T) {
	lines := documented(t, "What a node says to things that are wrong")
	bubble(t, ringfleet.Config{}, func(w *world) {
		mistakes := 0
		var c *terminal
		for _, line := range lines {
			m := spoken.FindStringSubmatch(line)
			if m == nil {
				t.Fatalf("%q is not spoken", line)
			}
			if m[2] == "<" {
				c.shows(m[3])
				continue
			}
			mistakes++
			c = w.terminal()
			c.types(`{"login":{"minVersion":1,"maxVersion":1,"user":"alice","device":"console"}}`)
			if welcome := await(w, c.lines, "the Welcome"); !strings.HasPrefix(welcome, `{"welcome":`) {
				t.Fatalf("the login was answered with %s", welcome)
			}
			c.types(m[3])
		}
		if mistakes < 3 {
			t.Errorf("the documents tell %d mistakes", mistakes)
		}
	})
}
