// Command embed is a complete program with a ringfleet node inside: a host that has an HTTP server and
// users of its own, and lets them ring each other.
//
//	go run ./examples/embed           shows a few calls and exits
//	go run ./examples/embed --serve   goes on serving, until it is interrupted
//
// What to look at: [start] configures the node and mounts it on the host's server; [show] makes calls
// between devices of this process, which pay for no socket, and one over a WebSocket.
package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/invitation"
)

func main() {
	address := flag.String("address", "127.0.0.1:0", "`host:port` of the host's own HTTP server")
	serve := flag.Bool("serve", false, "go on serving after the calls")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *address, *serve); err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

// sessions are the host's logged-in users by the session key that the host gave them. A real host has
// them in a database.
type sessions map[string]invitation.User

// Authenticate decides who a device is. It implements the gateway's Authenticator.
func (s sessions) Authenticate(_ context.Context, r auth.Request) (auth.Identity, error) {
	if r.Token == "" {
		return auth.Identity{}, auth.ErrNoToken
	}
	for key, user := range s {
		if subtle.ConstantTimeCompare([]byte(key), []byte(r.Token)) == 1 {
			return auth.Identity{User: user, Expires: time.Now().Add(time.Hour)}, nil
		}
	}
	return auth.Identity{}, auth.ErrBadToken
}

// blocked are the pairs of which the first may not ring the second.
var blocked = map[[2]invitation.User]bool{{"mallory", "bob"}: true}

// mayInvite decides who may ring whom. It may ask a database, until ctx is done.
func mayInvite(_ context.Context, caller, callee invitation.User) (bool, error) {
	return !blocked[[2]invitation.User{caller, callee}], nil
}

// host is the program around the node.
type host struct {
	node   *ringfleet.Node
	server *http.Server
	url    string
	served chan error
}

// start starts a node and the host's HTTP server, on which devices find the node at /v1/connect.
func start(address string, outcomes chan<- ringfleet.Outcome) (*host, error) {
	config := ringfleet.Config{
		Name: "embedded",
		OnOutcome: func(o ringfleet.Outcome) { // called by an actor: it must not block
			select {
			case outcomes <- o:
			default: // a bill that must not be lost needs a queue of its own
			}
		},
	}
	config.Gateway.Authenticator = sessions{"alices-key": "alice", "bobs-key": "bob", "carols-key": "carol"}
	config.Gateway.MayInvite = mayInvite
	node, err := ringfleet.Start(config)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, errors.Join(err, node.Shutdown(context.Background()))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "the host's own page") })
	mux.Handle("/v1/connect", node.Handler())
	h := &host{
		node: node, url: "ws://" + listener.Addr().String(), served: make(chan error, 1),
		server: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second},
	}
	go func() { h.served <- h.server.Serve(listener) }()
	return h, nil
}

// stop ends the node first, so that devices are told to come back, then the server.
func (h *host) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := errors.Join(h.node.Shutdown(ctx), h.server.Shutdown(ctx))
	if served := <-h.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

func run(ctx context.Context, out io.Writer, address string, serve bool) error {
	out = &oneAtATime{to: out} // callbacks of devices write, too
	outcomes := make(chan ringfleet.Outcome, 16)
	h, err := start(address, outcomes)
	if err != nil {
		return err
	}
	err = h.show(ctx, out, outcomes)
	if serve && err == nil {
		fmt.Fprintf(out, "serving %s/v1/connect; log in with one of the keys, like alices-key\n", h.url)
		select {
		case <-ctx.Done():
		case err = <-h.served:
			h.served <- err
		}
	}
	return errors.Join(err, h.stop())
}

// show makes three calls to bob.
func (h *host) show(ctx context.Context, out io.Writer, outcomes <-chan ringfleet.Outcome) error {
	// A device of this process: the node is the carrier. The program is trusted to say who it is.
	bob, err := client.Dial(ctx, h.node, client.Options{User: "bob", Device: "desk"})
	if err != nil {
		return err
	}
	defer bob.Close()
	bob.OnRemoteInvitation(func(r *client.RemoteInvitation) {
		fmt.Fprintf(out, "bob's desk rings: %s calls: %q\n", r.Caller(), r.Content())
		if err := r.Accept(ctx, "hello "+string(r.Caller())); err != nil {
			fmt.Fprintln(out, "bob could not accept:", err)
		}
	})
	for _, caller := range []struct {
		user    invitation.User
		carrier client.Carrier
	}{
		{"alice", h.node},
		{"carol", &client.WebSocket{URLs: []string{h.url}, Token: client.StaticToken("carols-key")}},
		{"mallory", h.node},
	} {
		if err := call(ctx, out, caller.carrier, caller.user, outcomes); err != nil {
			return err
		}
	}
	return nil
}

// call rings bob, and waits until both this device and the observer know how it ended.
func call(ctx context.Context, out io.Writer, carrier client.Carrier, user invitation.User, outcomes <-chan ringfleet.Outcome) error {
	device, err := client.Dial(ctx, carrier, client.Options{User: user})
	if err != nil {
		return fmt.Errorf("log in as %s: %w", user, err)
	}
	defer device.Close()
	invited := device.NewLocalInvitation("bob")
	if err := invited.SetContent("lunch?"); err != nil {
		return err
	}
	switch err := invited.Send(ctx); {
	case errors.Is(err, invitation.Forbidden):
		fmt.Fprintf(out, "%s may not ring bob\n", user)
		return nil
	case err != nil:
		return err
	}
	if err := invited.Wait(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s's call ended as %v, bob says %q\n", user, invited.State(), invited.Response())
	select {
	case o := <-outcomes:
		fmt.Fprintf(out, "observed: %s rang %s's %s: %v\n", o.Caller, o.Callee, o.CalleeDevice, o.Outcome)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// oneAtATime is a writer for several goroutines.
type oneAtATime struct {
	mu sync.Mutex
	to io.Writer
}

func (w *oneAtATime) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}
