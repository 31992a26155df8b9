package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"
)

const (
	// maxNodes bounds how many nodes --nodes starts.
	maxNodes = 16
	// startTimeout is how long one of them has to say its addresses, killTimeout how much longer than its
	// own shutdown-timeout to end.
	startTimeout = 20 * time.Second
	killTimeout  = 5 * time.Second
)

// checkNodes returns what is wrong with --nodes beside the other settings.
func (s *settings) checkNodes() error {
	if s.nodes == 0 {
		return nil
	}
	var errs []error
	want := func(ok bool, format string, values ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("nodes: "+format, values...))
		}
	}
	c := &s.cluster
	want(s.nodes > 0 && s.nodes <= maxNodes, "%d: want 1 to %d, or 0 for this node only", s.nodes, maxNodes)
	want(c.gossip != "" && c.gossip != off, "gossip-address is off, so that the nodes could not find each other")
	for _, a := range []struct{ name, address string }{
		{"client-address", s.node.ClientAddress},
		{"admin-address", s.node.AdminAddress},
		{"gossip-address", c.gossip},
		{"peer-address", c.peer},
	} {
		want(isLoopback(a.address) || a.address == off, "%s is %q: this is for trying things out, so want an address on loopback", a.name, a.address)
	}
	want(c.gossipAdvertise+c.peerAdvertise+c.clientAdvertise == "", "all nodes would advertise the same address")
	if s.node.API != nil && s.api.address != auto {
		want(isLoopback(s.api.address), "api-address is %q: this is for trying things out, so want an address on loopback", s.api.address)
	}
	return errors.Join(errs...)
}

// child is a node in a process of its own.
type child struct {
	name  string
	cmd   *exec.Cmd
	said  chan []string // its addresses, once: clients, operator, gossip, peers, API
	ended chan struct{} // closed when it has
	err   error         // how it ended
}

// group is the nodes of --nodes.
type group struct {
	settings *settings
	args     []string // of this command
	mu       sync.Mutex
	stderr   io.Writer // guarded by mu
	children []*child
}

// serveMany runs several nodes, each in a process of its own, until ctx is done or all have ended.
func (s *settings) serveMany(ctx context.Context, args []string, stdout, stderr io.Writer, restore func()) error {
	// The children end when this thread does; without this, that could be before the process does.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g := &group{settings: s, args: args, stderr: stderr}
	err := g.start(ctx, stdout)
	if err == nil {
		g.wait(ctx)
	}
	restore() // a second signal ends this process, and with it the others
	return errors.Join(err, g.stop())
}

// start starts the nodes one after the other, each joining the first, and prints where they are.
func (g *group) start(ctx context.Context, stdout io.Writer) error {
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tCLIENTS\tOPERATOR\tGOSSIP\tPEERS\tAPI")
	join := g.settings.cluster.join
	for i := range g.settings.nodes {
		c := g.child(i, join)
		if err := c.cmd.Start(); err != nil {
			return fmt.Errorf("start %s: %w", c.name, err)
		}
		g.children = append(g.children, c)
		go func() {
			c.err = c.cmd.Wait()
			close(c.ended)
		}()
		addresses, err := c.addresses(ctx)
		if err != nil {
			return err
		}
		if i == 0 {
			join = strings.Trim(join+","+addresses[2], ",")
		}
		fmt.Fprintf(table, "%s\t%s\n", c.name, strings.Join(addresses, "\t"))
	}
	return table.Flush()
}

// child prepares node number i.
func (g *group) child(i int, join string) *child {
	s, c := g.settings, &child{said: make(chan []string, 1), ended: make(chan struct{})}
	c.name = fmt.Sprintf("%s-%d", s.node.Name, i)
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	args := append(append([]string(nil), g.args...), // the last of two flags wins
		"--nodes", "0", "--name", c.name, "--join", join,
		"--client-address", address(s.node.ClientAddress, i), "--admin-address", address(s.node.AdminAddress, i),
		"--gossip-address", freeAddress(s.cluster.gossip, i), "--peer-address", freeAddress(s.cluster.peer, i),
		"--api-address", s.api.of(i, s.node.API))
	c.cmd = exec.Command(self, args...) //nolint:gosec // this program
	c.cmd.SysProcAttr = endsWithParent()
	c.cmd.Stdout = &lines{each: c.listen(s.node.API != nil)}
	c.cmd.Stderr = &lines{each: func(line string) {
		g.mu.Lock()
		defer g.mu.Unlock()
		fmt.Fprintf(g.stderr, "%s | %s\n", c.name, line)
	}}
	return c
}

// address returns base with a port that is higher by i or, if another program has that one, any.
func address(base string, i int) string {
	host, text, err := net.SplitHostPort(base)
	port, portErr := strconv.Atoi(text)
	if err != nil || portErr != nil || i == 0 || port == 0 {
		return base
	}
	next := net.JoinHostPort(host, strconv.Itoa(port+i))
	l, err := net.Listen("tcp", next)
	if err != nil {
		return net.JoinHostPort(host, "0")
	}
	_ = l.Close()
	return next
}

// freeAddress returns base for the first node, and any port for the others: the defaults of the gossip and
// the peers are neighbors.
func freeAddress(base string, i int) string {
	host, _, err := net.SplitHostPort(base)
	if err != nil || i == 0 {
		return base
	}
	return net.JoinHostPort(host, "0")
}

// The lines that a node says its addresses with.
var (
	servesLine  = regexp.MustCompile(`^ringfleet \S+ serves clients on (\S+) and its operator on (\S+)$`)
	gossipsLine = regexp.MustCompile(`^ringfleet \S+ gossips on (\S+) and listens for peers on (\S+), cluster `)
	apiLine     = regexp.MustCompile(`^ringfleet \S+ serves its API on (\S+)$`)
)

// listen returns what takes the lines that the node says, one about its API among them if it has one.
func (c *child) listen(api bool) func(string) {
	var found []string
	return func(line string) {
		if m := servesLine.FindStringSubmatch(line); m != nil && len(found) == 0 {
			found = append(found, m[1:]...)
		}
		if m := gossipsLine.FindStringSubmatch(line); m != nil && len(found) == 2 {
			if found = append(found, m[1:]...); !api {
				c.said <- append(found, off)
			}
		}
		if m := apiLine.FindStringSubmatch(line); m != nil && len(found) == 4 {
			c.said <- append(found, m[1])
		}
	}
}

// addresses waits until the node has said them.
func (c *child) addresses(ctx context.Context) ([]string, error) {
	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	select {
	case a := <-c.said:
		return a, nil
	case <-c.ended:
		return nil, fmt.Errorf("%s did not start: %w", c.name, c.err)
	case <-timer.C:
		return nil, fmt.Errorf("%s did not say its addresses within %v", c.name, startTimeout)
	case <-ctx.Done():
		return nil, fmt.Errorf("%s did not start: %w", c.name, context.Cause(ctx))
	}
}

// wait returns when ctx is done or all nodes have ended.
func (g *group) wait(ctx context.Context) {
	for _, c := range g.children {
		select {
		case <-ctx.Done():
			return
		case <-c.ended:
		}
	}
}

// stop stops the nodes, the first one last, each when the one before has ended: what lives on it moves to
// the others.
func (g *group) stop() error {
	var errs []error
	for i := len(g.children) - 1; i >= 0; i-- {
		c := g.children[i]
		_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case <-c.ended:
		case <-time.After(g.settings.shutdownTimeout + killTimeout):
			_ = c.cmd.Process.Kill()
			<-c.ended
		}
		if c.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.name, c.err))
		}
	}
	return errors.Join(errs...)
}

// lines calls each with every line that is written to it, without its end. A longer line than maxLine
// comes in pieces.
type lines struct {
	each func(string)
	rest []byte
}

const maxLine = 64 << 10

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, found := strings.Cut(string(l.rest), "\n")
		if !found && len(l.rest) < maxLine {
			return len(p), nil
		}
		l.each(line)
		l.rest = append(l.rest[:0], rest...)
	}
}
