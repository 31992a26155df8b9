package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/invitation"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"bob's phone: it rings: alice",
		`alice's call ended as ACCEPTED_BY_REMOTE, bob says "just woke up"`,
		"bob's phone: the notification is taken away: CALLER_CANCELED",
		"alice's call ended as CANCELED, and bob's phone rang 1 times in all",
	} {
		if !strings.Contains(out.String(), line+"\n") {
			t.Errorf("the output has no line %q:\n%s", line, out.String())
		}
	}
	if !strings.Contains(out.String(), "bob's phone: a push of alice came too late") { // ENDED or, a moment later, UNKNOWN
		t.Errorf("no push came too late:\n%s", out.String())
	}
}

// hosts is an HTTP transport to handlers of this process, by host.
type hosts map[string]http.Handler

// RoundTrip implements http.RoundTripper.
func (h hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h[r.URL.Host].ServeHTTP(w, r)
	return w.Result(), nil
}

// world is a node, a back-end and a phone that is asleep, in a bubble.
type world struct {
	node   *ringfleet.Node
	back   *backEnd
	pushes *mock
	bob    *phone
	alice  *client.Client
}

// newWorld makes a world in which a push takes some time.
func newWorld(t *testing.T, takes time.Duration) *world {
	t.Helper()
	secret := events.Secret("0123456789abcdef0123456789abcdef")
	w := &world{pushes: newMock(takes)}
	w.back = &backEnd{secrets: []events.Secret{secret}, provider: w.pushes}
	network := hosts{"back.example": w.back}
	web := &http.Client{Transport: network}
	node, err := startNode("https://back.example/", "https://ring.example", secret, web)
	if err != nil {
		t.Fatal(err)
	}
	network["ring.example"] = node.Handler()
	w.node = node
	w.bob = &phone{user: "bob", carrier: node, http: web, out: io.Discard}
	w.pushes.register("bob", w.bob.woken)
	if w.alice, err = client.Dial(t.Context(), node, client.Options{User: "alice"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.bob.sleep()
		_ = w.alice.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := node.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return w
}

// TestWokenAfterFiveSeconds: the callee is offline, its phone is woken 5 s after the send, rings and accepts.
func TestWokenAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 5*time.Second)
		call := w.alice.NewLocalInvitation("bob")
		start := time.Now()
		if err := call.Send(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if len(w.pushes.sent) != 1 || w.pushes.sent[0].Expires.Sub(start).Round(time.Second) != 30*time.Second {
			t.Fatalf("200 ms after the send these pushes were under way: %+v", w.pushes.sent)
		}
		if err := call.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		took := time.Since(start).Round(100 * time.Millisecond)
		if call.State() != invitation.LocalAcceptedByRemote || call.Response() != "just woke up" || took != 6*time.Second {
			t.Errorf("the call ended as %v with %q after %v", call.State(), call.Response(), took)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if w.bob.rings() != 1 || w.back.faults != 0 {
			t.Errorf("bob's phone rang %d times, %d requests were refused", w.bob.rings(), w.back.faults)
		}
		if last := w.pushes.sent[len(w.pushes.sent)-1]; !last.Close || last.Except != "phone" || last.Why != "ANSWERED_ELSEWHERE" {
			t.Errorf("the last push is %+v", last)
		}
		if got := fmt.Sprint(w.bob.log); !strings.Contains(got, "woken: alice calls, 24") {
			t.Errorf("the phone says %s", got)
		}
	})
}

// TestCanceledAfterFourSeconds: the caller gives up before the push arrives. The phone never rings, and the
// notification is taken away.
func TestCanceledAfterFourSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 5*time.Second)
		call := w.alice.NewLocalInvitation("bob")
		if err := call.Send(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		if err := call.Cancel(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if w.bob.rings() != 0 || w.bob.client != nil {
			t.Errorf("bob's phone rang %d times: %v", w.bob.rings(), w.bob.log)
		}
		if len(w.pushes.sent) != 2 || !w.pushes.sent[1].Close || w.pushes.sent[1].Why != "CALLER_CANCELED" {
			t.Errorf("the pushes are %+v", w.pushes.sent)
		}
		if got := fmt.Sprint(w.bob.log); !strings.Contains(got, "came too late") || !strings.Contains(got, "taken away: CALLER_CANCELED") {
			t.Errorf("the phone says %s", got)
		}
	})
}

// TestForged: an event that is not signed, and a repeat, send no push.
func TestForged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Second)
		body := `[{"id": "x", "type": "com.ringfleet.invitation.callee_offline", "data": {"callee": "bob", "expires_at": "2100-01-01T00:00:00Z"}}]`
		answer := httptest.NewRecorder()
		w.back.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)))
		if answer.Code != http.StatusUnauthorized || len(w.pushes.sent) != 0 {
			t.Errorf("a forged event is answered %d, and sends %d pushes", answer.Code, len(w.pushes.sent))
		}
		if !w.back.first("one") || w.back.first("one") {
			t.Error("a repeat is not told")
		}
	})
}
