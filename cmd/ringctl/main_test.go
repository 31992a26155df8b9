package main

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/gateway/auth"
)

// startNode starts a node on loopback, and returns its URL.
func startNode(t *testing.T) string {
	t.Helper()
	config := ringfleet.Config{ClientAddress: "127.0.0.1:0"}
	config.Gateway.Authenticator = auth.Development{}
	node, err := ringfleet.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := node.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return "ws://" + node.ClientAddress().String()
}

// timeout bounds a test.
func timeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// TestDemo shows each of the four calls from the send to the end of both sides.
func TestDemo(t *testing.T) {
	for _, extra := range [][]string{nil, {"--json"}} {
		var out, errs bytes.Buffer
		code := run(timeout(t), append([]string{"demo", "--target", startNode(t)}, extra...), strings.NewReader(""), &out, &errs)
		if code != exitOK || errs.Len() != 0 {
			t.Fatalf("status %d, %q", code, errs.String())
		}
		calls := strings.Split(out.String(), "\n== ")[1:]
		if len(calls) != 4 {
			t.Fatalf("the demo shows %d calls:\n%s", len(calls), out.String())
		}
		for i, ends := range [][2]string{
			{`alice .*LocalInvitationAccepted`, `bob .*RemoteInvitationAccepted`},
			{`alice .*LocalInvitationRefused`, `bob .*RemoteInvitationRefused`},
			{`(?s)\[CANCELED CALLER_CANCELED\]\n.*alice [^\n]*LocalInvitationCanceled`, `bob .*RemoteInvitationCanceled`},
			{`alice .*\[FAILURE EXPIRE EXPIRED\]`, `bob .*\[FAILURE EXPIRE EXPIRED\]`},
		} {
			for _, want := range append(ends[:],
				`alice .*→ send   \[IDLE\]`, `alice .*← answer: send taken   \[SENT_TO_REMOTE\]`, `alice .*LocalInvitationReceivedByPeer   \[RECEIVED_BY_REMOTE\]`,
				`bob .*word: seen   \[INVITATION_RECEIVED\]`) {
				if !regexp.MustCompile(want).MatchString(calls[i]) {
					t.Errorf("call %d shows no %q:\n%s", i+1, want, calls[i])
				}
			}
			if strings.Contains(calls[i], "!!") {
				t.Errorf("call %d shows a violation:\n%s", i+1, calls[i])
			}
		}
	}
}

func TestDemoWithoutNode(t *testing.T) {
	var out, errs bytes.Buffer
	code := run(timeout(t), []string{"--target", "ws://127.0.0.1:1", "demo"}, strings.NewReader(""), &out, &errs)
	if code != exitError || !strings.Contains(errs.String(), "go run ./cmd/node") {
		t.Errorf("status %d, %q", code, errs.String())
	}
}

func TestWrongArguments(t *testing.T) {
	for args, want := range map[string]string{
		"":                           "no command",
		"ring":                       `unknown command "ring"`,
		"demo now":                   `unexpected argument "now"`,
		"demo --loud":                "loud",
		"--loud demo":                "loud",
		"phone":                      "phone needs --user",
		"phone --user":               "user",
		"demo --target ws://x extra": `unexpected argument "extra"`,
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), strings.Fields(args), strings.NewReader(""), &out, &errs)
		if code != exitUsage || !strings.Contains(errs.String(), want) || !strings.Contains(errs.String(), "ringctl demo") || out.Len() != 0 {
			t.Errorf("ringctl %s: status %d, %q; want 2, a reason with %q and the usage", args, code, errs.String(), want)
		}
	}
	for args, want := range map[string]string{
		"demo --target ftp://x":                "want ws://",
		"phone --user alice --token /no/token": "/no/token",
		"phone --user no/body":                 "BAD_LOGIN",
	} {
		var out, errs bytes.Buffer
		code := run(timeout(t), strings.Fields(args), strings.NewReader(""), &out, &errs)
		if code != exitError || !strings.Contains(errs.String(), want) {
			t.Errorf("ringctl %s: status %d, %q, want 1 and a reason with %q", args, code, errs.String(), want)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"--help"}, {"-h"}, {"phone", "--help"}} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), args, strings.NewReader(""), &out, &errs); code != exitOK || !strings.Contains(out.String(), "ringctl phone --user ID") {
			t.Errorf("ringctl %v: status %d, %q, %q", args, code, out.String(), errs.String())
		}
	}
}

// handheld is a `ringctl phone` at which the test types.
type handheld struct {
	t    *testing.T
	ctx  context.Context
	in   *io.PipeWriter
	done chan int

	mu   sync.Mutex
	text strings.Builder
	more chan struct{} // closed with the next output
	read int           // what expect has passed
}

func pickUp(t *testing.T, ctx context.Context, args ...string) *handheld { //nolint:revive // the test comes first
	t.Helper()
	in, keys := io.Pipe()
	h := &handheld{t: t, ctx: ctx, in: keys, done: make(chan int, 1), more: make(chan struct{})}
	go func() { h.done <- run(ctx, append([]string{"phone"}, args...), in, h, h) }()
	t.Cleanup(func() { _ = keys.Close() }) // ends the phone, if the test did not
	h.expect("logged in as")
	return h
}

// Write implements io.Writer, for the phone.
func (h *handheld) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.more)
	h.more = make(chan struct{})
	return h.text.Write(b)
}

func (h *handheld) types(line string) {
	h.t.Helper()
	if _, err := io.WriteString(h.in, line+"\n"); err != nil {
		h.t.Fatal(err)
	}
}

// expect waits for a text in the output, behind the one expected last.
func (h *handheld) expect(want string) {
	h.t.Helper()
	for {
		h.mu.Lock()
		rest, more := h.text.String()[h.read:], h.more
		at := strings.Index(rest, want)
		if at >= 0 {
			h.read += at + len(want)
		}
		h.mu.Unlock()
		if at >= 0 {
			return
		}
		select {
		case <-more:
		case <-h.ctx.Done():
			h.t.Fatalf("the phone does not show %q, but\n%s", want, rest)
		}
	}
}

// quits waits for the exit status.
func (h *handheld) quits(want int) {
	h.t.Helper()
	select {
	case code := <-h.done:
		if code != want {
			h.t.Errorf("status %d, want %d", code, want)
		}
	case <-h.ctx.Done():
		h.t.Fatal("the phone does not quit")
	}
}

// TestPhones has two people at two phones.
func TestPhones(t *testing.T) {
	ctx, url := timeout(t), startNode(t)
	alice := pickUp(t, ctx, "--target", url, "--user", "alice")
	bob := pickUp(t, ctx, "--target", url, "--user", "bob", "--device", "tablet", "--json")

	alice.types("help")
	alice.expect("call USER [CONTENT]")
	alice.types("dance")
	alice.expect(`unknown command "dance"`)
	for _, line := range []string{"accept", "cancel", "refuse 7"} {
		alice.types(line)
		alice.expect("type list")
	}
	alice.types("call")
	alice.expect("call whom?")

	alice.types("call bob shall we eat?")
	bob.expect(`invitation 1: alice calls: "shall we eat?"`)
	alice.expect("[RECEIVED_BY_REMOTE]")
	bob.types("accept 1 with pleasure")
	bob.expect("[ACCEPTED]")
	alice.expect("[ACCEPTED_BY_REMOTE]")
	alice.types("cancel 1")
	alice.expect("ALREADY_END")

	alice.types("call bob")
	bob.expect("invitation 2: alice calls")
	bob.types("refuse busy")
	alice.expect("[REFUSED_BY_REMOTE]")

	bob.types("call alice")
	alice.expect("invitation 3: bob calls")
	bob.types("cancel")
	alice.expect("[CANCELED CALLER_CANCELED]")
	alice.types("list")
	alice.expect("1  to bob: ACCEPTED_BY_REMOTE")
	alice.expect("2  to bob: REFUSED_BY_REMOTE")
	alice.expect("3  from bob: CANCELED CALLER_CANCELED")

	alice.types("quit")
	alice.quits(exitOK)
	if err := bob.in.Close(); err != nil { // the end of the input is a quit
		t.Fatal(err)
	}
	bob.quits(exitOK)
}

// TestPhoneIsReplaced ends the phone whose user logs in elsewhere.
func TestPhoneIsReplaced(t *testing.T) {
	ctx, url := timeout(t), startNode(t)
	older := pickUp(t, ctx, "--target", url, "--user", "alice", "--device", "desk")
	newer := pickUp(t, ctx, "--target", url, "--user", "alice", "--device", "cell")
	older.expect("REMOTE_LOGIN")
	older.quits(exitError)
	newer.types("quit")
	newer.quits(exitOK)
}
