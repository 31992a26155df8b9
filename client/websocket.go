package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// WebSocket is the [Carrier] to a node at a distance. It may be shared by any number of clients; its
// fields must not be changed once it is used. A connection costs one goroutine, another while
// there is something to write, and about 2 KiB of buffers.
type WebSocket struct {
	// URLs are the nodes' addresses, like "wss://rings.example.com": of scheme ws or wss (http and
	// https mean the same). Without a path, the path is [Path]. Connections take them in turn, from a
	// random one on, so that a client that cannot reach one node tries the next.
	URLs []string
	// Token returns the token that the login presents. It is called for every connection, and again when the token
	// of one expires soon (the node warns a minute before): what it returns then counts from that time on, and the
	// connection stays. If it fails it is called again, until the token has expired; then the connection ends with
	// TOKEN_EXPIRED, and the client reconnects with another. It may block until ctx is done. Nil: no token, for nodes
	// in development mode.
	Token func(ctx context.Context) (string, error)
	// TokenFor, if set, is asked instead of Token, with the user who logs in: for clients of several users that share
	// this.
	TokenFor func(ctx context.Context, user invitation.User) (string, error)
	// JSON chooses protobuf's JSON mapping in text messages. The default is binary.
	JSON bool
	// TLS is used for wss. Nil: the system's authorities.
	TLS *tls.Config
	// NetDial opens the network connections, before TLS. The default is that of a net.Dialer.
	NetDial func(ctx context.Context, network, address string) (net.Conn, error)
	// PingAfter is the silence after which the client asks whether the node is there. The default is
	// 30 s.
	PingAfter time.Duration
	// PongTimeout is how long the node has to answer that, before the connection counts as lost. The
	// default is 10 s.
	PongTimeout time.Duration
	// MaxFrame is the largest message taken, in bytes. The default is 1 MiB.
	MaxFrame int

	once  sync.Once
	mu    sync.Mutex
	turn  int
	fault error // of the URLs
	urls  []string
}

// Path is where nodes take connections.
const Path = "/v1/connect"

// StaticToken returns a Token for a [WebSocket] that is always the same.
func StaticToken(token string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return token, nil }
}

// prepare reads the URLs, once.
func (s *WebSocket) prepare() {
	if len(s.URLs) == 0 {
		s.fault = errors.New("client: a WebSocket without URLs")
		return
	}
	for _, text := range s.URLs {
		u, err := url.Parse(text)
		if err != nil {
			s.fault = fmt.Errorf("client: URL of a node: %w", err)
			return
		}
		switch u.Scheme {
		case "http":
			u.Scheme = "ws"
		case "https":
			u.Scheme = "wss"
		case "ws", "wss":
		default:
			s.fault = fmt.Errorf("client: URL of a node: %q: want ws://host:port or wss://host", text)
			return
		}
		if u.Path == "" || u.Path == "/" {
			u.Path = Path
		}
		s.urls = append(s.urls, u.String())
	}
	s.turn = rand.IntN(len(s.urls))
}

func (s *WebSocket) nextURL() (string, error) {
	s.once.Do(s.prepare)
	if s.fault != nil {
		return "", s.fault
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn++
	return s.urls[s.turn%len(s.urls)], nil
}

func (s *WebSocket) codec() wire.Codec {
	if s.JSON {
		return wire.JSON
	}
	return wire.Binary
}

// Dial implements [Carrier].
func (s *WebSocket) Dial(ctx context.Context, login invitation.Login, receiver Receiver) (Link, error) {
	address, err := s.nextURL()
	if err != nil {
		return nil, err
	}
	frame := &wire.Login{Login: login, MinVersion: wire.ProtocolVersion, MaxVersion: wire.ProtocolVersion}
	token := s.tokenOf(login.User)
	if token != nil {
		if frame.Token, err = token(ctx); err != nil {
			return nil, fmt.Errorf("client: get a token: %w", err)
		}
	}
	var refused refusal
	dialer := ws.Dialer{
		Protocols:     []string{s.codec().Subprotocol()},
		TLSConfig:     s.TLS,
		NetDial:       s.NetDial,
		OnStatusError: refused.read,
	}
	conn, early, shake, err := dialer.Dial(ctx, address)
	if err != nil {
		if end, ok := refused.end(); ok {
			return nil, fmt.Errorf("client: connect to %s: %w: %w", address, err, end)
		}
		return nil, fmt.Errorf("client: connect to %s: %w", address, err)
	}
	if shake.Protocol != s.codec().Subprotocol() {
		conn.Close()
		return nil, fmt.Errorf("client: connect to %s: it does not speak %s", address, s.codec().Subprotocol())
	}
	l := newSocket(s, conn, early, receiver)
	l.renewal.source = token
	if err := l.sayFrame(wire.ClientFrame{Login: frame}); err != nil {
		conn.Close()
		return nil, err
	}
	go l.read()
	return l, nil
}

// tokenOf returns what gives a user's tokens; nil for nothing.
func (s *WebSocket) tokenOf(user invitation.User) func(context.Context) (string, error) {
	if s.TokenFor == nil {
		return s.Token
	}
	return func(ctx context.Context) (string, error) { return s.TokenFor(ctx, user) }
}

// refusal is the HTTP answer of a node that did not take the connection.
type refusal struct {
	status     int
	retryAfter time.Duration
}

// read is called with the whole answer.
func (r *refusal) read(status int, _ []byte, answer io.Reader) {
	r.status = status
	head, _ := io.ReadAll(io.LimitReader(answer, 4<<10)) // what is there is enough
	for line := range strings.Lines(string(head)) {
		name, value, _ := strings.Cut(line, ":")
		if seconds, err := strconv.Atoi(strings.TrimSpace(value)); err == nil && strings.EqualFold(name, "Retry-After") {
			r.retryAfter = time.Duration(min(max(seconds, 0), 3_600)) * time.Second
		}
	}
}

// end returns the end that the status stands for.
func (r *refusal) end() (*EndError, bool) {
	switch r.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return &EndError{End: invitation.EndUnauthorized}, true
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return &EndError{End: invitation.EndOverloaded, RetryAfter: r.retryAfter}, true
	}
	return nil, false
}
