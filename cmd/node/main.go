// Command node is a ringfleet node: it serves calling clients over WebSockets. Run it with --help
// for its settings. It ends in order on SIGTERM and SIGINT; a second signal ends it at once.
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
	"syscall"

	"github.com/ringfleet/ringfleet"
)

func main() { os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr)) }

// The exit statuses.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

func run(args, environ []string, stdout, stderr io.Writer) int {
	s, err := parse(args, environ, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "node: %v\n", err)
		return exitUsage
	case s.check:
		fmt.Fprintln(stdout, "the settings are right")
		return exitOK
	}
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer restore()
	if err := s.serve(ctx, stdout, restore); err != nil {
		fmt.Fprintf(stderr, "node: %v\n", err)
		return exitError
	}
	return exitOK
}

// serve runs the node until ctx is done.
func (s *settings) serve(ctx context.Context, stdout io.Writer, restore func()) error {
	log := s.node.Logger
	if s.authentication == "development" {
		log.Warn("development authentication is on: every client on this machine is believed to be whom it claims to be",
			"instead", "--auth jwt")
	}
	gc, limit := tuneMemory()
	node, err := ringfleet.Start(s.node)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: another program listens there; stop it, or choose another --client-address or --admin-address", err)
	}
	if err != nil {
		return err
	}
	log.Info("garbage collection", "gogc", gc, "gomemlimit", limit)
	fmt.Fprintf(stdout, "ringfleet %s serves clients on %s/v1/connect and its operator on %s\n",
		node.Name(), location("ws", node.ClientAddress()), location("http", node.AdminAddress()))
	<-ctx.Done()
	restore() // a second signal ends the process
	log.Info("shutting down", "timeout", s.shutdownTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), s.shutdownTimeout)
	defer cancel()
	if err := node.Shutdown(ctx); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	log.Info("stopped")
	return nil
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
