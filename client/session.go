package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/ringfleet/ringfleet/invitation"
)

// Login logs in and returns when the node has taken the login. While the node says that it is too
// busy or stopping, Login tries again. Any other failure of the first connection is returned: an
// error of the network, or one that wraps an [invitation.End], such as EndUnauthorized. After a Login
// that succeeded the client reconnects by itself, until the session ends.
func (c *Client) Login(ctx context.Context) error {
	if !c.user.Valid() || !c.device.Valid() {
		return fmt.Errorf("client: user %q, device %q: %w", c.user, c.device, invitation.EndBadLogin)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c.mu.Lock()
	switch {
	case c.phase == closed:
		c.release()
		return ErrClosed
	case c.phase != idle:
		c.release()
		return ErrLoggedIn
	}
	c.phase = connecting
	r := c.change()
	r.stop, r.failures = stop, 0
	c.release()
	for {
		err := c.connect(ctx)
		if err == nil {
			return nil
		}
		end, told := endOf(err)
		if told && end.End.Reconnect() && wait(ctx, c.backoff(end)) == nil {
			continue
		}
		c.mu.Lock()
		defer c.release()
		if c.phase == closed {
			return ErrClosed
		}
		c.phase, c.change().stop = idle, nil
		if errors.Is(err, context.Canceled) || ctx.Err() != nil {
			return fmt.Errorf("client: log in: %w", errors.Join(context.Cause(ctx), err))
		}
		return fmt.Errorf("client: log in: %w", err)
	}
}

func (c *Client) sessionError() error {
	switch {
	case c.phase == closed:
		return ErrClosed
	case c.phase == idle || c.phase == connecting || c.leaving:
		return ErrNotLoggedIn
	}
	return nil
}

// Logout ends the session: the node cancels what this device has sent and not confirmed
// (CALLER_LOGGED_OUT), and every invitation that is live here gets its terminal event. It waits until
// invitations that this device has confirmed are decided, then for the node. When ctx ends first, the
// session is ended on this side alone; the node notices after the grace. The client may Login again.
func (c *Client) Logout(ctx context.Context) error {
	c.mu.Lock()
	if err := c.sessionError(); err != nil {
		c.release()
		return err
	}
	c.leaving = true
	for c.leaving {
		if c.phase == online && !c.logoutSaid && !c.undecided() {
			c.logoutSaid = true
			c.say(invitation.Up{Logout: true})
		}
		if c.seldom().progress == nil {
			c.change().progress = make(chan struct{})
		}
		progress := c.rare.progress
		c.release()
		select {
		case <-progress:
			c.mu.Lock()
		case <-ctx.Done():
			c.mu.Lock()
			if c.leaving {
				c.finish(invitation.EndLoggedOut)
				c.release()
				return fmt.Errorf("client: stopped waiting for the logout: %w", context.Cause(ctx))
			}
		}
	}
	defer c.release()
	if c.phase == closed {
		return ErrClosed
	}
	return nil
}

// undecided tells whether there is an invitation that this device has confirmed and that has not
// ended.
func (c *Client) undecided() bool {
	for h := c.live.first; h != nil; h = h.next {
		if h.local != nil && h.local.machine.Confirmed() != "" {
			return true
		}
	}
	return false
}

// owing tells whether there is an invitation that this device has accepted and of which the node has
// not said that both sides know: the word that it holds may be lost.
func (c *Client) owing() bool {
	for h := c.ended.first; h != nil; h = h.next {
		if h.remote != nil && h.remote.machine.State() == invitation.RemoteAccepted && !h.machine().Settled() {
			return true
		}
	}
	return false
}

func (c *Client) tellProgress() {
	if c.seldom().progress != nil {
		close(c.rare.progress)
		c.rare.progress = nil
	}
}

// Close ends the client without a logout, as the end of a program does: the node takes it for a
// device that has lost its connection. Nothing is fired any more: invitations that are live here get
// no terminal event, their Wait and every method that waits return [ErrClosed]. Close may be called
// more than once, and from callbacks; it does not wait for a callback that is running. The error, there
// for io.Closer, is always nil.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.release()
	if c.phase == closed {
		return nil
	}
	for _, p := range c.sorted() {
		c.resolve(p, ErrClosed)
	}
	for h := c.live.first; h != nil; h = h.next {
		if h.local != nil && h.local.cancel != nil {
			c.resolve(h.local.cancel, ErrClosed)
		}
	}
	c.detach()
	c.phase, c.leaving = closed, false
	c.events = nil
	if c.timer != nil {
		c.timer.Stop()
	}
	if ended := c.seldom().closed; ended != nil {
		close(ended)
	}
	if c.channel != nil && !c.delivering {
		close(c.channel)
	}
	c.tellProgress()
	return nil
}

// whenClosed returns a channel that Close closes.
func (c *Client) whenClosed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.phase == closed:
		return over
	case c.seldom().closed == nil:
		c.change().closed = make(chan struct{})
	}
	return c.rare.closed
}

// detach drops the connection, and whoever makes a new one.
func (c *Client) detach() {
	if a := c.attached; a != nil {
		c.drop(a)
		a.fail(ErrClosed)
	}
	if c.seldom().stop != nil {
		c.rare.stop()
		c.rare.stop = nil
	}
}

// finish ends the session for good, for a cause that is an [invitation.End].
func (c *Client) finish(cause error) {
	reason := invitation.CallerGone
	if errors.Is(cause, invitation.EndLoggedOut) || errors.Is(cause, invitation.EndRemoteLogin) {
		reason = invitation.CallerLoggedOut
	}
	c.detach()
	c.phase, c.leaving, c.logoutSaid, c.resume = idle, false, false, false
	c.auditAt = 0
	if c.seldom().forgetAt != 0 {
		c.rare.forgetAt = 0
	}
	over := fmt.Errorf("%w: the session is over: %w", ErrNotLoggedIn, cause)
	c.endAll(over, abandonedBy(reason))
	for _, p := range c.sorted() { // those about invitations that had ended before
		c.resolve(p, over)
	}
	c.emitSession(SessionEnded, cause)
	c.tellProgress()
}
