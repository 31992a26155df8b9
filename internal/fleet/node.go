package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// NodeOptions say what node to add.
type NodeOptions struct {
	// Name is the node's, kept over its restarts. Required.
	Name string
	// Binary is the program. The default is that of the fleet.
	Binary string
	// Args and Env are further flags and variables of this node, after those of the fleet; the last one counts.
	Args, Env []string
	// CPU is the one processor that the process may use, from 1 on. The default is any. On Linux only.
	CPU int
	// Hasty does not wait until the node is ready.
	Hasty bool
}

// Node is one node of a fleet, whether its process runs or not.
type Node struct {
	fleet *Fleet
	name  string
	log   *Log

	starts sync.Mutex // held by who starts the process

	mu       sync.Mutex
	options  NodeOptions
	at       addresses
	gossip   string // told to the others
	peer     string // told to the others
	process  *process
	launched int // how often
}

// process is one start of a node.
type process struct {
	command *exec.Cmd
	done    chan struct{} // closed when it has ended
	exit    Exit          // after that
}

// Exit is how a process has ended.
type Exit struct {
	// Code is the exit status, -1 after a signal.
	Code int
	// Took is the time from the request to the end.
	Took time.Duration
}

// Name returns the node's name.
func (n *Node) Name() string { return n.name }

// Log returns what the node has written.
func (n *Node) Log() *Log { return n.log }

// ClientURL returns where clients connect to.
func (n *Node) ClientURL() string { return "ws://" + n.where().client }

// AdminURL returns where the operator connects to.
func (n *Node) AdminURL() string { return "http://" + n.where().admin }

// GossipAddress and PeerAddress return where the node really listens, whatever the others are told.
func (n *Node) GossipAddress() string { return n.where().gossip }

// PeerAddress returns where the node really listens for peers.
func (n *Node) PeerAddress() string { return n.where().peer }

// Advertised returns the addresses that the others are told.
func (n *Node) Advertised() (gossip, peer string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.gossip, n.peer
}

func (n *Node) where() addresses {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.at
}

// PID returns the id of the process, 0 if none runs.
func (n *Node) PID() int {
	if p := n.running(); p != nil {
		return p.command.Process.Pid
	}
	return 0
}

// Running reports whether the process runs; one that is paused does.
func (n *Node) Running() bool { return n.running() != nil }

func (n *Node) running() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process == nil {
		return nil
	}
	select {
	case <-n.process.done:
		return nil
	default:
		return n.process
	}
}

// StartOptions say how to start a node again.
type StartOptions struct {
	// NewAddress moves the node to where the others have not seen it: its gossip and its address for peers. Clients
	// and the operator find it where it was, as behind a load balancer. The default is to keep all.
	NewAddress bool
	// Binary, if set, is the program from now on.
	Binary string
	// Args, if not nil, are the node's own flags from now on, instead of those of NodeOptions.
	Args []string
}

// Why a node cannot be started.
var (
	errRuns   = errors.New("runs already")
	errClosed = errors.New("cannot be started: its fleet is closed")
)

// Start starts the process of a node that does not run, and waits until it is ready.
func (n *Node) Start(ctx context.Context, o StartOptions) error {
	if err := n.Launch(o); err != nil {
		return err
	}
	return n.AwaitReady(ctx)
}

// Launch starts the process, and does not wait until it is ready.
func (n *Node) Launch(o StartOptions) error {
	n.starts.Lock()
	defer n.starts.Unlock()
	if n.Running() {
		return fmt.Errorf("fleet: %s %w", n.name, errRuns)
	}
	if n.fleet.isClosed() {
		return fmt.Errorf("fleet: %s %w", n.name, errClosed)
	}
	if o.NewAddress || n.where() == (addresses{}) {
		if err := n.move(); err != nil {
			return err
		}
	}
	n.mu.Lock()
	if o.Binary != "" {
		n.options.Binary = o.Binary
	}
	if o.Args != nil {
		n.options.Args = o.Args
	}
	n.launched++
	_, err := fmt.Fprintf(n.log, "--- start %d of %s: %s\n", n.launched, n.name, n.options.Binary)
	command := exec.Command(n.options.Binary, n.args()...)
	command.Env = slices.Concat(n.fleet.environ(), n.options.Env)
	n.mu.Unlock()
	command.Stdout, command.Stderr = n.log, n.log
	if err == nil {
		err = spawn(command, n.options.CPU)
	}
	if err != nil {
		return fmt.Errorf("fleet: start %s: %w", n.name, err)
	}
	p := &process{command: command, done: make(chan struct{})}
	n.mu.Lock()
	n.process = p
	n.mu.Unlock()
	go func() { // ends with the process, which Close ends
		_ = command.Wait() // the state has all there is to know
		p.exit.Code = command.ProcessState.ExitCode()
		close(p.done)
	}()
	return nil
}

// args returns the flags of the node. n.mu is held.
func (n *Node) args() []string {
	own := []string{
		"--name", n.name,
		"--client-address", n.at.client, "--admin-address", n.at.admin,
		"--gossip-address", n.at.gossip, "--peer-address", n.at.peer,
		"--gossip-advertise", n.gossip, "--peer-advertise", n.peer,
		"--join", "file:" + n.fleet.seeds,
	}
	return slices.Concat(own, n.fleet.config.Args, n.options.Args)
}

// move takes new addresses, and doors for them.
func (n *Node) move() error {
	at, err := newAddresses()
	if err != nil {
		return err
	}
	if was := n.where(); was != (addresses{}) {
		at.client, at.admin = was.client, was.admin
	}
	gossip, peer, err := n.fleet.open(n, at)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.at, n.gossip, n.peer = at, gossip, peer
	n.mu.Unlock()
	return n.fleet.writeSeeds()
}

// AwaitReady waits until the node is ready. When it is not in the time that the fleet gives it, or when its process
// ends, it is killed, and the error has its last lines.
func (n *Node) AwaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, n.fleet.config.ReadyIn)
	defer cancel()
	err := Until(ctx, func(ctx context.Context) error {
		if !n.Running() {
			return &finalError{errors.New("its process has ended")}
		}
		return n.Ready(ctx)
	})
	if err == nil {
		return nil
	}
	_ = n.Kill() // the first error tells more
	return fmt.Errorf("fleet: start %s: %w; its last lines:\n%s", n.name, err, n.log.Tail(40))
}

// Signal sends a signal to the process.
func (n *Node) Signal(signal syscall.Signal) error {
	p := n.running()
	if p == nil {
		return fmt.Errorf("fleet: %s does not run", n.name)
	}
	if err := p.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("fleet: signal %s: %w", n.name, err)
	}
	return nil
}

// Pause stops the process where it is, without its knowing. On Linux it waits until it stands still.
func (n *Node) Pause() error {
	if err := n.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	return Until(ctx, func(context.Context) error {
		if pid := n.PID(); pid != 0 && !standsStill(pid) {
			return fmt.Errorf("fleet: %s does not stop", n.name)
		}
		return nil
	})
}

// stopTime is within what the kernel stops a process.
const stopTime = 10 * time.Second

// Continue ends a pause.
func (n *Node) Continue() error { return n.Signal(syscall.SIGCONT) }

// Kill ends the process at once, paused or not, and waits until it is gone. Killing a node that does not run
// does nothing.
func (n *Node) Kill() error {
	p := n.running()
	if p == nil {
		return nil
	}
	if err := p.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("fleet: kill %s: %w", n.name, err)
	}
	<-p.done
	return nil
}

// Term asks the process to end in order, and waits until it has, at most until ctx is done; then it is killed,
// and the error says so.
func (n *Node) Term(ctx context.Context) (Exit, error) {
	p := n.running()
	if p == nil {
		return Exit{}, fmt.Errorf("fleet: %s does not run", n.name)
	}
	begin := time.Now()
	if err := n.Signal(syscall.SIGTERM); err != nil {
		return Exit{}, err
	}
	select {
	case <-p.done:
		exit := p.exit
		exit.Took = time.Since(begin)
		return exit, nil
	case <-ctx.Done():
		_ = p.command.Process.Kill() // it has ended if that fails
		<-p.done
		return Exit{Code: -1, Took: time.Since(begin)}, fmt.Errorf("fleet: %s did not end in %v: %w; its last lines:\n%s",
			n.name, time.Since(begin).Round(time.Millisecond), ctx.Err(), n.log.Tail(40))
	}
}

// Exited returns what is closed when the process that runs ends; nil if none runs.
func (n *Node) Exited() <-chan struct{} {
	if p := n.running(); p != nil {
		return p.done
	}
	return nil
}

// ours reports whether a variable of the environment is a setting of a node.
func ours(variable string) bool { return strings.HasPrefix(variable, "RINGFLEET_") }
