package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
)

// apiNode starts a node with an API, and returns what to call it with.
func apiNode(t *testing.T) (*ringfleet.Node, func(args ...string) (int, string, string)) {
	t.Helper()
	dir := t.TempDir()
	secret := strings.Repeat("0123456789abcdef", 4)
	tokens, mine := filepath.Join(dir, "tokens"), filepath.Join(dir, "mine")
	for file, text := range map[string]string{tokens: "ops * " + secret + "\n", mine: secret + "\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	node, err := ringfleet.Start(ringfleet.Config{
		Name: "one", API: &ringfleet.APIConfig{Address: "127.0.0.1:0", TokensFile: tokens},
		Gateway: gateway.Config{Authenticator: auth.Development{}},
	})
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
	return node, func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		all := append([]string{"--api", "http://" + node.APIAddress().String(), "--token", mine}, args...)
		status := run(t.Context(), all, strings.NewReader(""), &out, &errs)
		return status, out.String(), errs.String()
	}
}

func TestAPICommands(t *testing.T) {
	node, ringctl := apiNode(t)
	ringing := make(chan *client.RemoteInvitation, 2)
	bob, err := client.Dial(t.Context(), node, client.Options{
		User: "bob", Device: "desk", OnRemoteInvitation: func(r *client.RemoteInvitation) { ringing <- r },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer bob.Close()
	want := func(status int, args []string, parts ...string) string {
		t.Helper()
		got, out, errs := ringctl(args...)
		if got != status {
			t.Fatalf("%q: status %d, want %d: %s%s", args, got, status, out, errs)
		}
		for _, part := range parts {
			if !strings.Contains(out+errs, part) {
				t.Errorf("%q: no %q in\n%s%s", args, part, out, errs)
			}
		}
		return out
	}
	call := []string{"send", "--from", "alice", "--to", "bob", "--key", "k1", "--content", "taxi\x1b[2J", "--output", "json"}
	var sent struct {
		Invitation struct {
			ID    string `json:"id"`
			State string `json:"localState"`
		} `json:"invitation"`
	}
	if err := json.Unmarshal([]byte(want(exitOK, call)), &sent); err != nil || sent.Invitation.ID == "" || sent.Invitation.State == "" {
		t.Fatalf("%v: %+v", err, sent)
	}
	id := sent.Invitation.ID
	<-ringing
	want(exitOK, call, id) // again
	want(exitOK, []string{"get", "invitation", id}, "alice on api", "bob", "taxi�[2J", "REMAINING")
	want(exitOK, []string{"get", "user", "bob"}, "bob, on node one: 0 outgoing, 1 incoming", "desk", "from alice")
	want(exitOK, []string{"cancel", id}, "CANCELED CALLER_CANCELED")
	var user struct {
		User     struct{ Devices []any }
		Outcomes []any
	}
	if err := json.Unmarshal([]byte(want(exitOK, []string{"get", "--output=json", "user", "bob"})), &user); err != nil || len(user.Outcomes) != 1 || len(user.User.Devices) != 1 {
		t.Errorf("%v: %+v", err, user)
	}
	want(exitOK, []string{"end", "bob", "desk"}, "bob is logged out on desk")
	want(exitError, []string{"end", "bob", "desk"}, "NOT_FOUND")
	want(exitOK, []string{"end", "bob"}, "bob was not logged in")
	want(exitOK, []string{"cluster"}, "one", "serving", "4096")
	want(exitError, []string{"drain", "one"}, "FAILED_PRECONDITION")
	want(exitError, []string{"get", "invitation", "x"}, "INVALID_ARGUMENT: invitation_id")
	want(exitError, []string{"cluster", "--token", ""}, "UNAUTHENTICATED")
	want(exitRetry, []string{"cluster", "--api", "http://127.0.0.1:1"}, "UNAVAILABLE")
	want(exitUsage, []string{"get", "bob"}, "want")
	want(exitUsage, []string{"send", "--from", "alice"}, "send needs")
	want(exitUsage, []string{"cluster", "--output", "xml"}, "table or json")
	want(exitUsage, []string{"cluster", "--api", "127.0.0.1"}, "http://")
}

func TestWatch(t *testing.T) {
	node, _ := apiNode(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := &until{text: `"one"`, found: cancel}
	var errs bytes.Buffer
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(strings.Repeat("0123456789abcdef", 4)), 0o600); err != nil {
		t.Fatal(err)
	}
	status := run(ctx, []string{"watch", "--output", "json", "--token", token, "--api", "http://" + node.APIAddress().String()}, nil, seen, &errs)
	if status != exitOK || !strings.Contains(seen.all, `"lifecycle":"LIFECYCLE_SERVING"`) {
		t.Errorf("status %d, %s%s", status, seen.all, errs.String())
	}
}

// until calls found when it has been written a text.
type until struct {
	text, all string
	found     func()
}

func (u *until) Write(p []byte) (int, error) {
	if u.all += string(p); strings.Contains(u.all, u.text) {
		u.found()
	}
	return len(p), nil
}

func TestFirstWord(t *testing.T) {
	for args, want := range map[string]bool{
		"get user send": true, "--api http://x get": true, "--output=json cluster": true,
		"phone --user send": false, "--user get phone": false, "demo": false, "": false, "--json demo": false,
	} {
		if got := isAPICommand(strings.Fields(args)); got != want {
			t.Errorf("%q: %v, want %v", args, got, want)
		}
	}
}
