package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/peterbourgon/ff/v3"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/gateway/auth"
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
	api             apiSettings
	nodes           int
	policy          string
	authentication  string
	tokenKeys       string
	tokenSecret     string
	issuer          string
	audience        string
	origins         string
	logLevel        string
	logFormat       string
	shutdownTimeout time.Duration
	clockOffset     time.Duration
	check           bool
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

Settings:
`

// register declares every setting.
func (s *settings) register(f *flag.FlagSet) {
	d := session.DefaultConfig
	n, u, g := &s.node, &s.node.Session, &s.node.Gateway
	f.StringVar(&n.Name, "name", "node", "`name` of the node, stable over restarts")
	f.StringVar(&n.ClientAddress, "client-address", "127.0.0.1:8080", "`host:port` for clients; an empty host is every interface")
	f.StringVar(&n.AdminAddress, "admin-address", "127.0.0.1:9090", "`host:port` for health, metrics and status; keep it private")
	s.cluster.register(f)
	s.events.register(f)
	s.api.register(f)
	f.IntVar(&s.nodes, "nodes", 0, "for development: start this `number` of nodes on this machine, as one cluster")
	f.StringVar(&s.authentication, "auth", "development", "who clients are: development (believe them; loopback only) or jwt")
	f.StringVar(&s.tokenKeys, "token-public-keys", "", "PEM `file` of Ed25519 or RSA public keys that sign tokens (auth jwt)")
	f.StringVar(&s.tokenSecret, "token-secret-file", "", "`file` with the HS256 secret, 32 bytes or more (auth jwt)")
	f.StringVar(&s.issuer, "token-issuer", "", "the iss that tokens must have, if any")
	f.StringVar(&s.audience, "token-audience", "", "the aud that tokens must have, if any")
	f.StringVar(&s.origins, "origins", "", "comma-separated `origins` from which browsers may connect; default: the host they came from")
	f.StringVar(&s.policy, "device-policy", "single", "single: a newer login ends the older device; multi: all devices ring")
	f.DurationVar(&u.Timers.NoResponse, "no-response", d.Timers.NoResponse, "time for a callee's device to acknowledge")
	f.DurationVar(&u.Timers.Expire, "expire", d.Timers.Expire, "time to answer, from the acknowledgement")
	f.DurationVar(&u.Timers.AcceptWindow, "accept-window", d.Timers.AcceptWindow, "time for the caller's device to confirm an accept")
	f.DurationVar(&u.Timers.Grace, "grace", d.Timers.Grace, "time for a lost device to come back")
	f.DurationVar(&u.Timers.Linger, "linger", d.Timers.Linger, "time an outcome waits for devices that are away")
	f.IntVar(&u.MaxDevices, "max-devices", d.MaxDevices, "devices of a user (policy multi)")
	f.IntVar(&u.MaxOutgoing, "max-outgoing", d.MaxOutgoing, "live outgoing invitations of a user")
	f.IntVar(&u.MaxIncoming, "max-incoming", d.MaxIncoming, "live incoming invitations of a user")
	f.Float64Var(&u.SendRate, "send-rate", d.SendRate, "sends per second of a user, sustained")
	f.IntVar(&u.SendBurst, "send-burst", d.SendBurst, "sends of a user at once")
	f.IntVar(&g.MaxConnections, "max-connections", 0, "connections of the node; default: what the limit of open files allows")
	f.IntVar(&g.MaxPerAddress, "max-connections-per-address", 0, "connections from one address; 0: no bound")
	f.IntVar(&g.LoginRate, "login-rate", 5_000, "logins per second of the node")
	f.IntVar(&g.FrameRate, "frame-rate", 100, "frames per second of a connection, sustained")
	f.IntVar(&g.FrameBurst, "frame-burst", 200, "frames of a connection at once")
	f.IntVar(&g.MaxFrame, "max-frame", 128<<10, "`bytes` of the largest frame a client may send")
	f.DurationVar(&g.LoginTimeout, "login-timeout", 10*time.Second, "time for a new connection to log in")
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
	err := ff.Parse(f, args,
		ff.WithEnvVarPrefix(envPrefix), ff.WithConfigFileFlag("config"), ff.WithConfigFileParser(ff.PlainParser))
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
		return nil, err
	}
	return s, s.resolve()
}

// unknownVariables refuses variables that have the prefix and name no setting.
func unknownVariables(f *flag.FlagSet, environ []string) error {
	known := map[string]bool{}
	f.VisitAll(func(fl *flag.Flag) {
		known[envPrefix+"_"+strings.ToUpper(strings.ReplaceAll(fl.Name, "-", "_"))] = true
	})
	var errs []error
	for _, v := range environ {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, envPrefix+"_") && !known[name] {
			errs = append(errs, fmt.Errorf("environment variable %s names no setting (see --help)", name))
		}
	}
	return errors.Join(errs...)
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
	if s.origins != "" {
		s.node.Gateway.Origins = strings.Split(s.origins, ",")
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
	s.node.API, apiErr = s.api.resolve(s.authentication == "development")
	errs = append(errs, err, apiErr, s.authenticator(), s.logger(), s.checkNodes())
	s.node.Events, err = s.events.resolve(s.check || s.nodes > 0)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return s.node.Check()
}

// authenticator makes the authenticator.
func (s *settings) authenticator() error {
	jwt := s.tokenKeys != "" || s.tokenSecret != "" || s.issuer != "" || s.audience != ""
	switch {
	case s.authentication == "development" && jwt:
		return errors.New("token settings are for --auth jwt, but auth is development")
	case s.authentication == "development":
		s.node.Gateway.Authenticator = auth.Development{}
		return auth.CheckLoopback(s.node.ClientAddress)
	case s.authentication != "jwt":
		return fmt.Errorf("auth %q: want development or jwt", s.authentication)
	}
	keys, err := s.keys()
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return errors.New("auth jwt needs token-public-keys or token-secret-file")
	}
	authenticator, err := auth.NewJWT(auth.JWTConfig{Keys: keys, Issuer: s.issuer, Audience: s.audience})
	s.node.Gateway.Authenticator = authenticator
	return err
}

// keys reads the keys of tokens.
func (s *settings) keys() ([]auth.Key, error) {
	var keys []auth.Key
	if s.tokenSecret != "" {
		secret, err := os.ReadFile(s.tokenSecret)
		if err != nil {
			return nil, fmt.Errorf("token-secret-file: %w", err)
		}
		key, err := auth.SecretKey([]byte(strings.TrimRight(string(secret), "\r\n")))
		if err != nil {
			return nil, fmt.Errorf("token-secret-file: %w", err)
		}
		keys = append(keys, key)
	}
	if s.tokenKeys == "" {
		return keys, nil
	}
	text, err := os.ReadFile(s.tokenKeys)
	if err != nil {
		return nil, fmt.Errorf("token-public-keys: %w", err)
	}
	const end = "-----END PUBLIC KEY-----"
	for block := range strings.SplitAfterSeq(string(text), end) {
		if strings.TrimSpace(block) == "" {
			continue
		}
		key, err := auth.ParsePublicKey([]byte(block))
		if err != nil {
			return nil, fmt.Errorf("token-public-keys: %w", err)
		}
		keys = append(keys, key)
	}
	return keys, nil
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
