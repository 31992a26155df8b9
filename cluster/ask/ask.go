package ask

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// Serve does what a request asks for, until ctx is done.
type Serve func(ctx context.Context, method string, body []byte) ([]byte, error)

// Request is one node's question to another.
type Request struct {
	ID        uint64
	Node      string // that asks
	Method    string
	Remaining time.Duration // for how long the answer is waited for
	Body      []byte
}

// Response answers a [Request].
type Response struct {
	ID      uint64
	Code    uint32 // of gRPC; 0: it was done
	Message string
	Detail  []byte
	Body    []byte
}

// The codes of gRPC that this package sets by itself.
const (
	Unimplemented = 12
	Internal      = 13
	Unavailable   = 14
)

// Error is an answer that says no.
type Error struct {
	Code    uint32 // of gRPC
	Message string
	Detail  []byte // more about it, as the method says
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// The errors of [Asker.Ask] beside an [*Error].
var (
	// ErrNoAnswer: the answer did not come in time. The request may have been served, or may yet be.
	ErrNoAnswer = errors.New("ask: no answer from the other node: it may be dying; try again")
	// ErrNotSent: the request did not leave this node.
	ErrNotSent = errors.New("ask: the other node cannot be reached: try again")
	// ErrTooMany: too many requests wait for answers.
	ErrTooMany = errors.New("ask: too many requests wait for answers: try again later")
)

// The defaults of [Config].
const (
	DefaultMaxWaiting = 4_096
	DefaultMaxServing = 256
)

// Config is what an [Asker] is made of.
type Config struct {
	// Self is this node's name. Required.
	Self string
	// First is below the id of the first request. Ids must not be used again after a restart.
	First uint64
	// Reply sends a response to a node. Required.
	Reply func(node string, r *Response) error
	// MaxWaiting bounds the requests that wait for answers; the default is 4,096.
	MaxWaiting int
	// MaxServing bounds the requests of other nodes that are served at once; the default is 256.
	MaxServing int
	// MaxTime bounds how long a request of another node is served; the default is 30 s.
	MaxTime time.Duration
	// Logger gets panics of what is served; the default discards.
	Logger *slog.Logger
}

// Asker asks, and answers. Make one with [New].
type Asker struct {
	config Config
	ctx    context.Context //nolint:containedctx // that of all that is served, until Close
	cancel context.CancelFunc

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan *Response
	serving int
}

// New returns an Asker. It has no goroutines of its own.
func New(config Config) *Asker {
	if config.MaxWaiting == 0 {
		config.MaxWaiting = DefaultMaxWaiting
	}
	if config.MaxServing == 0 {
		config.MaxServing = DefaultMaxServing
	}
	if config.MaxTime == 0 {
		config.MaxTime = 30 * time.Second
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Asker{config: config, last: config.First, waiting: map[uint64]chan *Response{}}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// Close ends what is being served for other nodes.
func (a *Asker) Close() { a.cancel() }

// Ask sends a request by send and waits for its answer until ctx is done, which should have a deadline. The error is
// an [*Error], or wraps one of the errors of this package.
func (a *Asker) Ask(ctx context.Context, send func(*Request) error, method string, body []byte) ([]byte, error) {
	return a.AskAgain(ctx, 0, send, method, body)
}

// AskAgain is [Asker.Ask] for what may be served twice: a request that was sent and not answered is sent again each
// time that every has passed, to wherever send finds then. 0: it is not.
func (a *Asker) AskAgain(
	ctx context.Context, every time.Duration, send func(*Request) error, method string, body []byte,
) ([]byte, error) {
	answer := make(chan *Response, 1)
	id, ok := a.enter(answer)
	if !ok {
		return nil, ErrTooMany
	}
	defer a.leave(id)
	request := func() *Request {
		remaining := a.config.MaxTime
		if deadline, ok := ctx.Deadline(); ok {
			remaining = min(remaining, time.Until(deadline))
		}
		return &Request{ID: id, Node: a.config.Self, Method: method, Remaining: remaining, Body: body}
	}
	if err := send(request()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	var again <-chan time.Time
	if every > 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		again = ticker.C
	}
	for {
		select {
		case r := <-answer:
			if r.Code != 0 {
				return nil, &Error{Code: r.Code, Message: r.Message, Detail: r.Detail}
			}
			return r.Body, nil
		case <-again:
			_ = send(request()) // the next one may find a way
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrNoAnswer, context.Cause(ctx))
		}
	}
}

func (a *Asker) enter(answer chan *Response) (uint64, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) >= a.config.MaxWaiting {
		return 0, false
	}
	a.last++
	a.waiting[a.last] = answer
	return a.last, true
}

func (a *Asker) leave(id uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.waiting, id)
}

// Answer takes the answer of another node.
func (a *Asker) Answer(r *Response) {
	a.mu.Lock()
	answer := a.waiting[r.ID]
	delete(a.waiting, r.ID)
	a.mu.Unlock()
	if answer != nil {
		answer <- r
	}
}

// Take takes the request of another node, has it served on a goroutine of its own, and answers. An error that is an
// [*Error] is answered as it is, any other as internal.
func (a *Asker) Take(r *Request, serve Serve) {
	a.mu.Lock()
	full := a.serving >= a.config.MaxServing
	if !full {
		a.serving++
	}
	a.mu.Unlock()
	if full {
		a.Refuse(r, &Error{Code: Unavailable, Message: "the node is too busy with the requests of others: try again"})
		return
	}
	go func() {
		defer func() {
			a.mu.Lock()
			a.serving--
			a.mu.Unlock()
		}()
		a.reply(r, a.serve(r, serve))
	}()
}

// Refuse answers a request with an error, without serving it.
func (a *Asker) Refuse(r *Request, err error) { a.reply(r, refusal(err)) }

func (a *Asker) reply(r *Request, answer *Response) {
	answer.ID = r.ID
	// An answer that cannot be sent is one that does not come.
	_ = a.config.Reply(r.Node, answer)
}

func (a *Asker) serve(r *Request, serve Serve) (answer *Response) {
	defer func() {
		if recovered := recover(); recovered != nil {
			a.config.Logger.Error("panic while another node's request was served",
				"method", r.Method, "node", r.Node, "panic", recovered, "stack", string(debug.Stack()))
			answer = &Response{Code: Internal, Message: "a fault of the node"}
		}
	}()
	ctx, cancel := context.WithTimeout(a.ctx, min(max(r.Remaining, 0), a.config.MaxTime))
	defer cancel()
	body, err := serve(ctx, r.Method, r.Body)
	if err != nil {
		return refusal(err)
	}
	return &Response{Body: body}
}

func refusal(err error) *Response {
	if e, ok := errors.AsType[*Error](err); ok && e.Code != 0 {
		return &Response{Code: e.Code, Message: e.Message, Detail: e.Detail}
	}
	return &Response{Code: Internal, Message: err.Error()}
}
