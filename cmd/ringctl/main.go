// Command ringctl is a phone for a terminal: it logs in as a user, calls, accepts, refuses and
// cancels, and shows both state machines move. `ringctl demo` rings from one user to another against
// a running node and prints the handshake of both sides. Its other commands speak to the API for back ends and
// operators (docs/api.md): they look up, send and cancel on behalf of users, end sessions, and drain nodes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/ringfleet/ringfleet/client"
)

const usage = `ringctl: a phone for a terminal, and the hand of an operator.

  ringctl demo               ring from one user to another: an accepted, a refused,
                             a canceled and an expired call, with the handshake of
                             both sides
  ringctl phone --user ID    log in as a user; type "help" there

Flags of both, before or after the command:
  --target URL    the node, default ws://127.0.0.1:8080; may be given several times
  --json          speak JSON to the node instead of protobuf
Flags of phone:
  --user ID       who to be
  --device ID     which device to be; default: a new one
  --token FILE    file with the token to log in with; "-" reads it from the
                  variable RINGCTL_TOKEN. demo needs a node in development mode

Over the API of a node, for the whole cluster:

  ringctl get invitation ID    how an invitation stands, or ended
  ringctl get user ID          a user's devices, live invitations and last outcomes
  ringctl send --from USER --to USER --key KEY
                               call on behalf of a user; the same key again is the
                               same invitation
  ringctl cancel ID            withdraw what send has sent
  ringctl end USER [DEVICE]    log a user out, on all devices or on one
  ringctl cluster              the nodes
  ringctl watch                the nodes, and again with each change
  ringctl drain NODE           make a node give away what lives on it

Flags of these:
  --api URL       the API, default http://127.0.0.1:9190
  --token FILE    file with the token for it; "-" as above
  --output FORM   table (default), or json: one line for each answer
Flags of send, beside:
  --content TEXT, --channel ID
  --no-response TIME, --expire TIME, --accept-window TIME

Exit status: 0 done, 1 failed, 2 wrong usage, 3 failed but may be tried again.
`

// The exit statuses.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
	exitRetry = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// options are the flags of all commands.
type options struct {
	targets targets
	json    bool
	user    string
	device  string
	token   string
}

type targets []string

// String implements flag.Value.
func (t *targets) String() string { return fmt.Sprint(*t) }

// Set implements flag.Value.
func (t *targets) Set(s string) error {
	*t = append(*t, s)
	return nil
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if isAPICommand(args) {
		return runAPI(ctx, args, stdout, stderr)
	}
	command, o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	if err == nil {
		switch command {
		case "demo":
			err = demo(ctx, o, stdout)
		case "phone":
			err = phone(ctx, o, stdin, stdout)
		}
		if err == nil || errors.Is(err, context.Canceled) {
			return exitOK
		}
		fmt.Fprintf(stderr, "ringctl: %v\n", err)
		return exitError
	}
	fmt.Fprintf(stderr, "ringctl: %v\n\n%s", err, usage)
	return exitUsage
}

// parse reads the command and its flags, which may stand on either side of it.
func parse(args []string) (string, *options, error) {
	o := &options{}
	f := flag.NewFlagSet("ringctl", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Var(&o.targets, "target", "")
	f.BoolVar(&o.json, "json", false, "")
	f.StringVar(&o.user, "user", "", "")
	f.StringVar(&o.device, "device", "", "")
	f.StringVar(&o.token, "token", "", "")
	if err := f.Parse(args); err != nil {
		return "", nil, err
	}
	command := f.Arg(0)
	if f.NArg() > 0 {
		if err := f.Parse(f.Args()[1:]); err != nil {
			return "", nil, err
		}
	}
	if len(o.targets) == 0 {
		o.targets = targets{"ws://127.0.0.1:8080"}
	}
	switch {
	case f.NArg() > 0:
		return "", nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case command == "":
		return "", nil, errors.New("no command: want demo or phone, or one for the API")
	case command == "help":
		return "", nil, flag.ErrHelp
	case command != "demo" && command != "phone":
		return "", nil, fmt.Errorf("unknown command %q", command)
	case command == "phone" && o.user == "":
		return "", nil, errors.New("phone needs --user")
	}
	return command, o, nil
}

// carrier returns the way to the node.
func (o *options) carrier() (*client.WebSocket, error) {
	c := &client.WebSocket{URLs: o.targets, JSON: o.json}
	switch o.token {
	case "":
	case "-":
		c.Token = client.StaticToken(os.Getenv("RINGCTL_TOKEN"))
	default:
		c.Token = func(context.Context) (string, error) { // again for each connection, and before the token expires
			text, err := os.ReadFile(o.token)
			if err != nil {
				return "", fmt.Errorf("token: %w", err)
			}
			return string(trimmed(text)), nil
		}
		if _, err := c.Token(context.Background()); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func trimmed(text []byte) []byte {
	for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == '\r') {
		text = text[:len(text)-1]
	}
	return text
}
