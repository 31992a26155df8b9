package engine

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringfleet/ringfleet/invitation"
)

// cpu returns the CPU time that the process has used: steadier than the wall clock on a shared machine.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// perCPU reports how many operations a core does per second, from the CPU time since start.
func perCPU(b *testing.B, start time.Duration) {
	b.ReportMetric(float64(b.N)/(cpu()-start).Seconds(), "op/cpu-s")
}

func idOf(n uint64) (id invitation.ID) {
	binary.LittleEndian.PutUint64(id[2:], n*0x9e3779b97f4a7c15)
	return id
}

func hashID(id invitation.ID) uint64 { return binary.LittleEndian.Uint64(id[2:]) }

// silent is a behavior without state.
type silent struct{}

func (silent) Receive(*Context, any) {}

func (silent) OnPanic(*Context, any, []byte, any) {}

// leaver leaves at its first message.
type leaver struct{ left *sync.WaitGroup }

func (l leaver) Receive(c *Context, _ any) { c.Leave(); l.left.Done() }

func (leaver) OnPanic(*Context, any, []byte, any) {}

// BenchmarkChurn is the life of an actor: made by a message, which it handles, then it leaves.
func BenchmarkChurn(b *testing.B) {
	for _, live := range []int{0, 1_000_000} {
		b.Run(fmt.Sprintf("live=%d", live), func(b *testing.B) {
			sys := newSystem(b, Options{})
			var left sync.WaitGroup
			dir := NewDirectory(sys, DirectoryOptions[invitation.ID]{
				Activate: func(_ invitation.ID, msg any) Behavior {
					if msg == "stay" {
						return silent{}
					}
					return leaver{&left}
				}, Hash: hashID,
			})
			for i := range live {
				_ = dir.Tell(idOf(uint64(i)), "stay")
			}
			runtime.GC()
			b.ReportAllocs()
			b.ResetTimer()
			start := cpu()
			left.Add(b.N)
			for i := range b.N {
				_ = dir.Tell(idOf(uint64(i+live)), "go")
			}
			left.Wait()
			perCPU(b, start)
		})
	}
}

// counter counts its messages.
type counter struct{ got *sync.WaitGroup }

func (c counter) Receive(*Context, any) { c.got.Done() }

func (counter) OnPanic(*Context, any, []byte, any) {}

// BenchmarkTell tells live actors, from each core.
func BenchmarkTell(b *testing.B) {
	for _, live := range []int{1, 1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("actors=%d", live), func(b *testing.B) {
			sys := newSystem(b, Options{})
			var got sync.WaitGroup
			dir := NewDirectory(sys, DirectoryOptions[invitation.ID]{
				Activate: func(invitation.ID, any) Behavior { return counter{&got} }, Hash: hashID, Mailbox: 1 << 30,
			})
			got.Add(live)
			for i := range live {
				_ = dir.Tell(idOf(uint64(i)), "hello")
			}
			got.Wait()
			runtime.GC()
			b.ReportAllocs()
			b.ResetTimer()
			start := cpu()
			got.Add(b.N)
			var next atomic.Uint64
			b.RunParallel(func(pb *testing.PB) {
				n := next.Add(1) * 7919
				for pb.Next() {
					_ = dir.Tell(idOf(n%uint64(live)), "hello")
					n++
				}
			})
			got.Wait()
			perCPU(b, start)
		})
	}
}

// heap returns the bytes and objects that are live.
func heap() (uint64, uint64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.HeapObjects
}

// BenchmarkIdle is what an actor costs that does nothing, with its place in the directory.
func BenchmarkIdle(b *testing.B) {
	for _, armed := range []bool{false, true} {
		b.Run(fmt.Sprintf("armed=%v", armed), func(b *testing.B) {
			for b.Loop() {
				measureIdle(b, armed)
			}
		})
	}
}

func measureIdle(b *testing.B, armed bool) {
	const actors = 1_000_000
	sys := New(Options{})
	defer stop(b, sys)
	var got sync.WaitGroup
	one := &funcs{receive: func(c *Context, _ any) { // without state, so that it is not counted
		if armed {
			c.Arm(c.Now().Add(time.Hour))
		}
		got.Done()
	}}
	dir := NewDirectory(sys, DirectoryOptions[invitation.ID]{
		Activate: func(invitation.ID, any) Behavior { return one }, Hash: hashID,
	})
	bytes, objects := heap()
	got.Add(actors)
	for i := range uint64(actors) {
		_ = dir.Tell(idOf(i), "hello")
	}
	got.Wait()
	bytesNow, objectsNow := heap()
	b.ReportMetric(float64(bytesNow-bytes)/actors, "B/actor")
	b.ReportMetric(float64(objectsNow-objects)/actors, "objects/actor")
	start := cpu()
	runtime.GC()
	b.ReportMetric((cpu() - start).Seconds(), "gc-cpu-s")
	start, now := cpu(), time.Now()
	time.Sleep(2 * time.Second)
	b.ReportMetric(100*(cpu()-start).Seconds()/time.Since(now).Seconds(), "%cpu-idle")
}

// parts runs f with bare actors, without a directory: on protoactor's own mailbox and dispatcher, and
// on those of this package.
func parts(b *testing.B, f func(b *testing.B, sys *System, configure ...actor.PropsOption)) {
	b.Run("own=none", func(b *testing.B) { f(b, newSystem(b, Options{})) })
	b.Run("own=pool", func(b *testing.B) {
		sys := newSystem(b, Options{})
		f(b, sys, actor.WithDispatcher(sys.pool))
	})
	b.Run("own=pool+mailbox", func(b *testing.B) {
		sys := newSystem(b, Options{})
		f(b, sys, actor.WithDispatcher(sys.pool), actor.WithMailbox(func() actor.Mailbox { return new(mailbox) }))
	})
}

// BenchmarkPartsChurn: spawn, one message, stop.
func BenchmarkPartsChurn(b *testing.B) {
	parts(b, func(b *testing.B, sys *System, configure ...actor.PropsOption) {
		var left sync.WaitGroup
		props := actor.PropsFromFunc(func(ctx actor.Context) {
			switch ctx.Message().(type) {
			case string:
				ctx.Stop(ctx.Self())
			case *actor.Stopped:
				left.Done()
			}
		}, configure...)
		b.ReportAllocs()
		b.ResetTimer()
		start := cpu()
		left.Add(b.N)
		for range b.N {
			sys.actors.Root.Send(sys.actors.Root.Spawn(props), "go")
		}
		left.Wait()
		perCPU(b, start)
	})
}

// BenchmarkPartsSend: one message after the other to a thousand actors.
func BenchmarkPartsSend(b *testing.B) {
	parts(b, func(b *testing.B, sys *System, configure ...actor.PropsOption) {
		var got sync.WaitGroup
		props := actor.PropsFromFunc(func(ctx actor.Context) {
			if _, ok := ctx.Message().(string); ok {
				got.Done()
			}
		}, configure...)
		pids := make([]*actor.PID, 1_000)
		for i := range pids {
			pids[i] = sys.actors.Root.Spawn(props)
		}
		b.ReportAllocs()
		b.ResetTimer()
		start := cpu()
		got.Add(b.N)
		for i := range b.N {
			sys.actors.Root.Send(pids[i%len(pids)], "go")
		}
		got.Wait()
		perCPU(b, start)
	})
}

func newTimers(n int) []owned {
	timers := make([]owned, n)
	for i := range timers {
		timers[i].fired = func() {}
		timers[i].owner = &timers[i]
	}
	return timers
}

const million = 1_000_000

// BenchmarkWheel arms, moves and cancels among a million armed timers.
func BenchmarkWheel(b *testing.B) {
	w := newWheel(NewClock(), defaultTick, never)
	defer w.stop()
	timers := newTimers(million)
	far := func(i int) invitation.Time {
		return w.clock.Now().Add(time.Hour + time.Duration(i%60_000)*time.Millisecond)
	}
	for i := range timers {
		w.arm(&timers[i].timer, far(i))
	}
	b.Run("move", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			w.arm(&timers[i%million].timer, far(i*7919))
		}
	})
	b.Run("same", func(b *testing.B) {
		deadline := far(0)
		for range b.N {
			w.arm(&timers[0].timer, deadline)
		}
	})
	b.Run("cancel+arm", func(b *testing.B) {
		for i := range b.N {
			w.disarm(&timers[i%million].timer)
			w.arm(&timers[i%million].timer, far(i*7919))
		}
	})
	b.Run("parallel", func(b *testing.B) {
		var workers atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			i := int(workers.Add(1)) * 100_003
			for pb.Next() {
				i++
				w.arm(&timers[i%million].timer, far(i*7919))
			}
		})
	})
}

// BenchmarkWheelFire fires a million timers: spread over two seconds, and all at once.
func BenchmarkWheelFire(b *testing.B) {
	for _, spread := range []time.Duration{2 * time.Second, time.Nanosecond} {
		b.Run("spread="+spread.String(), func(b *testing.B) {
			for b.Loop() {
				fireMillion(b, spread)
			}
		})
	}
}

func fireMillion(b *testing.B, spread time.Duration) {
	sys := New(Options{})
	defer stop(b, sys)
	var armed, fired sync.WaitGroup
	var worst atomic.Int64
	activate := func(_ uint64, _ any) Behavior {
		var due invitation.Time
		return &funcs{receive: func(c *Context, msg any) {
			if at, ok := msg.(invitation.Time); ok {
				due = at
				c.Arm(at)
				armed.Done()
				return
			}
			late := int64(c.Now().Sub(due))
			for old := worst.Load(); late > old && !worst.CompareAndSwap(old, late); old = worst.Load() {
			}
			fired.Done()
		}}
	}
	dir := NewDirectory(sys, DirectoryOptions[uint64]{Activate: activate})
	armed.Add(million)
	fired.Add(million)
	first := sys.Now().Add(6 * time.Second)
	for i := range uint64(million) {
		_ = dir.Tell(i, first.Add(time.Duration(i)*spread/million))
	}
	armed.Wait()
	runtime.GC()
	if sys.Now() > first {
		b.Skip("this machine is too busy to arm the timers in the time that the benchmark allows")
	}
	start := cpu()
	fired.Wait()
	if n := sys.Stats().Panics; n != 0 {
		b.Errorf("%d panics", n)
	}
	b.ReportMetric(float64((cpu()-start).Nanoseconds())/million, "cpu-ns/fire")
	b.ReportMetric(float64(worst.Load())/1e6, "worst-late-ms")
	b.ReportMetric(float64(sys.Stats().Overflow), "overflow")
}
