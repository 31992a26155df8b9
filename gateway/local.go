package gateway

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// Local is an in-process connection: what a WebSocket connection is, without socket and
// serialization. Its program is trusted to be whom it says it is. It is safe for concurrent use.
type Local struct {
	g      *Gateway
	id     uint64
	user   invitation.User
	device invitation.Device
	closed atomic.Pointer[invitation.End] // why; nil while open

	mu       sync.Mutex // one call of receiver at a time
	receiver Receiver

	stamp  atomic.Uint64 // of the last Welcome; 0 before it
	frames atomic.Int64  // with Config.LocalRate: a bucket
}

// Receiver is an in-process device's end of its connection. Its methods are called one at a time, by whoever
// delivers: the actor of the user's session, or a goroutine of its own for what the gateway answers itself. They
// must not block, since everything else of that user waits; they may call Say and Close.
type Receiver interface {
	// Receive takes what the device is told. After an Ending nothing follows; one call that was under way
	// may still follow Close.
	Receive(down invitation.Down)
	// Lost tells that the connection has ended, after the Ending that says why.
	Lost(err error)
}

// closedByProgram is the end of a Local that was closed.
var closedByProgram invitation.End

// Open begins the conversation of an in-process device. The answer, a Welcome or an Ending, comes to
// receiver, like all that the device is told, and may come before Open returns.
//
// The error is an invitation.End: EndBadLogin, EndOverloaded (MaxLocal, LoginRate, or the backend),
// EndShutdown, or what the backend's Attach said. On an error receiver is not called any more.
func (g *Gateway) Open(login invitation.Login, receiver Receiver) (*Local, error) {
	if !login.User.Valid() || !login.Device.Valid() {
		return nil, invitation.EndBadLogin
	}
	if end := g.enterLocal(); end != 0 {
		g.stats.login(end)
		return nil, end
	}
	l := &Local{g: g, id: g.lastID.Add(1), user: login.User, device: login.Device, receiver: receiver}
	g.conns.add(l.id, l)
	end := invitation.End(0)
	g.timing.begin(l.id, loginID, g.now())
	if err := g.backend.Attach(l.id, login); err != nil {
		end, _ = g.refusedAttach(err)
	}
	g.stats.login(end)
	if end != 0 {
		g.loggedIn(l.id, end)
		l.closed.Store(&end)
		l.forget()
		return nil, end
	}
	if g.draining.Load() { // Shutdown may have begun before it could see l
		ending := g.shutdownEnding()
		go l.deliver(invitation.Down{Ending: &ending})
	}
	return l, nil
}

// enterLocal admits an in-process connection.
func (g *Gateway) enterLocal() invitation.End {
	if g.draining.Load() {
		return invitation.EndShutdown
	}
	if g.admission.local.Add(1) > int64(g.config.MaxLocal) || g.admission.login(g.now(), netip.Addr{}) > 0 {
		g.admission.local.Add(-1)
		return invitation.EndOverloaded
	}
	return 0
}

// Say hands on what the device says. A call is answered by Receive, never from inside of Say. The
// error is the invitation.End of a connection that has ended, net.ErrClosed after Close, or
// EndOverloaded for a Logout that was not taken and is to be said again. It does not block: a Send that
// Config.MayInvite has to judge gets a goroutine. The Up belongs to the gateway from then on.
func (l *Local) Say(up invitation.Up) error {
	if err := l.err(); err != nil {
		return err
	}
	if up.Call != nil {
		l.g.timing.begin(l.id, up.Call.RequestID, l.g.now())
	}
	if l.g.config.MayInvite != nil && up.Call != nil && up.Call.Request == invitation.Send {
		go func() { _ = l.say(up) }() // after an end the client repeats it on the next connection
		return nil
	}
	return l.say(up)
}

func (l *Local) say(up invitation.Up) error {
	if call := up.Call; call != nil {
		if a := l.judge(call); a.Error != invitation.OK {
			l.answer(call, a)
			return nil
		}
	}
	if err := l.g.backend.Say(l.id, l.user, l.device, up); err != nil {
		return l.untaken(up, err)
	}
	return nil
}

// untaken is what comes of something that the backend did not take.
func (l *Local) untaken(up invitation.Up, cause error) error {
	l.g.stats.unavailable.Add(1)
	switch {
	case up.Call != nil:
		l.answer(up.Call, l.g.unavailable(cause))
	case up.Logout:
		return invitation.EndOverloaded // to be said again
	} // a word is lost; the notice it answers is repeated
	return nil
}

// judge returns the gateway's own answer to a call, OK for one that goes on.
func (l *Local) judge(call *invitation.Call) invitation.Answer {
	if rate := l.g.config.LocalRate; rate > 0 {
		if over := l.take(rate); over > 0 {
			l.g.stats.overRate.Add(1)
			return invitation.Answer{Error: invitation.LimitExceeded, RetryAfter: over}
		}
	}
	if code := refusal(l.user, call); code != invitation.OK {
		return invitation.Answer{Error: code}
	}
	if l.g.Busy(call) {
		return l.g.unavailable(nil)
	}
	if call.Request == invitation.Send && l.g.config.MayInvite != nil {
		return l.g.mayInvite(l.user, call.Callee)
	}
	return invitation.Answer{}
}

// take counts a call, and returns by how long it is over the rate.
func (l *Local) take(rate int) time.Duration {
	for {
		was := l.frames.Load()
		b := bucket(was)
		over := b.take(l.g.now(), rate, 2*rate)
		if l.frames.CompareAndSwap(was, int64(b)) {
			return over
		}
	}
}

func (l *Local) answer(call *invitation.Call, a invitation.Answer) {
	a.Request, a.RequestID = call.Request, call.RequestID
	go l.deliver(invitation.Down{Answer: &a})
}

// Close loses the connection, as a dropped socket would: the device is not logged out, and may come
// back by a Login that resumes. To log out, say Logout and wait for the Ending. The error, there for
// io.Closer, is always nil.
func (l *Local) Close() error {
	if l.closed.CompareAndSwap(nil, &closedByProgram) {
		l.leave(0)
	}
	return nil
}

// deliver hands what the device is told to the receiver.
func (l *Local) deliver(down invitation.Down) {
	if down.Answer != nil {
		l.g.answered(l.id, down.Answer)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if down.Ending == nil {
		if l.closed.Load() == nil && (down.Welcome == nil || l.greet(down.Welcome)) {
			l.receiver.Receive(down)
		}
		return
	}
	end := down.Ending.End
	if l.closed.CompareAndSwap(nil, &end) {
		l.receiver.Receive(down)
		l.receiver.Lost(end)
		go l.leave(end) // the caller may be the backend
	}
}

// cut is Close for Shutdown.
func (l *Local) cut() { _ = l.Close() }

// leave tells the backend of a connection that has been closed, by the one who closed it.
func (l *Local) leave(end invitation.End) {
	l.g.backend.Detach(l.id, l.user, l.device)
	l.g.stats.end(end)
	l.forget()
}

func (l *Local) forget() {
	l.g.conns.remove(l.id)
	l.g.admission.local.Add(-1)
	l.g.checkEmpty()
}

// err returns why the connection is closed.
func (l *Local) err() error {
	switch end := l.closed.Load(); {
	case end == nil:
		return nil
	case *end == 0:
		return net.ErrClosed
	default:
		return *end
	}
}
