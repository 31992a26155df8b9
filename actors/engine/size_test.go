package engine

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
	"weak"

	"github.com/ringfleet/ringfleet/invitation"
)

// What exists once per actor is kept small: the next size class of the allocator is 192.
func TestSizeOfAnActivation(t *testing.T) {
	if n := unsafe.Sizeof(activation[invitation.ID]{}); n > 176 {
		t.Errorf("an invitation's activation takes %d bytes, want at most 176", n)
	}
	if n := unsafe.Sizeof(timer{}); n > 40 {
		t.Errorf("a timer takes %d bytes, want at most 40", n)
	}
}

func TestTellAllocatesTheLetterOnly(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, sys *System) {
		dir := NewDirectory(sys, DirectoryOptions[invitation.ID]{
			Activate: always(func(c *Context, _ invitation.ID, _ any) { c.Arm(c.Now().Add(time.Second)) }),
		})
		id := invitation.NewID("caller", "phone", "key")
		tell(t, dir, id, "hello")
		synctest.Wait()
		n := testing.AllocsPerRun(1_000, func() {
			tell(t, dir, id, "hello")
			synctest.Wait()
		})
		if n > 1 {
			t.Errorf("a message took %v allocations, want 1", n)
		}
	})
}

func TestTimersAllocateNothing(t *testing.T) {
	w := &wheel{tick: 1, behind: never}
	fired := 0
	o := newOwned(func() { fired++ })
	n := testing.AllocsPerRun(1_000, func() {
		w.arm(&o.timer, invitation.Time(w.cursor+2))
		w.arm(&o.timer, invitation.Time(w.cursor+1))
		w.advance(w.cursor + 1)
	})
	if n != 0 || fired < 1_000 {
		t.Errorf("arming and firing took %v allocations, want 0; %d fired", n, fired)
	}
}

// Nothing holds on to an actor that has left.
func TestActorsThatLeftAreFreed(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, sys *System) {
		var left weak.Pointer[funcs]
		dir := NewDirectory(sys, DirectoryOptions[int]{Activate: func(int, any) Behavior {
			f := &funcs{receive: func(c *Context, _ any) {
				c.Arm(c.Now().Add(time.Hour))
				c.Leave()
			}}
			left = weak.Make(f)
			return f
		}})
		tell(t, dir, 1, "hello")
		synctest.Wait()
		runtime.GC()
		if left.Value() != nil {
			t.Error("an actor that left is still reachable")
		}
	})
}
