package engine

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

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
// To wake a worker costs more than most tasks do. So a task is left to those that are active, workers and
// goroutines that help, as long as not many wait: each of them looks for tasks before it rests. Should it be
// held up by an actor that blocks, which none should, the watch wakes another one.
//
// protoactor's own dispatcher starts a goroutine per activation of a mailbox; see
// docs/adr/0005-protoactor-engine.md for what that costs.
type pool struct {
	queue    chan task
	settle   func()        // called by each of the active before it rests
	wake     chan struct{} // one for each worker that was made active and does not yet know
	active   atomic.Int32  // workers and helpers that will look for tasks
	resting  atomic.Int32  // workers that can be woken
	yielding atomic.Int32  // helpers that let others come before they rest
	left     atomic.Uint32 // how often one that rested left it to those to settle
	trusted  chan struct{} // wakes the watch
	trusting atomic.Bool   // the watch is awake
	quit     chan struct{}
	workers  sync.WaitGroup
	overflow atomic.Uint64
}

const (
	// perActive is how many tasks may wait for each of the active before one more worker is woken.
	perActive = 8
	// settleEvery is after how many tasks the active settle while there are more.
	settleEvery = 64
	// leftToOthers bounds how often in a row it is left to a helper that lets others come to settle.
	leftToOthers = 8
	// busy is with how many tasks at once a helper lets others come before it settles: one write for several then is
	// worth more than what it costs to let them.
	busy = 4
	// helped is how many tasks a helper runs before it leaves the rest to the workers.
	helped = 64
	// watchEvery is how long a task can be held up by an actor that blocks, or by one of the active that the
	// operating system does not run.
	watchEvery = 20 * time.Millisecond
)

var _ actor.Dispatcher = (*pool)(nil)

func newPool(workers, backlog int, settle func()) *pool {
	p := &pool{
		queue: make(chan task, backlog), settle: settle, wake: make(chan struct{}, workers),
		trusted: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	p.resting.Store(int32(workers))
	for range workers {
		p.workers.Go(p.work)
	}
	p.workers.Go(p.watch)
	return p
}

func (p *pool) work() {
	for {
		select {
		case <-p.wake:
		case <-p.quit:
			p.run(math.MaxInt)
			return
		}
		p.run(math.MaxInt)
		p.settle()
		p.resting.Add(1)
		p.rest()
	}
}

// run runs tasks that wait, at most so many, and returns how many that were.
func (p *pool) run(most int) (n int) {
	for n < most {
		select {
		case t := <-p.queue:
			t.run()
		default:
			return n
		}
		if n++; n%settleEvery == 0 {
			p.settle()
		}
	}
	return n
}

// rest makes the caller inactive. Whoever has counted on it did so before, and is served now, or by one that lets others
// come first, and rests after that.
func (p *pool) rest() {
	p.active.Add(-1)
	if p.yielding.Load() == 0 || p.left.Add(1)%leftToOthers == 0 {
		p.settle()
	}
	if len(p.queue) > 0 {
		p.see()
	}
}

// help calls tell and then runs tasks on the caller's goroutine, rather than waking a worker for them.
func (p *pool) help(tell func()) {
	p.active.Add(1)
	defer p.rest()
	tell()
	if p.run(helped) < busy {
		return
	}
	p.yielding.Add(1)
	runtime.Gosched() // to others that have brought something: what comes of it goes out together
	p.yielding.Add(-1)
	p.run(helped)
}

// submit runs t soon. It never blocks.
func (p *pool) submit(t task) {
	select {
	case p.queue <- t:
		p.see()
	default:
		p.overflow.Add(1)
		go t.run()
	}
}

// see makes sure that somebody sees to what waits.
func (p *pool) see() {
	if active := p.active.Load(); active == 0 || len(p.queue) > perActive*int(active) {
		p.rouse()
	} else {
		p.trust()
	}
}

// rouse wakes a worker. If there is none to wake, all are active.
func (p *pool) rouse() {
	for n := p.resting.Load(); n > 0; n = p.resting.Load() {
		if p.resting.CompareAndSwap(n, n-1) {
			p.active.Add(1)
			p.wake <- struct{}{}
			return
		}
	}
}

// settles reports whether settle will be called soon.
func (p *pool) settles() bool {
	if p.active.Load() == 0 {
		return false
	}
	p.trust()
	return true
}

// trust wakes the watch, as the caller counts on the active.
func (p *pool) trust() {
	if !p.trusting.Load() && p.trusting.CompareAndSwap(false, true) {
		p.trusted <- struct{}{}
	}
}

// watch wakes a worker for what is held up, while anybody counts on the active.
func (p *pool) watch() {
	for {
		select {
		case <-p.quit:
			return
		case <-p.trusted:
		}
		select {
		case <-p.quit:
			return
		case <-time.After(watchEvery):
		}
		p.trusting.Store(false)
		if len(p.queue) > 0 {
			p.rouse()
		}
		p.settle()
	}
}

// crowded reports whether the queue is more than half full: work that can wait should.
func (p *pool) crowded() bool { return len(p.queue) > cap(p.queue)/2 }

// stop ends the workers after what is queued and waits for them. What is submitted later may never
// run, so the caller has stopped the actors first.
func (p *pool) stop() {
	close(p.quit)
	p.workers.Wait()
}

// Schedule implements actor.Dispatcher.
func (p *pool) Schedule(fn func()) { p.submit(function(fn)) }

// Throughput implements actor.Dispatcher.
func (p *pool) Throughput() int { return throughput }

// function is a task of a plain function.
type function func()

func (f function) run() { f() }
