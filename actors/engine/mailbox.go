package engine

import (
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// The states of a mailbox.
const (
	created int32 = iota // messages are kept, nothing runs: the spawn is not finished
	idle                 // nothing to do
	running              // queued on the pool, or being run by one worker
)

// mailbox implements actor.Mailbox: any number of producers, one consumer at a time, lock-free, no
// memory while it is empty. System messages come before user messages; each kind is first in, first
// out. It is embedded in the activation it belongs to, so an actor costs no object for it. Against
// protoactor's own that makes 1.2 to 1.35 times as many short-lived actors in 0.6 times the memory; to
// flood actors that stay it is 0.8 times as fast, for its 24 bytes per message, where protoactor keeps
// a ring of the longest queue there was.
//
// Producers push onto a stack. The consumer takes the whole stack when it has nothing left and
// reverses it, which gives back the order of arrival.
//
// The mailbox may be posted to before RegisterHandlers and Start: protoactor registers a process
// before it does those, and its own mailbox crashes the sender in between.
type mailbox struct {
	system, user atomic.Pointer[letter] // posted, newest first
	systemNext   *letter                // taken, oldest first; the consumer's, like the fields below
	userNext     *letter
	invoker      actor.MessageInvoker
	pool         *pool
	state        atomic.Int32
	waiting      atomic.Int32 // user messages posted and not yet handed to the actor
	suspended    bool         // by protoactor's supervision: system messages only
}

var _ actor.Mailbox = (*mailbox)(nil)

// letter is one message in a mailbox.
type letter struct {
	next *letter
	msg  any
}

// letters are the letters that were read. That they are used again saves a quarter of a call's
// allocations. A letter is on one stack or list at a time, and stacks are emptied as a whole, so one that
// comes back early cannot be taken for another.
var letters = sync.Pool{New: func() any { return new(letter) }}

// open returns what a letter says, and gives the letter back.
func (l *letter) open() any {
	msg := l.msg
	l.next, l.msg = nil, nil
	letters.Put(l)
	return msg
}

// post pushes msg onto a stack.
func post(stack *atomic.Pointer[letter], msg any) {
	l := letters.Get().(*letter)
	l.msg = msg
	for {
		l.next = stack.Load()
		if stack.CompareAndSwap(l.next, l) {
			return
		}
	}
}

// take empties a stack and returns its letters, oldest first.
func take(stack *atomic.Pointer[letter]) *letter {
	if stack.Load() == nil {
		return nil
	}
	var oldest *letter
	for l := stack.Swap(nil); l != nil; {
		l.next, oldest, l = oldest, l, l.next
	}
	return oldest
}

// PostUserMessage implements actor.Mailbox. It keeps no bound: [Directory.Tell] checks it first, as
// this method cannot refuse.
func (m *mailbox) PostUserMessage(msg any) {
	m.waiting.Add(1)
	post(&m.user, msg)
	m.schedule()
}

// PostSystemMessage implements actor.Mailbox.
func (m *mailbox) PostSystemMessage(msg any) {
	post(&m.system, msg)
	m.schedule()
}

// RegisterHandlers implements actor.Mailbox. The dispatcher must be a pool.
func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	m.invoker = invoker
	m.pool = dispatcher.(*pool)
}

// Start implements actor.Mailbox: what was posted meanwhile is run.
func (m *mailbox) Start() { m.rest() }

// UserMessageCount implements actor.Mailbox.
func (m *mailbox) UserMessageCount() int { return int(m.waiting.Load()) }

// rest gives up the consumer's role, unless something was posted since the consumer looked.
func (m *mailbox) rest() {
	suspended := m.suspended
	m.state.Store(idle)
	if m.system.Load() != nil || (!suspended && m.user.Load() != nil) {
		m.schedule()
	}
}

// schedule puts an idle mailbox on the pool.
func (m *mailbox) schedule() {
	if m.state.CompareAndSwap(idle, running) {
		m.pool.submit(m)
	}
}

// run implements task: it handles messages until there are none, or until it is the next actor's
// turn.
func (m *mailbox) run() {
	for range throughput {
		if !m.step() {
			m.rest()
			return
		}
	}
	m.pool.submit(m)
}

// step handles one message and reports whether there was one.
func (m *mailbox) step() (did bool) {
	var msg any
	defer func() {
		if reason := recover(); reason != nil {
			m.invoker.EscalateFailure(reason, msg)
			did = true
		}
	}()
	if m.systemNext == nil {
		m.systemNext = take(&m.system)
	}
	if l := m.systemNext; l != nil {
		m.systemNext = l.next
		msg = l.open()
		m.invokeSystem(msg)
		return true
	}
	if m.suspended {
		return false
	}
	l := m.nextUser()
	if l == nil {
		return false
	}
	msg = l.open()
	m.invoker.InvokeUserMessage(msg)
	return true
}

func (m *mailbox) invokeSystem(msg any) {
	switch msg.(type) {
	case *actor.SuspendMailbox:
		m.suspended = true
	case *actor.ResumeMailbox:
		m.suspended = false
	default:
		m.invoker.InvokeSystemMessage(msg)
	}
}

// nextUser removes the oldest user message; nil when there is none. Consumer only.
func (m *mailbox) nextUser() *letter {
	if m.userNext == nil {
		m.userNext = take(&m.user)
	}
	l := m.userNext
	if l != nil {
		m.userNext = l.next
		m.waiting.Add(-1)
	}
	return l
}
