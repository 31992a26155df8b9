package ringfleet_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// TestMillion holds many invitations that ring in one process, each with a client of its caller and one of its
// callee, while calls are made beside them; then it lets all of them expire. It prints what that takes, and fails for
// what breaks a promise, not for what is slow. It runs only if asked for:
//
//	GOGC=200 MILLION=1000000 go test -run TestMillion -timeout 30m -v .
//
// HOLD is how long they are held once all ring (2m), EXPIRE after what time each expires (180s; it has to be longer than
// it takes to make them, and HOLD), RATE how many calls are made a second (1000), MAKE what time making them takes at least (as
// little as it can): they expire in the same time, each expiry being told to two clients.
func TestMillion(t *testing.T) {
	count, err := strconv.Atoi(os.Getenv("MILLION"))
	if err != nil {
		t.Skip("set MILLION to the number of invitations")
	}
	m := &million{
		t: t, count: count, expire: setting(t, "EXPIRE", 180*time.Second), rang: make([]atomic.Int64, count), late: make([]atomic.Int64, count),
	}
	m.node, err = ringfleet.Start(ringfleet.Config{
		Gateway: gateway.Config{Authenticator: auth.Development{}, LoginRate: 1e6, MaxLocal: 2*count + 10_000},
		Session: session.Config{SendRate: 1e6, SendBurst: 1e6},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, %d processors, GOGC %d, GOMEMLIMIT %s", runtime.Version(), runtime.GOMAXPROCS(0), gogc(), cmp.Or(os.Getenv("GOMEMLIMIT"), "off"))
	began := time.Now()
	m.fill()
	t.Logf("%d ring after %s: %s", count, time.Since(began).Round(time.Second), m.memory())
	ctx, cancel := context.WithTimeout(t.Context(), setting(t, "HOLD", 2*time.Minute))
	defer cancel()
	var beside sync.WaitGroup
	beside.Go(func() { m.probe(ctx) })
	beside.Go(func() { m.call(ctx, int(setting(t, "RATE", 1000))) })
	beside.Wait()
	if n := m.failed.Load(); n != 0 {
		t.Errorf("%d ended while they were to be held: EXPIRE is too short for this machine", n)
	}
	t.Logf("held: %s", m.memory())
	m.expireAll(began)
	t.Logf("at the end: %s", m.memory())
}

// setting returns a number or a duration from the environment.
func setting(t *testing.T, name string, otherwise time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	if n, err := strconv.Atoi(text); err == nil {
		return time.Duration(n)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func gogc() int {
	percent := debug.SetGCPercent(-1)
	debug.SetGCPercent(percent)
	return percent
}

type million struct {
	t      *testing.T
	node   *ringfleet.Node
	count  int
	expire time.Duration

	clients []*client.Client // so that none is collected
	rang    []atomic.Int64   // when each callee's client was shown the invitation, Unix nanoseconds
	late    []atomic.Int64   // by how much later than by then and the expiry it was told the end, at least 1
	ringing atomic.Int64
	failed  atomic.Int64
	odd     atomic.Int64 // events that should not have come
}

// heard is every callee's OnEvent. A client is shown an invitation before its word makes it ring, so that the time
// from there to the end is the expiry at least, and longer than the arbiter was late.
func (m *million) heard(ev client.Event) {
	if ev.Remote == nil {
		return
	}
	i, _ := strconv.Atoi(strings.TrimPrefix(string(ev.Remote.Caller()), "caller"))
	switch {
	case ev.Kind == client.RemoteInvitationReceived && m.rang[i].Swap(ev.At.UnixNano()) == 0:
		m.ringing.Add(1)
	case ev.Kind == client.RemoteInvitationFailure && ev.Remote.Reason() == invitation.Expired &&
		m.late[i].Swap(ev.At.UnixNano()-m.rang[i].Load()-int64(m.expire)) == 0:
		m.failed.Add(1)
	default:
		m.odd.Add(1)
	}
}

func (m *million) dial(user string, on func(client.Event)) *client.Client {
	c, err := client.Dial(context.Background(), m.node, client.Options{User: invitation.User(user), Device: "d", OnEvent: on})
	if err != nil {
		m.t.Error(err)
		runtime.Goexit()
	}
	return c
}

// fill makes the invitations and waits until all ring.
func (m *million) fill() {
	m.clients = make([]*client.Client, 2*m.count)
	pace, began := setting(m.t, "MAKE", 0)/time.Duration(m.count), time.Now()
	var next atomic.Int64
	var workers sync.WaitGroup
	for range 64 * runtime.GOMAXPROCS(0) { // enough that the processors have always something to do
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < m.count; i = int(next.Add(1)) - 1 {
				if due := time.Until(began.Add(time.Duration(i) * pace)); due > 0 {
					<-time.After(due)
				}
				callee := m.dial("callee"+strconv.Itoa(i), m.heard)
				caller := m.dial("caller"+strconv.Itoa(i), nil)
				m.clients[2*i], m.clients[2*i+1] = callee, caller
				call := caller.NewLocalInvitation(callee.User())
				_ = call.SetContent(fmt.Sprintf("%064d", i))
				_ = call.SetTimers(invitation.Timers{Expire: m.expire})
				if err := call.Send(context.Background()); err != nil {
					m.t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	m.await(&m.ringing, time.Minute)
}

// await waits until n is all of them.
func (m *million) await(n *atomic.Int64, most time.Duration) {
	for end := time.Now().Add(most); n.Load() < int64(m.count); <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatalf("%d of %d after %s", n.Load(), m.count, most)
		}
	}
}

// probe asks the node something every 10 ms, on time, and prints how long the longest answer took.
func (m *million) probe(ctx context.Context) {
	c := m.dial("probe", nil)
	var took durations
	every(ctx, 10*time.Millisecond, func(due time.Time) {
		_, _ = c.Query(ctx, invitation.ID{1}) // NOT_FOUND
		took.add(time.Since(due))
	})
	m.t.Logf("an answer to a probe every 10 ms: %s", &took)
}

// call makes accepted calls at a rate, each timed from when it was due.
func (m *million) call(ctx context.Context, rate int) {
	const pairs = 256
	callers := make([]*client.Client, pairs)
	for i := range callers {
		m.dial("answers"+strconv.Itoa(i), nil).OnRemoteInvitation(func(r *client.RemoteInvitation) { _ = r.Accept(context.Background(), "ok") })
		callers[i] = m.dial("calls"+strconv.Itoa(i), nil)
	}
	var took durations
	var calls sync.WaitGroup
	var made, accepted atomic.Int64
	start, before := time.Now(), cpu()
	every(ctx, time.Second/time.Duration(rate), func(due time.Time) {
		i := int(made.Add(1)) % pairs
		calls.Go(func() {
			call := callers[i].NewLocalInvitation(invitation.User("answers" + strconv.Itoa(i)))
			_ = call.SetContent(strings.Repeat("c", 64))
			if call.Send(context.Background()) == nil && call.Wait(context.Background()) == nil && call.State() == invitation.LocalAcceptedByRemote {
				accepted.Add(1)
				took.add(time.Since(due))
			}
		})
	})
	calls.Wait()
	m.t.Logf("%d calls, %.0f a second, with %.0f %% of a processor: %s", made.Load(), float64(made.Load())/time.Since(start).Seconds(),
		100*(cpu()-before).Seconds()/time.Since(start).Seconds(), &took)
	if accepted.Load() != made.Load() {
		m.t.Errorf("%d of %d calls were accepted", accepted.Load(), made.Load())
	}
}

// expireAll waits until all have expired, and prints how late.
func (m *million) expireAll(began time.Time) {
	m.await(&m.failed, time.Until(began.Add(2*m.expire+time.Minute)))
	var late durations
	early := 0
	for i := range m.late {
		d := time.Duration(m.late[i].Load())
		late.add(d)
		if d < 0 {
			early++
		}
	}
	m.t.Logf("expired late: %s; %d early", &late, early)
	if early != 0 || m.odd.Load() != 0 {
		m.t.Errorf("%d expired early, %d events should not have come", early, m.odd.Load())
	}
}

// memory tells what the process takes.
func (m *million) memory() string {
	resident := residentMemory(os.Getpid())
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return fmt.Sprintf("%.2f GiB resident, heap in use %.2f GiB, %d collections, %.1f s of CPU for them",
		float64(resident)/(1<<30), float64(stats.HeapInuse)/(1<<30), stats.NumGC, stats.GCCPUFraction*cpu().Seconds())
}

// durations are measured by several at once.
type durations struct {
	mu  sync.Mutex
	all []time.Duration
}

func (d *durations) add(x time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, x)
}

// String returns the percentiles.
func (d *durations) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.all) == 0 {
		return "none"
	}
	slices.Sort(d.all)
	at := func(p float64) float64 { return d.all[int(p*float64(len(d.all)-1))].Seconds() * 1_000 }
	return fmt.Sprintf("p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, most %.2f ms", at(0.5), at(0.99), at(0.999), at(1))
}

// every calls f when it is due, and late rather than not at all, until ctx is done.
func every(ctx context.Context, interval time.Duration, f func(due time.Time)) {
	for due := time.Now(); ctx.Err() == nil; due = due.Add(interval) {
		<-time.After(time.Until(due))
		f(due)
	}
}
