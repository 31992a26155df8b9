package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTellMakesAnActorWithTheFirstMessage(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, sys *System) {
		var activated, missed, got []string
		dir := NewDirectory(sys, DirectoryOptions[string]{
			Activate: func(key string, msg any) Behavior {
				activated = append(activated, fmt.Sprint(key, msg))
				if key == "nobody" {
					return nil
				}
				return &funcs{receive: func(_ *Context, msg any) { got = append(got, fmt.Sprint(key, msg)) }}
			},
			Miss: func(key string, msg any) { missed = append(missed, fmt.Sprint(key, msg)) },
		})
		for _, key := range []string{"a", "nobody", "a", "nobody"} {
			tell(t, dir, key, 1)
			synctest.Wait()
		}
		for _, check := range []struct {
			what      string
			got, want []string
		}{
			{"activated", activated, []string{"a1", "nobody1", "nobody1"}},
			{"handled", got, []string{"a1", "a1"}},
			{"missed", missed, []string{"nobody1", "nobody1"}},
			{"keys", slices.Collect(dir.Keys()), []string{"a"}},
		} {
			if !slices.Equal(check.got, check.want) {
				t.Errorf("%s %v, want %v", check.what, check.got, check.want)
			}
		}
		if want := (DirectoryStats{Live: 1, Activated: 1, Missed: 2}); dir.Stats() != want || dir.Len() != 1 {
			t.Errorf("%+v, want %+v", dir.Stats(), want)
		}
	})
}

func TestTellWithoutMissDrops(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, sys *System) {
		dir := NewDirectory(sys, DirectoryOptions[int]{Activate: func(int, any) Behavior { return nil }})
		tell(t, dir, 1, "x")
		if n := dir.Stats().Missed; n != 1 {
			t.Errorf("%d missed", n)
		}
	})
}

// blocking activates actors whose message "block" holds them until the gate is closed.
func blocking(gate chan struct{}, got *atomic.Int32) func(int, any) Behavior {
	return always(func(_ *Context, _ int, msg any) {
		if msg == "block" {
			<-gate
		}
		got.Add(1)
	})
}

func TestTellOverTheMailboxBoundIsBusy(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, sys *System) {
		const bound = 5
		gate := make(chan struct{})
		var got atomic.Int32
		dir := NewDirectory(sys, DirectoryOptions[int]{Activate: blocking(gate, &got), Mailbox: bound})
		tell(t, dir, 1, "block")
		synctest.Wait() // it is being handled: it waits no more
		for range bound {
			tell(t, dir, 1, "x")
		}
		if err := dir.Tell(1, "x"); !errors.Is(err, ErrBusy) {
			t.Errorf("Tell to a full mailbox: %v, want ErrBusy", err)
		}
		tell(t, dir, 2, "x") // others are not affected
		close(gate)
		synctest.Wait()
		tell(t, dir, 1, "x")
		synctest.Wait()
		if n := got.Load(); n != 1+bound+1+1 {
			t.Errorf("%d messages were handled, want %d", n, 1+bound+1+1)
		}
		if n := dir.Stats().Busy; n != 1 {
			t.Errorf("%d refused, want 1", n)
		}
	})
}

func TestTellOverTheLimitIsBusy(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, sys *System) {
		dir := NewDirectory(sys, DirectoryOptions[int]{
			Activate: always(func(c *Context, _ int, msg any) {
				if msg == "leave" {
					c.Leave()
				}
			}), Limit: 2,
		})
		tell(t, dir, 1, "x")
		tell(t, dir, 2, "x")
		if err := dir.Tell(3, "x"); !errors.Is(err, ErrBusy) || !errors.Is(err, ErrFull) {
			t.Errorf("Tell over the limit: %v, want ErrFull, an ErrBusy", err)
		}
		tell(t, dir, 2, "leave")
		synctest.Wait()
		tell(t, dir, 3, "x")
	})
}

// What waits for an actor that leaves is for the next one, before anything told later; what the actor
// told itself too, but not its tick.
func TestLeaveHandsOver(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, sys *System) {
		gate := make(chan struct{})
		var got []string
		generation := 0
		dir := NewDirectory(sys, DirectoryOptions[int]{Activate: func(int, any) Behavior {
			generation++
			mine := generation
			return &funcs{receive: func(c *Context, msg any) {
				got = append(got, fmt.Sprint(mine, msg))
				if msg == "go" {
					c.Arm(c.Now())
					<-gate // while the tick is sent
					c.Tell("self")
					c.Arm(c.Now().Add(time.Hour))
					c.Leave()
					c.Leave()
				}
			}}
		}})
		tell(t, dir, 1, "go")
		synctest.Wait()
		tell(t, dir, 1, "a")
		tell(t, dir, 1, "b")
		time.Sleep(time.Second)
		close(gate)
		synctest.Wait()
		tell(t, dir, 1, "c")
		synctest.Wait()
		if want := []string{"1go", "2a", "2b", "2self", "2c"}; !slices.Equal(got, want) {
			t.Errorf("handled %v, want %v", got, want)
		}
		if want := (DirectoryStats{Live: 1, Activated: 2, Left: 1, Retold: 3}); dir.Stats() != want {
			t.Errorf("%+v, want %+v", dir.Stats(), want)
		}
		if n := sys.Stats(); n.Live != 1 || n.Timers != 0 {
			t.Errorf("system: %+v", n)
		}
	})
}

func TestLeaveWithoutHeirMisses(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, sys *System) {
		gate := make(chan struct{})
		var missed []any
		made := false
		dir := NewDirectory(sys, DirectoryOptions[int]{
			Activate: func(int, any) Behavior {
				if made {
					return nil
				}
				made = true
				return &funcs{receive: func(c *Context, _ any) {
					<-gate
					c.Leave()
				}}
			},
			Miss: func(_ int, msg any) { missed = append(missed, msg) },
		})
		for _, msg := range []string{"go", "a", "b"} {
			tell(t, dir, 1, msg)
		}
		close(gate)
		synctest.Wait()
		if want := []any{"a", "b"}; !slices.Equal(missed, want) {
			t.Errorf("missed %v, want %v", missed, want)
		}
	})
}

// A storm is senders that tell actors which leave at random, some keys of which are missing at times.
type storm struct {
	t       *testing.T
	dir     *Directory[int]
	live    [stormKeys]atomic.Int32 // actors of a key inside Receive
	handled [stormSenders][stormMessages]atomic.Int32
	last    [stormKeys][stormSenders]int // guarded by there being one actor of a key
	pending sync.WaitGroup
}

const (
	stormKeys     = 12
	stormSenders  = 8
	stormMessages = 4_000
)

// stormMessage is the number-th message of a sender; a self message is one an actor told itself.
type stormMessage struct {
	sender, number int
	self           bool
}

type stormActor struct {
	*storm
	key  int
	left bool
	rand *rand.Rand
}

// activate makes an actor, or none for one message in ten.
func (s *storm) activate(key int, msg any) Behavior {
	m := msg.(stormMessage)
	if !m.self && (m.sender+m.number)%10 == 0 {
		return nil
	}
	return &stormActor{storm: s, key: key, rand: rand.New(rand.NewPCG(uint64(m.sender), uint64(m.number)))}
}

func (s *storm) done(m stormMessage) {
	if !m.self && s.handled[m.sender][m.number].Add(1) != 1 {
		s.t.Errorf("%+v was handled twice", m)
	}
	s.pending.Done()
}

func (a *stormActor) Receive(c *Context, msg any) {
	if a.live[a.key].Add(1) != 1 {
		a.t.Errorf("two actors of key %d", a.key)
	}
	defer a.live[a.key].Add(-1)
	if a.left {
		a.t.Errorf("an actor of key %d that left got %v", a.key, msg)
	}
	if _, ok := msg.(Tick); ok {
		return
	}
	m := msg.(stormMessage)
	if last := &a.last[a.key][m.sender]; !m.self {
		if m.number <= *last {
			a.t.Errorf("key %d got message %d of sender %d after %d", a.key, m.number, m.sender, *last)
		}
		*last = m.number
	}
	switch a.rand.IntN(8) {
	case 0, 1:
		c.Leave()
		a.left = true
	case 2:
		a.pending.Add(1)
		c.Tell(stormMessage{sender: m.sender, number: m.number, self: true})
	case 3:
		c.Arm(c.Now())
	}
	a.done(m)
}

func (a *stormActor) OnPanic(_ *Context, recovered any, _ []byte, _ any) { a.t.Error(recovered) }

// Every message is handled exactly once, in the order of its sender, by the one actor of its key or by
// Miss, while actors leave all the time. A message that vanished would deadlock the bubble.
func TestNoMessageVanishes(t *testing.T) {
	bubble(t, Options{Workers: 6, Backlog: 4}, func(t *testing.T, sys *System) {
		s := &storm{t: t}
		for key := range s.last {
			for sender := range s.last[key] {
				s.last[key][sender] = -1
			}
		}
		s.dir = NewDirectory(sys, DirectoryOptions[int]{
			Activate: s.activate, Miss: func(_ int, msg any) { s.done(msg.(stormMessage)) }, Mailbox: 50,
		})
		var busy atomic.Int64
		var senders sync.WaitGroup
		for sender := range stormSenders {
			senders.Go(func() {
				random := rand.New(rand.NewPCG(3, uint64(sender)))
				for number := range stormMessages {
					s.pending.Add(1)
					for key := random.IntN(stormKeys); s.dir.Tell(key, stormMessage{sender: sender, number: number}) != nil; {
						busy.Add(1)
						runtime.Gosched()
					}
				}
			})
		}
		senders.Wait()
		s.pending.Wait()
		for sender := range s.handled {
			for number := range s.handled[sender] {
				if s.handled[sender][number].Load() != 1 {
					t.Errorf("message %d of sender %d was not handled", number, sender)
				}
			}
		}
		synctest.Wait()
		stats := s.dir.Stats()
		if stats.Live != int(stats.Activated-stats.Left) || stats.Live != sys.Stats().Live {
			t.Errorf("%+v, %+v", stats, sys.Stats())
		}
		if stats.Left < 100 || stats.Retold < 100 || stats.Missed < 100 || busy.Load() == 0 {
			t.Errorf("the storm was a breeze: %+v, %d times busy", stats, busy.Load())
		}
		t.Logf("%+v, %d times busy", stats, busy.Load())
	})
}
