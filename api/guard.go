package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/time/rate"

	"github.com/ringfleet/ringfleet/internal/bearer"
	"github.com/ringfleet/ringfleet/internal/fault"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/apipb/apipbconnect"
)

// scopes is what a token has to have for each procedure. One that is missing here is nobody's.
var scopes = map[string]string{
	apipbconnect.InvitationServiceGetInvitationProcedure:    ScopeRead,
	apipbconnect.InvitationServiceSendInvitationProcedure:   ScopeCall,
	apipbconnect.InvitationServiceCancelInvitationProcedure: ScopeCall,
	apipbconnect.UserServiceGetUserProcedure:                ScopeRead,
	apipbconnect.UserServiceListUserInvitationsProcedure:    ScopeRead,
	apipbconnect.UserServiceListUserOutcomesProcedure:       ScopeRead,
	apipbconnect.UserServiceEndSessionProcedure:             ScopeAdmin,
	apipbconnect.UserServiceEndDeviceProcedure:              ScopeAdmin,
	apipbconnect.ClusterServiceGetClusterProcedure:          ScopeRead,
	apipbconnect.ClusterServiceWatchClusterProcedure:        ScopeRead,
	apipbconnect.ClusterServiceGetNodeProcedure:             ScopeRead,
	apipbconnect.ClusterServiceDrainNodeProcedure:           ScopeAdmin,
}

// anonymous is who asks where no tokens are needed.
const anonymous = "anonymous"

// guard is around every request: it lets through who may, and counts, times and logs all. It implements
// connect.Interceptor.
type guard struct{ server *Server }

// nameKey is that of who asks in a context.
type nameKey struct{}

func nameOf(ctx context.Context) string {
	name, _ := ctx.Value(nameKey{}).(string)
	return name
}

// admit lets a request through, before it is read, or tells why not. It is a connect.RequestGateFunc.
func (g guard) admit(ctx context.Context, spec connect.Spec, peer connect.Peer, header http.Header) (context.Context, error) {
	name, err := g.who(spec.Procedure, header)
	if err != nil {
		return nil, g.end(ctx, spec, peer, name, "", time.Now(), err)
	}
	return context.WithValue(ctx, nameKey{}, name), nil
}

// who returns the name of who asks, and why it may not.
func (g guard) who(procedure string, header http.Header) (string, error) {
	name := anonymous
	if g.server.config.Tokens != nil {
		scope, known := scopes[procedure]
		if !known {
			return "", fault.New(connect.CodePermissionDenied, "nobody may do this")
		}
		token := bearer.Token(header.Get("Authorization"))
		grant, err := g.server.config.Tokens.Authorize(token, scope)
		switch {
		case errors.Is(err, bearer.ErrScope):
			known, _ := g.server.config.Tokens.Check(token)
			return known.Name, fault.New(connect.CodePermissionDenied, "%s", err.Error())
		case err != nil:
			return "", fault.New(connect.CodeUnauthenticated, "%s", err.Error())
		}
		name = grant.Name
	}
	if wait := g.server.limits.take(name); wait > 0 {
		return name, fault.Limited(wait, "the token makes more than %g requests per second", g.server.config.Rate)
	}
	return name, nil
}

// WrapUnary implements connect.Interceptor.
func (g guard) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		began := time.Now()
		response, err := g.bounded(ctx, r, next)
		if err = g.end(ctx, r.Spec(), r.Peer(), nameOf(ctx), targetOf(r.Any()), began, err); err != nil {
			return nil, err
		}
		return response, nil
	}
}

// bounded calls next for as long as a request may take.
func (g guard) bounded(ctx context.Context, r connect.AnyRequest, next connect.UnaryFunc) (connect.AnyResponse, error) {
	if err := readable(r.Any()); err != nil {
		return nil, err
	}
	timeout := g.server.config.Timeout
	if _, has := ctx.Deadline(); has {
		timeout = MaxTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return next(ctx, r)
}

// WrapStreamingClient implements connect.Interceptor.
func (g guard) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler implements connect.Interceptor.
func (g guard) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, stream connect.StreamingHandlerConn) error {
		began, name := time.Now(), nameOf(ctx)
		err := error(fault.Limited(time.Second, "the token has %d streams open: close one", MaxStreams))
		if g.server.limits.enter(name) {
			err = next(ctx, stream)
			g.server.limits.leave(name)
		}
		return g.end(ctx, stream.Spec(), stream.Peer(), name, "", began, err)
	}
}

// end counts and logs a request that is over, and returns its error as it is told.
func (g guard) end(ctx context.Context, spec connect.Spec, peer connect.Peer, name, target string, began time.Time, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fault.New(connect.CodeDeadlineExceeded, "the deadline of the request is over") // its own, not ours
	}
	err = fault.Typed(err)
	took := time.Since(began)
	g.server.metrics.observe(spec.Procedure, codeName(err), took)
	g.server.log(ctx, line{name, spec.Procedure, target, peer.Addr, took, err})
	return err
}

// line is what the log has of a request that is over.
type line struct {
	who, procedure, target, from string
	took                         time.Duration
	err                          error
}

// log logs a request. No line is left out, however many there are: they say who did what.
func (s *Server) log(ctx context.Context, l line) {
	level := slog.LevelInfo
	if l.err != nil && connect.CodeOf(l.err) == connect.CodeInternal {
		level = slog.LevelError
	}
	attributes := []slog.Attr{
		slog.String("who", l.who), slog.String("what", strings.TrimPrefix(l.procedure, "/ringfleet.api.v1.")),
		slog.String("target", l.target), slog.String("result", codeName(l.err)), slog.Duration("took", l.took), slog.String("from", l.from),
	}
	if id, err := invitation.ParseID(l.target); err == nil {
		attributes = append(attributes, slog.String("trace_id", id.TraceID())) // as in all lines about an invitation
	}
	if l.err != nil {
		attributes = append(attributes, slog.String("error", l.err.Error()))
	}
	s.requests.LogAttrs(ctx, level, "api", attributes...)
}

// codeName returns a result as logs and metrics have it.
func codeName(err error) string {
	if err == nil {
		return "ok"
	}
	return connect.CodeOf(err).String()
}

// recovered is the error of a request whose handling panicked.
func (s *Server) recovered(ctx context.Context, spec connect.Spec, _ http.Header, recovered any) error {
	s.config.Logger.LogAttrs(ctx, slog.LevelError, "panic while a request of the API was handled",
		slog.String("what", spec.Procedure), slog.String("panic", fmt.Sprint(recovered)), slog.String("stack", string(debug.Stack())))
	return fault.New(connect.CodeInternal, "a fault of the node")
}

// targetOf returns what a request is about, for the log: ids, and nothing that users say to each other.
func targetOf(request any) string {
	switch r := request.(type) {
	case interface{ GetInvitationId() string }:
		return shown(r.GetInvitationId())
	case interface {
		GetCaller() string
		GetCallee() string
	}:
		return shown(r.GetCaller()) + " to " + shown(r.GetCallee())
	case interface {
		GetUser() string
		GetDevice() string
	}:
		return shown(r.GetUser()) + " on " + shown(r.GetDevice())
	case interface{ GetUser() string }:
		return shown(r.GetUser())
	case interface{ GetNode() string }:
		return shown(r.GetNode())
	}
	return ""
}

// maxShown is the most of an id that the log gets: no id that is one is longer.
const maxShown = 64

func shown(id string) string {
	if len(id) > maxShown {
		id = id[:maxShown] + "…"
	}
	return strings.ToValidUTF8(id, "�")
}

// limits are the rates and the streams of the tokens, by name. There are as many as names in the file of tokens.
type limits struct {
	rate float64

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
	streams map[string]int
}

func newLimits(perSecond float64) *limits {
	return &limits{rate: perSecond, buckets: map[string]*rate.Limiter{}, streams: map[string]int{}}
}

// maxBuckets bounds the names: of a file that is changed often they only add up.
const maxBuckets = 1_024

// take counts a request, and returns after what time it may be made; 0: now.
func (l *limits) take(name string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket := l.buckets[name]
	if bucket == nil {
		if len(l.buckets) >= maxBuckets {
			clear(l.buckets)
		}
		bucket = rate.NewLimiter(rate.Limit(l.rate), max(int(2*l.rate), 1))
		l.buckets[name] = bucket
	}
	now := time.Now()
	r := bucket.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

func (l *limits) enter(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams[name] >= MaxStreams {
		return false
	}
	l.streams[name]++
	return true
}

func (l *limits) leave(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams[name]--; l.streams[name] == 0 {
		delete(l.streams, name)
	}
}
