package engine

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringfleet/ringfleet/invitation"
)

// Options configure a [System]. The zero value is a working default.
type Options struct {
	// Logger gets panics, and what protoactor logs. The default discards.
	Logger *slog.Logger
	// Clock is the node's time. The default is NewClock. The wheel measures its sleep with the
	// process's own time, so another clock should run at the same speed.
	Clock Clock
	// Workers is how many goroutines run the actors. The default is 4 × GOMAXPROCS.
	Workers int
	// Backlog is how many actors may wait for a worker before the next one is given a goroutine of its
	// own. The default is 16,384.
	Backlog int
	// Settle is called by whoever has run actors before it rests, and now and then while it does not: time to send
	// what they have said, see [System.Settles]. It must not block. The default does nothing.
	Settle func()
	// Tick is the resolution of deadlines. The default is 50 ms.
	Tick time.Duration
	// Stall is called when the wheel finds that the whole process stood still for at least StallAfter, before
	// any deadline of that time is due; none is until it returns. The default does nothing.
	Stall func(standstill time.Duration)
	// StallAfter is at least some ticks. The default is 3 s.
	StallAfter time.Duration
}

const (
	workersPerCPU  = 4
	defaultBacklog = 16_384
	defaultTick    = 50 * time.Millisecond
	defaultStall   = 3 * time.Second
)

// System is the actors of one node: protoactor's actor system, the workers that run the actors, and
// the wheel that keeps their deadlines. Systems of one process share nothing. Make one with [New], then
// its directories with [NewDirectory].
type System struct {
	actors *actor.ActorSystem
	logger *slog.Logger
	clock  Clock
	pool   *pool
	wheel  *wheel
	panics atomic.Uint64
	live   atomic.Int64  // actors that have not stopped
	empty  chan struct{} // a hint, once stopping, that live fell to 0

	watched atomic.Bool // some actor is or was watched

	mu          sync.Mutex
	directories []directory
	watchers    map[*actor.PID][]*actor.PID // of actors, by their PID in its one copy
	stopping    atomic.Bool
	stopped     chan struct{}
}

// directory is what a System needs of a Directory of any key.
type directory interface{ close() }

// New starts a system. It runs Options.Workers + 2 goroutines until [System.Stop]. It takes some
// milliseconds and 3 MB, most of them for protoactor's process registry.
func New(options Options) *System {
	s := &System{
		logger: options.Logger, clock: options.Clock, empty: make(chan struct{}, 1), stopped: make(chan struct{}),
		watchers: map[*actor.PID][]*actor.PID{},
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.clock == nil {
		s.clock = NewClock()
	}
	if options.Workers == 0 {
		options.Workers = workersPerCPU * runtime.GOMAXPROCS(0)
	}
	if options.Backlog == 0 {
		options.Backlog = defaultBacklog
	}
	if options.Tick == 0 {
		options.Tick = defaultTick
	}
	if options.Settle == nil {
		options.Settle = func() {}
	}
	if options.StallAfter == 0 {
		options.StallAfter = defaultStall
	}
	s.actors = actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return s.logger }),
		actor.WithDeadLetterRequestLogging(false),
	)
	s.pool = newPool(options.Workers, options.Backlog, options.Settle)
	s.wheel = makeWheel(s.clock, options.Tick, s.pool.crowded)
	s.wheel.stall, s.wheel.stallAfter = options.Stall, options.StallAfter
	go s.wheel.turn()
	return s
}

// Now returns the system's time.
func (s *System) Now() invitation.Time { return s.clock.Now() }

// Help calls tell, which may tell actors something, and then runs actors on this goroutine for a while, as that
// is cheaper than to wake a worker. It is for a goroutine that brings messages, and must not be called by an actor.
func (s *System) Help(tell func()) { s.pool.help(tell) }

// Run calls do when the actors that wait for a worker now have had their turn: to see how long that takes. It does not
// block. After Stop, do may never be called.
func (s *System) Run(do func()) { s.pool.submit(function(do)) }

// Settles reports whether Options.Settle is called soon: somebody runs actors. Whatever the caller did before it
// asked, that call sees.
func (s *System) Settles() bool { return s.pool.settles() }

// ActorSystem returns protoactor's system, for a transport that carries messages of actors elsewhere.
func (s *System) ActorSystem() *actor.ActorSystem { return s.actors }

// own takes a directory into Stop.
func (s *System) own(d directory) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.directories = append(s.directories, d)
	if s.stopping.Load() {
		d.close()
	}
}

// Stop ends the system: the directories take no more messages, each actor finishes the message it is
// at and stops, what still waits is dropped and counted, and all goroutines end. It waits for that
// until ctx is done; then it returns an error that says how many actors are still in a message, and
// the rest of the stop goes on when they have finished. Calling it again waits again. It must not be
// called by an actor.
func (s *System) Stop(ctx context.Context) error {
	s.mu.Lock()
	if !s.stopping.Swap(true) {
		for _, d := range s.directories {
			d.close()
		}
		go s.finish()
	}
	s.mu.Unlock()
	select {
	case <-s.stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("engine: %d actors have not stopped: %w", s.live.Load(), ctx.Err())
	}
}

// finish waits for the actors, then ends what served them.
func (s *System) finish() {
	for s.live.Load() != 0 {
		<-s.empty
	}
	s.wheel.stop()
	s.pool.stop()
	s.actors.Shutdown()
	close(s.stopped)
}

// watch notes that an actor is watched.
func (s *System) watch(pid, watcher *actor.PID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.watchers[pid], watcher.Equal) {
		s.watchers[pid] = append(s.watchers[pid], watcher)
		s.watched.Store(true)
	}
}

func (s *System) unwatch(pid, watcher *actor.PID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if left := slices.DeleteFunc(s.watchers[pid], watcher.Equal); len(left) > 0 {
		s.watchers[pid] = left
	} else {
		delete(s.watchers, pid)
	}
}

// terminated tells a watcher that an actor has stopped.
func (s *System) terminated(pid, watcher *actor.PID) {
	if process, ok := s.actors.ProcessRegistry.Get(watcher); ok {
		process.SendSystemMessage(watcher, &actor.Terminated{Who: pid})
	}
}

// departed counts an actor that has stopped, and tells those that watch it.
func (s *System) departed(pid *actor.PID) {
	if s.watched.Load() {
		s.mu.Lock()
		watchers := s.watchers[pid]
		delete(s.watchers, pid)
		s.mu.Unlock()
		for _, watcher := range watchers {
			s.terminated(pid, watcher)
		}
	}
	if s.live.Add(-1) == 0 && s.stopping.Load() {
		select {
		case s.empty <- struct{}{}:
		default:
		}
	}
}

// contain ends a panic of a callback, called deferred.
func (s *System) contain(where string) {
	if recovered := recover(); recovered != nil {
		s.reportPanic(where, recovered, debug.Stack())
	}
}

func (s *System) reportPanic(where string, recovered any, stack []byte) {
	s.panics.Add(1)
	s.logger.Error("panic in an actor", "where", where, "panic", recovered, "stack", string(stack))
}

// Stats are the counts of a system.
type Stats struct {
	Live     int    // actors of all directories
	Timers   int    // armed deadlines
	Panics   uint64 // since the start: of behaviors, Activate and Miss
	Queued   int    // actors that wait for a worker
	Overflow uint64 // since the start: times an actor got a goroutine of its own, the backlog being full
}

// Stats returns the counts.
func (s *System) Stats() Stats {
	return Stats{
		Live: int(s.live.Load()), Timers: s.wheel.size(), Panics: s.panics.Load(),
		Queued: len(s.pool.queue), Overflow: s.pool.overflow.Load(),
	}
}
