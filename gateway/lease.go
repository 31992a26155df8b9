package gateway

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// renewInterval lies between two tokens that one connection brings.
const renewInterval = time.Second

// lease is for how long a connection's token counts; a connection whose token does not expire has none. It is
// guarded by conn.mu.
type lease struct {
	expires  invitation.Time // 0: never
	warn     invitation.Time // when to tell that it ends soon; 0: that was done
	renewed  invitation.Time // when the last new token came
	renewing bool            // it is being judged
}

// lendLocked has the token count until a time; 0: for ever.
func (c *conn) lendLocked(expires invitation.Time) {
	if c.lease == nil {
		if expires == 0 {
			return
		}
		c.lease = new(lease)
	}
	c.lease.expires, c.lease.warn = expires, 0
	if expires != 0 {
		left := expires.Sub(c.g.now())
		c.lease.warn = expires.Add(-min(c.g.config.ExpiryWarning, left/2))
	}
}

// next returns when something is to be done about the token; 0: never.
func (l *lease) next() invitation.Time {
	switch {
	case l == nil:
		return 0
	case l.warn != 0:
		return l.warn
	}
	return l.expires
}

// over reports whether the token has expired.
func (l *lease) over(now invitation.Time) bool { return l != nil && l.expires != 0 && now >= l.expires }

// remaining returns the time until the token expires; 0 if it does not.
func (l *lease) remaining(now invitation.Time) time.Duration {
	if l == nil || l.expires == 0 {
		return 0
	}
	return max(l.expires.Sub(now), time.Millisecond)
}

// warnLocked tells the client that its token ends soon, once, when it is time.
func (c *conn) warnLocked(now invitation.Time) {
	l := c.lease
	if l == nil || l.warn == 0 || now < l.warn {
		return
	}
	l.warn = 0
	if err := c.appendFrame(wire.ServerFrame{Token: &wire.TokenState{Remaining: l.remaining(now)}}); err != nil {
		c.g.faults.Log(slog.LevelError, "encode", "a frame could not be encoded", slog.Uint64("conn", c.id), slog.Any("error", err))
		return
	}
	c.queueLocked()
}

// renew has a new token judged, in a goroutine of its own: what the device says meanwhile does not wait for the
// issuer's keys. There is one for a connection at a time.
func (c *conn) renew(token string) {
	state, ok := c.beginRenewal()
	if !ok {
		c.g.stats.renewals[1].Add(1)
		c.send(wire.ServerFrame{Token: &state})
		return
	}
	go func() {
		defer c.guardRenewal()
		who, state := c.judgeRenewal(token)
		c.endRenewal(who, state)
	}()
}

// beginRenewal reports whether a new token may be judged now, and if not, what to answer.
func (c *conn) beginRenewal() (wire.TokenState, bool) {
	now := c.g.now()
	wait := c.g.admission.login(now, c.addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lease == nil {
		c.lease = new(lease)
	}
	l := c.lease
	if early := l.renewed.Add(renewInterval).Sub(now); l.renewed != 0 && early > wait {
		wait = early
	}
	if l.renewing {
		wait = max(wait, renewInterval)
	}
	if wait > 0 {
		return wire.TokenState{Remaining: l.remaining(now), Refused: "too many new tokens", RetryAfter: wait}, false
	}
	l.renewing, l.renewed = true, now
	return wire.TokenState{}, true
}

// judgeRenewal returns whom the token names or why it does not count.
func (c *conn) judgeRenewal(token string) (auth.Identity, wire.TokenState) {
	ctx, cancel := context.WithTimeout(context.Background(), c.g.config.LoginTimeout)
	defer cancel()
	// The request's own properties are those of the login; a development node takes no tokens.
	who, err := c.g.config.Authenticator.Authenticate(ctx, auth.Request{Token: token, User: c.user, Address: c.addr})
	if err == nil && who.User != c.user {
		err = auth.ErrOtherUser
	}
	if err == nil && !who.Expires.IsZero() && time.Until(who.Expires) <= 0 {
		err = auth.ErrExpired
	}
	if refusal := auth.Refusal(err); refusal != nil {
		return who, wire.TokenState{Refused: refusal.Error()}
	}
	if err != nil {
		c.g.faults.Log(slog.LevelWarn, "renew", "a new token could not be judged", slog.Uint64("conn", c.id), slog.Any("error", err))
		return who, wire.TokenState{Refused: "it could not be judged now", RetryAfter: max(c.g.config.RetryAfter, renewInterval)}
	}
	return who, wire.TokenState{}
}

// endRenewal has the new token count, unless it was refused, and tells the client.
func (c *conn) endRenewal(who auth.Identity, state wire.TokenState) {
	now := c.g.now()
	taken := state.Refused == ""
	c.mu.Lock()
	c.lease.renewing = false
	if taken {
		expires := invitation.Time(0)
		if !who.Expires.IsZero() {
			expires = now.Add(time.Until(who.Expires))
		}
		c.lendLocked(expires)
		if !c.closing && !c.dead {
			c.g.wheel.put(c, invitation.Earliest(now.Add(c.g.config.PingInterval), c.lease.next()))
		}
	}
	state.Remaining = c.lease.remaining(now)
	c.mu.Unlock()
	if taken {
		c.g.stats.renewals[0].Add(1)
	} else {
		c.g.stats.renewals[1].Add(1)
	}
	c.send(wire.ServerFrame{Token: &state})
}

// guardRenewal ends the connection whose token made the authenticator panic, and nothing else.
func (c *conn) guardRenewal() {
	if fault := recover(); fault != nil {
		c.g.stats.panics.Add(1)
		c.g.faults.Log(slog.LevelError, "panic", "panic while judging a token", slog.Uint64("conn", c.id),
			slog.Any("panic", fault), slog.String("stack", string(debug.Stack())))
		c.finish(invitation.Ending{End: invitation.EndInternal}, "")
	}
}
