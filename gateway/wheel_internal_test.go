package gateway

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// TestWheel puts, moves and drops many connections at random, and compares each look with the time
// that was asked for: never early, less than a tick late, unless it was beyond the wheel's turn.
func TestWheel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		origin := time.Now()
		now := func() invitation.Time { return invitation.Time(time.Since(origin) + time.Second) }
		var mu sync.Mutex
		due := map[*conn]invitation.Time{}
		looks := 0
		w := &wheel{now: now}
		w.look = func(c *conn, now invitation.Time) invitation.Time {
			mu.Lock()
			defer mu.Unlock()
			looks++
			want, ok := due[c]
			if !ok {
				t.Fatal("a look at a connection that was dropped")
			}
			const turn = wheelTick * (wheelSlots - 1)
			if now < want && want.Sub(now) > 10*time.Minute-turn+wheelTick {
				t.Errorf("looked %v too early, though it was within a turn", want.Sub(now))
			}
			if now < want {
				return want // far away: put off
			}
			if late := now.Sub(want); late >= wheelTick {
				t.Errorf("looked %v late", late)
			}
			delete(due, c)
			return 0
		}
		random := rand.New(rand.NewPCG(1, 2))
		conns := make([]conn, 1000)
		for range 20_000 {
			c := &conns[random.IntN(len(conns))]
			switch random.IntN(4) {
			case 0:
				w.drop(c)
				mu.Lock()
				delete(due, c)
				mu.Unlock()
			case 1:
				time.Sleep(time.Duration(random.Int64N(int64(200 * time.Millisecond))))
				synctest.Wait()
			default:
				at := now().Add(time.Duration(random.Int64N(int64(10 * time.Minute))))
				if random.IntN(2) == 0 {
					at = now().Add(time.Duration(random.Int64N(int64(time.Second))))
				}
				mu.Lock()
				due[c] = at
				mu.Unlock()
				w.put(c, at)
			}
		}
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(due) > 0 || looks < 5_000 || w.count != 0 || w.armed {
			t.Errorf("%d are left after %d looks; count %d, armed %v", len(due), looks, w.count, w.armed)
		}
	})
}

// TestWheelAfterAPause: a process that was stopped for longer than a turn looks at everything once.
func TestWheelAfterAPause(t *testing.T) {
	offset := time.Duration(0)
	looks := 0
	w := &wheel{
		now:  func() invitation.Time { return invitation.Time(time.Second + offset) },
		look: func(*conn, invitation.Time) invitation.Time { looks++; return 0 },
	}
	conns := make([]conn, 100)
	w.armed = true // the test ticks
	w.done = int64(w.now()) / int64(wheelTick)
	for i := range conns {
		w.put(&conns[i], w.now().Add(time.Duration(i)*time.Second))
	}
	offset = time.Hour
	w.tick()
	if looks != len(conns) || w.armed {
		t.Errorf("%d looks, armed %v", looks, w.armed)
	}
}
