package client

import (
	"context"
	"time"

	"github.com/ringfleet/ringfleet/internal/wire"
)

// renewal brings new tokens on one connection. It belongs to the reading goroutine.
type renewal struct {
	source func(context.Context) (string, error) // of tokens; nil: there are none

	said chan wire.TokenState // what the node says meanwhile; nil: nobody is at it
	done chan struct{}        // closed when nobody is any more
	stop context.CancelFunc
}

// renewAnswer is how long the node may take to judge a token.
const renewAnswer = 15 * time.Second

// token takes what the node says of the connection's token. Unasked, it is a warning that it expires soon: then
// the carrier is asked for a new one, in a goroutine that exists only until the node has taken it, the token
// has expired, or the connection is lost.
func (l *socket) token(state wire.TokenState) {
	r := &l.renewal
	if r.said != nil {
		select {
		case <-r.done:
			r.said = nil
		default:
			select {
			case r.said <- state:
			default: // a node that says more than was asked
			}
			return
		}
	}
	if r.source == nil || state.Remaining == 0 || state.Refused != "" {
		return
	}
	ctx, stop := context.WithTimeout(context.Background(), state.Remaining)
	said, done := make(chan wire.TokenState, 1), make(chan struct{})
	r.said, r.done, r.stop = said, done, stop
	go func() {
		defer close(done)
		defer stop()
		l.renew(ctx, state.Remaining, said)
	}()
}

// renew brings a new token. What fails for the moment is tried again until ctx is done; after that the connection
// ends, and the login of the next one asks for a token.
func (l *socket) renew(ctx context.Context, remaining time.Duration, said <-chan wire.TokenState) {
	for {
		pause := max(remaining/8, time.Second)
		token, err := l.renewal.source(ctx)
		if err == nil {
			if l.sayFrame(wire.ClientFrame{Renew: &token}) != nil {
				return
			}
			state, ok := l.judged(ctx, said)
			if !ok || state.RetryAfter == 0 {
				return
			}
			pause = state.RetryAfter
		}
		if wait(ctx, pause) != nil {
			return
		}
	}
}

// judged waits for the node's answer.
func (l *socket) judged(ctx context.Context, said <-chan wire.TokenState) (wire.TokenState, bool) {
	ctx, cancel := context.WithTimeout(ctx, renewAnswer)
	defer cancel()
	select {
	case state := <-said:
		return state, true
	case <-ctx.Done():
		return wire.TokenState{}, false
	}
}

// stopRenewing is called when the connection is lost.
func (l *socket) stopRenewing() {
	if l.renewal.stop != nil {
		l.renewal.stop()
	}
}
