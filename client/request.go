package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// When an unanswered request is said again: after firstRepeat, then after twice as long each time,
// up to lastRepeat; and after every reconnect.
const (
	firstRepeat = time.Second
	lastRepeat  = 8 * time.Second
	quickTime   = 6 * time.Second // after a reconnect, or a question for all words, the time does not double
)

// pending is a request that is not answered.
type pending struct {
	call    invitation.Call  // not changed once said
	anew    *invitation.Call // a send that the node may have taken before: call, and how the invitation stands
	said    bool             // on some connection
	h       *half            // nil for a query
	waiters *waiter
	next    time.Duration        // when it is said again, on the client's clock
	saidAt  time.Duration        // when it was said last
	wait    time.Duration        // the time from next to the one after it
	refused invitation.CallError // it was answered "try again", and nothing has been said since
}

// waiter is a method that waits for an answer. Waiters are reused, by the same client alone: their
// channels would tie the clients of different synctest bubbles together.
type waiter struct {
	result chan error // of size 1: whoever answers does not wait
	p      *pending   // nil once answered
	next   *waiter
	notice *invitation.Notice // for a query
}

// keptWaiters bounds the waiters that a client keeps for reuse.
const keptWaiters = 64

// join makes the caller wait for the answer to p.
func (c *Client) join(p *pending) *waiter {
	w := c.free
	if w == nil {
		w = &waiter{result: make(chan error, 1)}
	} else {
		c.free = w.next
		c.freed--
	}
	w.p, w.next = p, p.waiters
	p.waiters = w
	return w
}

// put gives back a waiter that nobody answers any more.
func (c *Client) put(w *waiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.freed < keptWaiters {
		w.next, w.notice = c.free, nil
		c.free = w
		c.freed++
	}
}

// begin says p for the first time, or when there is a connection again. p.call is set but for its
// request id.
func (c *Client) begin(p *pending) {
	c.requestID++
	if c.requestID == 0 {
		c.requestID++
	}
	p.call.RequestID = c.requestID
	c.pending.put(c.requestID, p)
	p.wait = firstRepeat
	if c.options.Observer != nil {
		step := StepRequested
		if p.call.Resumed != nil {
			step = StepRepeated
		}
		c.observe(p.h, Observation{Step: step, Request: p.call.Request})
	}
	c.sayCall(p)
}

// again repeats p, unless it is the send of an invitation that has ended: to a node that has forgotten that it would be
// a new one, and ring.
func (c *Client) again(p *pending) {
	if p.call.Request == invitation.Send && p.h.terminal() {
		c.resolve(p, nil)
		return
	}
	if l := p.mayBeTaken(); l != nil {
		call := p.call
		call.Resumed = l.machine.Resumed(l.left())
		p.anew = &call
	}
	if c.options.Observer != nil {
		c.observe(p.h, Observation{Step: StepRepeated, Request: p.call.Request})
	}
	c.sayCall(p)
}

// mayBeTaken returns the invitation of a send that the node may have taken before; nil: p is none.
func (p *pending) mayBeTaken() *LocalInvitation {
	switch {
	case p.call.Request != invitation.Send:
		return nil
	case p.call.Resumed != nil, p.anew != nil, p.said && p.refused == invitation.OK:
		return p.h.local
	}
	return nil
}

func (c *Client) sayCall(p *pending) {
	p.refused = invitation.OK
	p.saidAt, p.next = c.now(), c.now()+p.wait
	if c.now() >= c.quickTo { // before, what answers may be in the making
		p.wait = min(2*p.wait, lastRepeat)
	}
	call := p.anew
	if call == nil {
		call = &p.call
	}
	p.said = c.say(invitation.Up{Call: call}) || p.said
	c.need(p.next)
}

// postpone takes the answer "try again" to p. What is about an invitation that there may be is not put off for longer
// than it would be without an answer: the node may know of it at any moment.
func (c *Client) postpone(p *pending, a *invitation.Answer) {
	p.refused = a.Error
	wait := p.wait
	if p.call.Request != invitation.Send {
		wait /= 2 // it was doubled when p was said
	}
	p.next = c.now() + max(a.RetryAfter, wait/2) + rand.N(wait/2)
	c.need(p.next)
}

// resolve ends p and answers whoever waits for it.
func (c *Client) resolve(p *pending, err error) {
	c.pending.remove(p.call.RequestID)
	if p.h != nil && p.h.local != nil {
		switch l := p.h.local; p {
		case l.cancel:
			l.cancel = nil
		case l.resumed:
			l.resumed = nil
		}
	}
	for w := p.waiters; w != nil; w = p.waiters {
		p.waiters, w.p, w.next = w.next, nil, nil
		w.result <- err
	}
}

// await waits for the answer to w's request. It is called without the mutex.
func (c *Client) await(ctx context.Context, w *waiter) (*invitation.Notice, error) {
	var err error
	select {
	case err = <-w.result:
	case <-ctx.Done():
		var left bool
		if left, err = c.leave(w, context.Cause(ctx)); !left {
			err = <-w.result
		}
	}
	notice := w.notice
	c.put(w)
	return notice, err
}

// leave stops waiting, unless the answer has come meanwhile.
func (c *Client) leave(w *waiter, cause error) (bool, error) {
	c.mu.Lock()
	defer c.release()
	p := w.p
	if p == nil {
		return false, nil
	}
	for at := &p.waiters; *at != nil; at = &(*at).next {
		if *at == w {
			*at = w.next
			break
		}
	}
	w.p, w.next = nil, nil
	request := p.call.Request
	if p.waiters == nil && p.refused != invitation.OK && request == invitation.Send {
		code := p.refused
		c.resolve(p, nil)
		c.act(p.h, p.h.machine().Rejected(code))
		c.dropUnsent(p.h)
		return true, fmt.Errorf("client: %s was not taken: %w: %w", request, code, cause)
	}
	if p.waiters == nil && request == invitation.Query {
		c.resolve(p, nil)
		if p.refused != invitation.OK {
			return true, fmt.Errorf("client: stopped repeating the %s: %w: %w", request, p.refused, cause)
		}
	}
	return true, fmt.Errorf("client: stopped waiting for the answer to %s: %w", request, cause)
}

// sorted returns the pending requests in the order in which they were begun.
func (c *Client) sorted() []*pending {
	all := make([]*pending, 0, c.pending.len())
	for p := range c.pending.all {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *pending) int { // the order survives a wrap of the request ids
		if int64(a.call.RequestID-b.call.RequestID) < 0 {
			return -1
		}
		return 1
	})
	return all
}

// need arms the client's one timer for at, if it is not armed for an earlier time. It stays armed
// when what it was for is done: it fires at most once a second for nothing.
func (c *Client) need(at time.Duration) {
	if c.phase == closed || c.armed && c.wake <= at {
		return
	}
	c.armed, c.wake = true, at
	d := max(at-c.now(), 0)
	if c.timer == nil {
		c.timer = time.AfterFunc(d, c.sweep)
		return
	}
	c.timer.Reset(d)
}

// sweep does what is due: it repeats requests, asks for invitations that nothing was told of, and gives up on a node that has been away for longer than the linger.
func (c *Client) sweep() {
	c.mu.Lock()
	defer c.release()
	c.armed = false
	now := c.now()
	switch c.phase {
	case online:
		c.sweepPending(now)
		if t := c.seldom().telling; t != nil && now >= t.at {
			c.tellSome(tellThen)
		}
		if t := c.seldom().telling; t != nil {
			c.need(t.at)
		}
		if c.auditAt != 0 && now >= c.auditAt {
			c.audit()
		}
		if c.auditAt != 0 {
			c.need(c.auditAt)
		}
		if c.lookAt != 0 && now >= c.lookAt {
			c.look(now)
		}
		if c.lookAt != 0 {
			c.need(c.lookAt)
		}
	case away:
		r := c.seldom()
		if r.forgetAt != 0 && now >= r.forgetAt {
			r.forgetAt = 0
			c.endAll(invitation.AlreadyEnd, forgotten)
		}
		if r.forgetAt != 0 {
			c.need(r.forgetAt)
		}
	case idle, connecting, closed:
	}
	if !c.armed && c.pending.len() == 0 {
		c.timer, c.free, c.freed = nil, nil, 0 // for as long as nothing happens
	}
}

func (c *Client) sweepPending(now time.Duration) {
	for _, p := range c.sorted() {
		switch {
		case p.waiters == nil && p.h != nil && p.h.in != &c.live:
			c.resolve(p, nil) // nobody wants to know any more
			continue
		case p.h != nil && p.h.terminal() && now-p.h.endedAt >= answerTime && p.call.Request != invitation.Send:
			c.resolve(p, callError(p.h.answer(p.call.Request), 0))
			continue
		case p.next <= now:
			c.again(p)
		}
		c.need(p.next)
	}
}

// answerTime is how long after the end of an invitation the answer to a request about it is awaited. Then it is
// what the end says: the node that would answer may be gone.
const answerTime = 5 * time.Second

// answer returns how a request was answered, as the end of the invitation tells.
func (h *half) answer(r invitation.Request) invitation.CallError {
	won := false
	switch {
	case h.local != nil:
		won = r == invitation.Cancel && h.local.machine.State() == invitation.LocalCanceled
	case r == invitation.Accept:
		won = h.remote.machine.State() == invitation.RemoteAccepted
	case r == invitation.Refuse:
		won = h.remote.machine.State() == invitation.RemoteRefused
	}
	if won || r == invitation.Query {
		return invitation.OK
	}
	return invitation.AlreadyEnd
}

// auditAfter is how long the client waits for what the node has to tell it of a live invitation, after
// a reconnect or an ALREADY_END, before it asks.
const auditAfter = 2 * time.Second

// auditSoon sees that the invitations that are marked unheard are asked for.
func (c *Client) auditSoon() {
	if c.auditAt == 0 {
		c.auditAt = c.now() + auditAfter
		c.need(c.auditAt)
	}
}

// audit asks for the live invitations that the node should have told something of and has not: it may
// have lost them, and then nobody else ends them.
func (c *Client) audit() {
	c.auditAt = 0
	for h := c.live.first; h != nil; h = h.next {
		if h.unheard && !h.id().IsZero() {
			c.query(h)
		}
		h.unheard = false
	}
}

func (c *Client) query(h *half) {
	for p := range c.pending.all {
		if p.h == h && p.call.Request == invitation.Query {
			return // it is repeated
		}
	}
	p := &pending{h: h}
	p.call.Request, p.call.ID = invitation.Query, h.id()
	c.begin(p)
}

// What the client looks after again by itself, after a time that is doubled so often.
const (
	refusalAfter = 4 * time.Second
	maxAsks      = 3
)

// awaitRing sees that the node is asked for an invitation that it has sent and that does not ring: that it rings is
// told once, and may get lost. All else that a node tells it repeats until there is a word on it.
func (c *Client) awaitRing(h *half) {
	if h.local != nil && h.local.machine.State() == invitation.LocalSentToRemote {
		c.lookAfter(h, auditAfter)
	}
}

// awaitSettled sees that a refusal is said again until both sides have heard of it: what made it one may be
// lost with a node, and nobody else knows.
func (c *Client) awaitSettled(h *half) {
	if h.remote != nil && h.remote.machine.State() == invitation.RemoteRefused {
		h.asks = 0
		c.lookAfter(h, refusalAfter)
	}
}

func (c *Client) lookAfter(h *half, after time.Duration) {
	h.askAt = c.now() + after<<h.asks
	h.asks = min(h.asks+1, maxAsks)
	if c.lookAt == 0 || h.askAt < c.lookAt {
		c.lookAt = h.askAt
		c.need(c.lookAt)
	}
}

// look asks for the invitations that should ring by now, and says refusals again.
func (c *Client) look(now time.Duration) {
	c.lookAt = 0
	for _, l := range [...]*list{&c.live, &c.ended} {
		for h := l.first; h != nil; h = h.next {
			switch {
			case h.askAt == 0:
			case h.askAt > now:
				if c.lookAt == 0 || h.askAt < c.lookAt {
					c.lookAt = h.askAt
				}
			case h.terminal() && h.remote != nil:
				c.sayAnew(h, h.vouch())
				c.lookAfter(h, refusalAfter)
			default:
				h.askAt = 0
				if h.local != nil && h.local.machine.State() == invitation.LocalSentToRemote {
					h.unheard = false
					c.query(h)
				}
			}
		}
	}
}
