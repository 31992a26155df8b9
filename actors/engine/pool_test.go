package engine

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestPoolHelps: what is told while somebody helps runs on that goroutine, wakes no worker, and is settled.
func TestPoolHelps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var settled atomic.Int32
		p := newPool(2, 100, func() { settled.Add(1) })
		defer p.stop()
		ran, relied := 0, false
		p.help(func() {
			p.submit(function(func() {
				ran++
				p.submit(function(func() { ran++ })) // of its own goroutine: else this is a race
			}))
			if ran != 0 {
				t.Error("a task ran before all was told")
			}
			relied = p.settles()
		})
		if ran != 2 || !relied || settled.Load() != 1 || p.resting.Load() != 2 {
			t.Errorf("%d tasks ran, relied on: %t, settled %d times, %d workers rest", ran, relied, settled.Load(), p.resting.Load())
		}
		if p.settles() {
			t.Error("somebody is to settle while all rest")
		}
	})
}

// TestPoolHelpEnds: a helper leaves what is too much for it to the workers, and all of what many wait for is run.
func TestPoolHelpEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(3, 10_000, func() {})
		defer p.stop()
		var ran atomic.Int32
		p.help(func() {
			for range 5_000 {
				p.submit(function(func() { ran.Add(1) }))
			}
		})
		synctest.Wait()
		if ran.Load() != 5_000 || p.resting.Load() != 3 || p.active.Load() != 0 {
			t.Errorf("%d tasks ran; %d workers rest, %d are active", ran.Load(), p.resting.Load(), p.active.Load())
		}
	})
}

// TestPoolGathers: while a helper lets others come, they leave it to that one to settle, but not for ever; else each of
// them settles.
func TestPoolGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		settled := 0
		p := newPool(2, 100, func() { settled++ })
		defer p.stop()
		help := func() { p.help(func() {}) }
		help()
		if settled != 1 {
			t.Errorf("settled %d times by one helper", settled)
		}
		p.yielding.Add(1)
		for range leftToOthers - 1 {
			help()
		}
		if settled != 1 {
			t.Errorf("settled %d times while a helper lets others come", settled-1)
		}
		help()
		if settled != 2 {
			t.Error("nobody settles while a helper lets others come")
		}
		p.yielding.Add(-1)
		help()
		if settled != 3 {
			t.Error("not settled")
		}
		p.help(func() {
			for range busy {
				p.submit(function(func() {
					if settled != 3 {
						t.Error("settled before all was done")
					}
				}))
			}
		})
		if settled != 4 || p.yielding.Load() != 0 {
			t.Errorf("settled %d times by a helper that lets others come; %d still do", settled-3, p.yielding.Load())
		}
	})
}

// TestPoolWatches: an actor that blocks, which none should, holds others up for a moment only.
func TestPoolWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var settled atomic.Int32
		p := newPool(2, 100, func() { settled.Add(1) })
		defer p.stop()
		gate, start := make(chan struct{}), time.Now()
		p.submit(function(func() { <-gate }))
		synctest.Wait()
		ran := make(chan time.Duration, 1)
		p.submit(function(func() { ran <- time.Since(start) }))
		if took := <-ran; took > watchEvery {
			t.Errorf("held up for %v", took)
		}
		synctest.Wait()
		if settled.Load() == 0 {
			t.Error("not settled")
		}
		close(gate)
	})
}

// TestPoolManyAtOnce: whoever submits, while workers come and go, nothing is left behind.
func TestPoolManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(4, 64, func() {})
		defer p.stop()
		var ran atomic.Int32
		for i := range 8 {
			go func() {
				for range 2_000 {
					one := function(func() { ran.Add(1) })
					if i%2 == 0 {
						p.submit(one)
					} else {
						p.help(func() { p.submit(one) })
					}
				}
			}()
		}
		start := time.Now()
		synctest.Wait()
		if ran.Load() != 16_000 || time.Since(start) != 0 {
			t.Errorf("%d tasks ran in %v", ran.Load(), time.Since(start))
		}
	})
}
