package engine

import (
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringfleet/ringfleet/invitation"
)

// Behavior is what an actor does. Its methods are called by one goroutine at a time, in the order of
// the messages, and must not block: a worker serves all actors.
type Behavior interface {
	// Receive handles one message: one that was told to the actor's key, or a [Tick]. Messages are
	// shared with whoever sent them and must not be changed.
	Receive(c *Context, msg any)

	// OnPanic is told that Receive panicked over msg, with the stack of the panic. The actor goes on
	// with whatever state Receive left behind, unless OnPanic makes it leave. If OnPanic panics too,
	// the actor leaves.
	OnPanic(c *Context, recovered any, stack []byte, msg any)
}

// Tick is the message that an actor gets when its deadline has come. It may be stale: an actor that
// moves its deadline while a Tick waits in its mailbox still gets that Tick. So compare the deadline
// with Now, and arm again what is not due; an actor that has nothing due has nothing to do.
type Tick struct{}

// tick is the one value that the wheel sends.
var tick any = Tick{}

// Context is an actor's handle on the engine. It is valid for the life of the actor, but only inside
// the calls of its [Behavior]; it must not reach another goroutine.
type Context struct {
	sys      *System
	pid      *actor.PID
	behavior Behavior
	mailbox  mailbox
	timer    timer
	stopped  bool // the consumer's
}

// Now returns the node's time. Each call reads the clock.
func (c *Context) Now() invitation.Time { return c.sys.clock.Now() }

// Arm sets the actor's one deadline, in place of any earlier one: a [Tick] comes at the first tick of
// the wheel at or after it ([Options.Tick]). 0 is "never" and cancels. O(1), no allocation; arming the
// same deadline again is cheap.
func (c *Context) Arm(deadline invitation.Time) {
	if deadline == 0 {
		c.sys.wheel.disarm(&c.timer)
		return
	}
	c.sys.wheel.arm(&c.timer, deadline)
}

// Leave ends the actor once Receive has returned: it handles no further message and its deadline is
// canceled. What waits in its mailbox goes to the next actor of the same key, in the same order, or to
// the directory's Miss. Calling it again does nothing.
func (c *Context) Leave() { c.mailbox.PostSystemMessage(ending) }

// Tell puts a message for this actor behind all that wait in its mailbox. It is not bounded as
// [Directory.Tell] is: an actor that tells itself more than it was told grows without limit. If the
// actor leaves first, the message goes where the others go.
func (c *Context) Tell(msg any) { c.mailbox.PostUserMessage(msg) }

// expire implements expirer: the timer of an actor that stops is disarmed before its mailbox is given up.
func (c *Context) expire() { c.mailbox.PostUserMessage(tick) }

// receive hands msg to the behavior, and keeps its panics to that message.
func (c *Context) receive(msg any) {
	defer func() {
		if recovered := recover(); recovered != nil {
			c.panicked(recovered, msg)
		}
	}()
	c.behavior.Receive(c, msg)
}

func (c *Context) panicked(recovered, msg any) {
	stack := debug.Stack()
	defer func() {
		if again := recover(); again != nil {
			c.sys.reportPanic("behavior", again, debug.Stack())
			c.Leave()
		}
	}()
	c.sys.reportPanic("behavior", recovered, stack)
	c.behavior.OnPanic(c, recovered, stack, msg)
}

// activation is the actor of a key: behavior, mailbox and timer in one object. It is what protoactor has registered as the
// process of the actor's PID, and what its mailbox hands messages to; so it does what protoactor's own context does
// for an actor that is never restarted and has no children.
type activation[K comparable] struct {
	Context
	key   K
	shard *shard[K]
}

var (
	_ actor.Process        = (*activation[int])(nil)
	_ actor.MessageInvoker = (*activation[int])(nil)

	ending any = &actor.Stop{}
)

// SendUserMessage implements actor.Process, for whoever has the PID: the directory posts to the mailbox.
func (a *activation[K]) SendUserMessage(_ *actor.PID, msg any) { a.mailbox.PostUserMessage(msg) }

// SendSystemMessage implements actor.Process.
func (a *activation[K]) SendSystemMessage(_ *actor.PID, msg any) { a.mailbox.PostSystemMessage(msg) }

// Stop implements actor.Process.
func (a *activation[K]) Stop(*actor.PID) { a.Leave() }

// InvokeUserMessage implements actor.MessageInvoker.
func (a *activation[K]) InvokeUserMessage(msg any) {
	switch _, poison := msg.(*actor.PoisonPill); {
	case a.stopped:
		a.sys.actors.DeadLetter.SendUserMessage(a.pid, msg)
	case poison:
		a.stop()
	default:
		a.receive(msg)
	}
}

// InvokeSystemMessage implements actor.MessageInvoker.
func (a *activation[K]) InvokeSystemMessage(msg any) {
	switch msg := msg.(type) {
	case *actor.Stop:
		a.stop()
	case *actor.Watch:
		if a.stopped {
			a.sys.terminated(a.pid, msg.Watcher)
		} else {
			a.sys.watch(a.pid, msg.Watcher)
		}
	case *actor.Unwatch:
		a.sys.unwatch(a.pid, msg.Watcher)
	}
}

// EscalateFailure implements actor.MessageInvoker: what panics in spite of receive stops. Nothing is restarted, which would
// go on with a fresh state under the same name.
func (a *activation[K]) EscalateFailure(reason, _ any) {
	a.sys.reportPanic("actor", reason, debug.Stack())
	a.Leave()
}

// stop ends the actor, before any further message.
func (a *activation[K]) stop() {
	if a.stopped {
		return
	}
	a.stopped = true
	a.sys.wheel.disarm(&a.timer)
	a.shard.depart(a)
	a.sys.actors.ProcessRegistry.Remove(a.pid)
	a.sys.departed(a.pid)
}
