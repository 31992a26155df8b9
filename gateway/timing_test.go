package gateway_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// TestDurations are from a request's receipt to its answer, whoever answers, over a socket and in process alike.
func TestDurations(t *testing.T) {
	configure := func(c *gateway.Config) {
		c.MayInvite = func(_ context.Context, _, callee invitation.User) (bool, error) {
			time.Sleep(2 * time.Second)
			return callee != "never", nil
		}
	}
	bubble(t, configure, func(w *world) {
		c := w.online("alice")
		l, _ := w.open("bob")
		w.backend.mu.Lock()
		w.backend.echo = false
		w.backend.mu.Unlock()
		c.call(invitation.Call{Request: invitation.Query, RequestID: 5})
		if err := l.Say(invitation.Up{Call: &invitation.Call{Request: invitation.Query, RequestID: 5}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(300 * time.Millisecond)
		for id := range uint64(2) {
			w.g.Deliver(id+1, invitation.Down{Answer: &invitation.Answer{Request: invitation.Query, RequestID: 5}})
			w.g.Deliver(id+1, invitation.Down{Answer: &invitation.Answer{Request: invitation.Query, RequestID: 5}}) // of a repeat
			w.g.Deliver(id+1, invitation.Down{Answer: &invitation.Answer{Request: invitation.Query, RequestID: 6}}) // asked elsewhere
		}
		c.call(send(7, "never"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		w.wantMetrics(
			`request_seconds_count{request="query",result="ok"} 2`, `request_seconds_sum{request="query",result="ok"} 0.6`,
			`request_seconds_bucket{request="query",result="ok",le="0.25"} 0`, `request_seconds_bucket{request="query",result="ok",le="0.5"} 2`,
			`request_seconds_count{request="send",result="refused"} 1`, `request_seconds_sum{request="send",result="refused"} 2`,
			`request_seconds_count{request="cancel",result="ok"} 0`, `request_seconds_count{request="login",result="ok"} 2`,
		)
	})
}

// TestDurationsOfLogins are until the session welcomes the device, or the login is refused. A Welcome behind the first
// is none of a login's.
func TestDurationsOfLogins(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.backend.fail(invitation.EndOverloaded, nil)
		c := w.connect(wire.Binary)
		c.say(loginFrame("alice", ""))
		c.ends(invitation.EndOverloaded)
		if _, err := w.g.Open(invitation.Login{User: "bob", Device: "desk"}, hear(func(invitation.Down) {})); err == nil {
			t.Error("it was let in")
		}
		w.backend.fail(nil, nil)
		w.online("carol")
		w.g.Reattach(nil, 0)
		synctest.Wait()
		w.wantMetrics(
			`request_seconds_count{request="login",result="retry"} 2`, `request_seconds_count{request="login",result="ok"} 1`,
		)
	})
}
