package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
)

// What the demo's callee does, by the content of the invitation.
const (
	contentAccept = "lunch?"
	contentRefuse = "now?"
	contentWait   = "are you there?"
)

// demo makes four calls from alice to bob, under names that nobody else has.
func demo(ctx context.Context, o *options, out io.Writer) error {
	carrier, err := o.carrier()
	if err != nil {
		return err
	}
	suffix := strings.ToLower(rand.Text()[:4])
	t := newTrace(out)
	connect := func(name string) (*client.Client, error) {
		user := invitation.User(name + "-" + suffix)
		return client.Dial(ctx, carrier, client.Options{
			User: user, Device: invitation.Device(name + "s-phone"), Observer: t.observer(invitation.User(name)),
		})
	}
	alice, err := connect("alice")
	if err != nil {
		return fmt.Errorf("log in to %s: %w (is a node running? go run ./cmd/node)", strings.Join(o.targets, ", "), err)
	}
	defer alice.Close()
	bob, err := connect("bob")
	if err != nil {
		return err
	}
	defer bob.Close()
	rings := make(chan *client.RemoteInvitation, 4) // one per call
	bob.OnRemoteInvitation(func(r *client.RemoteInvitation) {
		rings <- r
		switch r.Content() {
		case contentAccept:
			_ = r.Accept(ctx, "with pleasure") // an error is in the trace
		case contentRefuse:
			_ = r.Refuse(ctx, "in a meeting")
		}
	})
	for _, call := range []struct {
		title, content string
		timers         invitation.Timers
		then           func(*client.LocalInvitation) error
	}{
		{title: "accepted", content: contentAccept},
		{title: "refused", content: contentRefuse},
		{title: "canceled by the caller after one second", content: contentWait, then: func(l *client.LocalInvitation) error {
			select {
			case <-time.After(time.Second):
				return l.Cancel(ctx)
			case <-ctx.Done():
				return ctx.Err()
			}
		}},
		{
			title: "nobody answers: expires after two seconds (60 s by default)", content: contentWait,
			timers: invitation.Timers{Expire: 2 * time.Second},
		},
	} {
		if err := demoCall(ctx, t, alice, bob.User(), call.title, call.content, call.timers, call.then); err != nil {
			return err
		}
		select {
		case r := <-rings: // it ends on bob's side too, before the next one
			if err := r.Wait(ctx); err != nil {
				return err
			}
			_ = r.State() // waits for the client, which is in the middle of its last step
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return bob.Logout(ctx)
}

func demoCall(ctx context.Context, t *trace, alice *client.Client, bob invitation.User, title, content string,
	timers invitation.Timers, then func(*client.LocalInvitation) error,
) error {
	t.restart()
	t.note("\n== %s", title)
	call := alice.NewLocalInvitation(bob)
	if err := call.SetContent(content); err != nil {
		return err
	}
	if err := call.SetTimers(timers); err != nil {
		return err
	}
	if err := call.Send(ctx); err != nil {
		return err
	}
	if then != nil {
		if err := then(call); err != nil {
			return err
		}
	}
	if err := call.Wait(ctx); err != nil {
		return err
	}
	if r := call.Response(); r != "" {
		t.note("   bob's words: %q", r)
	}
	return nil
}
