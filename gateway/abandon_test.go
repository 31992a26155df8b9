package gateway_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/gateway"
)

const (
	abandonVariable = "RINGFLEET_ABANDON_AT" // the address that the second process connects to
	abandonCount    = "RINGFLEET_ABANDON_COUNT"
)

// TestAbandonedByASecondProcess: a process opens 9,000 connections, a third of them without logging
// in, and ends. None of them is left, nor a goroutine, and the gateway serves on.
func TestAbandonedByASecondProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("opens 9,000 connections")
	}
	const reserve = 1_000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	conns := int(min(9_000, limit.Cur-reserve))
	b := &answering{}
	g, l := serve(t, b, gateway.Config{Authenticator: trusting{}, LoginRate: 100_000, MaxPending: conns})
	w := &world{t: t, g: g, dial: func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }}
	w.online("alice").alive()
	goroutines := runtime.NumGoroutine()

	cmd := exec.Command(os.Args[0], "-test.run=^TestAbandonForOthers$")
	cmd.Env = append(os.Environ(), abandonVariable+"="+l.Addr().String(), abandonCount+"="+strconv.Itoa(conns))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("second process: %v\n%s", err, out)
	}
	w.wantMetrics(fmt.Sprintf("connections_opened_total %d", conns+1))
	w.eventually(func() bool { return w.metric("connections") == "1" && w.metric("buffered_bytes") == "0" })
	w.eventually(func() bool { return runtime.NumGoroutine() < goroutines+20 })
	w.online("bob").alive()
	w.wantMetrics("connections_pending 0", "panics_total 0", fmt.Sprintf(`logins_total{result="OK"} %d`, conns-conns/3+2))
}

// serve starts a gateway on a port of this machine, until the end of the test.
func serve(t *testing.T, b *answering, config gateway.Config) (*gateway.Gateway, net.Listener) {
	t.Helper()
	g, err := gateway.New(config, b)
	if err != nil {
		t.Fatal(err)
	}
	b.g = g
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := gateway.NewServer("", g.Handler())
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return g, l
}

// TestAbandonForOthers is the second process.
func TestAbandonForOthers(t *testing.T) {
	addr := os.Getenv(abandonVariable)
	if addr == "" {
		t.Skip("runs as the second process of a test")
	}
	conns, err := strconv.Atoi(os.Getenv(abandonCount))
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.AfterFunc(time.Minute, func() { panic("the connections do not come about") })
	open := make(chan error, 16)
	kept := make([]raw, conns) // out of the collector's reach
	for w := range cap(open) {
		go func() {
			var err error
			for i := w; i < conns && err == nil; i += cap(open) {
				if i < conns/3 {
					kept[i], err = dialSilent(addr)
				} else {
					kept[i], err = dialOne(addr, i)
				}
			}
			open <- err
		}()
	}
	for range cap(open) {
		if err := <-open; err != nil {
			t.Fatal(err)
		}
	}
	deadline.Stop()
	runtime.KeepAlive(kept)
	os.Exit(0) // without a word to anybody
}
