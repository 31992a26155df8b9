package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

const request = "GET /v1/connect HTTP/1.1\r\nHost: node\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// TestFramesBehindTheRequest: a client that does not wait for the upgrade before it talks, and one
// that names no subprotocol, which speaks JSON.
func TestFramesBehindTheRequest(t *testing.T) {
	hasty := func(w *world) {
		login := bytesOf(ws.MaskFrame(ws.NewTextFrame([]byte(`{"login": {"minVersion": 1, "maxVersion": 1, "user": "alice", "device": "phone"}}`))))
		call := bytesOf(ws.MaskFrame(ws.NewTextFrame([]byte(`{"query": {"requestId": "5"}}`))))
		for cut := 0; cut < len(login)+len(call); cut += 7 {
			nc, err := w.dial()
			if err != nil {
				w.t.Fatal(err)
			}
			all := append(append([]byte(request+"\r\n"), login...), call...)
			n := len(request) + 2 + cut
			go func() {
				_, _ = nc.Write(all[:n])
				_, _ = nc.Write(all[n:])
			}()
			r := bufio.NewReader(nc)
			if err := upgraded(r); err != nil {
				w.t.Fatal(err)
			}
			c := &client{t: w.t, nc: nc, r: r, codec: wire.JSON}
			heard := []wire.ServerFrame{c.hear(), c.hear()} // two goroutines of the backend deliver them
			if (heard[0].Down.Welcome == nil) == (heard[1].Down.Welcome == nil) ||
				(heard[0].Down.Answer == nil) == (heard[1].Down.Answer == nil) {
				w.t.Errorf("cut at %d: got %+v", cut, heard)
			}
			nc.Close()
		}
	}
	bubble(t, nil, hasty)
	hasty(loopback(t, nil))
}

// TestSlowRequests: headers that never end, or are too many, over a server of NewServer.
func TestSlowRequests(t *testing.T) {
	bubble(t, nil, func(w *world) {
		nc, err := w.dial()
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for _, b := range []byte(request) {
			if _, err := nc.Write([]byte{b}); err != nil {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		_, _ = io.Copy(io.Discard, nc)
		if took := time.Since(start); took < gateway.HeaderTimeout || took > gateway.HeaderTimeout+time.Second {
			t.Errorf("a slow request lived for %v", took)
		}
		if nc, err = w.dial(); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(nc, request+"X: "+strings.Repeat("x", 32<<10)+"\r\n\r\n") }()
		if err := upgraded(bufio.NewReader(nc)); err == nil || !strings.Contains(err.Error(), "431") {
			t.Errorf("got %v, want 431", err)
		}
		nc.Close()
		time.Sleep(time.Second) // net/http lingers
	})
}

// TestCompressionIsNotNegotiated: what it would cost in memory, per connection, is not spent.
func TestCompressionIsNotNegotiated(t *testing.T) {
	bubble(t, nil, func(w *world) {
		c := w.connect(wire.Binary, "Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
		c.login("alice") // connect has checked that no extension was agreed on
	})
}

// TestTLS speaks through a socket that cannot be polled.
func TestTLS(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"node"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}},
	})
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	w := newWorld(t, nil, l, func() (net.Conn, error) {
		return tls.Dial("tcp", l.Addr().String(), &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: "node"})
	})
	conversation(w, wire.Binary)
}

// TestManyAtOnce has clients come, talk, vanish and be ended, all at the same time, and looks for
// what is left.
func TestManyAtOnce(t *testing.T) {
	w := loopback(t, func(c *gateway.Config) {
		c.FrameRate, c.FrameBurst = 10_000, 10_000
		c.MaxDelay = -1 // on a busy machine sends would be shed, and not come to the backend
		c.MayInvite = func(context.Context, invitation.User, invitation.User) (bool, error) { return true, nil }
	})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for j := range 20 {
				c := w.online(invitation.User(fmt.Sprintf("u%d.%d", i, j)))
				for range 10 {
					c.call(send(1, "bob"))
					c.call(invitation.Call{Request: invitation.Query, RequestID: 1})
				}
				for range 20 {
					c.answer(1)
				}
				if j%2 == 0 {
					c.write(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "")))
				} else {
					c.nc.Close()
				}
			}
		})
	}
	wg.Wait()
	w.eventually(func() bool { return len(w.backend.said()) == 400*22 })
	conns := map[string]int{} // lines by connection
	for _, line := range w.backend.said() {
		var what, id string
		if _, err := fmt.Sscan(line, &what, &id); err != nil {
			t.Fatal(err)
		}
		switch n := conns[id]; {
		case what == "attach" && n != 0, what == "say" && (n < 1 || n > 20), what == "detach" && n != 21:
			t.Fatalf("connection %s: %q as its %d", id, what, n+1)
		}
		conns[id]++
	}
	w.wantMetrics("connections 0")
}

// scrape returns the metrics as Prometheus gets them.
func (w *world) scrape() string {
	w.t.Helper()
	registry := prometheus.NewRegistry()
	if err := registry.Register(w.g.Collector()); err != nil {
		w.t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	return recorder.Body.String()
}

// wantMetrics looks for lines of the metrics, without their common prefix.
func (w *world) wantMetrics(lines ...string) {
	w.t.Helper()
	text := w.scrape()
	for _, line := range lines {
		if !strings.Contains(text, "\nringfleet_gateway_"+line+"\n") {
			w.t.Errorf("no line %s in\n%s", line, text)
		}
	}
}

// metric returns the value of a metric without labels.
func (w *world) metric(name string) string {
	w.t.Helper()
	_, rest, _ := strings.Cut(w.scrape(), "\nringfleet_gateway_"+name+" ")
	value, _, _ := strings.Cut(rest, "\n")
	return value
}

func TestMetrics(t *testing.T) {
	bubble(t, nil, func(w *world) {
		problems, err := promlint.New(strings.NewReader(w.scrape())).Lint()
		if err != nil || len(problems) > 0 {
			t.Errorf("got %v, %v", problems, err)
		}
		c := w.online("alice")
		w.open("bob")
		c.alive()
		w.refused(http.StatusForbidden, "Origin", "https://evil.example")
		bad := w.online("eve")
		bad.write(ws.NewBinaryFrame(nil))
		bad.ends(invitation.EndBadFrame)
		w.online("dora").nc.Close()
		synctest.Wait()
		w.wantMetrics(
			"connections 1", "local_connections 1", "connections_pending 0", "connections_opened_total 3",
			"frames_received_total 6", "frames_sent_total 5", "buffered_bytes 0",
			`logins_total{result="OK"} 4`, `ends_total{end="BAD_FRAME"} 1`, `ends_total{end="LOST"} 1`,
			`upgrades_refused_total{reason="origin"} 1`,
		)
	})
}

// TestBufferedBytesAreCounted: unfinished frames of all connections share a bound.
func TestBufferedBytesAreCounted(t *testing.T) {
	bubble(t, func(c *gateway.Config) { c.MaxBuffered = 100 }, func(w *world) {
		half := append([]byte{0x82, 0xfe, 0x10, 0, 0, 0, 0, 0}, make([]byte, 52)...)
		first := w.online("alice")
		first.bytes(half)
		synctest.Wait()
		second := w.online("bob")
		second.bytes(half)
		if e := second.ends(invitation.EndOverloaded); e.RetryAfter != time.Second {
			t.Errorf("retry after %v", e.RetryAfter)
		}
		first.nc.Close()
		synctest.Wait()
		third := w.online("carol")
		third.bytes(half)
		third.bytes(make([]byte, 4096-52)) // the frame is complete, and not of the protocol
		third.ends(invitation.EndBadFrame)
		synctest.Wait()
		w.wantMetrics("buffered_bytes 0")
	})
}

// TestLogsNameNobody: not the users, the tokens or the content, at any level.
func TestLogsNameNobody(t *testing.T) {
	var mu sync.Mutex
	var log bytes.Buffer
	configure := func(c *gateway.Config) {
		c.Logger = slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.MayInvite = func(context.Context, invitation.User, invitation.User) (bool, error) {
			return false, io.ErrUnexpectedEOF
		}
	}
	bubble(t, configure, func(w *world) {
		c := w.connect(wire.Binary)
		c.say(loginFrame("alice-secret", "token-secret"))
		c.hear()
		call := send(1, "bob-secret")
		call.Content = "content-secret"
		c.call(call)
		c.answer(1)
		c.write(ws.NewBinaryFrame([]byte("frame-secret")))
		c.ends(invitation.EndBadFrame)
	})
	if text := log.String(); strings.Contains(text, "secret") || !strings.Contains(text, "connection closed") {
		t.Errorf("the log is\n%s", text)
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
