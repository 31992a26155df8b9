package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// The benchmarks over sockets measure a gateway in a second process, which is this test binary again,
// so that the clients' part is not in the figures:
//
//	go test -run '^$' -bench 'Socket' ./gateway

const serveVariable = "RINGFLEET_BENCHMARK_GATEWAY"

// answering is a Backend that answers every call at once.
type answering struct{ g *gateway.Gateway }

func (a *answering) Attach(conn uint64, _ invitation.Login) error {
	a.g.Deliver(conn, invitation.Down{Welcome: &invitation.Welcome{Stamp: 1}})
	return nil
}

func (a *answering) Say(conn uint64, _ invitation.User, _ invitation.Device, up invitation.Up) error {
	if up.Call != nil {
		a.g.Deliver(conn, invitation.Down{Answer: &invitation.Answer{Request: up.Call.Request, RequestID: up.Call.RequestID, ID: up.Call.ID}})
	}
	return nil
}

func (a *answering) Detach(uint64, invitation.User, invitation.Device) {}

// TestServeForBenchmarks is the second process.
func TestServeForBenchmarks(t *testing.T) {
	if os.Getenv(serveVariable) == "" {
		t.Skip("runs as the second process of a benchmark")
	}
	b := &answering{}
	g, err := gateway.New(gateway.Config{Authenticator: trusting{}, FrameRate: 1_000_000, FrameBurst: 1_000_000, LoginRate: 100_000}, b)
	if err != nil {
		t.Fatal(err)
	}
	b.g = g
	mux := http.NewServeMux()
	mux.Handle(gateway.Path, g.Handler())
	mux.HandleFunc("/usage", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(usageNow(r.URL.Query().Has("collect")))
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("listening on %s\n", l.Addr())
	go func() { // the benchmark holds the other end of the pipe
		_, _ = io.Copy(io.Discard, os.Stdin)
		l.Close()
	}()
	_ = gateway.NewServer("", mux).Serve(l)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = g.Shutdown(ctx)
}

// usage is what the second process uses.
type usage struct {
	RSS, Heap, Stack uint64
	CPU              time.Duration
}

func usageNow(collect bool) usage {
	if collect {
		runtime.GC()
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	statm, _ := os.ReadFile("/proc/self/statm")
	var size, resident uint64
	_, _ = fmt.Sscan(string(statm), &size, &resident)
	return usage{
		RSS: resident * uint64(os.Getpagesize()), Heap: m.HeapAlloc, Stack: m.StackInuse,
		CPU: time.Duration(r.Utime.Nano() + r.Stime.Nano()),
	}
}

// second starts the second process and returns its address.
func second(b *testing.B) string {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestServeForBenchmarks$", "-test.v")
	cmd.Env = append(os.Environ(), serveVariable+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if addr, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return addr
		}
	}
	b.Fatal("the second process does not listen")
	return ""
}

func usageOf(b *testing.B, addr, query string) usage {
	b.Helper()
	response, err := http.Get("http://" + addr + "/usage" + query)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	var u usage
	if err := json.NewDecoder(response.Body).Decode(&u); err != nil {
		b.Fatal(err)
	}
	return u
}

// masked returns a frame of the protocol whose mask is zero.
func masked(f wire.ClientFrame) []byte {
	data, err := wire.EncodeUp(nil, wire.Binary, f)
	if err != nil {
		panic(err)
	}
	return bytesOf(ws.MaskFrameWith(ws.NewBinaryFrame(data), [4]byte{}))
}

// raw is a client that costs little.
type raw struct {
	net.Conn
	r *bufio.Reader
}

// skip reads one frame.
func (c raw) skip() error {
	h, err := ws.ReadHeader(c.r)
	if err == nil {
		_, err = c.r.Discard(int(h.Length))
	}
	return err
}

// dialRaw opens n connections, logged in, with one call answered.
func dialRaw(b *testing.B, addr string, n int) []raw {
	b.Helper()
	conns := make([]raw, n)
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			for i := w; i < n; i += 32 {
				var err error
				if conns[i], err = dialOne(addr, i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.Cleanup(func() {
		for _, c := range conns {
			if c.Conn != nil {
				_ = c.Close()
			}
		}
	})
	return conns
}

// dialSilent opens a connection that says nothing, and keeps it open.
func dialSilent(addr string) (raw, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return raw{}, err
	}
	c := raw{nc, bufio.NewReaderSize(nc, 512)}
	if _, err := io.WriteString(nc, request+"Sec-WebSocket-Protocol: "+wire.SubprotocolBinary+"\r\n\r\n"); err != nil {
		return c, err
	}
	return c, upgraded(c.r)
}

// dialOne opens a connection that has logged in and made a call.
func dialOne(addr string, i int) (raw, error) {
	c, err := dialSilent(addr)
	if err != nil {
		return c, err
	}
	frames := append(masked(loginFrame(invitation.User(fmt.Sprint("user", i)), "")), masked(sendFrame(1, "bob"))...)
	if _, err := c.Write(frames); err != nil {
		return c, err
	}
	if err := c.skip(); err != nil {
		return c, err
	}
	return c, c.skip()
}

// upgraded reads the response to a request.
func upgraded(r *bufio.Reader) error {
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close() // is empty
	if response.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("got %s", response.Status)
	}
	return nil
}

// BenchmarkSocketIdle reports the memory of a connection that has logged in, made a call, and is
// silent since: resident, and of that the Go heap and the stacks.
func BenchmarkSocketIdle(b *testing.B) {
	const conns = 5_000
	for b.Loop() {
		addr := second(b)
		dialRaw(b, addr, 64)
		before := usageOf(b, addr, "?collect")
		dialRaw(b, addr, conns)
		after := usageOf(b, addr, "?collect")
		per := func(from, to uint64) float64 { return (float64(to) - float64(from)) / conns }
		b.ReportMetric(per(before.RSS, after.RSS), "RSS-B/conn")
		b.ReportMetric(per(before.Heap, after.Heap), "heap-B/conn")
		b.ReportMetric(per(before.Stack, after.Stack), "stack-B/conn")
	}
}

// BenchmarkSocketCall reports the gateway's CPU for one call and its answer: two frames, read,
// decoded, encoded and written.
func BenchmarkSocketCall(b *testing.B) {
	for _, n := range []int{1, 64, 1000} {
		b.Run(fmt.Sprint(n, "conns"), func(b *testing.B) {
			addr := second(b)
			conns := dialRaw(b, addr, n)
			call := masked(sendFrame(1, "bob"))
			before := usageOf(b, addr, "")
			b.ResetTimer()
			var wg sync.WaitGroup
			each := (b.N + n - 1) / n
			for _, c := range conns {
				wg.Go(func() {
					for range each {
						if _, err := c.Write(call); err != nil {
							b.Error(err)
							return
						}
						if err := c.skip(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			after := usageOf(b, addr, "")
			b.ReportMetric(float64((after.CPU-before.CPU).Nanoseconds())/float64(each*n), "server-cpu-ns/op")
		})
	}
}

// BenchmarkLocalCall is a call and its answer over an in-process connection.
func BenchmarkLocalCall(b *testing.B) {
	back := &answering{}
	g, err := gateway.New(gateway.Config{Authenticator: trusting{}}, back)
	if err != nil {
		b.Fatal(err)
	}
	back.g = g
	heard := 0
	l, err := g.Open(invitation.Login{User: "alice", Device: "desk"}, hear(func(invitation.Down) { heard++ }))
	if err != nil {
		b.Fatal(err)
	}
	call := send(1, "bob")
	up := invitation.Up{Call: &call}
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Say(up); err != nil {
			b.Fatal(err)
		}
	}
	if heard != b.N+1 {
		b.Errorf("heard %d answers to %d calls", heard, b.N)
	}
}
