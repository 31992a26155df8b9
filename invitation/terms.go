package invitation

import (
	"time"
	"unicode/utf8"
)

// Time is a point on one node's monotonic clock, in nanoseconds since an origin of the node's
// choice. Two nodes' Times have nothing in common: between nodes a deadline travels as the time that
// remains. The zero Time stands for "never" where a deadline is optional.
type Time int64

// Add returns the time d after t.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub returns the time from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Earliest returns the earlier of two deadlines, either of which may be zero, "never".
func Earliest(a, b Time) Time {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

// Timers are the time limits of one invitation (docs/spec.md §6). In a request a zero field stands
// for the deployment's value.
type Timers struct {
	NoResponse   time.Duration // send accepted → callee's ack; default 30 s
	Expire       time.Duration // ack recorded → cancel, accept, refuse; default 60 s
	AcceptWindow time.Duration // accept recorded → commit reaches the callee's device; default 15 s
	Grace        time.Duration // a device's connection lost → it is back; default 30 s
	Linger       time.Duration // outcome → both sides have acknowledged it; default 5 min
}

// DefaultTimers are the contract's.
var DefaultTimers = Timers{
	NoResponse:   30 * time.Second,
	Expire:       60 * time.Second,
	AcceptWindow: 15 * time.Second,
	Grace:        30 * time.Second,
	Linger:       5 * time.Minute,
}

// The bounds within which an invitation may set its own timers.
const (
	MinTimer = time.Second
	MaxTimer = 10 * time.Minute
)

// Or returns t with each zero field taken from defaults.
func (t Timers) Or(defaults Timers) Timers {
	or := func(d, other time.Duration) time.Duration {
		if d == 0 {
			return other
		}
		return d
	}
	return Timers{
		NoResponse:   or(t.NoResponse, defaults.NoResponse),
		Expire:       or(t.Expire, defaults.Expire),
		AcceptWindow: or(t.AcceptWindow, defaults.AcceptWindow),
		Grace:        or(t.Grace, defaults.Grace),
		Linger:       or(t.Linger, defaults.Linger),
	}
}

// InBounds reports whether each field is zero or from [MinTimer] to [MaxTimer].
func (t Timers) InBounds() bool {
	for _, d := range [...]time.Duration{t.NoResponse, t.Expire, t.AcceptWindow, t.Grace, t.Linger} {
		if d != 0 && (d < MinTimer || d > MaxTimer) {
			return false
		}
	}
	return true
}

// Terms are what the caller set when it sent. They never change, and are shared by pointer.
type Terms struct {
	ID        ID
	Caller    User
	Device    Device // the caller's sending device, the only one that confirms and cancels
	Callee    User
	Content   string // at most MaxContent bytes of UTF-8
	ChannelID string // at most MaxChannel bytes of UTF-8; carried, never interpreted
	Timers    Timers
}

// Check returns InvalidArgument for what no invitation may have, else OK. It does not look at the
// caller and its device, which the login has checked, nor at the id.
func (t *Terms) Check() CallError {
	switch {
	case !t.Callee.Valid(),
		t.Callee == t.Caller,
		!ValidText(t.Content, MaxContent),
		!ValidText(t.ChannelID, MaxChannel),
		!t.Timers.InBounds():
		return InvalidArgument
	}
	return OK
}

// ValidText reports whether s is UTF-8 of at most limit bytes.
func ValidText(s string, limit int) bool { return len(s) <= limit && utf8.ValidString(s) }

// ValidKey reports whether a send key is well formed: 1 to [MaxKey] bytes of the characters of a
// user id.
func ValidKey(key string) bool { return len(key) <= MaxKey && wellFormed(key) }
