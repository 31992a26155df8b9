package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// TestLimits looks for the numbers of the code in the prose of docs/protocol.md.
func TestLimits(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "protocol.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(data), "\n", " ")
	g, s := gateway.Config{}.WithDefaults(), session.DefaultConfig
	for _, phrase := range []string{
		fmt.Sprintf("| `content`, `response` | %s bytes |", digits(invitation.MaxContent)),
		fmt.Sprintf("| `channel_id` | %d bytes |", invitation.MaxChannel),
		fmt.Sprintf("| `callee`, `key` | %d bytes", invitation.MaxKey),
		fmt.Sprintf("%s to %s ms, or 0", digits(int(invitation.MinTimer.Milliseconds())), digits(int(invitation.MaxTimer.Milliseconds()))),
		fmt.Sprintf("each timer 0 or %s to %s ms", digits(int(invitation.MinTimer.Milliseconds())), digits(int(invitation.MaxTimer.Milliseconds()))),
		fmt.Sprintf("| `words` of a Login | %s |", digits(wire.MaxLoginWords)),
		fmt.Sprintf("%s words; say the others", digits(wire.MaxLoginWords)),
		fmt.Sprintf("`max_frame_bytes` of the Welcome (%s)", digits(g.MaxFrame)),
		fmt.Sprintf("| frames | %d per second, %d at once |", g.FrameRate, g.FrameBurst),
		fmt.Sprintf("| live invitations of a user | %d outgoing, %d incoming |", s.MaxOutgoing, s.MaxIncoming),
		fmt.Sprintf("| sends of a user | %v per second, %d at once |", s.SendRate, s.SendBurst),
		fmt.Sprintf("| devices of a user (policy multi) | %d |", s.MaxDevices),
		fmt.Sprintf("| %d frames, %s bytes | Ending SLOW_READER |", g.QueueFrames, digits(g.QueueBytes)),
		fmt.Sprintf("| time from the upgrade to the Login | %v s |", g.LoginTimeout.Seconds()),
		fmt.Sprintf("the node waits %v s for it", g.LoginTimeout.Seconds()),
		fmt.Sprintf("`ping_interval_ms` (%v s)", g.PingInterval.Seconds()),
		fmt.Sprintf("`idle_timeout_ms` (%v s)", g.IdleTimeout.Seconds()),
		fmt.Sprintf("for the grace (%v s)", s.Timers.Grace.Seconds()),
		fmt.Sprintf("for the linger (%v minutes)", s.Timers.Linger.Minutes()),
		fmt.Sprintf("the time to confirm is %v s by default", s.Timers.AcceptWindow.Seconds()),
		"ws://HOST:8080" + gateway.Path,
		"`" + wire.SubprotocolBinary + "`", "`" + wire.SubprotocolJSON + "`",
		fmt.Sprintf("This page is version %d.", wire.ProtocolVersion),
		fmt.Sprintf("%d characters of 0–9 and a–v", invitation.IDLength),
	} {
		if !strings.Contains(text, phrase) {
			t.Errorf("docs/protocol.md does not say %q, as the code does", phrase)
		}
	}
	for _, row := range invitation.Ends {
		if row.End < invitation.EndBadFrame && !strings.Contains(text, fmt.Sprintf("%d %s", row.End, row.Name)) {
			t.Errorf("docs/protocol.md does not say what to do about %d %s", row.End, row.Name)
		}
	}
	for _, row := range invitation.Codes {
		if !strings.Contains(text, row.Name) {
			t.Errorf("docs/protocol.md does not say what to do about %s", row.Name)
		}
	}
}

// TestWelcome compares what the transcript shows with what a gateway of default configuration tells.
func TestWelcome(t *testing.T) {
	g := gateway.Config{}.WithDefaults()
	want := &wire.Info{
		Version: wire.ProtocolVersion, User: "alice", PingInterval: g.PingInterval, IdleTimeout: g.IdleTimeout,
		MaxFrame: uint32(g.MaxFrame), Timers: g.Timers, Node: "node-0",
	}
	if got := welcomeInfo("alice"); !reflect.DeepEqual(got, want) {
		t.Errorf("the transcript has %+v, a gateway %+v", got, want)
	}
}

// TestExamples takes the frames that a reader is to type, and those that the node says, through the
// codec.
func TestExamples(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "protocol.md"))
	if err != nil {
		t.Fatal(err)
	}
	frames := 0
	for line := range strings.Lines(string(data)) {
		at := strings.Index(line, "{\"")
		if at < 2 {
			continue
		}
		var err error
		switch line[at-2] {
		case '>':
			_, err = wire.DecodeUp(wire.JSON, []byte(line[at:]))
		case '<':
			_, err = wire.DecodeDown(wire.JSON, []byte(line[at:]))
		default:
			continue
		}
		frames++
		if err != nil && !strings.Contains(line, "dance") {
			t.Errorf("%s%v", line, err)
		}
	}
	if frames < 20 {
		t.Errorf("%d frames found", frames)
	}
}

// digits writes a number as the documents do: 8,192.
func digits(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
