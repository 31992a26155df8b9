package desk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
)

const (
	// Device is the name of the device that sends on behalf of users.
	Device = invitation.Agent
	// maxAgents bounds the users for which this node sends at once.
	maxAgents  = 100_000
	loginTime  = 5 * time.Second
	logoutTime = 5 * time.Second
)

// errBusy: too many agents.
var errBusy = errors.New("the node sends for too many users at once")

// agents are the devices that send on behalf of users on this node.
type agents struct {
	desk *Desk

	mu      sync.Mutex
	byUser  map[invitation.User]*agent
	calls   map[invitation.ID]*call
	closing bool
	left    []chan struct{} // closed when the last one has gone while closing
}

// agent is one user's.
type agent struct {
	of     *agents
	user   invitation.User
	client *client.Client
	ready  chan struct{} // closed when the login has succeeded or failed
	err    error         // of the login; not written once ready is closed
	calls  int           // guarded by the lock of agents
}

// call is an invitation that an agent sends.
type call struct {
	local *client.LocalInvitation
	sent  chan struct{} // closed when the first Send has returned
	err   error         // of that Send; not written once sent is closed
}

// begin returns the call of an id, and whether it is new: then the caller sends it, and is to say so by sent.
func (a *agents) begin(user invitation.User, id invitation.ID, prepare func(*client.LocalInvitation), callee invitation.User,
) (of *agent, c *call, first bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	of = a.byUser[user]
	if c := a.calls[id]; c != nil {
		return of, c, false, nil
	}
	switch {
	case a.closing:
		return nil, nil, false, invitation.EndShutdown
	case of == nil && len(a.byUser) >= maxAgents:
		return nil, nil, false, errBusy
	case of == nil:
		of = a.login(user)
	}
	c = &call{local: of.client.NewLocalInvitation(callee), sent: make(chan struct{})}
	prepare(c.local)
	a.calls[id] = c
	of.calls++
	return of, c, true, nil
}

// login makes the agent of a user. It is called with the lock.
func (a *agents) login(user invitation.User) *agent {
	if a.byUser == nil {
		a.byUser, a.calls = map[invitation.User]*agent{}, map[invitation.ID]*call{}
	}
	timers := a.desk.config.Host.Config().Timers
	of := &agent{
		of: a, user: user, ready: make(chan struct{}),
		client: client.New(a.desk.config.Carrier, client.Options{User: user, Device: Device, Linger: timers.Linger}),
	}
	a.byUser[user] = of
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), loginTime)
		defer cancel()
		of.err = of.client.Login(ctx)
		close(of.ready)
	}()
	return of
}

// find returns the call of an id, nil if it is none of this node's.
func (a *agents) find(id invitation.ID) *call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[id]
}

// has reports whether a user has an agent here.
func (a *agents) has(user invitation.User) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byUser[user] != nil
}

// send sends a call that is new, and sees that the agent goes when its last call has ended.
func (of *agent) send(ctx context.Context, id invitation.ID, c *call) {
	select {
	case <-of.ready:
		c.err = of.err
		if c.err == nil {
			c.err = c.local.Send(ctx)
		}
	case <-ctx.Done():
		c.err = fmt.Errorf("the login: %w: %w", invitation.Unavailable, context.Cause(ctx))
	}
	close(c.sent)
	if c.err != nil && c.local.State() == invitation.LocalIdle && !mayBeTaken(c.err) {
		of.end(id)
		return
	}
	go func() {
		_ = c.local.Wait(context.Background()) // it ends, or the client does
		of.end(id)
	}()
}

// mayBeTaken reports whether a Send that failed goes on.
func mayBeTaken(err error) bool {
	_, answered := errors.AsType[invitation.CallError](err)
	_, ended := errors.AsType[invitation.End](err)
	return !answered && !ended && !errors.Is(err, client.ErrNotLoggedIn) && !errors.Is(err, client.ErrClosed)
}

// end forgets a call, and the agent with its last one.
func (of *agent) end(id invitation.ID) {
	a := of.of
	a.mu.Lock()
	delete(a.calls, id)
	of.calls--
	gone := of.calls == 0 && a.byUser[of.user] == of
	if gone {
		delete(a.byUser, of.user)
	}
	if a.closing && len(a.byUser) == 0 {
		for _, left := range a.left {
			close(left)
		}
		a.left = nil
	}
	a.mu.Unlock()
	if gone {
		of.logout(context.Background())
	}
}

func (of *agent) logout(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, logoutTime)
	defer cancel()
	select {
	case <-of.ready:
		_ = of.client.Logout(ctx) // if it is not logged in, all the better
	case <-ctx.Done():
	}
	_ = of.client.Close()
}

// Close sends nothing any more, and waits until what was sent has ended, or a context, patience, is done; what is left
// then is canceled, until ctx is done.
func (d *Desk) Close(ctx, patience context.Context) {
	a := &d.agents
	left := make(chan struct{})
	a.mu.Lock()
	a.closing = true
	if len(a.byUser) == 0 {
		close(left)
	} else {
		a.left = append(a.left, left)
	}
	a.mu.Unlock()
	select {
	case <-left:
		return
	case <-patience.Done():
	}
	a.mu.Lock()
	rest := slices.Collect(maps.Values(a.byUser))
	a.mu.Unlock()
	var group sync.WaitGroup
	for _, of := range rest {
		group.Go(func() { of.logout(ctx) })
	}
	group.Wait()
}
