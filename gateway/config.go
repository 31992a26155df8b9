package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/invitation"
)

// Authenticator decides who a connection is; package auth has two. It is called once per login, from
// a goroutine of that login, and may block until ctx is done, at the end of LoginTimeout.
type Authenticator interface {
	// Authenticate returns whom to believe the connection to be. For its errors see package auth.
	Authenticate(ctx context.Context, r auth.Request) (auth.Identity, error)
}

// Backend is what the gateway serves: the sessions. Its methods never block; they may be called from
// any goroutine, but for one connection one after the other. A Backend may call [Gateway.Deliver]
// for the same connection from inside of them.
type Backend interface {
	// Attach tells of a login that was authenticated. The answer is a Welcome or an Ending, by
	// Deliver. An error that is an invitation.End ends the connection so; any other means
	// overloaded.
	Attach(conn uint64, login invitation.Login) error
	// Say hands on what the device said; the Up and what it points to are the backend's from then
	// on. An error that is an invitation.CallError answers a call so; any other means
	// invitation.Unavailable.
	Say(conn uint64, user invitation.User, device invitation.Device, up invitation.Up) error
	// Detach tells that the connection is lost or ended, whoever ended it.
	Detach(conn uint64, user invitation.User, device invitation.Device)
}

// Config is what a gateway needs to know. Zero fields stand for the default values.
type Config struct {
	// Authenticator decides who a connection is. There is no default.
	Authenticator Authenticator
	// MayInvite, if set, decides whether caller may invite callee at all; it is asked for every Send,
	// repeated ones included, and a no is answered with FORBIDDEN. It may block until ctx is done,
	// after HookTimeout: what the same device says next waits. An error, that it could not be
	// decided, is answered with UNAVAILABLE.
	MayInvite func(ctx context.Context, caller, callee invitation.User) (bool, error)
	// Logger gets one record per connection at level debug, and faults above it. Neither user ids
	// nor content are logged. The default is to discard.
	Logger *slog.Logger
	// WallClock is the time that clients are told with every frame. The default is time.Now.
	WallClock func() time.Time

	// Node is the node's name as told to clients, for support.
	Node string
	// Timers are told to clients in the Welcome. The default is invitation.DefaultTimers.
	Timers invitation.Timers

	// Origins are the values of the Origin header with which browsers may connect, like
	// "https://app.example.com"; "*" stands for all. Without any, a page may connect to the host it
	// came from, and requests without an Origin, which no browser sends, always may.
	Origins []string
	// ClientAddress returns where a request comes from, behind a proxy that can be trusted to say
	// so. The default is the address of the connection.
	ClientAddress func(*http.Request) netip.Addr

	LoginTimeout time.Duration // from the upgrade to the end of the login; default 10 s
	PingInterval time.Duration // silence after which a WebSocket ping is sent; default 25 s
	IdleTimeout  time.Duration // silence after which the connection ends; default 60 s
	WriteTimeout time.Duration // how long a write may make no progress; default 10 s
	CloseTimeout time.Duration // how long an ended connection has to answer; default 5 s
	HookTimeout  time.Duration // how long MayInvite may take; default 5 s
	// ExpiryWarning is how long before its token expires a client is told, so that it brings a new one; default 1 min.
	// For a token that lives for less than twice that, it is half of what is left.
	ExpiryWarning time.Duration

	MaxFrame    int   // bytes of a message, fragments together; default 131,072
	QueueFrames int   // frames that wait to be written to one connection; default 512
	QueueBytes  int   // bytes that wait to be written to one connection; default 262,144
	MaxBuffered int64 // bytes of unfinished frames and stalled queues, all connections; default 256 MiB

	// MaxConnections bounds the sockets, logged in or not. The default is the limit of open files
	// less 512, at most 1,000,000.
	MaxConnections int
	// MaxPending bounds the sockets that have yet to log in. The default is a quarter of
	// MaxConnections, at least 64.
	MaxPending int
	// MaxPerAddress bounds the sockets of one IPv4 address or IPv6 /64. The default is no bound,
	// since behind a proxy or a NAT all connections may share one.
	MaxPerAddress int
	// MaxLocal bounds the in-process connections; default 4,000,000.
	MaxLocal int

	LoginRate int // logins per second, of all connections; default 5,000, with as many at once
	// LoginRatePerAddress bounds the logins per second of one IPv4 address or IPv6 /64; ten seconds' worth may come
	// at once. The default is no bound, as for MaxPerAddress.
	LoginRatePerAddress int
	// LoginRatePerUser bounds the logins per second of one user over WebSockets; ten seconds' worth may come at once. A
	// login over it is ended with OVERLOADED, and when to come again. The default is no bound.
	LoginRatePerUser int
	FrameRate        int // frames per second of one WebSocket connection; default 100
	FrameBurst       int // frames at once; default 200
	// LocalRate bounds the calls per second of one in-process connection; a burst is two seconds'
	// worth. The default is no bound, as its program is trusted.
	LocalRate int

	// MaxDelay is for how long what clients say may wait, in the node, for somebody to see to it. While it waits for
	// longer the node has too much to do, and answers new sends with UNAVAILABLE at once; steps of calls that were taken
	// go on. The default is 100 ms; what is negative refuses nothing.
	MaxDelay time.Duration

	// RetryAfter is told with UNAVAILABLE and OVERLOADED, when nothing better is known; default 1 s.
	RetryAfter time.Duration
	// DrainRate is how many connections per second Shutdown ends; default 2,000. It goes faster
	// where its context leaves too little time.
	DrainRate int
	// DrainTime is over what time Shutdown spreads the endings, where DrainRate would be faster; default 0.
	DrainTime time.Duration

	// Turns are those of whoever runs the backend's actors. The default is none: what comes in is handed over
	// one by one, and what goes out is written by goroutines of the gateway.
	Turns Turns

	// FirstConnection is below the number of the first connection. Where other nodes may remember this
	// node's connections from before a restart it must have grown since; default 0.
	FirstConnection uint64
}

// Turns let the goroutines that bring frames to the backend do its work as well, and those that work for it
// write what comes of it. Each saves waking another goroutine, which at low load costs more than the work.
type Turns interface {
	// Help calls tell, which hands frames to the backend, and may then work for the backend for a while.
	Help(tell func())
	// Run calls do soon, when what waits by now has been done. It does not block.
	Run(do func())
	// Settles reports whether [Gateway.Flush] is going to be called soon, and will see what was queued before.
	Settles() bool
}

// WithDefaults returns the configuration with each zero field set to its default value.
func (c Config) WithDefaults() Config {
	def(&c.LoginTimeout, 10*time.Second)
	def(&c.PingInterval, 25*time.Second)
	def(&c.IdleTimeout, 60*time.Second)
	def(&c.WriteTimeout, 10*time.Second)
	def(&c.CloseTimeout, 5*time.Second)
	def(&c.HookTimeout, 5*time.Second)
	def(&c.ExpiryWarning, time.Minute)
	def(&c.MaxFrame, 128<<10)
	def(&c.QueueFrames, 512)
	def(&c.QueueBytes, 256<<10)
	def(&c.MaxBuffered, 256<<20)
	def(&c.MaxConnections, defaultConnections())
	def(&c.MaxPending, max(c.MaxConnections/4, 64))
	def(&c.MaxLocal, 4_000_000)
	def(&c.LoginRate, 5_000)
	def(&c.FrameRate, 100)
	def(&c.FrameBurst, 200)
	def(&c.MaxDelay, 100*time.Millisecond)
	def(&c.RetryAfter, time.Second)
	def(&c.DrainRate, 2_000)
	def(&c.Timers, invitation.DefaultTimers)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.WallClock == nil {
		c.WallClock = time.Now
	}
	if c.ClientAddress == nil {
		c.ClientAddress = remoteAddress
	}
	return c
}

func def[T comparable](field *T, value T) {
	if *field == *new(T) {
		*field = value
	}
}

// The bounds of some settings, outside of which nothing works.
const (
	minFrame = 16 << 10 // the largest content and response have to fit
	maxFrame = 16 << 20
)

// Check returns what is wrong with a configuration that has its defaults, all reasons joined.
func (c Config) Check() error {
	var errs []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("gateway: "+format, args...))
		}
	}
	want(c.Authenticator != nil, "no Authenticator: use auth.NewJWT, or auth.Development on loopback")
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"LoginTimeout", c.LoginTimeout},
		{"PingInterval", c.PingInterval},
		{"IdleTimeout", c.IdleTimeout},
		{"WriteTimeout", c.WriteTimeout},
		{"CloseTimeout", c.CloseTimeout},
		{"HookTimeout", c.HookTimeout},
		{"ExpiryWarning", c.ExpiryWarning},
		{"RetryAfter", c.RetryAfter},
	} {
		want(d.value > 0 && d.value <= time.Hour, "%s is %v: want more than 0, at most 1 h", d.name, d.value)
	}
	want(c.PingInterval < c.IdleTimeout, "PingInterval %v is not below IdleTimeout %v: a silent client could not answer in time",
		c.PingInterval, c.IdleTimeout)
	want(c.MaxFrame >= minFrame && c.MaxFrame <= maxFrame, "MaxFrame is %d: want %d to %d bytes", c.MaxFrame, minFrame, maxFrame)
	want(c.QueueBytes >= 2*c.MaxFrame, "QueueBytes %d is below twice MaxFrame %d: one large offer could fill it", c.QueueBytes, c.MaxFrame)
	for _, n := range []struct {
		name  string
		value int
	}{
		{"QueueFrames", c.QueueFrames},
		{"MaxBuffered", int(c.MaxBuffered)},
		{"MaxConnections", c.MaxConnections},
		{"MaxPending", c.MaxPending},
		{"MaxLocal", c.MaxLocal},
		{"LoginRate", c.LoginRate},
		{"FrameRate", c.FrameRate},
		{"FrameBurst", c.FrameBurst},
		{"DrainRate", c.DrainRate},
	} {
		want(n.value > 0, "%s is %d: want 1 or more", n.name, n.value)
	}
	for _, origin := range c.Origins {
		u, err := url.Parse(origin)
		want(origin == "*" || err == nil && u.Scheme != "" && u.Host != "" && origin == u.Scheme+"://"+u.Host,
			"Origins: %q is never sent by a browser: want scheme://host or scheme://host:port without a path, or *", origin)
	}
	want(c.MaxPerAddress >= 0, "MaxPerAddress is %d: want 0 (no bound) or more", c.MaxPerAddress)
	want(c.LoginRatePerAddress >= 0, "LoginRatePerAddress is %d: want 0 (no bound) or more", c.LoginRatePerAddress)
	want(c.LoginRatePerUser >= 0, "LoginRatePerUser is %d: want 0 (no bound) or more", c.LoginRatePerUser)
	want(c.LocalRate >= 0, "LocalRate is %d: want 0 (no bound) or more", c.LocalRate)
	want(c.Timers.InBounds(), "Timers %+v: want %v to %v each", c.Timers, invitation.MinTimer, invitation.MaxTimer)
	return errors.Join(errs...)
}
