package client

import (
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
)

// act does what a machine asked for.
func (c *Client) act(h *half, out device.Output) {
	c.register(h)
	if out.Word.Kind != invitation.NoWord {
		c.sayWord(h, c.truth(h, out.Word))
	}
	if out.Request == invitation.Cancel {
		c.beginKeptCancel(h)
	}
	if out.Event != device.NoEvent {
		c.emit(h, out.Event)
	}
	if h.in == &c.live && h.terminal() {
		c.endKeptCancel(h)
		c.retire(h)
		c.awaitSettled(h)
		c.tellProgress()
	}
	if h.in == &c.ended && h.machine().Settled() {
		c.forget(h)
	}
}

// wordRepeat is how soon the client says the same word again on the same connection. An answer and a
// notice often ask for the same word at once; a node that did not get it asks again later than this.
const wordRepeat = 250 * time.Millisecond

// sayWord says w, which is h's word. h is nil for an invitation of which nothing is kept.
func (c *Client) sayWord(h *half, w invitation.Word) {
	if h == nil {
		c.observeWord(nil, w)
		c.say(invitation.Up{Word: &w})
		return
	}
	now := c.now()
	if h.said == w.Kind && h.saidOn == c.dials && now-h.saidAt < wordRepeat {
		return
	}
	h.said, h.saidOn, h.saidAt = w.Kind, c.dials, now
	c.observeWord(h, w)
	c.say(invitation.Up{Word: &w})
}

func (c *Client) observeWord(h *half, w invitation.Word) {
	if c.options.Observer != nil {
		c.observe(h, Observation{Step: StepWord, Word: w, ID: w.ID, Side: w.Side})
	}
}

// noticed takes a state that the node tells by itself.
func (c *Client) noticed(n *invitation.Notice) {
	h := c.byID.get(n.ID)
	if c.options.Observer != nil {
		c.observe(h, Observation{Step: StepNoticed, Notice: n})
	}
	switch {
	case h != nil && h.side == n.Side:
		c.observeViolation(h, h.violation(n), n)
		c.step(h, n)
	case h != nil: // the other side's view, of a node that is confused
	case n.Side == invitation.Callee:
		c.offered(n)
	case n.Side == invitation.Caller:
		c.unknownLocal(n)
	}
}

// step gives a state to the machine.
func (c *Client) step(h *half, n *invitation.Notice) {
	h.unheard = false
	out := h.machine().Notice(n)
	if h.machine().Current(n) {
		switch now := c.now(); {
		case n.Remaining > 0 && h.remote != nil && h.deadline != 0: // what rings, rings no longer for being shown anew
			h.deadline = min(h.deadline, now+n.Remaining)
		case n.Remaining > 0:
			h.deadline = now + n.Remaining
		case h.deadline > now: // else its time is over, and nobody has ended it yet
			h.deadline = 0
		}
	}
	c.act(h, out)
	c.awaitRing(h)
}

// offered takes a state of an invitation of somebody else's that the client has no object of.
func (c *Client) offered(n *invitation.Notice) {
	if w, ok := c.memory.find(n.ID, invitation.Callee); ok {
		if !n.Remote.Terminal() {
			c.observeViolation(nil, OfferAfterEnd, n)
		}
		if !n.Settled {
			c.sayWord(nil, w)
		}
		return
	}
	if n.Remote != invitation.RemoteIdle && n.Remote != invitation.RemoteInvitationReceived {
		if n.Settled {
			return
		}
		c.observeViolation(nil, UnshownEnding, n)
		var unshown device.Remote
		word := unshown.Notice(n).Word
		c.remember(word) // having said so, this device never shows it
		c.sayWord(nil, word)
		return
	}
	if !c.listening() || c.leaving || n.ID.IsZero() || !c.admit() {
		if c.options.Observer != nil {
			c.observe(nil, Observation{Step: StepIgnored, Notice: n})
		}
		return
	}
	r := newRemote(c, n)
	c.live.push(&r.half)
	c.step(&r.half, n)
}

// listening tells whether the application wants to be told of invitations.
func (c *Client) listening() bool {
	return c.onRemote != nil || c.onEvent != nil || c.channel != nil
}

// unknownLocal takes a state of an invitation that this device sent but that the client has no
// object of: one of an earlier program with the same device id, or one that was forgotten. Its
// ending is acknowledged, or the node would repeat it for the linger: that program fires nothing any
// more, whatever it had confirmed. A send that is under way may yet turn out to be this invitation.
func (c *Client) unknownLocal(n *invitation.Notice) {
	if n.Settled || n.ID.IsZero() {
		return
	}
	if w, ok := c.memory.find(n.ID, invitation.Caller); ok {
		c.sayWord(nil, w)
		return
	}
	if !c.sendsAgain() && n.Local.Terminal() {
		c.sayWord(nil, invitation.Word{ID: n.ID, Side: invitation.Caller, Kind: invitation.WordDone, Local: n.Local})
	}
}

// sendsAgain repeats the sends that are not answered, as the answer to one of them got lost, and reports whether
// there are any.
func (c *Client) sendsAgain() bool {
	found := false
	for _, p := range c.sorted() {
		if p.call.Request != invitation.Send || p.call.Resumed != nil {
			continue
		}
		found = true
		if c.now()-p.saidAt >= wordRepeat {
			c.again(p)
		}
	}
	return found
}

// answered takes the answer to a request.
func (c *Client) answered(a *invitation.Answer) {
	p := c.pending.get(a.RequestID)
	if p == nil || a.RequestID != p.call.RequestID {
		return // answered before: the request was said twice
	}
	if c.options.Observer != nil && p.call.Resumed == nil {
		c.observe(p.h, Observation{Step: StepAnswered, Request: p.call.Request, Err: a.Error.Err(), Notice: a.Notice})
	}
	if p.retryable(a.Error) {
		c.postpone(p, a)
		return
	}
	switch {
	case p.call.Resumed != nil:
		c.answeredResumed(p, a)
	case p.call.Request == invitation.Send:
		c.answeredSend(p, a)
	case p.h != nil:
		c.answeredAbout(p, a)
	default:
		unknown := a.Error == invitation.NotFound || a.Error == invitation.OK && a.Notice == nil
		if h := c.byID.get(p.call.ID); unknown && h != nil && c.doubts(h) {
			c.vouchAgain(h)
			p.next = c.now() + firstRepeat
			c.need(p.next)
			return
		}
		if a.Notice != nil {
			for w := p.waiters; w != nil; w = w.next {
				w.notice = a.Notice
			}
		}
		c.resolve(p, callError(a.Error, a.RetryAfter))
	}
}

// retryable tells whether a request that was answered with err is to be said again. What a user has
// asked for on an invitation cannot be taken back, so it is; a send and a query can, so they are only
// while somebody waits and the node is merely busy.
func (p *pending) retryable(err invitation.CallError) bool {
	takenBack := p.call.Request == invitation.Send && p.call.Resumed == nil || p.call.Request == invitation.Query && p.h == nil
	if takenBack {
		return err == invitation.Unavailable && p.waiters != nil
	}
	return err == invitation.Unavailable || err == invitation.LimitExceeded
}

// answeredSend takes the answer to a send.
func (c *Client) answeredSend(p *pending, a *invitation.Answer) {
	h, code := p.h, a.Error
	if code == invitation.OK && a.ID.IsZero() {
		code = invitation.AlreadyEnd // an acceptance of nothing: nothing will be told of it
	}
	told := a.Notice != nil && a.Notice.Side == invitation.Caller && !a.Notice.ID.IsZero()
	switch {
	case told && (a.Notice.Local.Terminal() || code == invitation.OK && a.Notice.Local != invitation.LocalIdle):
		c.step(h, a.Notice)
	case code == invitation.OK:
		c.step(h, &invitation.Notice{
			ID: a.ID, Side: invitation.Caller, Peer: h.peer, Local: invitation.LocalSentToRemote,
		})
	}
	awaited := p.waiters != nil
	if code != invitation.OK {
		c.act(h, h.machine().Rejected(code))
		c.dropUnsent(h)
	}
	err := callError(code, a.RetryAfter)
	c.resolve(p, err)
	if err != nil && !awaited && !h.terminal() {
		c.emitRejected(h, err)
	}
}

// answeredAbout takes the answer to a request about an invitation that the node has taken.
func (c *Client) answeredAbout(p *pending, a *invitation.Answer) {
	h, code := p.h, a.Error
	switch {
	case code == invitation.AlreadyEnd && p.call.Request == invitation.Query && c.doubts(h): // the ending may be on its way
		c.resolve(p, nil)
		h.unheard = true
		c.auditSoon()
		return
	case code != invitation.NotFound:
	case h.terminal():
		code = invitation.AlreadyEnd // it was settled, and the node has forgotten it
	case p.call.Request == invitation.Query && c.doubts(h):
		c.resolve(p, nil)
		c.vouchAgain(h)
		h.unheard = true
		c.auditSoon()
		return
	case c.recovering(h):
		c.postpone(p, a)
		return
	}
	if n := a.Notice; n != nil && n.Side == h.side && n.ID == h.id() {
		c.step(h, n)
	}
	over := code == invitation.AlreadyEnd || code == invitation.NotFound
	if code == invitation.AlreadyEnd && h.terminal() && p.call.Request != invitation.Cancel && p.call.Request != invitation.Query {
		code = h.answer(p.call.Request) // it was repeated, and the node has forgotten that it won
	}
	switch {
	case p.call.Request == invitation.Query && over && h.in == &c.live:
		c.act(h, h.machine().Forget()) // the ending was told to nobody
	case p.call.Request == invitation.Query:
	case code != invitation.OK:
		c.act(h, h.machine().Rejected(code))
	}
	if over && h.in == &c.live { // the ending follows; if not, it was told to nobody
		h.unheard = true
		c.auditSoon()
	}
	err, awaited := callError(code, a.RetryAfter), p.waiters != nil
	c.resolve(p, err)
	if err != nil && !awaited && !h.terminal() && p.call.Request != invitation.Query {
		c.emitRejected(h, err)
	}
}

// dropUnsent takes a half whose send was rejected out of the live ones, if it has not ended: it is as
// if it had not been sent.
func (c *Client) dropUnsent(h *half) {
	if h.in != &c.live || h.terminal() {
		return
	}
	c.live.remove(h)
	if p := h.local.cancel; p != nil {
		c.resolve(p, invitation.NotStarted)
	}
}
