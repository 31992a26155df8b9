package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// envPrefix goes before the name of a setting in the environment: --client-address is
// RINGFLEET_CLIENT_ADDRESS.
const envPrefix = "RINGFLEET"

// settings are the settings of the command: flags, environment and file have the same names.
type settings struct {
	node            ringfleet.Config
	cluster         clusterSettings
	events          eventSettings
	edge            edgeSettings
	insecureAdmin   bool
	api             apiSettings
	trace           traceSettings
	nodes           int
	policy          string
	tokens          tokenSettings
	logLevel        string
	logFormat       string
	shutdownTimeout time.Duration
	clockOffset     time.Duration
	check           bool

	flags   *flag.FlagSet
	origins origins
}

const usage = `ringfleet node: makes phones ring.

Without any setting it serves clients on 127.0.0.1:8080 and its operator on
127.0.0.1:9090, and believes every client from this machine to be whom it claims
to be. To let others connect, give it token keys:

  node --client-address :8080 --auth jwt --token-public-keys keys.pem

Nodes that are told of each other form a cluster (docs/cluster.md). Three of them
on this machine, to try it:

  node --nodes 3

Try it:   go run ./cmd/ringctl demo
Watch it: curl 127.0.0.1:9090/status

Each setting is a flag, a variable in the environment (--client-address is
RINGFLEET_CLIENT_ADDRESS), or a line of the file that --config names
(client-address 127.0.0.1:8080). A flag wins over the environment, and that over
the file. Unknown names are refused.

  node config check FLAGS   says what is wrong with the settings, and starts nothing
  node config print FLAGS   prints them all, as such a file, with where each is from

Settings:
`

// register declares every setting.
func (s *settings) register(f *flag.FlagSet) {
	d := session.DefaultConfig
	n, u, g := &s.node, &s.node.Session, &s.node.Gateway
	f.StringVar(&n.Name, "name", "node", "`name` of the node, stable over restarts")
	f.StringVar(&n.ClientAddress, "client-address", "127.0.0.1:8080", "`host:port` for clients; an empty host is every interface")
	f.StringVar(&n.AdminAddress, "admin-address", "127.0.0.1:9090", "`host:port` for health, metrics and status; keep it private")
	s.edge.register(f)
	f.StringVar(&n.AdminTokenFile, "admin-token-file", "", "`file` of the tokens that admin-address needs for all but /healthz and /readyz: name, scopes, token, one a line")
	f.BoolVar(&n.AdminOpenMetrics, "admin-open-metrics", false, "show /metrics without a token")
	f.BoolVar(&s.insecureAdmin, "insecure-admin", false, "listen for operators beyond this machine without admin-token-file")
	s.cluster.register(f)
	s.events.register(f)
	s.api.register(f)
	s.trace.register(f)
	f.IntVar(&s.nodes, "nodes", 0, "for development: start this `number` of nodes on this machine, as one cluster")
	s.tokens.register(f)
	f.StringVar(&s.policy, "device-policy", "single", "single: a newer login ends the older device; multi: all devices ring")
	f.DurationVar(&u.Timers.NoResponse, "no-response", d.Timers.NoResponse, "time for a callee's device to acknowledge")
	f.DurationVar(&u.Timers.Expire, "expire", d.Timers.Expire, "time to answer, from the acknowledgement")
	f.DurationVar(&u.Timers.AcceptWindow, "accept-window", d.Timers.AcceptWindow, "time for the caller's device to confirm an accept")
	f.DurationVar(&u.Timers.Grace, "grace", d.Timers.Grace, "time for a lost device to come back")
	f.DurationVar(&u.Timers.Linger, "linger", d.Timers.Linger, "time an outcome waits for devices that are away")
	f.IntVar(&u.MaxDevices, "max-devices", d.MaxDevices, "devices of a user (policy multi)")
	f.IntVar(&u.MaxOutgoing, "max-outgoing", d.MaxOutgoing, "live outgoing invitations of a user")
	f.IntVar(&u.MaxIncoming, "max-incoming", d.MaxIncoming, "live incoming invitations of a user")
	f.IntVar(&u.MaxPerCaller, "max-incoming-per-caller", d.MaxPerCaller, "live incoming invitations of a user from one caller")
	f.Float64Var(&u.SendRate, "send-rate", d.SendRate, "sends per second of a user, sustained")
	f.IntVar(&u.SendBurst, "send-burst", d.SendBurst, "sends of a user at once")
	f.IntVar(&g.MaxConnections, "max-connections", 0, "connections of the node; default: what the limit of open files allows")
	f.IntVar(&g.MaxPerAddress, "max-connections-per-address", 0, "connections from one address; 0: no bound")
	f.IntVar(&g.LoginRate, "login-rate", 5_000, "logins per second of the node")
	f.IntVar(&g.LoginRatePerAddress, "login-rate-per-address", 0, "logins per second from one address, ten times that at once; 0: no bound")
	f.IntVar(&g.LoginRatePerUser, "login-rate-per-user", 2, "logins per second of one user, ten times that at once; 0: no bound")
	f.IntVar(&g.FrameRate, "frame-rate", 100, "frames per second of a connection, sustained")
	f.IntVar(&g.FrameBurst, "frame-burst", 200, "frames of a connection at once")
	f.IntVar(&g.MaxFrame, "max-frame", 128<<10, "`bytes` of the largest frame a client may send")
	f.DurationVar(&g.MaxDelay, "max-delay", 100*time.Millisecond, "how long what clients say may wait in the node: while it is longer, new sends are answered with UNAVAILABLE; negative: no bound")
	f.DurationVar(&g.LoginTimeout, "login-timeout", 10*time.Second, "time for a new connection to log in")
	f.DurationVar(&g.ExpiryWarning, "expiry-warning", time.Minute, "time before its token expires at which a client is told to bring a new one")
	f.DurationVar(&g.PingInterval, "ping-interval", 25*time.Second, "silence after which a connection is pinged")
	f.DurationVar(&g.IdleTimeout, "idle-timeout", 60*time.Second, "silence after which a connection is ended")
	f.StringVar(&s.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&s.logFormat, "log-format", "text", "text or json")
	f.DurationVar(&g.DrainTime, "reconnect-spread", 3*time.Second, "time over which clients are told to reconnect, on SIGTERM or SIGINT")
	f.DurationVar(&s.shutdownTimeout, "shutdown-timeout", 30*time.Second, "time to hand over and to end connections in order, on SIGTERM or SIGINT")
	f.DurationVar(&s.clockOffset, "wall-clock-offset", 0, "for tests: by how much this node's wall clock is wrong")
	f.BoolVar(&s.check, "check", false, "check the settings, start nothing")
	f.String("config", "", "`file` with settings, one a line: name, space, value")
}

// parse reads the settings from arguments, environment and file. Asked for help, it writes it to help
// and returns flag.ErrHelp.
func parse(args, environ []string, help io.Writer) (*settings, error) {
	s := &settings{}
	f := flag.NewFlagSet("node", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	s.register(f)
	s.flags = f
	var err error
	s.origins, err = read(f, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(help, usage)
		f.SetOutput(help)
		f.PrintDefaults()
		return nil, flag.ErrHelp
	case err != nil:
		return nil, fmt.Errorf("%w (see --help)", err)
	case f.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q: settings are flags (see --help)", f.Arg(0))
	}
	if err := unknownVariables(f, environ); err != nil {
		return nil, fmt.Errorf("%w (see --help)", err)
	}
	return s, s.resolve()
}

// resolve turns what was given into the node's configuration, or says all that is wrong with it.
func (s *settings) resolve() error {
	var errs []error
	switch s.policy {
	case "single":
		s.node.Session.Policy = session.Single
	case "multi":
		s.node.Session.Policy = session.Multi
	default:
		errs = append(errs, fmt.Errorf("device-policy %q: want single or multi", s.policy))
	}
	if s.shutdownTimeout <= 0 {
		errs = append(errs, fmt.Errorf("shutdown-timeout is %v: want more than 0", s.shutdownTimeout))
	}
	if s.node.Gateway.DrainTime < 0 {
		errs = append(errs, fmt.Errorf("reconnect-spread is %v: want 0 or more", s.node.Gateway.DrainTime))
	}
	if offset := s.clockOffset; offset != 0 {
		s.node.WallClock = func() time.Time { return time.Now().Add(offset) }
	}
	cluster, err := s.cluster.resolve(s.node.Name)
	s.node.Cluster = cluster
	var apiErr error
	s.node.API, apiErr = s.api.resolve(s.tokens.mode == "development")
	errs = append(errs, s.trace.resolve(&s.node), err, apiErr, s.logger(), s.authenticator(), s.edge.resolve(&s.node), s.checkNodes(), s.admin())
	s.node.Events, err = s.events.resolve(s.check || s.nodes > 0)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return s.node.Check()
}

// admin checks that what operators can do is protected.
func (s *settings) admin() error {
	n := &s.node
	if n.AdminTokenFile != "" {
		if err := n.CheckAdminTokens(); err != nil {
			return fmt.Errorf("admin-token-file: %w", err)
		}
		return nil
	}
	if n.AdminOpenMetrics {
		return errors.New("admin-open-metrics is of no use without admin-token-file: everything is open")
	}
	if n.AdminAddress != "" && !isLoopback(n.AdminAddress) && !s.insecureAdmin {
		return fmt.Errorf("admin-address %q can be reached by others, and without tokens whoever does sees the cluster and may tell it "+
			"who belongs to it: give --admin-token-file (a line: oncall * TOKEN; a token: openssl rand -hex 32), or, on a network of "+
			"its own, --insecure-admin", n.AdminAddress)
	}
	return nil
}

// logger makes the logger.
func (s *settings) logger() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.logLevel)); err != nil || !slices.Contains([]string{"debug", "info", "warn", "error"}, s.logLevel) {
		return fmt.Errorf("log-level %q: want debug, info, warn or error", s.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch s.logFormat {
	case "text":
		s.node.Logger = slog.New(slog.NewTextHandler(os.Stderr, options))
	case "json":
		s.node.Logger = slog.New(slog.NewJSONHandler(os.Stderr, options))
	default:
		return fmt.Errorf("log-format %q: want text or json", s.logFormat)
	}
	return nil
}
