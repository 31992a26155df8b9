package events_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/events"
)

// post delivers an event to a URL over the network.
func post(t *testing.T, url string, limit time.Duration) error {
	t.Helper()
	hook, err := events.NewWebhook(events.WebhookConfig{URL: url, Secrets: []events.Secret{secret}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return hook.Deliver(ctx, []events.Encoded{{ID: "id.sent", Body: []byte("{}")}})
}

// TestRedirectsAreNotFollowed: a receiver cannot have a node send its events, or anything, to an address of its choice.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var asked atomic.Int32
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer inside.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		outside := httptest.NewServer(http.RedirectHandler(inside.URL, status))
		if err := post(t, outside.URL, 10*time.Second); err == nil || asked.Load() != 0 {
			t.Errorf("redirected with %d: %v, and the other one was asked %d times", status, err, asked.Load())
		}
		outside.Close()
	}
}

// TestAnswersWithoutEnd: a receiver whose answer does not end holds a delivery for its time, and costs no memory.
func TestAnswersWithoutEnd(t *testing.T) {
	for name, c := range map[string]struct {
		begin, again string
		taken        bool
		most         int64 // bytes that it gets rid of: what is read, and what the two sockets hold
	}{
		"headers": {"HTTP/1.1 204 No Content\r\n", "X-More: " + strings.Repeat("x", 1_000) + "\r\n", false, 8 << 20},
		"hints":   {"", "HTTP/1.1 103 Early Hints\r\nLink: " + strings.Repeat("x", 1_000) + "\r\n\r\n", false, 8 << 20},
		"body":    {"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n", strings.Repeat("x", 1_000), true, 16 << 20},
		"nothing": {"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "", true, 1 << 20},
		"silence": {"", "", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			written := make(chan int64, 1)
			go func() {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
					t.Error(err)
				}
				total := int64(0)
				for text := c.begin; ; text = c.again {
					n, err := io.WriteString(conn, text)
					if total += int64(n); err != nil || c.again == "" {
						break
					}
				}
				_, _ = io.Copy(io.Discard, conn) // until the node hangs up
				written <- total
			}()
			began := time.Now()
			err = post(t, "http://"+listener.Addr().String(), 500*time.Millisecond)
			if (err == nil) != c.taken || errors.Is(err, events.ErrGone) {
				t.Errorf("delivered: %v", err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			if n := <-written; n > c.most {
				t.Errorf("%d bytes were read, want at most %d", n, c.most)
			}
		})
	}
}
