package client

import (
	"errors"
	"fmt"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// The errors of the session. Those of requests are an [invitation.CallError].
var (
	// ErrClosed is returned by everything that is called on a client after Close.
	ErrClosed = errors.New("client: closed")
	// ErrNotLoggedIn is returned where a session is needed and there is none: before Login has
	// succeeded, and after the session is over. Call Login.
	ErrNotLoggedIn = errors.New("client: not logged in")
	// ErrLoggedIn is returned by a Login while there is a session or another Login is under way.
	ErrLoggedIn = errors.New("client: logged in already")
)

// EndError tells why the node ended a connection, or did not take a login, and when to come back.
// errors.Is finds the [invitation.End] in it:
//
//	if errors.Is(err, invitation.EndUnauthorized) { … }
type EndError struct {
	End        invitation.End
	RetryAfter time.Duration // 0: not told
}

// Error says what happened and what to do next.
func (e *EndError) Error() string { return e.End.Error() }

// Unwrap returns the [invitation.End].
func (e *EndError) Unwrap() error { return e.End }

// RetryError is a [invitation.CallError] for which the node told when to try again. errors.Is and
// errors.As find the CallError in it.
type RetryError struct {
	Code  invitation.CallError
	After time.Duration
}

// Error says what happened and when to try again.
func (e *RetryError) Error() string { return fmt.Sprintf("%v; retry after %v", e.Code, e.After) }

// Unwrap returns the [invitation.CallError].
func (e *RetryError) Unwrap() error { return e.Code }

// callError is the error of a request that was answered with code.
func callError(code invitation.CallError, retryAfter time.Duration) error {
	if code == invitation.OK || retryAfter <= 0 {
		return code.Err()
	}
	return &RetryError{Code: code, After: retryAfter}
}

// endOf returns the end that err stands for, and whether it stands for one.
func endOf(err error) (EndError, bool) {
	var told *EndError
	if errors.As(err, &told) {
		return *told, true
	}
	var end invitation.End
	if errors.As(err, &end) {
		return EndError{End: end}, true
	}
	return EndError{}, false
}
