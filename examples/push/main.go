// Command push is a platform's back-end that wakes phones: it hears of invitations to users whose devices are all
// asleep, sends a push, and takes the notification away when it is of no use any more.
//
//	go run ./examples/push
//
// What to look at: [backEnd] receives the events, which are signed, and sends pushes by a [provider], here a mock in the
// place of Apple's and Google's; [phone] is what the app does when it is woken: it asks the signed link whether the
// invitation still waits, and only then connects and rings.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/invitation"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "push:", err)
		os.Exit(1)
	}
}

// pushTakes is how long the mock provider takes to wake a phone.
const pushTakes = 500 * time.Millisecond

// run starts the back-end and a node that tells it of invitations, and makes two calls to a phone that is asleep.
func run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	secret := make(events.Secret, 32)
	_, _ = rand.Read(secret) // never fails
	b := &backEnd{secrets: []events.Secret{secret}, provider: newMock(pushTakes)}
	server := &http.Server{Handler: b, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }() // until it is closed
	defer server.Close()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	node, err := startNode("http://"+listener.Addr().String(), "http://"+front.Addr().String(), secret, nil)
	if err != nil {
		return errors.Join(err, front.Close())
	}
	edge := &http.Server{Handler: node.Handler(), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = edge.Serve(front) }() // until it is closed
	defer edge.Close()
	err = show(ctx, out, node, b.provider.(*mock))
	return errors.Join(err, node.Shutdown(ctx))
}

// startNode starts a node that tells a back-end at an URL, and makes links for phones that reach it at another.
func startNode(backEnd, phones string, secret events.Secret, httpClient *http.Client) (*ringfleet.Node, error) {
	hook, err := events.NewWebhook(events.WebhookConfig{URL: backEnd, Secrets: []events.Secret{secret}, Client: httpClient})
	if err != nil {
		return nil, err
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	config := ringfleet.Config{Events: events.Config{
		Sinks: []events.SinkConfig{{
			Name: "push", Sink: hook, Kinds: []invitation.EventKind{invitation.EventCalleeOffline, invitation.EventClose},
		}},
		Links: &events.Links{Base: phones, Key: key},
	}}
	config.Gateway.Authenticator = auth.Development{}
	return ringfleet.Start(config)
}

// show calls a phone that is asleep, twice: it is woken and answers, and the caller gives up before it wakes.
func show(ctx context.Context, out io.Writer, carrier client.Carrier, pushes *mock) error {
	bob := &phone{user: "bob", carrier: carrier, http: http.DefaultClient, out: out}
	pushes.register("bob", bob.woken)
	alice, err := client.Dial(ctx, carrier, client.Options{User: "alice"})
	if err != nil {
		return err
	}
	defer alice.Close()
	call := alice.NewLocalInvitation("bob")
	if err := call.Send(ctx); err != nil {
		return err
	}
	if err := call.Wait(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "alice's call ended as %v, bob says %q\n", call.State(), call.Response())
	bob.sleep()
	pushes.gate.Lock() // the provider takes its time
	call = alice.NewLocalInvitation("bob")
	err = call.Send(ctx)
	for err == nil && !pushes.sentFor(call.ID()) {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	err = errors.Join(err, call.Cancel(ctx))
	pushes.gate.Unlock()
	if err != nil {
		return err
	}
	if err := call.Wait(ctx); err != nil {
		return err
	}
	pushes.wait()
	fmt.Fprintf(out, "alice's call ended as %v, and bob's phone rang %d times in all\n", call.State(), bob.rings())
	bob.sleep()
	return nil
}
