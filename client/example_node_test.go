package client_test

import (
	"context"
	"sync"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
)

// fakeNode is a Carrier that plays a node for the examples: it arbitrates between the clients that
// dial it, in memory, with no time limits and nobody to mistrust.
type fakeNode struct {
	mu      sync.Mutex
	devices map[invitation.User]client.Receiver
	calls   map[invitation.ID]*fakeCall
	queue   []func() // what is to be told, in order
	telling bool
}

type fakeCall struct {
	id      invitation.ID
	send    invitation.Call
	caller  invitation.User
	outcome invitation.Outcome
	answer  string
}

func newFakeNode() *fakeNode {
	return &fakeNode{devices: map[invitation.User]client.Receiver{}, calls: map[invitation.ID]*fakeCall{}}
}

type fakeLink struct {
	n      *fakeNode
	user   invitation.User
	device invitation.Device
}

func (n *fakeNode) Dial(_ context.Context, login invitation.Login, receiver client.Receiver) (client.Link, error) {
	n.mu.Lock()
	n.devices[login.User] = receiver
	n.tell(login.User, invitation.Down{Welcome: &invitation.Welcome{Stamp: 1}})
	n.release()
	return &fakeLink{n, login.User, login.Device}, nil
}

func (n *fakeNode) tell(user invitation.User, down invitation.Down) {
	if receiver := n.devices[user]; receiver != nil {
		n.queue = append(n.queue, func() { receiver.Receive(down) })
	}
}

func (n *fakeNode) release() {
	defer n.mu.Unlock()
	if n.telling {
		return
	}
	n.telling = true
	for len(n.queue) > 0 {
		next := n.queue[0]
		n.queue = n.queue[1:]
		n.mu.Unlock()
		next()
		n.mu.Lock()
	}
	n.telling = false
}

func (n *fakeNode) local(c *fakeCall, state invitation.LocalState, with invitation.Notice) {
	with.ID, with.Side, with.Peer, with.Local = c.id, invitation.Caller, c.send.Callee, state
	n.tell(c.caller, invitation.Down{Notice: &with})
}

func (n *fakeNode) remote(c *fakeCall, state invitation.RemoteState, with invitation.Notice) {
	with.ID, with.Side, with.Peer, with.Remote = c.id, invitation.Callee, c.caller, state
	with.Content, with.ChannelID = c.send.Content, c.send.ChannelID
	n.tell(c.send.Callee, invitation.Down{Notice: &with})
}

func (l *fakeLink) Close() error { return nil }

func (l *fakeLink) Say(up invitation.Up) error {
	n := l.n
	n.mu.Lock()
	defer n.release()
	switch {
	case up.Logout:
		n.tell(l.user, invitation.Down{Ending: &invitation.Ending{End: invitation.EndLoggedOut}})
	case up.Word != nil:
		l.word(up.Word)
	case up.Call.Request == invitation.Send:
		c := &fakeCall{id: invitation.NewID(l.user, l.device, up.Call.Key), send: *up.Call, caller: l.user}
		n.calls[c.id] = c
		n.tell(l.user, invitation.Down{Answer: &invitation.Answer{RequestID: up.Call.RequestID, ID: c.id}})
		n.remote(c, invitation.RemoteInvitationReceived, invitation.Notice{})
	default:
		l.request(up.Call)
	}
	return nil
}

func (l *fakeLink) request(call *invitation.Call) {
	n, c := l.n, l.n.calls[call.ID]
	answer := &invitation.Answer{RequestID: call.RequestID, ID: call.ID}
	defer func() { n.tell(l.user, invitation.Down{Answer: answer}) }()
	switch {
	case c == nil:
		answer.Error = invitation.NotFound
	case c.outcome != invitation.NoOutcome:
		answer.Error = invitation.AlreadyEnd
	case call.Request == invitation.Cancel:
		c.outcome = invitation.Canceled
		ended := invitation.Notice{Reason: invitation.CallerCanceled, Verdict: true, Settled: true}
		n.local(c, invitation.LocalCanceled, ended)
		n.remote(c, invitation.RemoteCanceled, ended)
	case call.Request == invitation.Accept:
		c.answer = call.Response
		n.local(c, invitation.LocalReceivedByRemote, invitation.Notice{Confirm: "the one device"})
	case call.Request == invitation.Refuse:
		c.outcome = invitation.Refused
		n.local(c, invitation.LocalRefusedByRemote, invitation.Notice{Response: call.Response, Verdict: true, Settled: true})
		n.remote(c, invitation.RemoteRefused, invitation.Notice{Settled: true})
	}
}

func (l *fakeLink) word(w *invitation.Word) {
	n, c := l.n, l.n.calls[w.ID]
	switch {
	case c == nil || c.outcome != invitation.NoOutcome:
	case w.Kind == invitation.WordSeen:
		n.local(c, invitation.LocalReceivedByRemote, invitation.Notice{})
	case w.Kind == invitation.WordConfirmed:
		n.remote(c, invitation.RemoteAccepted, invitation.Notice{})
	case w.Kind == invitation.WordDone && w.Remote == invitation.RemoteAccepted:
		c.outcome = invitation.Accepted
		n.local(c, invitation.LocalAcceptedByRemote, invitation.Notice{Response: c.answer, Verdict: true, Settled: true})
	}
}
