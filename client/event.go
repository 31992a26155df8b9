package client

import (
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
)

// EventKind is the kind of an [Event]. Those of invitations have the names of docs/spec.md §4.
type EventKind uint8

// The kinds of event. Of Accepted, Refused, Canceled and Failure exactly one comes per invitation,
// and nothing but a RequestRejected that was under way comes after it.
const (
	NoEvent EventKind = iota

	LocalInvitationReceivedByPeer // a device of the callee shows it
	LocalInvitationAccepted       // both sides have accepted; Response tells the callee's words
	LocalInvitationRefused        // Response tells the callee's words
	LocalInvitationCanceled       // Reason tells why
	LocalInvitationFailure        // Code and Reason tell why

	RemoteInvitationReceived // somebody calls
	RemoteInvitationAccepted // the caller has confirmed the accept
	RemoteInvitationRefused
	RemoteInvitationCanceled // Reason tells why: the caller's doing, or another device answered
	RemoteInvitationFailure  // Code and Reason tell why

	// RequestRejected tells, in Err, the error of a request whose method had stopped waiting. The
	// request changed nothing: an invitation whose send was rejected is IDLE again.
	RequestRejected

	SessionConnected    // logged in, or back after SessionReconnecting
	SessionReconnecting // the connection was lost, for the cause in Err; the client is coming back
	SessionEnded        // the session is over, for the cause in Err, and the client does not come back by itself
)

var eventKindNames = [...]string{
	"NoEvent",
	"LocalInvitationReceivedByPeer", "LocalInvitationAccepted", "LocalInvitationRefused", "LocalInvitationCanceled",
	"LocalInvitationFailure",
	"RemoteInvitationReceived", "RemoteInvitationAccepted", "RemoteInvitationRefused", "RemoteInvitationCanceled",
	"RemoteInvitationFailure",
	"RequestRejected", "SessionConnected", "SessionReconnecting", "SessionEnded",
}

// String returns the name of the kind.
func (k EventKind) String() string { return eventKindNames[k] }

// Terminal reports whether the kind ends an invitation's lifecycle.
func (k EventKind) Terminal() bool {
	return k >= LocalInvitationAccepted && k <= LocalInvitationFailure ||
		k >= RemoteInvitationAccepted && k <= RemoteInvitationFailure
}

// Event is what the application is told. What else it may want to know of the invitation, its
// methods tell; after a terminal event they always tell the same.
type Event struct {
	Kind   EventKind
	At     time.Time         // when the client decided it; the callback may come later
	Local  *LocalInvitation  // for LocalInvitation… and RequestRejected
	Remote *RemoteInvitation // for RemoteInvitation… and RequestRejected
	Err    error             // for RequestRejected, SessionReconnecting and SessionEnded
}

// The kinds of the machines' events, by side.
var (
	localKinds = [...]EventKind{
		device.ReceivedByPeer: LocalInvitationReceivedByPeer, device.Accepted: LocalInvitationAccepted,
		device.Refused: LocalInvitationRefused, device.Canceled: LocalInvitationCanceled,
		device.Failed: LocalInvitationFailure,
	}
	remoteKinds = [...]EventKind{
		device.Received: RemoteInvitationReceived, device.Accepted: RemoteInvitationAccepted,
		device.Refused: RemoteInvitationRefused, device.Canceled: RemoteInvitationCanceled,
		device.Failed: RemoteInvitationFailure,
	}
)

// maxSessionEvents bounds the events of the session that were not delivered; of more, the oldest is dropped. Those of
// invitations are bounded by the admission of invitations.
const maxSessionEvents = 8

// emit queues the event of a machine. A terminal one releases whoever waits for the end.
func (c *Client) emit(h *half, e device.Event) {
	kind := localKinds[e]
	if h.side == invitation.Callee {
		kind = remoteKinds[e]
	}
	if e.Terminal() && h.done != nil {
		close(h.done)
	}
	c.queue(h, Event{Kind: kind, At: time.Now(), Local: h.local, Remote: h.remote})
}

// queue queues an event, of h if that is not nil. One that nobody is to be told of is left out, unless others
// wait: what they tell may make somebody listen.
func (c *Client) queue(h *half, ev Event) {
	c.observeEvent(h, ev)
	on, onRemote, onEvent, channel := c.handlers(ev)
	if c.events != nil || c.delivering || on != nil || onRemote != nil || onEvent != nil || channel != nil {
		eventBatches.add(&c.events, ev)
	}
}

// emitRejected queues a RequestRejected.
func (c *Client) emitRejected(h *half, err error) {
	c.queue(h, Event{Kind: RequestRejected, At: time.Now(), Local: h.local, Remote: h.remote, Err: err})
}

// emitSession queues an event of the session.
func (c *Client) emitSession(kind EventKind, err error) {
	if c.events != nil {
		waiting, count, oldest := c.events.items, 0, 0
		for i := len(waiting) - 1; i >= 0; i-- {
			if waiting[i].Kind >= SessionConnected {
				count, oldest = count+1, i
			}
		}
		if count >= maxSessionEvents {
			c.events.items = slices.Delete(waiting, oldest, oldest+1)
		}
	}
	c.queue(nil, Event{Kind: kind, At: time.Now(), Err: err})
}

// backlog returns the number of events that the application has not taken.
func (c *Client) backlog() int { return c.events.len() + int(c.undelivered) }

// deliver hands the queued events to the application, one at a time. It runs in a goroutine that
// exists only while there are events.
func (c *Client) deliver() {
	c.mu.Lock()
	for c.events != nil && c.phase != closed {
		batch := c.events
		c.events = nil
		c.undelivered = int32(batch.len())
		for _, ev := range batch.items {
			on, onRemote, onEvent, channel := c.handlers(ev)
			c.mu.Unlock()
			c.fire(ev, on, onRemote, onEvent, channel)
			c.mu.Lock()
			c.undelivered--
			if c.phase == closed {
				break
			}
		}
		eventBatches.give(batch)
	}
	c.undelivered, c.delivering = 0, false
	if c.phase == closed && c.channel != nil {
		close(c.channel)
		c.channel = nil
	}
	c.mu.Unlock()
}

// handlers returns who is to be told of ev.
func (c *Client) handlers(ev Event) (on func(Event), onRemote func(*RemoteInvitation), onEvent func(Event), channel chan Event) {
	switch {
	case ev.Local != nil:
		on = ev.Local.on
	case ev.Remote != nil:
		on = ev.Remote.on
	}
	if ev.Kind == RemoteInvitationReceived {
		onRemote = c.onRemote
	}
	return on, onRemote, c.onEvent, c.channel
}

func (c *Client) fire(ev Event, on func(Event), onRemote func(*RemoteInvitation), onEvent func(Event), channel chan Event) {
	if on != nil {
		on(ev)
	}
	if onRemote != nil {
		onRemote(ev.Remote)
	}
	if onEvent != nil {
		onEvent(ev)
	}
	if channel != nil {
		select {
		case channel <- ev:
		case <-c.whenClosed():
		}
	}
}
