package gateway

import (
	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet/invitation"
)

// look is the wheel's look at the connection: it ends what is over, pings what is silent, and
// returns when to look again.
func (c *conn) look(now invitation.Time) invitation.Time {
	config := &c.g.config
	c.mu.Lock()
	switch {
	case c.dead:
		c.mu.Unlock()
		return 0
	case c.closing && now < c.due:
		defer c.mu.Unlock()
		return c.due
	case c.closing:
		c.mu.Unlock()
		c.tearDown()
		return 0
	}
	end := invitation.End(0)
	heard := invitation.Time(c.heard.Load())
	next := heard.Add(config.IdleTimeout)
	switch {
	case c.stalled && now >= c.due:
		end = invitation.EndSlowReader
	case c.pending:
		if next = c.opened.Add(config.LoginTimeout); now >= next {
			end = invitation.EndLoginTimeout
		}
	case c.lease.over(now):
		end = invitation.EndTokenExpired
	case now >= next:
		end = invitation.EndIdle
	default:
		next = invitation.Earliest(next, c.pingLocked(heard, now))
		c.warnLocked(now)
		next = invitation.Earliest(next, c.lease.next())
	}
	if c.stalled {
		next = invitation.Earliest(next, c.due)
	}
	c.mu.Unlock()
	if end != 0 {
		c.finish(invitation.Ending{End: end}, "")
		return now.Add(config.CloseTimeout)
	}
	return next
}

// pingLocked sends a ping if one is due, and returns when the next is.
func (c *conn) pingLocked(heard, now invitation.Time) invitation.Time {
	interval := c.g.config.PingInterval
	due := max(heard, c.pinged).Add(interval)
	if now < due {
		return due
	}
	c.pinged = now
	if c.out == nil {
		c.out = takeBuffer()
	}
	c.out.b = appendHeader(c.out.b, ws.OpPing, 0)
	c.queueLocked()
	return now.Add(interval)
}
