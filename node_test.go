package ringfleet_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/invitation"
)

// start starts a node that is shut down at the end of the test.
func start(t *testing.T, config ringfleet.Config) *ringfleet.Node {
	t.Helper()
	if config.Gateway.Authenticator == nil {
		config.Gateway.Authenticator = auth.Development{}
	}
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
	return node
}

// dial logs a user in over a carrier.
func dial(t *testing.T, carrier client.Carrier, options client.Options) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), carrier, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestInProcessCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outcomes := make(chan ringfleet.Outcome, 1)
		node := start(t, ringfleet.Config{OnOutcome: func(o ringfleet.Outcome) { outcomes <- o }})
		bob := dial(t, node, client.Options{User: "bob", Device: "desk"})
		bob.OnRemoteInvitation(func(r *client.RemoteInvitation) {
			if err := r.Accept(t.Context(), "coming"); err != nil {
				t.Error(err)
			}
		})
		alice := dial(t, node, client.Options{User: "alice", Device: "cell"})
		call := alice.NewLocalInvitation("bob")
		if err := call.Send(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := call.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if call.State() != invitation.LocalAcceptedByRemote || call.Response() != "coming" {
			t.Errorf("the call ended as %v with %q, want ACCEPTED_BY_REMOTE with %q", call.State(), call.Response(), "coming")
		}
		o := <-outcomes
		if o.Outcome != invitation.Accepted || o.Caller != "alice" || o.CalleeDevice != "desk" {
			t.Errorf("the outcome was %+v", o)
		}
	})
}

func TestWebSocketCall(t *testing.T) {
	node := start(t, ringfleet.Config{ClientAddress: "127.0.0.1:0", Gateway: gateway.Config{}})
	for _, json := range []bool{false, true} {
		carrier := &client.WebSocket{URLs: []string{"ws://" + node.ClientAddress().String()}, JSON: json}
		bob := dial(t, carrier, client.Options{User: "bob"})
		bob.OnRemoteInvitation(func(r *client.RemoteInvitation) { _ = r.Refuse(t.Context(), "no") })
		alice := dial(t, carrier, client.Options{User: "alice"})
		call := alice.NewLocalInvitation("bob")
		if err := call.Send(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := call.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if call.State() != invitation.LocalRefusedByRemote || call.Response() != "no" {
			t.Errorf("the call ended as %v with %q", call.State(), call.Response())
		}
	}
}
