package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/internal/bearer"
	"github.com/ringfleet/ringfleet/internal/logonce"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/apipb"
	"github.com/ringfleet/ringfleet/messages/apipb/apipbconnect"
)

// The scopes of tokens.
const (
	ScopeRead  = "read"  // look at what there is
	ScopeCall  = "call"  // send and cancel on behalf of users
	ScopeAdmin = "admin" // end sessions and devices, drain nodes
)

// Scopes are all of them, for a file of tokens.
var Scopes = []string{ScopeRead, ScopeCall, ScopeAdmin}

// Target is who has to do what is asked: a node or, where Node is empty, the owner of a shard.
type Target struct {
	Node  string
	Shard invitation.Shard
}

// Backend is what the API serves: a node, and through it the cluster.
type Backend interface {
	// Do has a method done where it belongs, until ctx is done, and returns the response. An error should be one of
	// package fault; of any other the code is internal.
	Do(ctx context.Context, to Target, method string, request proto.Message) (proto.Message, error)
	// Cluster returns the cluster as this node sees it, and a channel that is closed with the next change of that, or
	// when the node stops serving.
	Cluster() (*apipb.Cluster, <-chan struct{})
	// Stopped is closed when streams are to end.
	Stopped() <-chan struct{}
}

// The defaults of [Config], and bounds that have no setting.
const (
	DefaultRate    = 100
	DefaultTimeout = 10 * time.Second
	MaxRequest     = 64 << 10 // bytes
	MaxTimeout     = time.Minute
	MaxStreams     = 16 // of a token
)

// Config is what a [Server] is made of.
type Config struct {
	// Backend is what is served. Required.
	Backend Backend
	// Tokens says who may ask. nil: everybody may do everything, which is for loopback in development only.
	Tokens *bearer.Tokens
	// Rate is how many requests a token may make per second, with twice as many at once. The default is 100.
	Rate float64
	// Timeout is how long a request may take that brings no deadline of its own. The default is 10 s.
	Timeout time.Duration
	// Logger gets a record of each request, at level info. The default is to discard.
	Logger *slog.Logger
}

// Server serves the API. Make one with [New].
type Server struct {
	config   Config
	requests *slog.Logger // config.Logger, of which nothing is left out
	metrics  *metrics
	limits   *limits
}

// New returns a server.
func New(config Config) (*Server, error) {
	if config.Backend == nil {
		return nil, errors.New("api: no Backend")
	}
	if config.Rate < 0 || config.Timeout < 0 || config.Timeout > MaxTimeout {
		return nil, errors.New("api: Rate and Timeout: want 0 (the default) or more, and at most a minute")
	}
	if config.Rate == 0 {
		config.Rate = DefaultRate
	}
	if config.Timeout == 0 {
		config.Timeout = DefaultTimeout
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{config: config, requests: logonce.Whole(config.Logger), metrics: newMetrics(), limits: newLimits(config.Rate)}, nil
}

// Collector returns the metrics.
func (s *Server) Collector() prometheus.Collector { return s.metrics }

// Handler returns the handler of all services, for HTTP/1.1 and HTTP/2.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	g := guard{s}
	options := []connect.HandlerOption{
		connect.WithRequestGate(g.admit), connect.WithInterceptors(g), connect.WithRecover(s.recovered),
		connect.WithReadMaxBytes(MaxRequest),
	}
	for _, c := range codecs {
		options = append(options, connect.WithCodec(c))
	}
	mux.Handle(apipbconnect.NewInvitationServiceHandler(invitations{s}, options...))
	mux.Handle(apipbconnect.NewUserServiceHandler(users{s}, options...))
	mux.Handle(apipbconnect.NewClusterServiceHandler(nodes{s}, options...))
	return paced(s.typed(mux))
}

// writeTime is how long a client may take to read an answer, or the next one of a stream.
const writeTime = 30 * time.Second

// pace is where a stream finds what bounds its writes in a context.
type pace struct{}

// paced bounds how long a client may take to read.
func paced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.SetWriteDeadline(time.Now().Add(MaxTimeout + writeTime)) // a writer in memory needs none
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), pace{}, control)))
	})
}

// withinTime calls send, a write to a stream, for which the client has writeTime. Between writes a stream may wait for ever.
func withinTime(ctx context.Context, send func() error) error {
	control, ok := ctx.Value(pace{}).(*http.ResponseController)
	if !ok {
		return send()
	}
	_ = control.SetWriteDeadline(time.Now().Add(writeTime))
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
	return send()
}

// NewHTTPServer returns a server for the handler, with limits that a client cannot stretch by being slow. It speaks
// HTTP/1.1 and HTTP/2, the latter without TLS too, as gRPC wants it.
func NewHTTPServer(handler http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       MaxTimeout, // of the request; a stream that answers goes on
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}
