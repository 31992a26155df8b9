package wire

import (
	"math"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// MaxLoginWords is the largest number of words that a login may bring. A device that has more says
// the others in frames of their own after the Welcome.
const MaxLoginWords = 1_000

// ClientFrame is one frame of a device. One of its fields is set.
type ClientFrame struct {
	Login *Login
	Up    invitation.Up
	Ping  *uint64 // to be answered with a pong of the same number
	Renew *string // a new token for the connection
}

// Login is the first frame of a connection: a login, and what the gateway needs to judge it.
type Login struct {
	invitation.Login // User and Device are as they came; check them with Valid

	Token      string // "" when the HTTP request carried it
	MinVersion uint32 // the protocol versions the device speaks, see [Negotiate]
	MaxVersion uint32
}

// ServerFrame is one frame of a node. Either a field of Down is set, or Pong, or Token.
type ServerFrame struct {
	Down invitation.Down

	// Info completes Down.Welcome; nil adds nothing.
	Info *Info
	// Text completes Down.Ending, for people. "" stands for the text of the table of ends.
	Text string
	// Time is the node's wall clock, told with every view and Welcome, to the millisecond. The zero
	// Time is not told.
	Time time.Time

	Pong  *uint64
	Token *TokenState
}

// TokenState is how long the token of a connection counts, and what became of a new one.
type TokenState struct {
	Remaining  time.Duration // 0: it does not expire
	Refused    string        // why the new one was not taken, for people; "": nothing was refused
	RetryAfter time.Duration // when to bring it again; 0: not that one
}

// Info is what a Welcome tells of the node that took the login.
type Info struct {
	Version      uint32            // the version both speak from here on
	User         invitation.User   // whom the token named
	PingInterval time.Duration     // the node pings a connection that was silent for this long
	IdleTimeout  time.Duration     // and ends it after this long without a frame or pong
	MaxFrame     uint32            // the largest frame the node takes, in bytes
	Timers       invitation.Timers // the deployment's
	Node         string            // the node's name, for support

	// TokenRemaining is the time until the token expires; 0: it does not, or the node takes no new one.
	TokenRemaining time.Duration
}

// milliseconds rounds d up to whole milliseconds. What is negative gives 0, what 32 bits do not hold
// gives the largest number.
func milliseconds(d time.Duration) uint32 {
	if d <= 0 {
		return 0
	}
	ms := int64(d / time.Millisecond)
	if d%time.Millisecond != 0 {
		ms++
	}
	return uint32(min(ms, math.MaxUint32))
}

// duration is the inverse of milliseconds.
func duration(ms uint32) time.Duration { return time.Duration(ms) * time.Millisecond }

// unixMilliseconds gives 0 for the zero time and for what was before 1970.
func unixMilliseconds(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(max(t.UnixMilli(), 0))
}

// wallClock is the inverse of unixMilliseconds.
func wallClock(ms uint64) time.Time {
	if ms == 0 || ms > math.MaxInt64 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}
