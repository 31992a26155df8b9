package client

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
)

// LocalInvitation is an invitation that this client sends. Make one with
// [Client.NewLocalInvitation], one per call: it is sent once. All methods are safe for concurrent
// use, and may be called from callbacks.
type LocalInvitation struct {
	half
	machine device.Local
	timers  *invitation.Timers // nil: the deployment's
	key     string             // of the last Send
	cancel  *pending           // the cancel that is unanswered
	resumed *pending           // the Send by which a node that forgot the invitation learns of it, if unanswered
}

// NewLocalInvitation returns an invitation to callee that is not sent yet, in state IDLE. It costs
// nothing on the node. Whether callee is a well-formed user id shows at Send.
func (c *Client) NewLocalInvitation(callee invitation.User) *LocalInvitation {
	l := &LocalInvitation{half: half{c: c, side: invitation.Caller, peer: callee}}
	l.local = l
	return l
}

// Callee returns whom the invitation calls.
func (l *LocalInvitation) Callee() invitation.User { return l.peer }

// SetContent sets the text that the callee is shown, at most [invitation.MaxContent] bytes of UTF-8.
// After Send it gives ALREADY_SENT and changes nothing.
func (l *LocalInvitation) SetContent(content string) error {
	return l.set(func() { l.content = content })
}

// SetChannelID sets the name of the media channel, at most [invitation.MaxChannel] bytes of UTF-8.
// The system carries it and does not interpret it. After Send it gives ALREADY_SENT and changes
// nothing.
func (l *LocalInvitation) SetChannelID(channel string) error {
	return l.set(func() { l.channelID = channel })
}

// SetTimers sets time limits for this invitation, each from [invitation.MinTimer] to
// [invitation.MaxTimer]. Zero fields stand for the deployment's. After Send it gives ALREADY_SENT and
// changes nothing.
func (l *LocalInvitation) SetTimers(t invitation.Timers) error {
	return l.set(func() { l.timers = &t })
}

// SetKey sets the send key, for a program that may have to send the same invitation again after a restart: the id of
// an invitation follows from user, device and key. It is well formed if [invitation.ValidKey] says so, and must not be
// used for another invitation of this device. The default is a new random key for each Send. After Send it gives
// ALREADY_SENT and changes nothing.
func (l *LocalInvitation) SetKey(key string) error {
	return l.set(func() { l.key, l.chosen = key, true })
}

func (l *LocalInvitation) set(do func()) error {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if l.in != nil || l.machine.State() != invitation.LocalIdle {
		return invitation.AlreadySent
	}
	do()
	return nil
}

// State returns where the invitation is. IDLE is before the node has taken the send.
func (l *LocalInvitation) State() invitation.LocalState {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	return l.machine.State()
}

// Code returns why the invitation is in FAILURE, else OK.
func (l *LocalInvitation) Code() invitation.LocalError {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	return l.machine.Code()
}

// Response returns what the callee responded, "" before the invitation is accepted or refused.
func (l *LocalInvitation) Response() string {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	return l.machine.Response()
}

// Send sends the invitation and returns when the node has taken it; the events follow. While the
// client is reconnecting, and while the node is busy (UNAVAILABLE), Send waits.
//
// The errors: INVALID_ARGUMENT, LIMIT_EXCEEDED (maybe as a [*RetryError]) and FORBIDDEN, after which
// the invitation is IDLE and may be sent again; ALREADY_SENT; ALREADY_END. Without a session the
// invitation ends with a LocalInvitationFailure of code NOT_LOGGED_IN, and Send returns
// [ErrNotLoggedIn].
//
// When ctx ends first, Send returns an error that wraps ctx's. If it wraps UNAVAILABLE too, nothing
// was sent. Else the invitation may yet be taken: the client goes on asking, and its events tell what
// came of it, be it a [RequestRejected]. To make sure that it does not ring, Cancel it.
func (l *LocalInvitation) Send(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	c := l.c
	c.mu.Lock()
	if err := c.mayBegin(l); err != nil {
		c.release()
		return err
	}
	if _, err := l.machine.Send(); err != invitation.OK {
		c.release()
		return err
	}
	c.live.push(&l.half)
	if !l.chosen {
		l.key = rand.Text()
	}
	p := &pending{h: &l.half}
	p.call = invitation.Call{
		Request: invitation.Send, Key: l.key, Callee: l.peer,
		Content: l.content, ChannelID: l.channelID, Timers: l.limits(),
	}
	w := c.join(p)
	c.begin(p)
	c.release()
	_, err := c.await(ctx, w)
	return err
}

// limits returns the time limits that were set.
func (l *LocalInvitation) limits() invitation.Timers {
	if l.timers == nil {
		return invitation.Timers{}
	}
	return *l.timers
}

// mayBegin makes the checks of Send that need no node.
func (c *Client) mayBegin(l *LocalInvitation) error {
	if c.phase == closed {
		return ErrClosed
	}
	if l.in != nil || l.machine.State() != invitation.LocalIdle {
		return nil // the machine knows which error it is
	}
	terms := invitation.Terms{
		Caller: c.user, Callee: l.peer, Content: l.content, ChannelID: l.channelID, Timers: l.limits(),
	}
	if err := terms.Check(); err != invitation.OK {
		return err
	}
	if c.leaving || c.phase == idle || c.phase == connecting {
		l.own = true
		c.act(&l.half, l.machine.NotLoggedIn())
		return ErrNotLoggedIn
	}
	if !c.admit() {
		return invitation.LimitExceeded
	}
	return nil
}

// Cancel withdraws the invitation and returns when the node has answered. After nil a
// LocalInvitationCanceled follows, or has come.
//
// The errors: NOT_STARTED before Send, or if the node rejects the send; ALREADY_END if the invitation
// has ended or this device has confirmed an accept: then its terminal event follows, or has come.
// When ctx ends first, the invitation may yet be canceled: the client goes on asking.
func (l *LocalInvitation) Cancel(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	c := l.c
	c.mu.Lock()
	if c.phase == closed {
		c.release()
		return ErrClosed
	}
	out, err := l.machine.Cancel()
	if err != invitation.OK {
		c.release()
		return err
	}
	if l.cancel == nil {
		l.cancel = &pending{h: &l.half}
		l.cancel.call.Request = invitation.Cancel
	}
	w := c.join(l.cancel)
	if out.Request == invitation.Cancel {
		c.beginKeptCancel(&l.half)
	}
	c.release()
	_, wait := c.await(ctx, w)
	return wait
}

// beginKeptCancel says the cancel that was asked for, now that the invitation has an id.
func (c *Client) beginKeptCancel(h *half) {
	p := h.local.cancel
	if p == nil || p.call.RequestID != 0 { // nobody asked, or it was said already
		return
	}
	p.call.ID = h.id()
	c.begin(p)
}

// endKeptCancel answers a cancel that was kept for the invitation's id, when the invitation ends
// first. One that was said waits for its answer.
func (c *Client) endKeptCancel(h *half) {
	if h.local == nil || h.local.cancel == nil || h.local.cancel.call.RequestID != 0 {
		return
	}
	err := invitation.AlreadyEnd
	if h.local.machine.State() == invitation.LocalCanceled && h.local.machine.Reason() == invitation.CallerCanceled {
		err = invitation.OK
	}
	c.resolve(h.local.cancel, err.Err())
}

// ID returns the invitation's id; zero before the node has taken the send.
func (h *half) ID() invitation.ID {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	return h.id()
}

// Reason returns the finer cause of an ending, NoReason before it.
func (h *half) Reason() invitation.Reason {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	if h.local != nil {
		return h.local.machine.Reason()
	}
	return h.remote.machine.Reason()
}

// Content returns the text that the caller set.
func (h *half) Content() string {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	return h.content
}

// ChannelID returns the name of the media channel that the caller set.
func (h *half) ChannelID() string {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	return h.channelID
}

// Remaining returns the time until the current state ends by itself, as far as the node has told;
// else 0.
func (h *half) Remaining() time.Duration {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	if h.deadline == 0 || h.terminal() {
		return 0
	}
	return max(h.deadline-h.c.now(), 0)
}

// OnEvent sets the function that is called for each event of this invitation from now on, before the
// client's. Set it before Send, or in [Client.OnRemoteInvitation], to miss none. See the package's
// doc for where callbacks run.
func (h *half) OnEvent(f func(Event)) {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	h.on = f
}

// over is a closed channel.
var over = func() chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}()

// Done returns a channel that is closed when the invitation has ended, which may be before the
// terminal event is delivered. Of an invitation that is never sent, and of one that is live when the
// client is closed, it stays open.
func (h *half) Done() <-chan struct{} {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	switch {
	case h.terminal():
		return over
	case h.done == nil:
		h.done = make(chan struct{})
	}
	return h.done
}

// Wait waits until the invitation has ended; State, Code and Reason then tell how. The error is
// ctx's, or [ErrClosed].
func (h *half) Wait(ctx context.Context) error {
	done := h.Done()
	select {
	case <-done:
		return nil
	default:
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-h.c.whenClosed():
		return ErrClosed
	}
}
