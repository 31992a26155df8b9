package engine

import (
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// throughput is how many messages one actor may handle before its worker turns to the next actor.
const throughput = 64

// task is what a worker runs: a mailbox that has something to do. Being an interface over a pointer
// it is scheduled without an allocation, unlike the closure that actor.Dispatcher asks for.
type task interface{ run() }

// pool is the dispatcher of all actors of a System: a fixed number of workers that take mailboxes
// from one bounded queue. Over the bound a task gets a goroutine of its own, so scheduling never
// blocks, which also keeps an actor that sends from waiting for itself. A mailbox is queued at most
// once, so the extra goroutines are bounded by the actors that are live.
//
// protoactor's own dispatcher starts a goroutine per activation of a mailbox; see
// docs/adr/0005-protoactor-engine.md for what that costs.
type pool struct {
	queue    chan task
	workers  sync.WaitGroup
	count    int
	overflow atomic.Uint64
}

var _ actor.Dispatcher = (*pool)(nil)

func newPool(workers, backlog int) *pool {
	p := &pool{queue: make(chan task, backlog), count: workers}
	for range workers {
		p.workers.Go(p.work)
	}
	return p
}

func (p *pool) work() {
	for t := range p.queue {
		if t == nil {
			return
		}
		t.run()
	}
}

// submit runs t on a worker, soon. It never blocks.
func (p *pool) submit(t task) {
	select {
	case p.queue <- t:
	default:
		p.overflow.Add(1)
		go t.run()
	}
}

// crowded reports whether the queue is more than half full: work that can wait should.
func (p *pool) crowded() bool { return len(p.queue) > cap(p.queue)/2 }

// stop ends the workers after what is queued and waits for them. What is submitted later may never
// run, so the caller has stopped the actors first.
func (p *pool) stop() {
	for range p.count {
		p.queue <- nil
	}
	p.workers.Wait()
}

// Schedule implements actor.Dispatcher.
func (p *pool) Schedule(fn func()) { p.submit(function(fn)) }

// Throughput implements actor.Dispatcher.
func (p *pool) Throughput() int { return throughput }

// function is a task of a plain function.
type function func()

func (f function) run() { f() }
