package ringfleet

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/internal/bearer"
	"github.com/ringfleet/ringfleet/internal/logonce"
	"github.com/ringfleet/ringfleet/internal/observe"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// Config is what a node needs to know. The zero value of each field is its default; only
// Gateway.Authenticator has none.
type Config struct {
	// Name is the node's name: stable over restarts, unique in its cluster. The default is "node".
	Name string
	// ClientAddress is where the node listens for devices, as "127.0.0.1:8080". The default, "", is
	// not to listen: mount [Node.Handler] on a server of the program.
	ClientAddress string
	// ClientTLS, if set, has the node speak TLS at ClientAddress. The default is plain HTTP, for what ends TLS in front.
	ClientTLS *ClientTLS
	// AdminAddress is where the node serves health, metrics and status. The default, "", is not to
	// listen: mount [Node.AdminHandler].
	AdminAddress string
	// AdminTokenFile names the file of the tokens that the admin address needs for everything but /healthz and
	// /readyz; docs/security.md has its form. It is read again when it has changed. The default, "", is to need
	// none: whoever reaches the address sees and may do everything, but there are no profiles.
	AdminTokenFile string
	// AdminOpenMetrics shows /metrics without a token.
	AdminOpenMetrics bool
	// Gateway is about connections: who they are, whom they may invite, and their limits. Its Node,
	// Timers, Logger and WallClock are set from this Config.
	Gateway gateway.Config
	// Session is about users: the device policy, the timers of invitations that set none, the bounds.
	Session session.Config
	// Cluster makes the node a member of a cluster. nil: it is alone.
	Cluster *ClusterConfig
	// API makes the node serve the API for back ends and operators. nil: it does not, and remembers no outcomes for it.
	API *APIConfig
	// OnOutcome, if set, is called once for each invitation that ends on this node. It is called by an
	// actor: it must be quick and must not block. Calls may come from several goroutines at once.
	OnOutcome func(Outcome)
	// Events is about what the deployment's back-end is told of each invitation. The default is to tell nobody. All nodes
	// of a cluster need the same.
	Events events.Config
	// Trace makes traces of some invitations. The default is none.
	Trace TraceConfig
	// Logger gets what an operator wants to know; neither user ids nor content above level debug, but that each
	// request to the API is told with whom it is about. Of a warning or error that comes again and again it gets a sample,
	// with how many were left out ("repeated"). The default is to discard.
	Logger *slog.Logger
	// MaxSessions and MaxInvitations bound what is live on the node; over them requests are answered
	// with UNAVAILABLE. The default of each is 8,388,608.
	MaxSessions    int
	MaxInvitations int
	// WallClock is the wall clock. It is told to clients, stamps logins and numbers the starts of the node; no deadline
	// is kept by it. The default is time.Now; another one is for tests of clocks that are wrong.
	WallClock func() time.Time
}

// Outcome is how an invitation ended, for [Config.OnOutcome].
type Outcome struct {
	ID           invitation.ID
	Caller       invitation.User
	CallerDevice invitation.Device
	Callee       invitation.User
	CalleeDevice invitation.Device // that answered; "" if none did
	ChannelID    string
	Outcome      invitation.Outcome
	Local        invitation.LocalState
	LocalCode    invitation.LocalError
	Reason       invitation.Reason
	Duration     time.Duration // from the send to the outcome
}

func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = "node"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Logger = logonce.Sampled(c.Logger)
	if c.WallClock == nil {
		c.WallClock = time.Now
	}
	c.Session = c.Session.WithDefaults()
	c.Gateway.WallClock = c.WallClock
	c.Gateway.Node, c.Gateway.Timers, c.Gateway.Logger = c.Name, c.Session.Timers, c.Logger
	c.Gateway = c.Gateway.WithDefaults()
	return c
}

// Check returns what is wrong with the configuration, all reasons joined; nil if nothing is. [Start]
// calls it.
func (c Config) Check() error {
	c = c.withDefaults()
	errs := []error{c.Gateway.Check(), c.Cluster.check(c.Name), c.Events.Check(), c.API.check()}
	want := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("ringfleet: "+format, args...))
		}
	}
	s := c.Session
	want(invitation.Device(c.Name).Valid(), "Name %q: want 1 to %d bytes of the characters of a user id", c.Name, invitation.MaxDevice)
	want(s.Timers.InBounds(), "Session.Timers: want %v to %v each", invitation.MinTimer, invitation.MaxTimer)
	want(s.Policy <= session.Multi, "Session.Policy is %d: want Single or Multi", s.Policy)
	want(s.SendRate > 0, "Session.SendRate is %v: want more than 0", s.SendRate)
	for _, n := range []struct {
		name  string
		value int
	}{
		{"Session.MaxDevices", s.MaxDevices},
		{"Session.MaxOutgoing", s.MaxOutgoing},
		{"Session.MaxIncoming", s.MaxIncoming},
		{"Session.MaxPerCaller", s.MaxPerCaller},
		{"Session.SendBurst", s.SendBurst},
		{"Session.Remember", s.Remember},
	} {
		want(n.value > 0, "%s is %d: want 1 or more", n.name, n.value)
	}
	want(c.MaxSessions >= 0 && c.MaxInvitations >= 0, "MaxSessions and MaxInvitations: want 0 (the default) or more")
	trace := c.Trace.tracing(&c)
	errs = append(errs, trace.Check())
	if c.ClientTLS != nil {
		errs = append(errs, c.ClientTLS.Check())
	}
	return errors.Join(errs...)
}

// CheckAdminTokens returns what is wrong with the file of admin tokens; nil if nothing is, or there is none. Unlike
// [Config.Check] it reads the file.
func (c Config) CheckAdminTokens() error {
	_, err := c.adminTokens()
	return err
}

// adminTokens returns nil for a configuration without a file of them.
func (c Config) adminTokens() (*bearer.Tokens, error) {
	if c.AdminTokenFile == "" {
		return nil, nil //nolint:nilnil // a nil Tokens is of use
	}
	return bearer.Open(bearer.Config{File: c.AdminTokenFile, Scopes: observe.Scopes, Logger: c.Logger})
}
