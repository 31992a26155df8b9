package client

import (
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
)

// machine is what [device.Local] and [device.Remote] have in common.
type machine interface {
	ID() invitation.ID
	Word() invitation.Word
	Settled() bool
	Notice(n *invitation.Notice) device.Output
	Current(n *invitation.Notice) bool
	Rejected(err invitation.CallError) device.Output
	Forget() device.Output
}

// half is what a [LocalInvitation] and a [RemoteInvitation] have in common. Its fields are guarded
// by the client's mutex, but for those that are set once, before the half is shared.
type half struct {
	c      *Client           // set once
	local  *LocalInvitation  // set once: whose half it is, if the caller's
	remote *RemoteInvitation // set once: the same, if the callee's
	peer   invitation.User   // set once

	content   string
	channelID string
	on        func(Event)
	done      chan struct{} // made when somebody waits; closed at the end
	deadline  time.Duration // when the current state ends by itself, on the client's clock; 0: not known

	in         *list // the list it is in
	next, prev *half
	endedAt    time.Duration
	told       time.Duration // when the node asked for it last, as it had forgotten it; 0: never
	askAt      time.Duration // when to look after it; 0: never

	saidAt  time.Duration       // when a word was said last
	saidOn  uint32              // on which connection
	said    invitation.WordKind // and which
	side    invitation.Side     // set once
	asks    uint8               // how often askAt was set
	known   bool                // it was registered by its id
	own     bool                // it was the client itself that ended it, not the node
	unheard bool                // the node owes word of it
	chosen  bool                // of a LocalInvitation: the key was set, not made
	anew    bool                // it rang when the session ended: another login may show it anew
}

func (h *half) machine() machine {
	if h.local != nil {
		return &h.local.machine
	}
	return &h.remote.machine
}

// id returns the invitation's id; zero before the node has taken the send.
func (h *half) id() invitation.ID {
	if h.local != nil {
		return h.local.machine.ID()
	}
	return h.remote.machine.ID()
}

func (h *half) terminal() bool {
	if h.local != nil {
		return h.local.machine.State().Terminal()
	}
	return h.remote.machine.State().Terminal()
}

// list is a list of halves. A half is in one list at most.
type list struct {
	first, last *half
	n           int
}

func (l *list) push(h *half) {
	h.in, h.prev, h.next = l, l.last, nil
	if l.last != nil {
		l.last.next = h
	} else {
		l.first = h
	}
	l.last = h
	l.n++
}

func (l *list) remove(h *half) {
	if h.prev != nil {
		h.prev.next = h.next
	} else {
		l.first = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	} else {
		l.last = h.prev
	}
	h.in, h.prev, h.next = nil, nil, nil
	l.n--
}

// remembered is how many settled invitations a client remembers, so that a late offer of one never
// rings again.
const remembered = 128

// memory remembers the last words of settled invitations: a ring of bounded size.
type memory struct {
	words []lastWord
	next  int
}

type lastWord struct {
	id     invitation.ID
	side   invitation.Side
	local  invitation.LocalState
	remote invitation.RemoteState
}

// remember keeps a last word.
func (c *Client) remember(w invitation.Word) {
	if c.memory == nil {
		c.memory = new(memory)
	}
	c.memory.add(w)
}

func (m *memory) add(w invitation.Word) {
	last := lastWord{w.ID, w.Side, w.Local, w.Remote}
	if len(m.words) < remembered {
		m.words = append(m.words, last)
		return
	}
	m.words[m.next] = last
	m.next = (m.next + 1) % remembered
}

func (m *memory) find(id invitation.ID, side invitation.Side) (invitation.Word, bool) {
	if m == nil {
		return invitation.Word{}, false
	}
	for i := range m.words {
		if w := &m.words[i]; w.id == id && w.side == side {
			return invitation.Word{ID: id, Side: side, Kind: invitation.WordDone, Local: w.local, Remote: w.remote}, true
		}
	}
	return invitation.Word{}, false
}

// admit tells whether one more invitation may begin. It bounds the live invitations, and through
// them the events that the application has not taken: each invitation has three at most.
func (c *Client) admit() bool {
	return c.live.n < c.options.MaxInvitations && c.backlog() < c.options.MaxInvitations
}

// register makes h findable by its id.
func (c *Client) register(h *half) {
	if h.known || h.in == nil || h.id().IsZero() {
		return
	}
	h.known = true
	c.byID.put(h.id(), h)
}

// retire moves an ended invitation from the live ones to those whose word is kept.
func (c *Client) retire(h *half) {
	c.live.remove(h)
	h.endedAt = c.now()
	c.ended.push(h)
	c.trim()
}

// trim forgets the ended invitations that are over the bound or the linger.
func (c *Client) trim() {
	for h := c.ended.first; h != nil; h = c.ended.first {
		if c.ended.n <= c.options.MaxEnded && h.endedAt+c.options.Linger > c.now() {
			return
		}
		c.forget(h)
	}
}

// forget drops an ended invitation; only its last word is remembered for a while.
func (c *Client) forget(h *half) {
	c.ended.remove(h)
	id := h.id()
	if id.IsZero() || c.byID.get(id) != h {
		return
	}
	c.byID.remove(id)
	if !h.anew {
		c.remember(h.machine().Word())
	}
}

// endAll ends every live invitation by end, as the node cannot any more. Requests about them that
// are unanswered are answered with err.
func (c *Client) endAll(err error, end func(*half) device.Output) {
	for _, p := range c.sorted() {
		if p.h != nil && p.h.in == &c.live {
			c.resolve(p, err)
		}
	}
	for h := c.live.first; h != nil; h = c.live.first {
		h.own = true
		c.act(h, end(h))
		if h.in == &c.live { // a machine that did not end; none does that
			c.live.remove(h)
		}
	}
}

// forgotten ends an invitation whose fate the client cannot learn any more.
func forgotten(h *half) device.Output { return h.machine().Forget() }

// abandonedBy ends an invitation of a session that is over: the node cancels what was not confirmed.
func abandonedBy(reason invitation.Reason) func(*half) device.Output {
	return func(h *half) device.Output {
		if h.remote != nil {
			h.anew = h.remote.machine.State() == invitation.RemoteInvitationReceived
			return h.machine().Forget()
		}
		if h.local.machine.Confirmed() != "" {
			return h.machine().Forget()
		}
		return h.machine().Notice(&invitation.Notice{
			ID: h.id(), Side: invitation.Caller, Peer: h.peer, Local: invitation.LocalCanceled,
			Reason: reason, Verdict: true, Settled: true,
		})
	}
}
