package fleet_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfleet/ringfleet/internal/fleet"
	"github.com/ringfleet/ringfleet/invitation"
)

// TestOverload asks a node for twice what it can do. It goes on completing calls, refuses the others soon and in a way
// that says that they may come again, and is as before soon after. Without its bound calls wait for seconds, or it completes few.
//
// The node has a processor, the clients have another, and other programs have both: so what counts is what the node
// did with the time in which it could have run. With a machine of its own that is all of it.
func TestOverload(t *testing.T) {
	if *size != "overload" && *size != "overload-short" {
		t.Skip("make overload runs this")
	}
	if runtime.NumCPU() < 2 {
		t.Skip("the node and its clients need a processor each")
	}
	long := *size == "overload"
	keepTo(t, 2)
	unbounded := newStrain(t, "--max-delay", "-1s")
	most := unbounded.most(pick(long, 10*time.Second, 3*time.Second))
	t.Logf("at most: %v", most)
	bounded := newStrain(t)
	bounded.closed(t.Context(), 100, time.Second) // that all is warm
	bounded.drained(t)
	for range 3 { // a full queue makes larger batches: it may do more than in a closed loop
		more := bounded.overload(most, pick(long, 5*time.Second, 2*time.Second))
		bounded.drained(t)
		if more.capacity() <= 1.05*most.capacity() {
			break
		}
		most = more
		t.Logf("and even more: %v", most)
	}
	got := bounded.overload(most, pick(long, 20*time.Second, 6*time.Second))
	t.Logf("offered twice of that: %v", got)
	bounded.want(got, most)
	took := bounded.recovered(got, most)
	if long && (got.refusals[1] > soon || took > recoverTime) { // by the clock, so on a quiet machine
		t.Errorf("99 of 100 refusals came within %v, want %v; refused until %v after the end of the load, want %v", got.refusals[1], soon, took, recoverTime)
	}
	bounded.Close()
	if !long {
		return
	}
	without := unbounded.overload(most, 20*time.Second)
	t.Logf("with --max-delay -1s: %v; %.0f %% of the most", without, 100*without.share(most))
	if without.share(most) >= leastShare && without.setUps[0] < 5*got.setUps[0] {
		t.Errorf("without a bound it completes %.0f %%, half of them within %v: this shows nothing", 100*without.share(most), without.setUps[0])
	}
}

const (
	leastShare  = .8              // of the most that a node can do
	soon        = time.Second     // within which nearly all refusals come
	recoverTime = 5 * time.Second // after the load's end
)

// strain is a node under load.
type strain struct {
	*bed
	*offer
	node *fleet.Node
}

// newStrain starts a node that bounds no single user, on the first processor.
func newStrain(t *testing.T, args ...string) *strain {
	t.Helper()
	for _, limit := range []string{"send-rate", "send-burst", "frame-rate", "frame-burst", "max-outgoing", "max-incoming", "max-incoming-per-caller"} {
		args = append(args, "--"+limit, "1000000")
	}
	b := newBed(t, fleet.Config{Env: []string{"GOMAXPROCS=1"}, Args: args})
	n, err := b.Add(within(t, limit), fleet.NodeOptions{Name: "node", CPU: 1})
	if err != nil {
		t.Fatal(err)
	}
	return &strain{b, newOffer(t, n.ClientURL(), 500), n}
}

// work is what a node did in some time.
type work struct {
	begin, end               time.Time
	ran, waited              time.Duration // of its threads: on the processor, for the processor
	sent, completed, refused int64
	late                     time.Duration // the clients
	refusals, setUps         [2]time.Duration
	codes                    map[invitation.CallError]int
}

// could returns for how long the node could have run.
func (w *work) could() time.Duration { return max(w.end.Sub(w.begin)-w.waited, w.ran) }

// capacity returns how many calls the node completes in a second on the processor.
func (w *work) capacity() float64 { return float64(w.completed) / w.ran.Seconds() }

// share returns how much of the most the node has completed.
func (w *work) share(most *work) float64 {
	return float64(w.completed) / w.could().Seconds() / most.capacity()
}

// String says what matters on one line.
func (w *work) String() string {
	took := w.end.Sub(w.begin).Seconds()
	s := fmt.Sprintf("%.0f calls/s completed of %.0f, in %.1f s of which the node could run for %.1f s and did for %.1f s: %.0f for each second that it ran",
		float64(w.completed)/took, float64(w.sent)/took, took, w.could().Seconds(), w.ran.Seconds(), w.capacity())
	if w.refused > 0 {
		s += fmt.Sprintf("; %.0f/s refused, within p50 %v p99 %v, as %v", float64(w.refused)/took, round(w.refusals[0]), round(w.refusals[1]),
			codeNames(w.codes))
	}
	return s + fmt.Sprintf("; set up in p50 %v p99 %v; clients late by %v", round(w.setUps[0]), round(w.setUps[1]), round(w.late))
}

func codeNames(codes map[invitation.CallError]int) (names []string) {
	for code := range codes {
		names = append(names, code.String())
	}
	return names
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// during measures the node's work.
func (s *strain) during(do func() (late time.Duration)) *work {
	s.Helper()
	w := &work{begin: time.Now()}
	ran, waited := s.times()
	sent, completed, refused := s.sent.Load(), s.completed.Load(), s.refused.Load()
	w.late = do()
	w.end = time.Now()
	w.sent, w.completed, w.refused = s.sent.Load()-sent, s.completed.Load()-completed, s.refused.Load()-refused
	after, waitedAfter := s.times()
	w.ran, w.waited = after-ran, waitedAfter-waited
	s.mu.Lock()
	defer s.mu.Unlock()
	w.codes = maps.Clone(s.codes)
	for i, q := range []float64{.5, .99} {
		w.refusals[i], w.setUps[i] = quantile(s.refusals, w.begin, w.end, q), quantile(s.setUps, w.begin, w.end, q)
	}
	return w
}

// times returns for how long the node's threads have run, and waited for the processor.
func (s *strain) times() (ran, waited time.Duration) {
	s.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", s.node.PID()))
	if err != nil || len(threads) == 0 {
		s.Fatalf("the node's threads: %v, %v", threads, err)
	}
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		var run, wait int64
		if err == nil {
			_, err = fmt.Sscan(string(text), &run, &wait)
		}
		if err != nil {
			s.Fatal(err)
		}
		ran, waited = ran+time.Duration(run), waited+time.Duration(wait)
	}
	return ran, waited
}

// most finds out what the node can do at most, by a closed loop.
func (s *strain) most(each time.Duration) *work {
	s.Helper()
	s.closed(s.Context(), 100, each/2) // as above
	s.drained(s.T)
	var best *work
	for _, calls := range []int{100, 300, 900} {
		w := s.during(func() time.Duration {
			s.closed(s.Context(), calls, each)
			return 0
		})
		s.drained(s.T)
		if best == nil || w.capacity() > best.capacity() {
			best = w
		}
	}
	return best
}

// fold returns a rate that is so many times what the node could do lately.
func (s *strain) fold(times float64, most *work) func() float64 {
	last := time.Now()
	_, waited := s.times()
	return func() float64 {
		now := time.Now()
		_, w := s.times()
		free := 1 - (w-waited).Seconds()/max(now.Sub(last), time.Millisecond).Seconds()
		last, waited = now, w
		return times * most.capacity() * min(max(free, .05), 1)
	}
}

// overload offers twice what the node can do.
func (s *strain) overload(most *work, d time.Duration) *work {
	s.Helper()
	return s.during(func() time.Duration { return s.pace(s.Context(), d, s.fold(2, most)) })
}

func (s *strain) want(got, most *work) {
	s.Helper()
	s.Logf("it completed %.0f %% of the most", 100*got.share(most))
	if got.share(most) < leastShare {
		s.Errorf("it completed %.0f %% of the most, want %.0f", 100*got.share(most), 100*leastShare)
	}
	if got.refused == 0 {
		s.Error("nothing was refused: it was not offered too much")
	}
	for code := range got.codes {
		if !code.Row().Retryable {
			s.Errorf("refused with %v, which may not come again", code)
		}
	}
}

// recovered goes on with a quarter of what the node can do, and returns for how long more than one call of 20 was
// refused.
func (s *strain) recovered(got, most *work) time.Duration {
	s.Helper()
	var sent, refused int64
	last := got.end
	after := s.during(func() time.Duration {
		return s.pace(s.Context(), 2*recoverTime, func() func() float64 {
			rate := s.fold(.25, most)
			return func() float64 {
				if n := s.refused.Load() - refused; n*20 > s.sent.Load()-sent {
					last = time.Now()
				}
				sent, refused = s.sent.Load(), s.refused.Load()
				return rate()
			}
		}())
	})
	s.drained(s.T)
	took := last.Sub(got.end)
	s.Logf("then a quarter: %v; up to %v after the end, more than one of 20 was refused", after, round(took))
	if s.failed.Load()+s.lost.Load() > 0 || s.completed.Load()+s.refused.Load() != s.sent.Load() || s.told.Load() != s.completed.Load() {
		s.Errorf("of %d calls %d were refused, %d were completed for their caller and %d for their callee, %d failed; %d connections were lost",
			s.sent.Load(), s.refused.Load(), s.completed.Load(), s.told.Load(), s.failed.Load(), s.lost.Load())
	}
	return took
}

// keepTo has this process run on one processor, from 1 on.
func keepTo(t *testing.T, cpu int) {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	var one unix.CPUSet
	one.Set(cpu - 1)
	for _, task := range tasks { // threads to come are bound as those that make them
		id, err := strconv.Atoi(task.Name())
		if err == nil {
			err = unix.SchedSetaffinity(id, &one)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) {
			t.Fatal(err)
		}
	}
}
