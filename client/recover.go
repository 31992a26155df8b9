package client

import (
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// What a client does for a node that has forgotten what it knew: it says its words when it is asked for all
// of them (a Welcome with Tell) or for one (a Retell), and sends again what it has sent. The application
// sees nothing of it.

const (
	tellBurst      = 100 // words said at once; a node bounds the rate of frames
	tellPause      = time.Second
	tellThen       = 50              // words after each pause
	loginResponses = 32 << 10        // bytes of responses in the words of a login; a node bounds its size
	recoveryTime   = 5 * time.Second // for how long NOT_FOUND is no last word on what the node has asked for
)

// vouch returns the half's word for a node that may know nothing of the invitation. NoWord: there is none.
func (h *half) vouch() invitation.Word {
	switch {
	case h.id().IsZero():
		return invitation.Word{}
	case h.local != nil:
		return h.local.machine.Report(h.left())
	default:
		return h.remote.machine.Report(h.left(), h.remote.response)
	}
}

// left returns until when the state ends by itself, by the client's own countdown, as the protocol bounds
// it: 0 if the node has not told it, more if it is over.
func (h *half) left() time.Duration {
	if h.deadline == 0 {
		return 0
	}
	return min(max(h.deadline-h.c.now(), time.Millisecond), invitation.MaxTimer)
}

// telling are the halves whose words are to be said yet, some at a time.
type telling struct {
	halves []*half
	at     time.Duration // when the next are said
}

func (c *Client) tellLater(halves []*half) {
	switch {
	case len(halves) > 0:
		c.change().telling = &telling{halves: halves}
	case c.seldom().telling != nil:
		c.rare.telling = nil
	}
}

// words returns what a login brings: the word of each invitation that is kept. What has no room is said
// after the Welcome.
func (c *Client) words() []invitation.Word {
	c.trim()
	var words []invitation.Word
	var telling []*half
	room := loginResponses
	for _, l := range [...]*list{&c.live, &c.ended} {
		for h := l.first; h != nil; h = h.next {
			w := h.vouch()
			if w.Kind == invitation.NoWord {
				continue
			}
			if len(words) == maxWords {
				telling = append(telling, h)
				continue
			}
			if room -= len(w.Response); room < 0 && w.Response != "" {
				telling = append(telling, h)
				w = h.machine().Word()
			}
			words = append(words, w)
		}
	}
	c.tellLater(telling)
	return words
}

// asked takes a Welcome with Tell on a connection that had a Welcome before.
func (c *Client) asked() {
	c.trim()
	var telling []*half
	for _, l := range [...]*list{&c.live, &c.ended} {
		for h := l.first; h != nil; h = h.next {
			telling = append(telling, h)
		}
	}
	c.tellLater(telling)
	for p := range c.pending.all {
		p.wait = firstRepeat
	}
}

// tellSome says words that are to be said, at most n, and sees that the others follow. A node that did not
// ask may be one that does not know the word "sent", and need not hear it.
func (c *Client) tellSome(n int) {
	t := c.seldom().telling
	if t == nil {
		return
	}
	n = min(n, len(t.halves))
	for _, h := range t.halves[:n] {
		if w := h.vouch(); c.tell || w.Kind != invitation.WordSent {
			c.sayAnew(h, w)
		}
	}
	if t.halves = t.halves[n:]; len(t.halves) == 0 {
		c.rare.telling = nil
		c.spare()
		return
	}
	t.at = c.now() + tellPause
	c.need(t.at)
}

// sayAnew says a word that may have been said before, just now even, to a node that has forgotten it.
func (c *Client) sayAnew(h *half, w invitation.Word) {
	if w.Kind == invitation.NoWord {
		return
	}
	c.observeWord(h, w)
	c.say(invitation.Up{Word: &w})
}

// retold takes the question what this device knows of an invitation.
func (c *Client) retold(r *invitation.Retell) {
	h := c.byID.get(r.ID)
	switch {
	case h == nil:
		c.retoldUnknown(r)
		return
	case h.side != r.Side:
		return
	case h.local != nil && !h.terminal():
		c.sendAgain(h.local)
	default:
		c.sayAnew(h, h.vouch())
	}
	c.repeatAbout(h)
	if h.in == &c.live {
		h.told, h.unheard = max(c.now(), 1), true
		c.auditSoon()
	}
}

// retoldUnknown is asked for an invitation that the client has no object of. One that was settled has a
// word; and a send that is not answered may be this invitation. Of any other the client knows nothing.
func (c *Client) retoldUnknown(r *invitation.Retell) {
	if w, ok := c.memory.find(r.ID, r.Side); ok {
		c.sayWord(nil, w)
		return
	}
	if r.Side != invitation.Caller {
		return
	}
	for _, p := range c.sorted() {
		if p.call.Request == invitation.Send && p.call.Resumed == nil {
			c.again(p)
		}
	}
}

// sendAgain makes the node know an invitation of this device's as it stands: the send, and what was
// confirmed.
func (c *Client) sendAgain(l *LocalInvitation) {
	if p := l.resumed; p != nil {
		p.wait = firstRepeat
		c.again(p)
	} else {
		p = &pending{h: &l.half}
		p.call = invitation.Call{
			Request: invitation.Send, Key: l.key, Callee: l.peer, Content: l.content, ChannelID: l.channelID,
			Timers: l.limits(), Resumed: l.machine.Resumed(l.left()),
		}
		l.resumed = p
		c.begin(p)
	}
	if w := l.machine.Word(); w.Kind == invitation.WordConfirmed {
		c.sayAnew(&l.half, w)
	}
}

// truth returns what to say instead of w: a node that offers what this device has seen before may not know since when it
// rings; and one that offers what it was asked to accept, and has said that it is recorded, has forgotten that.
func (c *Client) truth(h *half, w invitation.Word) invitation.Word {
	switch {
	case w.Kind != invitation.WordSeen || h.remote == nil:
		return w
	case h.remote.machine.State() != invitation.RemoteAcceptSentToLocal && h.said == invitation.NoWord:
		return w // for the first time
	case h.remote.machine.State() != invitation.RemoteAcceptSentToLocal:
		return h.vouch()
	}
	for p := range c.pending.all {
		if p.h == h && p.call.Request == invitation.Accept {
			return w // the request is repeated
		}
	}
	return h.vouch()
}

// vouchAgain makes the node know h that has asked for it, and does not know it yet: what was said got lost.
func (c *Client) vouchAgain(h *half) {
	if h.local != nil {
		c.sendAgain(h.local)
		return
	}
	c.sayAnew(h, h.vouch())
}

// repeatAbout repeats what the user has asked for on h and has no answer yet.
func (c *Client) repeatAbout(h *half) {
	for _, p := range c.sorted() {
		if p.h == h && p.call.Request != invitation.Send && p.call.Request != invitation.Query {
			p.wait = firstRepeat
			c.again(p)
		}
	}
}

// answeredResumed takes the answer to a send that made the node know an invitation again. An error ends
// nothing: what comes of it the node tells, or is asked for.
func (c *Client) answeredResumed(p *pending, a *invitation.Answer) {
	h := p.h
	c.resolve(p, nil)
	if n := a.Notice; n != nil && n.Side == invitation.Caller && n.ID == h.id() && n.Local != invitation.LocalIdle {
		c.noticed(n)
		return
	}
	if h.in == &c.live {
		h.unheard = true
		c.auditSoon()
	}
}

// doubts tells whether NOT_FOUND is no last word on h: not the first time. A node that was cut off, or that others
// were cut off from, hears of what was sent meanwhile some time after it has come back.
func (c *Client) doubts(h *half) bool {
	if h.in == &c.live && (h.told == 0 || c.now()-h.told > recoveryTime+lastRepeat) {
		h.told = max(c.now(), 1)
	}
	return c.recovering(h)
}

// recovering tells whether the node may be about to learn of h.
func (c *Client) recovering(h *half) bool {
	return h.in == &c.live && h.told != 0 && c.now()-h.told < recoveryTime
}
