package client

import (
	"context"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
)

// RemoteInvitation is an invitation of somebody else that this client was shown. The client makes
// it; see [Client.OnRemoteInvitation]. All methods are safe for concurrent use, and may be called
// from callbacks.
type RemoteInvitation struct {
	half
	machine  device.Remote
	response string
}

func newRemote(c *Client, n *invitation.Notice) *RemoteInvitation {
	r := &RemoteInvitation{half: half{
		c: c, side: invitation.Callee, peer: n.Peer, content: n.Content, channelID: n.ChannelID,
	}}
	r.remote = r
	return r
}

// Caller returns who calls.
func (r *RemoteInvitation) Caller() invitation.User { return r.peer }

// State returns where the invitation is.
func (r *RemoteInvitation) State() invitation.RemoteState {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.machine.State()
}

// Code returns why the invitation is in FAILURE, else OK.
func (r *RemoteInvitation) Code() invitation.RemoteError {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.machine.Code()
}

// Response returns what this client responded, "" before Accept or Refuse.
func (r *RemoteInvitation) Response() string {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.response
}

// Accept accepts the invitation, with a response of at most [invitation.MaxResponse] bytes of UTF-8,
// and returns when the node has recorded it. The call stands when RemoteInvitationAccepted comes; it
// may still end otherwise, if the caller cancels or cannot confirm.
//
// The errors: INVALID_ARGUMENT; ALREADY_ACCEPT after an Accept; ALREADY_END after a Refuse or the
// end: then the terminal event follows, or has come. When ctx ends first, the accept may yet be
// recorded: the client goes on asking.
func (r *RemoteInvitation) Accept(ctx context.Context, response string) error {
	return r.reply(ctx, invitation.Accept, response, r.machine.Accept)
}

// Refuse refuses the invitation, with a response of at most [invitation.MaxResponse] bytes of UTF-8,
// and returns when the node has recorded it. After nil a RemoteInvitationRefused follows, or has
// come. The errors are those of Accept.
func (r *RemoteInvitation) Refuse(ctx context.Context, response string) error {
	return r.reply(ctx, invitation.Refuse, response, r.machine.Refuse)
}

func (r *RemoteInvitation) reply(
	ctx context.Context, request invitation.Request, response string,
	ask func() (device.Output, invitation.CallError),
) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if !invitation.ValidText(response, invitation.MaxResponse) {
		return invitation.InvalidArgument
	}
	c := r.c
	c.mu.Lock()
	if c.phase == closed {
		c.release()
		return ErrClosed
	}
	if _, err := ask(); err != invitation.OK {
		c.release()
		return err
	}
	r.response = response
	if request == invitation.Accept {
		r.deadline = 0 // of what it was; the answer tells of the accept's
	}
	p := &pending{h: &r.half}
	p.call = invitation.Call{Request: request, ID: r.machine.ID(), Response: response}
	w := c.join(p)
	c.begin(p)
	c.release()
	_, err := c.await(ctx, w)
	return err
}
