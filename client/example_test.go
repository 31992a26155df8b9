package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
)

// In the examples node is a Carrier in memory. Over the network it is
//
//	node := &client.WebSocket{URLs: []string{"wss://rings.example.com"}, Token: client.StaticToken(token)}

func Example() {
	ctx, node := context.Background(), newFakeNode()

	bob, err := client.Dial(ctx, node, client.Options{
		User: "bob",
		OnRemoteInvitation: func(r *client.RemoteInvitation) {
			fmt.Printf("%s calls: %s\n", r.Caller(), r.Content())
			if err := r.Accept(ctx, "on my way"); err != nil {
				fmt.Println("accept:", err)
			}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bob.Close()

	alice, err := client.Dial(ctx, node, client.Options{User: "alice"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer alice.Close()

	call := alice.NewLocalInvitation("bob")
	if err := call.SetContent("lunch?"); err != nil {
		fmt.Println(err)
	}
	if err := call.Send(ctx); err != nil {
		fmt.Println("send:", err)
		return
	}
	if err := call.Wait(ctx); err != nil {
		fmt.Println("wait:", err)
		return
	}
	fmt.Printf("%v: %s\n", call.State(), call.Response())
	// Output:
	// alice calls: lunch?
	// ACCEPTED_BY_REMOTE: on my way
}

func ExampleLocalInvitation_Cancel() {
	ctx, node := context.Background(), newFakeNode()
	alice, _ := client.Dial(ctx, node, client.Options{User: "alice"})
	defer alice.Close()

	call := alice.NewLocalInvitation("bob")
	err := call.Cancel(ctx)
	fmt.Println(errors.Is(err, invitation.NotStarted))

	_ = call.Send(ctx)
	fmt.Println(call.Cancel(ctx))
	_ = call.Wait(ctx)
	fmt.Println(call.State(), call.Reason())
	// Output:
	// true
	// <nil>
	// CANCELED CALLER_CANCELED
}

// Events come by callbacks, or as here by a channel.
func ExampleClient_Events() {
	ctx, node := context.Background(), newFakeNode()
	bob, _ := client.Dial(ctx, node, client.Options{
		User:               "bob",
		OnRemoteInvitation: func(r *client.RemoteInvitation) { _ = r.Refuse(ctx, "in a meeting") },
	})
	defer bob.Close()

	alice := client.New(node, client.Options{User: "alice"})
	events := alice.Events()
	if err := alice.Login(ctx); err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = alice.NewLocalInvitation("bob").Send(ctx) }()
	for ev := range events {
		fmt.Println(ev.Kind)
		if ev.Kind == client.LocalInvitationRefused {
			fmt.Println(ev.Local.Response())
			_ = alice.Close() // closes the channel
		}
	}
	// Output:
	// SessionConnected
	// LocalInvitationReceivedByPeer
	// LocalInvitationRefused
	// in a meeting
}

// One invitation's events, with the names of the contract.
func ExampleLocalInvitation_OnEvent() {
	ctx, node := context.Background(), newFakeNode()
	bob, _ := client.Dial(ctx, node, client.Options{
		User:               "bob",
		OnRemoteInvitation: func(r *client.RemoteInvitation) { _ = r.Accept(ctx, "") },
	})
	defer bob.Close()
	alice, _ := client.Dial(ctx, node, client.Options{User: "alice"})
	defer alice.Close()

	over := make(chan struct{})
	call := alice.NewLocalInvitation("bob")
	call.OnEvent(func(ev client.Event) {
		fmt.Println(ev.Kind)
		if ev.Kind.Terminal() {
			close(over)
		}
	})
	_ = call.Send(ctx)
	<-over
	// Output:
	// LocalInvitationReceivedByPeer
	// LocalInvitationAccepted
}

// An invitation may set time limits of its own, and a method's context may end earlier than those.
func ExampleLocalInvitation_SetTimers() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	node := newFakeNode()
	alice, _ := client.Dial(ctx, node, client.Options{User: "alice"})
	defer alice.Close()

	call := alice.NewLocalInvitation("bob")
	_ = call.SetTimers(invitation.Timers{Expire: time.Hour})
	fmt.Println(errors.Is(call.Send(ctx), invitation.InvalidArgument))
	_ = call.SetTimers(invitation.Timers{NoResponse: 10 * time.Second, Expire: 20 * time.Second})
	fmt.Println(call.Send(ctx))
	fmt.Println(errors.Is(call.Send(ctx), invitation.AlreadySent))
	// Output:
	// true
	// <nil>
	// true
}

// What to do about the errors of a send.
func ExampleRetryError() {
	tell := func(err error) {
		var retry *client.RetryError
		switch {
		case err == nil:
			fmt.Println("ringing soon")
		case errors.As(err, &retry):
			fmt.Println("too many calls, again in", retry.After)
		case errors.Is(err, invitation.LimitExceeded):
			fmt.Println("too many calls")
		case errors.Is(err, client.ErrNotLoggedIn):
			fmt.Println("log in first")
		default:
			fmt.Println(err)
		}
	}
	tell(&client.RetryError{Code: invitation.LimitExceeded, After: 2 * time.Second})
	tell(invitation.LimitExceeded)
	tell(client.New(newFakeNode(), client.Options{User: "alice"}).NewLocalInvitation("bob").Send(context.Background()))
	// Output:
	// too many calls, again in 2s
	// too many calls
	// log in first
}

// A client of a node over the network. It compiles, but needs a node to run.
func ExampleWebSocket() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	carrier := &client.WebSocket{
		URLs:  []string{"wss://rings-0.example.com", "wss://rings-1.example.com"},
		Token: client.StaticToken(os.Getenv("TOKEN")),
	}
	c, err := client.Dial(ctx, carrier, client.Options{User: "alice", Device: "alices-phone"})
	switch {
	case errors.Is(err, invitation.EndUnauthorized):
		fmt.Println("get a new token")
	case err != nil:
		fmt.Println("no node can be reached:", err)
	default:
		defer c.Close()
		fmt.Println("logged in as", c.User())
		_ = c.Logout(ctx)
	}
}
