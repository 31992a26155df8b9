package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// abandonVariable makes this test binary the second process of [TestAbandonedConnections]: its value
// is the URL of the node and the number of connections.
const abandonVariable = "RINGFLEET_TEST_ABANDON"

func TestMain(m *testing.M) {
	if order := os.Getenv(abandonVariable); order != "" {
		if err := abandon(order); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// opened is what the second process says when all its connections are open.
const opened = "all are open"

// abandon opens connections and keeps them open, without another look at them, until it is killed.
func abandon(order string) error {
	url, number, _ := strings.Cut(order, " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	conns := make([]net.Conn, n) // kept
	errs := make(chan error, 32)
	for worker := range cap(errs) {
		go func() {
			for i := worker; i < n; i += cap(errs) {
				if conns[i], err = abandonOne(url, i); err != nil {
					errs <- fmt.Errorf("connection %d: %w", i, err)
					return
				}
			}
			errs <- nil
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			return err
		}
	}
	fmt.Println(opened)
	_, err = io.Copy(io.Discard, os.Stdin) // until it is killed, or the test is gone
	return err
}

// abandonOne opens a connection and leaves it in one of four stages: upgraded, in the middle of the
// login, logged in, or calling.
func abandonOne(url string, i int) (net.Conn, error) {
	d := ws.Dialer{Protocols: []string{wire.SubprotocolBinary}, Timeout: time.Minute}
	conn, early, _, err := d.Dial(context.Background(), url)
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok && i%2 == 0 {
		if err := tcp.SetLinger(0); err != nil { // these end with a reset
			return nil, err
		}
	}
	say := func(f wire.ClientFrame) []byte {
		data, encodeErr := wire.EncodeUp(nil, wire.Binary, f)
		if encodeErr != nil {
			panic(encodeErr)
		}
		return compile(ws.NewBinaryFrame(data))
	}
	login := say(loginFrame(invitation.Login{User: invitation.User(fmt.Sprint("gone-", i)), Device: "phone"}, ""))
	switch i % 4 {
	case 0:
		return conn, nil
	case 1:
		_, err = conn.Write(login[:len(login)/2])
		return conn, err
	}
	if _, err = conn.Write(login); err != nil {
		return nil, err
	}
	var r io.Reader = conn
	if early != nil {
		r = early
	}
	if _, err = ws.ReadFrame(r); err != nil || i%4 == 2 { //nolint:staticcheck // the node is trusted with lengths
		return conn, err
	}
	_, err = conn.Write(say(wire.ClientFrame{Up: invitation.Up{Call: &invitation.Call{
		Request: invitation.Send, RequestID: 1, Key: "key", Callee: invitation.User(fmt.Sprint("gone-", i-1)),
	}}}))
	return conn, err
}

// TestAbandonedConnections has a second process open thousands of connections and die.
func TestAbandonedConnections(t *testing.T) {
	n := 9_000
	if testing.Short() {
		n = 900
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur < uint64(n+600) {
		t.Skipf("%d connections need %d open files, but the limit is %d (ulimit -n)", n, n+600, limit.Cur)
	}
	w := loopback(t, ringfleet.Config{Session: quick, Gateway: gateway.Config{
		LoginTimeout: 5 * time.Minute, MaxPending: n, LoginRate: n, IdleTimeout: 5 * time.Minute,
	}})
	w.patience = 2 * time.Minute
	before := healthOf(w)
	process := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this test
	process.Env = append(os.Environ(), fmt.Sprintf("%s=ws://%v%s %d", abandonVariable, w.node.ClientAddress(), gateway.Path, n))
	in, err := process.StdinPipe()
	w.must(err)
	out, err := process.StdoutPipe()
	w.must(err)
	start := time.Now()
	w.must(process.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	if strings.TrimSpace(line) != opened {
		_ = process.Wait() // its error is what it said
		t.Fatalf("the second process said %q, %v", line, err)
	}
	t.Logf("%d connections were opened in %v", n, time.Since(start).Round(time.Millisecond))
	w.eventually("the calls come", func() bool { return w.node.Status().Sessions >= n/2 })
	if got := w.metric("ringfleet_gateway_connections", ""); got != float64(n) {
		t.Errorf("the node counts %v connections, want %d", got, n)
	}
	w.wholeCall("meanwhile-a", "meanwhile-b")
	w.must(process.Process.Kill())
	killed := time.Now()
	_ = process.Wait() // it was killed
	_ = in.Close()     // as was its other end
	before.unharmed(w)
	t.Logf("%v after the kill nothing was left of them", time.Since(killed).Round(time.Millisecond))
}

// TestReaderThatStops calls a client that has stopped reading until the buffers of both ends are full.
// It is ended and finds the reason when it reads again; its user's calls go on without it.
func TestReaderThatStops(t *testing.T) {
	const calls = 1_000
	config := ringfleet.Config{Session: quick}
	config.Session.MaxOutgoing, config.Session.MaxIncoming = 2*calls, 2*calls
	config.Session.MaxPerCaller = 2 * calls
	config.Session.SendRate, config.Session.SendBurst = calls, calls
	config.Gateway = gateway.Config{
		FrameRate: 20 * calls, FrameBurst: 20 * calls, QueueFrames: 10 * calls, CloseTimeout: time.Minute,
	}
	w := loopback(t, config)
	w.patience = time.Minute
	before := healthOf(w)
	conn, r := w.upgrade(wire.Binary, nil)
	if tcp, ok := conn.(*net.TCPConn); ok {
		w.must(tcp.SetReadBuffer(256 << 10))
	}
	_, err := conn.Write(compile(ws.NewBinaryFrame(encode(t, wire.Binary, loginFrame(invitation.Login{User: "bob", Device: "stuck"}, "")))))
	w.must(err)
	alice := w.online("alice", "phone")
	w.eventually("bob's session is there", func() bool { return w.node.Status().Sessions == 2 })
	content := strings.Repeat("x", invitation.MaxContent)
	for sent := range calls {
		call := alice.invite("bob")
		call.Content = content
		if a := alice.request(call); a.Error != invitation.OK {
			t.Fatalf("call %d was answered with %+v", sent, a)
		}
	}
	code := readToClose(r)
	if code != invitation.EndSlowReader {
		t.Errorf("the reader that stopped was ended with %v, want SLOW_READER", code)
	}
	conn.Close()
	alice.conn.Close()
	before.unharmed(w)
	if n := w.metric("ringfleet_gateway_ends_total", "SLOW_READER"); n != 1 {
		t.Errorf("%v connections are counted as ended with SLOW_READER, want 1", n)
	}
}

// readToClose reads frames up to a close frame, and returns its code; 0 without one.
func readToClose(r io.Reader) invitation.End {
	for {
		f, err := ws.ReadFrame(r) //nolint:staticcheck // the node is trusted with lengths
		switch {
		case err != nil:
			return 0
		case f.Header.OpCode == ws.OpClose:
			code, _ := ws.ParseCloseFrameData(f.Payload)
			return invitation.End(code)
		}
	}
}
