package engine

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// owned is an owner of a timer.
type owned struct {
	timer
	fired func()
}

func (o *owned) expire() { o.fired() }

func newOwned(fired func()) *owned {
	o := &owned{fired: fired}
	o.owner = o
	return o
}

func never() bool { return false }

// countingClock counts how often it is read.
type countingClock struct {
	Clock
	reads atomic.Int64
}

func (c *countingClock) Now() invitation.Time {
	c.reads.Add(1)
	return c.Clock.Now()
}

// The wheel against a model that is only a formula: whatever was armed, moved and canceled before, a
// timer fires once, at the first tick at or after its last deadline.
func TestWheelFiresAtTheFirstTickAtOrAfterTheDeadline(t *testing.T) {
	for _, tick := range []time.Duration{50 * time.Millisecond, 7 * time.Millisecond, time.Second} {
		t.Run(tick.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { checkAgainstFormula(t, tick) })
		})
	}
}

func checkAgainstFormula(t *testing.T, tick time.Duration) {
	const timers, changes = 300, 3_000
	horizon := 8 * slots * tick // 8 rounds
	random := rand.New(rand.NewPCG(1, uint64(tick)))
	clock := NewClock()
	w := newWheel(clock, tick, never)
	want := make([]invitation.Time, timers) // when each is to fire; 0: never
	all := make([]*owned, timers)
	fired := 0
	for i := range all {
		all[i] = newOwned(func() {
			fired++
			if now := clock.Now(); now != want[i] {
				t.Errorf("timer %d fired at %v, want %v", i, now, want[i])
			}
			want[i] = 0
		})
	}
	for range changes {
		time.Sleep(time.Duration(random.Int64N(int64(10 * tick))))
		synctest.Wait()
		i := random.IntN(timers)
		if random.IntN(4) == 0 {
			w.disarm(&all[i].timer)
			want[i] = 0
			continue
		}
		// Most are near; some have passed already.
		ahead := time.Duration(random.Int64N(int64(horizon)>>random.IntN(24)+1)) - tick
		deadline := max(clock.Now().Add(ahead), 1)
		later := max(deadline, clock.Now()+1) // a tick that has passed is over
		want[i] = (later + invitation.Time(tick) - 1) / invitation.Time(tick) * invitation.Time(tick)
		w.arm(&all[i].timer, deadline)
	}
	time.Sleep(horizon + 2*tick)
	synctest.Wait()
	for i := range want {
		if want[i] != 0 {
			t.Errorf("timer %d, due at %v, has not fired", i, want[i])
		}
	}
	if fired < timers {
		t.Errorf("only %d timers fired: the test does not test", fired)
	}
	w.stop()
}

func TestWheelSleepsWhileItIsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := &countingClock{Clock: NewClock()}
		w := newWheel(clock, defaultTick, never)
		defer w.stop()
		ticks := func(what string, want int64) {
			t.Helper()
			before := clock.reads.Load()
			time.Sleep(time.Hour)
			synctest.Wait()
			if n := clock.reads.Load() - before; n > want {
				t.Errorf("%s: the clock was read %d times in an hour, want at most %d", what, n, want)
			}
		}
		ticks("never armed", 0)
		o := newOwned(func() {})
		w.arm(&o.timer, clock.Clock.Now().Add(time.Second))
		ticks("armed for a second", 2*21)
		w.arm(&o.timer, clock.Clock.Now().Add(time.Minute))
		w.disarm(&o.timer)
		ticks("canceled", 2)
	})
}

// A process that was paused finds many rounds to do at once.
func TestWheelCatchesUpAfterAStall(t *testing.T) {
	fired := map[int64]int{}
	w := &wheel{tick: 1, behind: never}
	const rounds, stall = 5, 3
	for tick := int64(1); tick <= rounds*slots; tick += 97 {
		o := newOwned(func() { fired[tick]++ })
		w.arm(&o.timer, invitation.Time(tick))
	}
	w.advance(10)
	w.advance(stall*slots + 5)
	for tick := int64(1); tick <= rounds*slots; tick += 97 {
		want := 0
		if tick <= stall*slots+5 {
			want = 1
		}
		if fired[tick] != want {
			t.Errorf("tick %d fired %d times, want %d", tick, fired[tick], want)
		}
	}
	w.advance(rounds * slots)
	if w.size() != 0 {
		t.Errorf("%d timers are left", w.size())
	}
}

// A timer that is moved or canceled while others of its tick are being fired does as it was told.
func TestWheelChangesBetweenBatches(t *testing.T) {
	const timers = 10 * batch
	w := &wheel{tick: 1}
	fired := make([]int, timers)
	all := make([]*owned, timers)
	for i := range all {
		all[i] = newOwned(func() { fired[i]++ })
		w.arm(&all[i].timer, 5)
	}
	calls := 0
	w.behind = func() bool { // asked without the lock after each batch
		if calls++; calls == 1 {
			w.disarm(&all[timers-1].timer)
			w.arm(&all[timers-2].timer, 8)
			w.arm(&all[timers-3].timer, 5) // passed: due at the next tick
		}
		return false
	}
	w.advance(5)
	if fired[timers-1] != 0 || fired[timers-2] != 0 || fired[timers-3] != 0 || fired[timers-4] != 1 || w.size() != 2 {
		t.Fatalf("after tick 5: %v, %d armed", fired[timers-4:], w.size())
	}
	w.advance(7)
	if fired[timers-2] != 0 || fired[timers-3] != 1 {
		t.Errorf("after tick 7: %v", fired[timers-4:])
	}
	w.advance(8)
	if fired[timers-1] != 0 || fired[timers-2] != 1 || w.size() != 0 {
		t.Errorf("after tick 8: %v, %d armed", fired[timers-4:], w.size())
	}
}

// The wheel lets its owners catch up, which costs time but no timer.
func TestWheelWaitsForOwnersThatAreBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var behind atomic.Bool
		clock := NewClock()
		w := newWheel(clock, defaultTick, behind.Load)
		defer w.stop()
		behind.Store(true)
		var fired atomic.Int64
		deadline := clock.Now().Add(time.Second)
		for range 2 * batch {
			w.arm(&newOwned(func() { fired.Add(1) }).timer, deadline)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := fired.Load(); n != batch {
			t.Errorf("%d timers fired while the owners were behind, want %d", n, batch)
		}
		behind.Store(false)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if n := fired.Load(); n != 2*batch {
			t.Errorf("%d timers fired, want %d", n, 2*batch)
		}
	})
}

// Many owners at once, going to rest and waking up: no timer is lost (the bubble would deadlock) and
// none fires once it is canceled.
func TestWheelIsSafeForConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := NewClock()
		w := newWheel(clock, time.Millisecond, never)
		var owners sync.WaitGroup
		for i := range 8 {
			owners.Go(func() {
				random := rand.New(rand.NewPCG(2, uint64(i)))
				rang := make(chan struct{}, 1)
				var canceled atomic.Bool
				o := newOwned(func() {
					if canceled.Load() {
						t.Error("fired after it was canceled")
					}
					rang <- struct{}{}
				})
				for range 2_000 {
					w.arm(&o.timer, clock.Now().Add(time.Duration(random.IntN(3_000_000))))
					if random.IntN(2) == 0 {
						<-rang
						continue
					}
					time.Sleep(time.Duration(random.IntN(2_000_000)))
					w.disarm(&o.timer)
					canceled.Store(true)
					select {
					case <-rang:
					default:
					}
					canceled.Store(false)
				}
			})
		}
		owners.Wait()
		w.stop()
	})
}

// A timer that is armed while the wheel finds itself empty and goes to sleep is not slept over: the
// bubble would deadlock. The wheel's way there is drawn out by ever different times to meet that moment.
func TestWheelWakesUp(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		clock := NewClock()
		fired := make(chan struct{}, 1)
		var round, spins atomic.Int64
		w := newWheel(clock, time.Millisecond, func() bool {
			fired <- struct{}{}
			for range round.Add(1) * 37 % 2_000 {
				spins.Add(1)
			}
			return false
		})
		o := newOwned(func() {})
		for range 20_000 {
			w.arm(&o.timer, clock.Now())
			<-fired
		}
		w.stop()
	})
}
