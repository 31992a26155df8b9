package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// Bounds of one connection and of reconnecting.
const (
	maxOut       = 4_096                  // what waits to be said; more is dropped, and asked for or repeated
	maxWords     = 1_000                  // the words of a login; the others follow the Welcome
	firstBackoff = 250 * time.Millisecond // doubled with each failure
	steadyAfter  = 10 * time.Second       // a connection that lasted this long was not a failure
	ghostTime    = time.Minute            // for how long an attempt that was given up may yet arrive
)

// attachment is the client's end of one connection.
type attachment struct {
	c *Client

	// Guarded by the client's mutex.
	link     Link                  // nil while dialing
	out      *batch[invitation.Up] // what waits to be said; nil: nothing
	ready    chan struct{}         // closed when the Welcome has come, or cannot any more; nil from then on
	err      error                 // why it was closed without a Welcome
	since    time.Duration         // when the Welcome came
	next     *attachment           // in the client's stale ones
	flushing bool
	welcomed bool
}

// Receive implements [Receiver].
func (a *attachment) Receive(down invitation.Down) {
	c := a.c
	c.mu.Lock()
	defer c.release()
	if c.attached != a {
		return
	}
	switch {
	case down.Notice != nil:
		c.noticed(down.Notice)
	case down.Answer != nil:
		c.answered(down.Answer)
	case down.Welcome != nil:
		c.welcomed(a, down.Welcome)
	case down.Retell != nil:
		c.retold(down.Retell)
	case down.Ending != nil:
		c.lose(a, &EndError{End: down.Ending.End, RetryAfter: down.Ending.RetryAfter})
	}
}

// Lost implements [Receiver].
func (a *attachment) Lost(err error) {
	a.c.mu.Lock()
	defer a.c.release()
	if err == nil {
		err = errors.New("client: connection lost")
	}
	a.c.lose(a, err)
}

// fail tells whoever waits for the Welcome that it will not come.
func (a *attachment) fail(err error) {
	if a.ready != nil {
		a.err = err
		a.answered()
	}
}

func (a *attachment) answered() {
	close(a.ready)
	a.ready = nil
}

// drop gives up a connection. Its link is closed when the mutex is released; one that is still being
// opened, by who opens it.
func (c *Client) drop(a *attachment) {
	c.attached = nil
	if c.seldom().telling != nil {
		c.rare.telling = nil
	}
	if a.link != nil {
		r := c.change()
		a.next, r.stale = r.stale, a
	}
}

// say queues up for the connection. Without one, before the Welcome, or with a full queue, it is
// dropped: requests are repeated, and words are asked for again. It reports whether it was not dropped.
func (c *Client) say(up invitation.Up) bool {
	a := c.attached
	if a == nil || !a.welcomed || a.out.len() >= maxOut {
		return false
	}
	upBatches.add(&a.out, up)
	return true
}

// release releases the mutex, and does what was decided under it: it says what is queued, starts the
// delivery of events, and closes links. It says things in the order of the queue, as one goroutine at
// a time does it, and does not hold the mutex meanwhile.
func (c *Client) release() {
	if a := c.attached; a != nil && a.link != nil && a.out != nil && !a.flushing {
		c.flush(a)
	}
	if c.events != nil && !c.delivering && c.phase != closed {
		c.delivering = true
		go c.deliver()
	}
	stale := c.seldom().stale
	if stale != nil {
		c.rare.stale = nil
		c.spare()
	}
	c.mu.Unlock()
	for ; stale != nil; stale = stale.next {
		_ = stale.link.Close() // whatever it has to say, it is not used any more
	}
}

// flush says what is queued. It is called with the mutex, and gives it up while it says.
func (c *Client) flush(a *attachment) {
	a.flushing = true
	for a.out != nil && c.attached == a {
		batch := a.out
		a.out = nil
		c.mu.Unlock()
		var err error
		logout := false
		for _, up := range batch.items {
			logout = up.Logout
			if err = a.link.Say(up); err != nil {
				break
			}
		}
		upBatches.give(batch)
		c.mu.Lock()
		if err != nil {
			c.logoutSaid = c.logoutSaid && !logout // it is said again on the next connection
			c.lose(a, err)
		}
	}
	a.flushing = false
}

// connect makes one attempt to connect and log in. When it returns nil, the Welcome has come.
func (c *Client) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.options.DialTimeout)
	defer cancel()
	ready := make(chan struct{})
	a := &attachment{c: c, ready: ready}
	c.mu.Lock()
	if c.phase != connecting && c.phase != away {
		c.release()
		return ErrClosed
	}
	login := c.login()
	c.attached = a
	c.dials++
	c.release()

	link, err := c.carrier.Dial(ctx, login, a)
	if err == nil {
		c.mu.Lock()
		a.link = link
		lost := c.attached != a
		c.release()
		if lost {
			_ = link.Close() // it was lost while it was being opened
		}
		select {
		case <-ready:
			err = a.err // not written any more
		case <-ctx.Done():
			err = fmt.Errorf("client: no welcome: %w", context.Cause(ctx))
		}
	}
	if err == nil {
		return nil
	}
	c.mu.Lock()
	defer c.release()
	if a.welcomed { // just so
		return nil
	}
	a.fail(err)
	if link != nil || ctx.Err() != nil {
		c.change().gaveUpAt = c.now()
	}
	if c.attached == a {
		c.drop(a)
	}
	return err
}

// login returns what the connection opens with.
func (c *Client) login() invitation.Login {
	login := invitation.Login{User: c.user, Device: c.device, Words: c.words()}
	if c.resume {
		login.Resume, login.Stamp = true, c.stamp
	}
	return login
}

// welcomed takes the answer to the login. One that comes later counts if the node has forgotten what it
// knew.
func (c *Client) welcomed(a *attachment, w *invitation.Welcome) {
	c.stamp, c.resume = w.Stamp, true
	switch {
	case !a.welcomed:
		a.welcomed = true
		a.answered()
		c.phase, a.since = online, c.now()
		r := c.change()
		r.stop, r.forgetAt = nil, 0
		c.spare()
		c.emitSession(SessionConnected, nil)
	case w.Tell:
		c.asked()
	default:
		return
	}
	c.tell = w.Tell
	c.tellSome(tellBurst)
	if c.pending.len()+c.live.n > 0 {
		c.quickTo = c.now() + quickTime
	}
	for _, p := range c.sorted() {
		if p.call.Resumed != nil {
			c.resolve(p, nil) // the node asks again if it needs it
			continue
		}
		p.wait = firstRepeat
		c.again(p)
	}
	for h := c.live.first; h != nil; h = h.next {
		h.unheard = true
		if w.Tell {
			h.told = max(c.now(), 1)
		}
	}
	if c.live.n > 0 {
		c.auditSoon()
	}
	if c.logoutSaid {
		c.say(invitation.Up{Logout: true})
	}
	c.tellProgress()
}

// lose takes the end of a connection.
func (c *Client) lose(a *attachment, err error) {
	if c.attached != a {
		return
	}
	c.drop(a)
	if !a.welcomed {
		a.fail(err)
		return
	}
	end, told := endOf(err)
	switch {
	case c.leaving && c.logoutSaid && (!told || end.End.Reconnect()) && (c.undecided() || c.owing()):
		c.logoutSaid = false // come back: for the verdict on what was confirmed, or with the word of what was accepted
	case c.leaving && c.logoutSaid:
		c.finish(invitation.EndLoggedOut)
		return
	case end.End == invitation.EndReplaced && c.replacedItself():
	case told && !end.End.Reconnect():
		c.finish(err)
		return
	}
	r := c.change()
	if c.now()-a.since >= steadyAfter {
		r.failures = 0
	}
	ctx, stop := context.WithCancel(context.Background())
	c.phase, c.auditAt = away, 0
	r.stop, r.forgetAt = stop, c.now()+c.options.Linger
	c.need(r.forgetAt)
	c.emitSession(SessionReconnecting, err)
	go c.reconnect(ctx, end)
}

// replacedItself tells whether it may have been an attempt of this client, given up and yet to arrive
// at the node, that replaced its connection, and not another program. An attempt may arrive more than once, as what
// nodes say to each other may, and be known to two sessions of a cluster that was parted.
func (c *Client) replacedItself() bool {
	at := c.seldom().gaveUpAt
	return at != 0 && c.now()-at < ghostTime
}

// reconnect comes back. It runs in a goroutine that exists only while the client is away.
func (c *Client) reconnect(ctx context.Context, end EndError) {
	for wait(ctx, c.backoff(end)) == nil {
		err := c.connect(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		told := false
		if end, told = endOf(err); told && !end.End.Reconnect() {
			c.mu.Lock()
			defer c.release()
			if ctx.Err() == nil {
				c.finish(err)
			}
			return
		}
	}
}

// backoff returns how long to wait before the next attempt: a random part of what the node told, if
// it spreads its clients over other nodes; at least what it told, if it is busy; and a random part of
// a time that doubles with each failure.
func (c *Client) backoff(end EndError) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := c.options.MaxBackoff
	r := c.change()
	if r.failures < 16 {
		limit = min(limit, firstBackoff<<r.failures)
	}
	r.failures++
	random := rand.N(limit)
	if end.End == invitation.EndShutdown && end.RetryAfter > 0 {
		return rand.N(end.RetryAfter)
	}
	return end.RetryAfter + random
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var _ Receiver = (*attachment)(nil)
