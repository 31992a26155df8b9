package engine

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringfleet/ringfleet/invitation"
)

// The contract's timers, as an actor sees them.
func TestArm(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, sys *System) {
		start := sys.Now()
		var mu sync.Mutex
		var fired []time.Duration
		dir := NewDirectory(sys, DirectoryOptions[string]{Activate: always(func(c *Context, _ string, msg any) {
			switch msg := msg.(type) {
			case invitation.Time:
				c.Arm(msg)
			case Tick:
				mu.Lock()
				defer mu.Unlock()
				fired = append(fired, c.Now().Sub(start))
			}
		})})
		for _, d := range []time.Duration{30 * time.Second, 60*time.Second + 1, 60*time.Second - 1} {
			tell(t, dir, d.String(), start.Add(d))
		}
		tell(t, dir, "moved", start.Add(time.Second))
		tell(t, dir, "moved", start.Add(90*time.Second))
		tell(t, dir, "canceled", start.Add(time.Second))
		tell(t, dir, "canceled", invitation.Time(0))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		want := []time.Duration{30 * time.Second, 60 * time.Second, 60*time.Second + 50*time.Millisecond, 90 * time.Second}
		if !slices.Equal(fired, want) {
			t.Errorf("fired after %v, want %v", fired, want)
		}
	})
}

// A tick that was sent before the deadline was moved still comes, and the moved deadline is kept.
func TestStaleTick(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, sys *System) {
		start := sys.Now()
		gate := make(chan struct{})
		var fired []time.Duration
		dir := NewDirectory(sys, DirectoryOptions[int]{Activate: always(func(c *Context, _ int, msg any) {
			switch msg {
			case "arm":
				c.Arm(start.Add(time.Second))
				<-gate // while the tick is sent
				c.Arm(start.Add(5 * time.Second))
			case Tick{}:
				fired = append(fired, c.Now().Sub(start))
			}
		})})
		tell(t, dir, 1, "arm")
		time.Sleep(2 * time.Second)
		close(gate)
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []time.Duration{2 * time.Second, 5 * time.Second}; !slices.Equal(fired, want) {
			t.Errorf("fired after %v, want %v", fired, want)
		}
	})
}

// A panic is kept to its message: the actor has its state still, and the others do not notice.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	options := Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	bubble(t, options, func(t *testing.T, sys *System) {
		var got, recovered []any
		var stacks string
		dir := NewDirectory(sys, DirectoryOptions[int]{Activate: func(int, any) Behavior {
			count := 0
			return &funcs{
				receive: func(_ *Context, msg any) {
					count++
					if msg == "bad" {
						panicOnPurpose()
					}
					got = append(got, count)
				},
				onPanic: func(_ *Context, reason any, stack []byte, msg any) {
					recovered = append(recovered, reason, msg)
					stacks += string(stack)
				},
			}
		}})
		for _, msg := range []string{"good", "bad", "good"} {
			tell(t, dir, 1, msg)
			synctest.Wait()
		}
		tell(t, dir, 2, "good")
		synctest.Wait()
		if want := []any{1, 3, 1}; !slices.Equal(got, want) {
			t.Errorf("handled %v, want %v", got, want)
		}
		if want := []any{"on purpose", "bad"}; !slices.Equal(recovered, want) || !strings.Contains(stacks, "panicOnPurpose") {
			t.Errorf("OnPanic got %v, want %v; stack:\n%s", recovered, want, stacks)
		}
		if n := sys.Stats(); n.Panics != 1 || n.Live != 2 || strings.Count(log.String(), "panic in an actor") != 1 {
			t.Errorf("%+v; log:\n%s", n, log.String())
		}
	})
}

func panicOnPurpose() { panic("on purpose") }

// An actor whose OnPanic panics leaves, and loses nothing that waits for it.
func TestPanicInOnPanic(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, sys *System) {
		gate := make(chan struct{})
		var got []any
		made := 0
		dir := NewDirectory(sys, DirectoryOptions[int]{Activate: func(int, any) Behavior {
			made++
			mine := made
			return &funcs{receive: func(_ *Context, msg any) {
				if msg == "bad" {
					<-gate
					panicOnPurpose()
				}
				got = append(got, mine, msg)
			}} // its OnPanic panics
		}})
		tell(t, dir, 1, "bad")
		tell(t, dir, 1, "good")
		close(gate)
		synctest.Wait()
		if want := []any{2, "good"}; !slices.Equal(got, want) {
			t.Errorf("handled %v, want %v", got, want)
		}
		if n := sys.Stats().Panics; n != 2 {
			t.Errorf("%d panics were counted, want 2", n)
		}
	})
}

// A callback that panics does so alone: its shard stays usable, and an actor that leaves is gone.
func TestPanicInCallbacks(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, sys *System) {
		dir := NewDirectory(sys, DirectoryOptions[int]{
			Activate: func(_ int, msg any) Behavior {
				if msg == "bad" {
					panicOnPurpose()
				}
				return &funcs{receive: func(c *Context, _ any) {
					c.Tell("bad")
					c.Leave()
				}}
			},
			Miss: func(int, any) { panicOnPurpose() },
			Hash: func(int) uint64 { return 7 },
		})
		tell(t, dir, 1, "bad")
		tell(t, dir, 2, "good")
		synctest.Wait()
		if n := sys.Stats(); n.Panics != 4 || n.Live != 0 || dir.Len() != 0 {
			t.Errorf("%+v, %d in the directory; want 4 panics and no actor", n, dir.Len())
		}
	})
}

// Should a panic pass Context.receive after all, that actor stops, and no other.
func TestWhatFailsStops(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, sys *System) {
		dir := NewDirectory(sys, DirectoryOptions[int]{Activate: always(func(*Context, int, any) {})})
		tell(t, dir, 1, "hello")
		tell(t, dir, 2, "hello")
		synctest.Wait()
		s := &dir.shards[dir.hash(1)%shards]
		s.live[1].EscalateFailure("on purpose", "hello")
		synctest.Wait()
		if n := sys.Stats(); n.Panics != 1 || n.Live != 1 || slices.Collect(dir.Keys())[0] != 2 {
			t.Errorf("%+v, want one panic, and the other actor", n)
		}
	})
}

// TestProcess: an actor is a process of protoactor's. Whoever has its PID can send to it, watch it and stop it, and finds
// nobody after that.
func TestProcess(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, sys *System) {
		var got []any
		var pids []*actor.PID
		dir := NewDirectory(sys, DirectoryOptions[int]{Activate: always(func(c *Context, _ int, msg any) {
			got = append(got, msg)
			pids = append(pids, c.pid)
		})})
		root, protoactor := sys.ActorSystem().Root, sys.ActorSystem()
		pid := func(key int) *actor.PID { // as it comes over a wire
			tell(t, dir, key, "hello")
			synctest.Wait()
			return actor.NewPID(pids[len(pids)-1].Address, pids[len(pids)-1].Id)
		}
		var dead []any
		protoactor.EventStream.Subscribe(func(event any) {
			if letter, ok := event.(*actor.DeadLetterEvent); ok {
				dead = append(dead, letter.Message)
			}
		})
		var mu sync.Mutex
		var ended []string
		watcher := func(watch *actor.PID) *actor.PID {
			return root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
				switch msg := ctx.Message().(type) {
				case *actor.Started:
					ctx.Watch(watch)
					ctx.Watch(watch)
				case string:
					ctx.Unwatch(watch)
				case *actor.Terminated:
					mu.Lock()
					ended = append(ended, msg.Who.Id)
					mu.Unlock()
				}
			}))
		}
		stopped, poisoned := pid(1), pid(2)
		one, two, away := watcher(stopped), watcher(poisoned), watcher(poisoned)
		synctest.Wait()
		root.Send(away, "look away")
		synctest.Wait()
		root.Send(stopped, "by PID")
		synctest.Wait()
		root.Stop(stopped)
		synctest.Wait()
		root.Send(poisoned, "before")
		root.Poison(poisoned)
		synctest.Wait()
		root.Send(actor.NewPID(stopped.Address, stopped.Id), "too late")
		synctest.Wait()
		if want := []any{"hello", "hello", "by PID", "before"}; !slices.Equal(got, want) {
			t.Errorf("handled %v, want %v", got, want)
		}
		if !slices.Contains(dead, any("too late")) {
			t.Errorf("dead letters %v, want one that came too late", dead)
		}
		if want := []string{stopped.Id, poisoned.Id}; !slices.Equal(ended, want) {
			t.Errorf("watchers saw the end of %v, want %v", ended, want)
		}
		if n := sys.Stats(); n.Live != 0 || dir.Len() != 0 {
			t.Errorf("%+v, %d in the directory; want no actor", n, dir.Len())
		}
		for _, pid := range []*actor.PID{one, two, away} {
			root.Stop(pid)
		}
		time.Sleep(time.Minute) // what counts dead letters ends
	})
}

// Stop while messages are told: each message that was taken was handled or is counted as dropped.
func TestStopUnderLoad(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, sys *System) {
		var handled, taken, refused atomic.Int64
		dir := NewDirectory(sys, DirectoryOptions[int]{Activate: always(func(c *Context, _ int, msg any) {
			handled.Add(1)
			c.Arm(c.Now().Add(time.Hour))
			if msg == 0 {
				c.Leave()
			}
		})})
		half := make(chan struct{})
		var senders sync.WaitGroup
		for sender := range 4 {
			senders.Go(func() {
				for i := 0; ; i++ {
					switch err := dir.Tell(i%500, i%7); {
					case err == nil:
						taken.Add(1)
					case errors.Is(err, ErrStopped):
						refused.Add(1)
						return
					}
					if sender == 0 && i == 10_000 {
						close(half)
					}
				}
			})
		}
		<-half
		stop(t, sys)
		senders.Wait()
		stats := dir.Stats()
		if handled.Load()+int64(stats.Dropped) != taken.Load() {
			t.Errorf("%d handled and %d dropped, but %d taken", handled.Load(), stats.Dropped, taken.Load())
		}
		if n := sys.Stats(); stats.Live != 0 || n.Live != 0 || n.Timers != 0 || refused.Load() != 4 {
			t.Errorf("%+v, %+v, %d refused", stats, n, refused.Load())
		}
		late := NewDirectory(sys, DirectoryOptions[int]{Activate: func(int, any) Behavior { return silent{} }})
		if err := late.Tell(1, "x"); !errors.Is(err, ErrStopped) {
			t.Errorf("Tell to a directory made after the stop: %v", err)
		}
	})
}

// Stop does not wait for ever for an actor that blocks, and can be asked again.
func TestStopWithAStuckActor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := New(Options{})
		gate := make(chan struct{})
		dir := NewDirectory(sys, DirectoryOptions[int]{Activate: always(func(*Context, int, any) { <-gate })})
		tell(t, dir, 1, "x")
		synctest.Wait()
		tell(t, dir, 1, "waits")
		tell(t, dir, 1, "waits")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := sys.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 actors") {
			t.Errorf("Stop: %v", err)
		}
		close(gate)
		stop(t, sys)
		if n := dir.Stats().Dropped; n != 2 {
			t.Errorf("%d messages were dropped, want 2", n)
		}
	})
}

func TestSystemsShareNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got [2]int
		var systems [2]*System
		var dirs [2]*Directory[string]
		for i := range systems {
			systems[i] = New(Options{Tick: time.Duration(i+1) * time.Second})
			dirs[i] = NewDirectory(systems[i], DirectoryOptions[string]{
				Activate: always(func(c *Context, _ string, msg any) {
					got[i]++
					if msg == "x" {
						c.Arm(c.Now().Add(time.Millisecond))
					}
				}),
			})
			tell(t, dirs[i], "a", "x")
		}
		synctest.Wait()
		stop(t, systems[0])
		time.Sleep(time.Hour)
		tell(t, dirs[1], "a", "y")
		synctest.Wait()
		if want := [2]int{1, 3}; got != want {
			t.Errorf("handled %v, want %v", got, want)
		}
		stop(t, systems[1])
	})
}

func TestNewDirectoryWithoutActivatePanics(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, sys *System) {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		NewDirectory(sys, DirectoryOptions[int]{})
	})
}

func TestClock(t *testing.T) {
	clock := NewClock()
	last := invitation.Time(0)
	for range 1_000 {
		now := clock.Now()
		if now < last || now == 0 {
			t.Fatalf("%d after %d", now, last)
		}
		last = now
	}
}
