package ringfleet_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/invitation"
)

// logged is what a node has logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// secretive believes whoever brings the right token.
type secretive struct{}

func (secretive) Authenticate(_ context.Context, r auth.Request) (auth.Identity, error) {
	if r.Token != "a-right-token" {
		return auth.Identity{}, auth.ErrSignature
	}
	return auth.Identity{User: r.User}, nil
}

// TestLogs makes a call, and tries to log in with a wrong token, at every level of the log: it has the invitation by its
// id, and neither what users say nor what proves who they are. Who they are is nowhere, either.
func TestLogs(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo} {
		log := new(logged)
		node := start(t, ringfleet.Config{
			ClientAddress: "127.0.0.1:0", Gateway: gateway.Config{Authenticator: secretive{}},
			Logger: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: level})),
		})
		carrier := func(token string) *client.WebSocket {
			return &client.WebSocket{
				URLs:  []string{"ws://" + node.ClientAddress().String()},
				Token: func(context.Context) (string, error) { return token, nil },
			}
		}
		callee := dial(t, carrier("a-right-token"), client.Options{User: "user-callee", Device: "device-callee"})
		callee.OnRemoteInvitation(func(r *client.RemoteInvitation) { _ = r.Accept(t.Context(), "the-response") })
		caller := dial(t, carrier("a-right-token"), client.Options{User: "user-caller", Device: "device-caller"})
		call := caller.NewLocalInvitation("user-callee")
		if err := call.SetContent("the-content"); err != nil {
			t.Fatal(err)
		}
		if err := call.SetChannelID("the-channel"); err != nil {
			t.Fatal(err)
		}
		if err := call.Send(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := call.Wait(t.Context()); err != nil || call.State() != invitation.LocalAcceptedByRemote {
			t.Fatalf("%v, %v", call.State(), err)
		}
		if _, err := client.Dial(t.Context(), carrier("a-wrong-token"), client.Options{User: "user-wrong"}); err == nil {
			t.Fatal("a wrong token was taken")
		}
		id := call.ID()
		text := log.String()
		if has := strings.Contains(text, `"trace_id":"`+hex.EncodeToString(id[:])); has != (level == slog.LevelDebug) {
			t.Errorf("at %v, the log has the invitation: %t\n%s", level, has, text)
		}
		for _, said := range []string{"the-content", "the-channel", "the-response", "-token", "user-", "device-"} {
			if strings.Contains(text, said) {
				t.Errorf("at %v, %q is in the log:\n%s", level, said, text)
			}
		}
	}
}
