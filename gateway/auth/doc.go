// Package auth decides who a connection is. A [Request] is what a connection brought, an [Identity]
// is what is believed of it. Two ways are built in:
//
//	a, err := auth.NewJWT(auth.JWTConfig{Keys: keys})   // tokens: HS256, EdDSA, ES256 or RS256
//	a, err := auth.NewJWT(auth.JWTConfig{JWKS: set})    // the same, with keys that the issuer publishes
//	a := auth.Development{}                             // no tokens; loopback only
//
// Both implement the gateway's Authenticator; an embedder may bring its own.
//
// # Errors
//
// An error that is, or wraps, one of the sentinels of this package is a refusal: the connection ends
// with invitation.EndUnauthorized. Any other error means that nothing could be decided (the key
// server is away): the connection ends with invitation.EndOverloaded and the client tries again. No
// error's text holds a token or a part of one.
package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// Request is what a connection brought to say who it is.
type Request struct {
	Token string          // from the login frame, else from the HTTP request; "" when there was none
	User  invitation.User // whom the login claims to be; "" leaves it to the token

	// Address is where the connection comes from; not valid for a transport without IP addresses.
	Address netip.Addr
	// Forwarded reports that the HTTP request had passed a proxy, so that Address is the proxy's.
	Forwarded bool
	// Host is the host that the HTTP request was for; "" where there was no request.
	Host string
}

// Identity is what is believed of a connection.
type Identity struct {
	User    invitation.User
	Expires time.Time // when the connection is ended with EndUnauthorized; zero: never
}

// The refusals. Those that are finer than ErrBadToken wrap it.
var (
	ErrNoToken   = errors.New("the token is missing")
	ErrBadToken  = errors.New("the token is not valid")
	ErrAlgorithm = fmt.Errorf("%w: its algorithm is none of those that count", ErrBadToken)
	ErrNoKey     = fmt.Errorf("%w: its key is not known", ErrBadToken)
	ErrSignature = fmt.Errorf("%w: its signature is wrong", ErrBadToken)
	ErrNotYet    = fmt.Errorf("%w: its time has not come", ErrBadToken)
	ErrIssuer    = fmt.Errorf("%w: it is of another issuer", ErrBadToken)
	ErrAudience  = fmt.Errorf("%w: it is for another audience", ErrBadToken)
	ErrClaims    = fmt.Errorf("%w: its exp is missing, or its sub is not a user id", ErrBadToken)
	ErrExpired   = errors.New("the token has expired")
	ErrOtherUser = errors.New("the token is for another user")
	ErrNotLocal  = errors.New("development authentication takes connections from this machine only")
)

// refusals are all of them, the finer ones first.
var refusals = []error{
	ErrNoToken, ErrAlgorithm, ErrNoKey, ErrSignature, ErrNotYet, ErrIssuer, ErrAudience, ErrClaims, ErrBadToken, ErrExpired, ErrOtherUser,
	ErrNotLocal,
}

// Refusal returns the sentinel of this package that err is or wraps, the finest of them; nil when it is no refusal.
func Refusal(err error) error {
	for _, refusal := range refusals {
		if errors.Is(err, refusal) {
			return refusal
		}
	}
	return nil
}
