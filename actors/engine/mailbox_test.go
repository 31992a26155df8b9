package engine

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/asynkron/protoactor-go/actor"
)

// recorder is an actor's context as a mailbox sees it.
type recorder struct {
	invoke    func(msg any)
	inside    atomic.Int32
	got       []any
	escalated []any
}

func (r *recorder) handle(msg any) {
	if r.inside.Add(1) != 1 {
		panic("two consumers")
	}
	defer r.inside.Add(-1)
	r.got = append(r.got, msg)
	if r.invoke != nil {
		r.invoke(msg)
	}
}

func (r *recorder) InvokeSystemMessage(msg any) { r.handle(msg) }

func (r *recorder) InvokeUserMessage(msg any) { r.handle(msg) }

func (r *recorder) EscalateFailure(reason, _ any) { r.escalated = append(r.escalated, reason) }

func inPool(t *testing.T, workers, backlog int, f func(t *testing.T, p *pool)) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(workers, backlog, func() {})
		defer p.stop()
		f(t, p)
	})
}

func (r *recorder) want(t *testing.T, want ...any) {
	t.Helper()
	synctest.Wait()
	if !slices.Equal(r.got, want) {
		t.Errorf("handled %v, want %v", r.got, want)
	}
}

// protoactor registers a process before it hands the mailbox its dispatcher, and starts it last.
func TestMailboxKeepsWhatIsPostedBeforeItStarts(t *testing.T) {
	inPool(t, 1, 1, func(t *testing.T, p *pool) {
		var m mailbox
		r := &recorder{}
		m.PostUserMessage(1)
		m.PostSystemMessage("a")
		m.RegisterHandlers(r, p)
		m.PostUserMessage(2)
		r.want(t)
		m.Start()
		r.want(t, "a", 1, 2)
		if n := m.UserMessageCount(); n != 0 {
			t.Errorf("%d messages wait", n)
		}
	})
}

func TestMailboxHandlesSystemMessagesFirst(t *testing.T) {
	inPool(t, 1, 1, func(t *testing.T, p *pool) {
		var m mailbox
		r := &recorder{}
		r.invoke = func(msg any) {
			if msg == 1 {
				m.PostUserMessage(3)
				m.PostSystemMessage("a")
				m.PostSystemMessage("b")
			}
		}
		m.RegisterHandlers(r, p)
		m.PostUserMessage(1)
		m.PostUserMessage(2)
		m.Start()
		r.want(t, 1, "a", "b", 2, 3)
	})
}

func TestMailboxSuspended(t *testing.T) {
	inPool(t, 1, 1, func(t *testing.T, p *pool) {
		var m mailbox
		r := &recorder{}
		m.RegisterHandlers(r, p)
		m.Start()
		m.PostSystemMessage(&actor.SuspendMailbox{})
		m.PostUserMessage(1)
		m.PostSystemMessage("a")
		r.want(t, "a") // and the bubble is at rest: a suspended mailbox does not spin
		m.PostSystemMessage(&actor.ResumeMailbox{})
		r.want(t, "a", 1)
	})
}

func TestMailboxEscalatesAPanic(t *testing.T) {
	inPool(t, 1, 1, func(t *testing.T, p *pool) {
		var m mailbox
		r := &recorder{}
		r.invoke = func(msg any) {
			if msg == 1 {
				panic("one")
			}
		}
		m.RegisterHandlers(r, p)
		m.PostUserMessage(1)
		m.PostUserMessage(2)
		m.Start()
		r.want(t, 1, 2)
		if !slices.Equal(r.escalated, []any{"one"}) {
			t.Errorf("escalated %v", r.escalated)
		}
	})
}

// A long mailbox leaves its worker to others now and then.
func TestMailboxGivesOthersATurn(t *testing.T) {
	inPool(t, 1, 10, func(t *testing.T, p *pool) {
		var long, short mailbox
		var got []any
		gate := make(chan struct{})
		r := &recorder{invoke: func(msg any) {
			if msg == 0 {
				<-gate
			}
			got = append(got, msg)
		}}
		long.RegisterHandlers(r, p)
		long.Start()
		short.RegisterHandlers(&recorder{invoke: r.invoke}, p)
		short.Start()
		for i := range 10 * throughput {
			long.PostUserMessage(i)
		}
		short.PostUserMessage("short")
		close(gate)
		synctest.Wait()
		if at := slices.Index(got, any("short")); at != throughput {
			t.Errorf("the short mailbox came after %d messages, want %d", at, throughput)
		}
		if len(got) != 10*throughput+1 {
			t.Errorf("handled %d messages", len(got))
		}
	})
}

func TestMailboxWithManyProducers(t *testing.T) {
	const producers, messages = 8, 5_000
	type message struct{ producer, number int }
	inPool(t, 4, 4, func(t *testing.T, p *pool) {
		var m mailbox
		r := &recorder{}
		m.RegisterHandlers(r, p)
		m.Start()
		var all sync.WaitGroup
		for producer := range producers {
			all.Go(func() {
				for number := range messages {
					m.PostUserMessage(message{producer, number})
					switch number % 100 {
					case 10:
						m.PostSystemMessage(&actor.SuspendMailbox{})
					case 50:
						m.PostSystemMessage(&actor.ResumeMailbox{})
					}
				}
				m.PostSystemMessage(&actor.ResumeMailbox{})
			})
		}
		all.Wait()
		synctest.Wait()
		next := make([]int, producers)
		for _, msg := range r.got {
			msg := msg.(message)
			if msg.number != next[msg.producer] {
				t.Fatalf("producer %d: got message %d, want %d", msg.producer, msg.number, next[msg.producer])
			}
			next[msg.producer]++
		}
		if len(r.got) != producers*messages {
			t.Errorf("handled %d messages, want %d", len(r.got), producers*messages)
		}
	})
}

func TestPoolOverItsBoundStartsAGoroutine(t *testing.T) {
	inPool(t, 1, 1, func(t *testing.T, p *pool) {
		gate := make(chan struct{})
		var ran atomic.Int32
		p.Schedule(func() { <-gate }) // occupies the worker
		synctest.Wait()
		p.Schedule(func() { ran.Add(1) }) // fills the queue
		synctest.Wait()
		if ran.Load() != 0 || p.overflow.Load() != 0 || !p.crowded() {
			t.Errorf("ran %d, overflow %d, crowded %v", ran.Load(), p.overflow.Load(), p.crowded())
		}
		p.Schedule(func() { ran.Add(1) })
		synctest.Wait()
		if ran.Load() != 1 || p.overflow.Load() != 1 {
			t.Errorf("over the bound: ran %d, overflow %d", ran.Load(), p.overflow.Load())
		}
		close(gate)
		synctest.Wait()
		if ran.Load() != 2 || p.crowded() {
			t.Errorf("at the end: ran %d, crowded %v", ran.Load(), p.crowded())
		}
	})
}
