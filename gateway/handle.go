package gateway

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// The functions of this file are the strand's: one goroutine at a time is in them for a connection.
// A function that they return is work that may block.

// handle handles a whole WebSocket frame.
func (c *conn) handle(h ws.Header, payload []byte, now invitation.Time) func() {
	switch {
	case h.OpCode == ws.OpClose:
		c.blind = true
		c.closedByClient(payload)
		return nil
	case c.ended():
		c.discard(len(payload))
		return nil
	}
	over := c.frames.take(now, c.g.config.FrameRate, c.g.config.FrameBurst)
	if over > 0 {
		c.g.stats.overRate.Add(1)
		if over > burstTime(c.g.config.FrameRate, c.g.config.FrameBurst) {
			c.finish(invitation.Ending{End: invitation.EndRateExceeded}, "")
			return nil
		}
	}
	switch {
	case h.OpCode == ws.OpPing:
		c.sendControl(ws.OpPong, payload)
		return nil
	case h.OpCode == ws.OpPong:
		return nil
	case h.OpCode != ws.OpContinuation && h.OpCode != c.opcode():
		c.badFrame("a text message where binary ones were agreed on, or the opposite")
		return nil
	}
	if message, whole := c.assemble(h, payload); whole {
		return c.message(message, over, now)
	}
	return nil
}

// ended reports whether nothing that comes matters but a close frame.
func (c *conn) ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing || c.dead
}

// sendControl queues a control frame.
func (c *conn) sendControl(op ws.OpCode, payload []byte) {
	c.mu.Lock()
	if !c.closing && !c.dead {
		if c.out == nil {
			c.out = takeBuffer()
		}
		c.out.b = append(appendHeader(c.out.b, op, len(payload)), payload...)
		c.outFrames++
		c.queueLocked()
	}
	slow := c.out != nil && c.overLocked()
	c.mu.Unlock()
	if slow {
		c.finish(invitation.Ending{End: invitation.EndSlowReader}, "")
	}
}

// assemble returns the message that a data frame completes. Its length was checked with its header.
func (c *conn) assemble(h ws.Header, payload []byte) (message []byte, whole bool) {
	if h.Fin && h.OpCode != ws.OpContinuation {
		return payload, true
	}
	if c.in == nil {
		c.in = new(inbox)
	}
	if h.OpCode != ws.OpContinuation {
		c.in.op = h.OpCode
	}
	c.in.msg = append(c.in.msg, payload...)
	if !h.Fin {
		return nil, false
	}
	message = c.in.msg
	c.in.msg, c.in.op = nil, 0
	return message, true
}

// message handles one frame of the protocol, which came too early by over.
func (c *conn) message(data []byte, over time.Duration, now invitation.Time) func() {
	f, err := wire.DecodeUp(c.codec, data)
	if f.Up.Call != nil {
		c.g.timing.begin(c.id, f.Up.Call.RequestID, now)
	}
	switch {
	case err != nil:
		c.badFrame(strings.TrimPrefix(err.Error(), wire.ErrBadFrame.Error()+": "))
	case f.Ping != nil:
		c.send(wire.ServerFrame{Pong: f.Ping})
	case c.joined && f.Login != nil:
		c.badFrame("a second login; make another connection")
	case c.joined && f.Renew != nil:
		c.renew(*f.Renew)
	case f.Renew != nil:
		c.badFrame("a new token before the login")
	case c.joined:
		return c.say(f.Up, over)
	case f.Login != nil:
		c.g.timing.begin(c.id, loginID, now)
		return func() { c.login(f.Login) }
	default:
		c.beforeLogin(f.Up)
	}
	return nil
}

// badFrame ends the connection for a frame that WebSocket allows and the protocol does not.
func (c *conn) badFrame(why string) {
	c.finish(invitation.Ending{End: invitation.EndBadFrame}, "BAD_FRAME: "+why)
}

// beforeLogin answers what is said too early.
func (c *conn) beforeLogin(up invitation.Up) {
	switch {
	case up.Logout:
		c.finish(invitation.Ending{End: invitation.EndLoggedOut}, "")
	case up.Call == nil:
		c.badFrame("a word before the login")
	case up.Call.Request == invitation.Send:
		// The contract has no call error for it: the invitation begins, and ends as a failure.
		c.answer(up.Call, invitation.Answer{Notice: &invitation.Notice{
			Side: invitation.Caller, Peer: up.Call.Callee,
			Local: invitation.LocalFailure, Code: uint8(invitation.LocalNotLoggedIn), Settled: true,
		}})
	default:
		c.answer(up.Call, invitation.Answer{Error: invitation.NotFound})
	}
}

// login judges a login, and attaches the connection. It may block.
func (c *conn) login(l *wire.Login) {
	end, err := c.judge(l)
	if err == nil {
		end, err = c.attach(l)
	}
	c.g.stats.login(end)
	if err == nil {
		return
	}
	c.g.loggedIn(c.id, end)
	var said *saidError
	e := invitation.Ending{End: end}
	switch {
	case errors.As(err, &said):
		e.RetryAfter = said.retryAfter
		c.finish(e, said.text)
	default:
		c.finish(e, "")
	}
}

// saidError is a reason that the client is told.
type saidError struct {
	text       string
	retryAfter time.Duration
}

func (e *saidError) Error() string { return e.text }

// judge authenticates a login. On success user, device and lease are set.
func (c *conn) judge(l *wire.Login) (invitation.End, error) {
	if _, err := wire.Negotiate(l.MinVersion, l.MaxVersion); err != nil {
		return invitation.EndBadVersion, err
	}
	if !l.Device.Valid() || l.Device == invitation.Agent || l.User != "" && !l.User.Valid() {
		return invitation.EndBadLogin, invitation.EndBadLogin
	}
	if wait := c.g.admission.login(c.g.now(), c.addr); wait > 0 {
		return c.g.overloaded(wait)
	}
	r := *c.hello
	r.User = l.User
	if l.Token != "" {
		r.Token = l.Token
	}
	left := c.opened.Add(c.g.config.LoginTimeout).Sub(c.g.now())
	ctx, cancel := context.WithTimeout(context.Background(), left)
	defer cancel()
	who, err := c.g.config.Authenticator.Authenticate(ctx, r)
	if err == nil && l.User != "" && who.User != l.User {
		err = auth.ErrOtherUser
	}
	if refusal := auth.Refusal(err); refusal != nil {
		return invitation.EndUnauthorized, &saidError{text: "UNAUTHORIZED: " + refusal.Error()}
	}
	if err != nil {
		c.g.faults.Log(slog.LevelWarn, "login", "a login could not be judged", slog.Uint64("conn", c.id), slog.Any("error", err))
		return c.g.overloaded(c.g.config.RetryAfter)
	}
	if !who.User.Valid() {
		return invitation.EndBadLogin, invitation.EndBadLogin
	}
	if wait := c.g.admission.user(c.g.now(), who.User); wait > 0 {
		return c.g.overloaded(wait)
	}
	return c.expire(who, l.Device)
}

// expire sets who the connection is, unless that is over already.
func (c *conn) expire(who auth.Identity, device invitation.Device) (invitation.End, error) {
	c.user, c.device = who.User, device
	if who.Expires.IsZero() {
		return 0, nil
	}
	left := time.Until(who.Expires)
	if left <= 0 {
		return invitation.EndUnauthorized, &saidError{text: "UNAUTHORIZED: " + auth.ErrExpired.Error()}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lendLocked(c.g.now().Add(left))
	return 0, nil
}

// overloaded is the end of a login that is to be tried again.
func (g *Gateway) overloaded(after time.Duration) (invitation.End, error) {
	return invitation.EndOverloaded, &saidError{retryAfter: after}
}

// attach tells the backend of the connection, unless it has ended meanwhile.
func (c *conn) attach(l *wire.Login) (invitation.End, error) {
	login := l.Login
	login.User = c.user
	if err := c.tellAttach(login); err != nil {
		return c.g.refusedAttach(err)
	}
	c.joined, c.hello = true, nil
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return 0, nil
	}
	c.pending = false
	c.g.admission.pending.Add(-1)
	if !c.closing {
		c.g.wheel.put(c, invitation.Earliest(c.g.now().Add(c.g.config.PingInterval), c.lease.next()))
	}
	return 0, nil
}

func (c *conn) tellAttach(login invitation.Login) error {
	c.backend.Lock()
	defer c.backend.Unlock()
	if c.backend.detached {
		return invitation.EndLoginTimeout // whatever it was: the client has been told
	}
	err := c.g.backend.Attach(c.id, login)
	c.backend.attached = err == nil
	return err
}

// refusedAttach returns the end that the backend's error stands for.
func (g *Gateway) refusedAttach(err error) (invitation.End, error) {
	var end invitation.End
	if errors.As(err, &end) {
		return end, end
	}
	return g.overloaded(g.config.RetryAfter)
}

// say handles what a device says after its login.
func (c *conn) say(up invitation.Up, over time.Duration) func() {
	call := up.Call
	if call == nil {
		c.pass(up)
		return nil
	}
	if over > 0 {
		c.answer(call, invitation.Answer{Error: invitation.LimitExceeded, RetryAfter: over})
		return nil
	}
	if code := refusal(c.user, call); code != invitation.OK {
		c.answer(call, invitation.Answer{Error: code})
		return nil
	}
	if c.g.Busy(call) {
		c.answer(call, c.g.unavailable(nil))
		return nil
	}
	if call.Request == invitation.Send && c.g.config.MayInvite != nil {
		return func() {
			if a := c.g.mayInvite(c.user, call.Callee); a.Error != invitation.OK {
				c.answer(call, a)
				return
			}
			c.pass(up)
		}
	}
	c.pass(up)
	return nil
}

// pass hands what was said to the backend.
func (c *conn) pass(up invitation.Up) {
	err := c.tellSay(up)
	if err == nil {
		return
	}
	c.g.stats.unavailable.Add(1)
	switch {
	case up.Call != nil:
		c.answer(up.Call, c.g.unavailable(err))
	case up.Logout:
		c.finish(invitation.Ending{End: invitation.EndOverloaded, RetryAfter: c.g.config.RetryAfter}, "")
	} // a word is lost; the view it answers is repeated
}

func (c *conn) tellSay(up invitation.Up) error {
	c.backend.Lock()
	defer c.backend.Unlock()
	if c.backend.detached {
		return nil
	}
	return c.g.backend.Say(c.id, c.user, c.device, up)
}

// answer answers a call in the gateway's own name.
func (c *conn) answer(call *invitation.Call, a invitation.Answer) {
	a.Request, a.RequestID = call.Request, call.RequestID
	c.send(wire.ServerFrame{Down: invitation.Down{Answer: &a}, Time: c.g.config.WallClock()})
}
