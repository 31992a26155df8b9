package ringfleet_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// unlimited is a node whose bounds do not bind.
func unlimited(b *testing.B, config ringfleet.Config) *ringfleet.Node {
	b.Helper()
	config.Gateway = gateway.Config{Authenticator: auth.Development{}, FrameRate: 1e6, FrameBurst: 1e6, LoginRate: 1e6}
	config.Session.SendRate, config.Session.SendBurst = 1e9, 1e9
	node, err := ringfleet.Start(config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := node.Shutdown(ctx); err != nil {
			b.Error(err)
		}
	})
	return node
}

// cpu returns the CPU time of this process so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkInProcessCall makes accepted calls by the embedding API: all four steps of the handshake
// between two SDK clients in this process, 256 pairs at once. cpu-µs/op is the CPU time of the process,
// node and both clients, per call.
func BenchmarkInProcessCall(b *testing.B) {
	const pairs = 256
	node := unlimited(b, ringfleet.Config{})
	type pair struct{ caller, callee *client.Client }
	var all [pairs]pair
	content := strings.Repeat("c", 64)
	for i := range all {
		for _, side := range []struct {
			c    **client.Client
			name string
		}{{&all[i].caller, "caller"}, {&all[i].callee, "callee"}} {
			c, err := client.Dial(b.Context(), node, client.Options{User: invitation.User(side.name + strconv.Itoa(i)), Device: "d"})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { c.Close() })
			*side.c = c
		}
		all[i].callee.OnRemoteInvitation(func(r *client.RemoteInvitation) { _ = r.Accept(context.Background(), "ok") })
	}
	var left, accepted atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	time.Sleep(2 * time.Second) // of what is younger than its node, more may be known elsewhere: it lingers
	before := cpu()
	b.ResetTimer()
	var workers sync.WaitGroup
	for _, p := range all {
		callee := p.callee.User()
		workers.Go(func() {
			for left.Add(-1) >= 0 {
				call := p.caller.NewLocalInvitation(callee)
				_ = call.SetContent(content)
				if call.Send(context.Background()) == nil && call.Wait(context.Background()) == nil &&
					call.State() == invitation.LocalAcceptedByRemote {
					accepted.Add(1)
				}
			}
		})
	}
	workers.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
	if accepted.Load() != int64(b.N) {
		b.Errorf("%d of %d calls were accepted", accepted.Load(), b.N)
	}
}

// BenchmarkRinging measures the memory of invitations that ring, each with a session of its caller and
// one of its callee and both their SDK clients, in process. Run it with -benchtime 1x; RINGING sets how
// many ring, by default 100,000. B/ringing is the live heap per invitation, rss-B/ringing the growth of
// the process.
func BenchmarkRinging(b *testing.B) {
	count := 100_000
	if n, err := strconv.Atoi(os.Getenv("RINGING")); err == nil {
		count = n
	}
	for range b.N {
		node := unlimited(b, ringfleet.Config{Session: session.Config{Timers: invitation.Timers{Expire: 10 * time.Minute}}})
		heap, resident := memory()
		clients := make([]*client.Client, 0, 2*count)
		var ringing atomic.Int64
		for i := range count {
			callee := client.New(node, client.Options{User: invitation.User("callee" + strconv.Itoa(i)), Device: "d"})
			callee.OnRemoteInvitation(func(*client.RemoteInvitation) { ringing.Add(1) })
			caller := client.New(node, client.Options{User: invitation.User("caller" + strconv.Itoa(i)), Device: "d"})
			for _, c := range []*client.Client{callee, caller} {
				if err := c.Login(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			call := caller.NewLocalInvitation(callee.User())
			_ = call.SetContent(fmt.Sprintf("%064d", i)) // of each its own
			if err := call.Send(b.Context()); err != nil {
				b.Fatal(err)
			}
			clients = append(clients, callee, caller)
		}
		for ringing.Load() < int64(count) {
			runtime.Gosched()
		}
		time.Sleep(4 * time.Second) // until the clients have no timer any more, as while it goes on ringing
		heapAfter, residentAfter := memory()
		b.ReportMetric((heapAfter-heap)/float64(count), "B/ringing")
		b.ReportMetric((residentAfter-resident)/float64(count), "rss-B/ringing")
		for _, c := range clients {
			c.Close()
		}
	}
}

// BenchmarkGrowing measures what a call costs while more and more actors live. Users log in, in process, and random
// pairs of all of them make accepted calls, 256 at once. Run it with -benchtime 1x; ACTORS bounds how many live, by
// default 1,000,000. cpu-µs/at-1000 is the CPU time of node and clients for each call while 1,000 users are logged in,
// and so on; ratio is the last of these to the first. gc-ms/at-1000 is the CPU time of one garbage collection then, of
// which there is one each time that twice what lives was allocated (at GOGC=200), or two minutes have gone.
func BenchmarkGrowing(b *testing.B) {
	most := 1_000_000
	if n, err := strconv.Atoi(os.Getenv("ACTORS")); err == nil {
		most = n
	}
	const calls, atOnce = 50_000, 256
	for range b.N {
		node := unlimited(b, ringfleet.Config{})
		clients := make([]*client.Client, 0, most)
		accept := func(r *client.RemoteInvitation) { _ = r.Accept(context.Background(), "ok") }
		var first, last float64
		for live := 1_000; live <= most; live *= 10 {
			for i := len(clients); i < live; i++ {
				c, err := client.Dial(b.Context(), node, client.Options{
					User: invitation.User("user" + strconv.Itoa(i)), Device: "d", OnRemoteInvitation: accept,
				})
				if err != nil {
					b.Fatal(err)
				}
				clients = append(clients, c)
			}
			callRandomly(b, clients, calls/10, atOnce) // warms up
			before := cpu()
			runtime.GC()
			b.ReportMetric(float64((cpu()-before).Microseconds())/1000, fmt.Sprintf("gc-ms/at-%d", live))
			before = cpu()
			callRandomly(b, clients, calls, atOnce)
			last = float64((cpu() - before).Microseconds()) / calls
			if first == 0 {
				first = last
			}
			b.ReportMetric(last, fmt.Sprintf("cpu-µs/at-%d", live))
		}
		b.ReportMetric(last/first, "ratio")
		for _, c := range clients {
			c.Close()
		}
	}
}

// callRandomly makes accepted calls between random clients, so many at once, from and to anybody.
func callRandomly(b *testing.B, clients []*client.Client, calls, atOnce int) {
	b.Helper()
	var left, failed atomic.Int64
	left.Store(int64(calls))
	var workers sync.WaitGroup
	for worker := range atOnce {
		random := rand.New(rand.NewPCG(uint64(worker), uint64(len(clients))))
		workers.Go(func() {
			for left.Add(-1) >= 0 {
				caller, callee := clients[random.IntN(len(clients))], clients[random.IntN(len(clients))]
				if caller == callee {
					continue
				}
				call := caller.NewLocalInvitation(callee.User())
				_ = call.SetContent(strings.Repeat("c", 64))
				if call.Send(context.Background()) != nil || call.Wait(context.Background()) != nil ||
					call.State() != invitation.LocalAcceptedByRemote {
					failed.Add(1)
				}
			}
		})
	}
	workers.Wait()
	if n := failed.Load(); n != 0 {
		b.Errorf("%d of %d calls failed", n, calls)
	}
}

// memory returns the live heap and the resident memory of this process, in bytes.
func memory() (heap, resident float64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc), float64(residentMemory(os.Getpid()))
}

// residentMemory returns the resident memory of a process, in bytes; 0 where it cannot be read.
func residentMemory(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}

// BenchmarkIdleWebSocket measures the resident memory of an idle WebSocket connection with its
// session, in a node that is a process of its own with cmd/node's defaults. Run it with -benchtime 1x;
// CONNECTIONS sets how many, by default 5,000.
func BenchmarkIdleWebSocket(b *testing.B) {
	count := 5_000
	if n, err := strconv.Atoi(os.Getenv("CONNECTIONS")); err == nil {
		count = n
	}
	for range b.N {
		pid, url := nodeProcess(b)
		carrier := &client.WebSocket{URLs: []string{url}}
		warm := dialMany(b, carrier, "warm", 100)
		before := residentMemory(pid)
		clients := dialMany(b, carrier, "idle", count)
		b.ReportMetric(float64(residentMemory(pid)-before)/float64(count), "rss-B/connection")
		for _, c := range append(warm, clients...) {
			c.Close()
		}
	}
}

func dialMany(b *testing.B, carrier client.Carrier, prefix string, count int) []*client.Client {
	b.Helper()
	clients := make([]*client.Client, count)
	for i := range clients {
		c, err := client.Dial(b.Context(), carrier, client.Options{User: invitation.User(prefix + strconv.Itoa(i))})
		if err != nil {
			b.Fatal(err)
		}
		clients[i] = c
	}
	return clients
}

// nodeProcess builds and starts cmd/node, and returns its process id and URL.
func nodeProcess(b *testing.B) (pid int, url string) {
	b.Helper()
	binary := b.TempDir() + "/node"
	if out, err := exec.Command("go", "build", "-o", binary, "./cmd/node").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(binary, "--client-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0", "--gossip-address", "off")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	for _, word := range strings.Fields(line) {
		if strings.HasPrefix(word, "ws://") {
			return cmd.Process.Pid, word
		}
	}
	b.Fatalf("the node said %q", line)
	return 0, ""
}
