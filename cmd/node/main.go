// Command node is a ringfleet node: it serves calling clients over WebSockets, alone or as a member of a
// cluster. Run it with --help for its settings. It ends in order on SIGTERM and SIGINT; a second signal
// ends it at once. On SIGHUP it reads its files of keys, tokens and certificates again.
//
// Exit status: 0 after a shutdown in order, 1 when something failed, 2 when the settings are wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/gateway/auth"
)

func main() { os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr)) }

// The exit statuses.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

func run(args, environ []string, stdout, stderr io.Writer) int {
	verb := ""
	if len(args) > 0 && args[0] == "config" {
		if len(args) < 2 || args[1] != "check" && args[1] != "print" {
			fmt.Fprintln(stderr, "node: config: want config check or config print, and then the node's flags")
			return exitUsage
		}
		verb, args = args[1], args[2:]
	}
	s, err := parse(args, environ, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "node: %v\n", err)
		return exitUsage
	case verb == "print":
		if err := s.print(stdout); err != nil {
			return exitError
		}
		return exitOK
	case s.check || verb == "check":
		fmt.Fprintln(stdout, "the settings are right")
		return exitOK
	}
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer restore()
	serve := s.serve
	if s.nodes > 0 {
		serve = func(ctx context.Context, stdout io.Writer, restore func()) error {
			return s.serveMany(ctx, args, stdout, stderr, restore)
		}
	}
	if err := serve(ctx, stdout, restore); err != nil {
		fmt.Fprintf(stderr, "node: %v\n", err)
		return exitError
	}
	return exitOK
}

// serve runs the node until ctx is done, or the node cannot go on.
func (s *settings) serve(ctx context.Context, stdout io.Writer, restore func()) error {
	log := s.node.Logger
	if s.tokens.mode == "development" {
		log.Warn("development authentication is on: every client on this machine is believed to be whom it claims to be",
			"instead", "--auth jwt")
	}
	if s.cluster.insecure && s.node.Cluster != nil {
		log.Warn("insecure-cluster is set: whoever reaches the addresses for nodes can be one",
			"instead", "--gossip-keys-file, --peer-cert-file, --peer-key-file and --peer-ca-file")
	}
	if s.insecureAdmin && s.node.AdminTokenFile == "" {
		log.Warn("insecure-admin is set: whoever reaches the admin address sees the cluster and may tell it who belongs to it",
			"instead", "--admin-token-file")
	}
	if s.api.plain(s.node.API) {
		log.Warn("the API is served without TLS: who can listen on its network gets the tokens", "instead", "--api-cert-file and --api-key-file")
	}
	if err := s.api.listen(s.node.API); err != nil {
		return err
	}
	gc, limit := tuneMemory()
	node, err := ringfleet.Start(s.node)
	if err != nil {
		return inUse(err)
	}
	scheme := "ws"
	if s.node.ClientTLS != nil {
		scheme = "wss"
	}
	log.Info("garbage collection", "gogc", gc, "gomemlimit", limit)
	fmt.Fprintf(stdout, "ringfleet %s serves clients on %s/v1/connect and its operator on %s\n",
		node.Name(), location(scheme, node.ClientAddress()), location("http", node.AdminAddress()))
	if s.node.Cluster != nil {
		fmt.Fprintf(stdout, "ringfleet %s gossips on %s and listens for peers on %s, cluster %s\n",
			node.Name(), node.GossipAddress(), node.PeerAddress(), s.node.Cluster.Name)
	}
	if s.tokens.set != nil {
		go func() { _ = s.tokens.set.Refresh(ctx) }() // the first login need not wait; what goes wrong is logged
	}
	fmt.Fprint(stdout, s.api.say(node))
	s.wait(ctx, node)
	restore() // a second signal ends the process
	log.Info("shutting down", "timeout", s.shutdownTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), s.shutdownTimeout)
	defer cancel()
	if err := node.Shutdown(ctx); err != nil {
		return errors.Join(node.Failure(), fmt.Errorf("shut down: %w", err))
	}
	log.Info("stopped")
	return node.Failure()
}

// wait returns when ctx is done or the node cannot go on. On SIGHUP it reads its files again; without any that
// signal does what it does to every program.
func (s *settings) wait(ctx context.Context, node *ringfleet.Node) {
	var again chan os.Signal
	if s.rereads() {
		again = make(chan os.Signal, 1)
		signal.Notify(again, syscall.SIGHUP)
		defer signal.Stop(again)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-node.Failed():
			return
		case <-again:
			s.reload(node)
		}
	}
}

// rereads reports whether there are files that can be read again.
func (s *settings) rereads() bool {
	return s.cluster.keysFile != "" || s.node.AdminTokenFile != "" || s.node.ClientTLS != nil || s.api.cert != "" || s.tokens.keys != nil || s.tokens.set != nil
}

// reload reads the files again that may change while the node runs. What is wrong stays as it was.
func (s *settings) reload(node *ringfleet.Node) {
	log := s.node.Logger
	ctx, cancel := context.WithTimeout(context.Background(), auth.JWKSTimeout+time.Second)
	defer cancel()
	if err := errors.Join(node.Reload(), s.tokens.reload(ctx)); err != nil {
		log.Error("not everything was read again; the rest stays as it was", "error", err)
	} else {
		log.Info("files read again")
	}
	if s.cluster.keysFile == "" {
		return
	}
	keys, err := s.cluster.keys()
	if err == nil {
		err = node.SetGossipKeys(keys)
	}
	if err != nil {
		log.Error("the gossip keys stay as they were", "error", err)
		return
	}
	log.Info("gossip keys read again", "file", s.cluster.keysFile, "keys", len(keys))
}

// inUse says more of an address that another program listens on.
func inUse(err error) error {
	// The library that gossips says it in words only.
	if !errors.Is(err, syscall.EADDRINUSE) && !strings.Contains(err.Error(), syscall.EADDRINUSE.Error()) {
		return err
	}
	setting := "--client-address, --admin-address, --gossip-address, --peer-address or --api-address"
	for _, name := range []string{"client", "admin", "gossip", "peer", "api"} {
		if strings.HasPrefix(err.Error(), "ringfleet: "+name+" address") {
			setting = "--" + name + "-address"
		}
	}
	return fmt.Errorf("%w: another program listens there; stop it, or choose another %s", err, setting)
}

// location returns the URL of an address, "nowhere" for none.
func location(scheme string, address net.Addr) string {
	if address == nil {
		return "nowhere"
	}
	return scheme + "://" + address.String()
}

// gcPercent is the node's GOGC where the environment sets none: actors are many and small, so that
// collecting half as often costs little memory and saves much CPU (docs/performance.md).
const gcPercent = 200

// tuneMemory sets what the environment does not, and returns what holds: GOGC in percent, -1 for off,
// and GOMEMLIMIT in bytes.
func tuneMemory() (gc int, limit int64) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	gc = debug.SetGCPercent(gcPercent)
	debug.SetGCPercent(gc)
	return gc, debug.SetMemoryLimit(-1)
}
