package gateway_test

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// withTokens makes a gateway believe the tokens of the tests.
func withTokens(t *testing.T, more ...func(*gateway.Config)) func(*gateway.Config) {
	t.Helper()
	j, err := auth.NewJWT(auth.JWTConfig{Keys: []auth.Key{tokens(t)}})
	if err != nil {
		t.Fatal(err)
	}
	return func(c *gateway.Config) {
		c.Authenticator = j
		for _, configure := range more {
			configure(c)
		}
	}
}

func renewFrame(token string) wire.ClientFrame { return wire.ClientFrame{Renew: &token} }

// loginWith logs alice in with a token for a time.
func (w *world) loginWith(expires time.Duration) *client {
	w.t.Helper()
	c := w.connect(wire.Binary)
	c.say(loginFrame("alice", token(w.t, "alice", expires)))
	if f := c.hear(); f.Down.Welcome == nil {
		w.t.Fatalf("got %+v", f.Down)
	}
	return c
}

// state reads a TokenState.
func (c *client) state() wire.TokenState {
	c.t.Helper()
	f := c.hear()
	if f.Token == nil {
		c.t.Fatalf("got %+v, want a TokenState", f)
	}
	return *f.Token
}

// TestRenewedToken keeps a connection for a day with tokens for ten minutes, each brought after the warning.
func TestRenewedToken(t *testing.T) {
	bubble(t, withTokens(t), func(w *world) {
		start := time.Now()
		c := w.loginWith(10 * time.Minute)
		for time.Since(start) < 24*time.Hour {
			if s := c.state(); s.Remaining != time.Minute || s.Refused != "" {
				t.Fatalf("warned by %+v after %v", s, time.Since(start))
			}
			c.say(renewFrame(token(t, "alice", 10*time.Minute)))
			if s := c.state(); s.Remaining != 10*time.Minute+auth.DefaultLeeway || s.Refused != "" {
				t.Fatalf("answered by %+v after %v", s, time.Since(start))
			}
		}
		w.backend.echo = true
		c.call(send(1, "bob"))
		c.answer(1)
		c.state()
		c.ends(invitation.EndTokenExpired) // the last one is not followed by another
	})
}

// TestRefusedRenewals bring tokens that do not count: each is told why, and the one before goes on counting.
func TestRefusedRenewals(t *testing.T) {
	bubble(t, withTokens(t), func(w *world) {
		start := time.Now()
		c := w.loginWith(time.Hour)
		for name, tt := range map[string]struct{ token, says string }{
			"of another user": {token(t, "bob", time.Hour), "another user"},
			"expired":         {token(t, "alice", -time.Hour), "expired"},
			"garbage":         {"garbage", "not valid"},
			"none":            {"", "missing"},
		} {
			time.Sleep(time.Second)
			c.say(renewFrame(tt.token))
			s := c.state()
			if !strings.Contains(s.Refused, tt.says) || s.RetryAfter != 0 || s.Remaining < 59*time.Minute {
				t.Errorf("%s: answered by %+v", name, s)
			}
		}
		c.state()
		c.ends(invitation.EndTokenExpired)
		if after := time.Since(start); after != time.Hour+auth.DefaultLeeway {
			t.Errorf("ended after %v", after)
		}
	})
}

// TestShorterToken has the newer token count, also if it expires sooner.
func TestShorterToken(t *testing.T) {
	bubble(t, withTokens(t), func(w *world) {
		start := time.Now()
		c := w.loginWith(time.Hour)
		c.say(renewFrame(token(t, "alice", 30*time.Second)))
		if s := c.state(); s.Remaining != 30*time.Second+auth.DefaultLeeway {
			t.Errorf("answered by %+v", s)
		}
		if s := c.state(); s.Remaining != 20*time.Second { // half of what was left
			t.Errorf("warned by %+v", s)
		}
		c.ends(invitation.EndTokenExpired)
		if after := time.Since(start); after != 30*time.Second+auth.DefaultLeeway {
			t.Errorf("ended after %v", after)
		}
	})
}

// TestManyRenewals judges one token per second of a connection, whatever it brings.
func TestManyRenewals(t *testing.T) {
	judged := 0
	count := func(c *gateway.Config) { c.Authenticator = counting{c.Authenticator, &judged} }
	bubble(t, withTokens(t, count), func(w *world) {
		c := w.loginWith(time.Hour)
		good := renewFrame(token(t, "alice", time.Hour))
		refused := 0
		for range 100 {
			c.say(good)
			if s := c.state(); s.Refused != "" {
				refused++
				if s.RetryAfter <= 0 || s.RetryAfter > time.Second {
					t.Errorf("answered by %+v", s)
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		if judged > 1+10 || refused < 89 {
			t.Errorf("%d tokens judged in 10 s, %d refused", judged, refused)
		}
		c.alive()
	})
}

// counting counts the tokens that are judged.
type counting struct {
	gateway.Authenticator
	judged *int
}

func (a counting) Authenticate(ctx context.Context, r auth.Request) (auth.Identity, error) {
	*a.judged++
	return a.Authenticator.Authenticate(ctx, r)
}

// TestRenewalDoesNotWait answers what the device says while its new token cannot be judged.
func TestRenewalDoesNotWait(t *testing.T) {
	hang := func(c *gateway.Config) { c.Authenticator = slow{c.Authenticator} }
	bubble(t, withTokens(t, hang), func(w *world) {
		c := w.loginWith(time.Hour)
		start := time.Now()
		c.say(renewFrame("slow"))
		c.call(send(1, "bob"))
		c.answer(1)
		if took := time.Since(start); took > time.Second {
			t.Errorf("the answer took %v", took)
		}
		c.say(renewFrame(token(t, "alice", time.Hour)))
		if s := c.state(); s.Refused == "" || s.RetryAfter == 0 {
			t.Errorf("while one is judged: %+v", s)
		}
		if s := c.state(); s.Refused == "" || s.RetryAfter == 0 || time.Since(start) != 10*time.Second {
			t.Errorf("not judged, after %v: %+v", time.Since(start), s)
		}
		synctest.Wait()
		c.say(renewFrame(token(t, "alice", time.Hour)))
		if s := c.state(); s.Refused != "" {
			t.Errorf("again: %+v", s)
		}
	})
}

// slow cannot judge the token "slow".
type slow struct{ gateway.Authenticator }

func (a slow) Authenticate(ctx context.Context, r auth.Request) (auth.Identity, error) {
	if r.Token == "slow" {
		<-ctx.Done()
		return auth.Identity{}, ctx.Err()
	}
	return a.Authenticator.Authenticate(ctx, r)
}

func TestRenewBeforeLogin(t *testing.T) {
	bubble(t, withTokens(t), func(w *world) {
		c := w.connect(wire.JSON)
		c.say(renewFrame(token(t, "alice", time.Hour)))
		c.ends(invitation.EndBadFrame)
	})
}

// TestPanicInARenewal ends that connection, and no other.
func TestPanicInARenewal(t *testing.T) {
	bubble(t, withTokens(t, func(c *gateway.Config) { c.Authenticator = fragile{c.Authenticator} }), func(w *world) {
		c, other := w.loginWith(time.Hour), w.loginWith(time.Hour)
		c.say(renewFrame("panic"))
		c.ends(invitation.EndInternal)
		other.alive()
	})
}

type fragile struct{ gateway.Authenticator }

func (a fragile) Authenticate(ctx context.Context, r auth.Request) (auth.Identity, error) {
	if r.Token == "panic" {
		panic("a bug")
	}
	return a.Authenticator.Authenticate(ctx, r)
}

// TestLoginRateOfAnAddress: ten seconds' worth at once, then the rate; another address does not wait.
// TestLoginRateOfAUser: who logs in too often is told when to come again; others are not concerned.
func TestLoginRateOfAUser(t *testing.T) {
	bubble(t, func(c *gateway.Config) { c.LoginRatePerUser = 2 }, func(w *world) {
		login := func(user invitation.User) wire.ServerFrame {
			c := w.connect(wire.Binary)
			c.say(loginFrame(user, ""))
			return c.hear()
		}
		for range 20 {
			if f := login("alice"); f.Down.Welcome == nil {
				t.Fatalf("got %+v", f.Down)
			}
		}
		e := login("alice").Down.Ending
		if e == nil || e.End != invitation.EndOverloaded || e.RetryAfter <= 0 || e.RetryAfter > 500*time.Millisecond {
			t.Fatalf("the 21st: %+v", e)
		}
		if f := login("bob"); f.Down.Welcome == nil {
			t.Errorf("another user: %+v", f.Down)
		}
		time.Sleep(e.RetryAfter)
		if f := login("alice"); f.Down.Welcome == nil {
			t.Errorf("after the time that was told: %+v", f.Down)
		}
	})
}

func TestLoginRateOfAnAddress(t *testing.T) {
	configure := func(c *gateway.Config) {
		c.LoginRatePerAddress = 2
		c.ClientAddress = headerAddress
	}
	bubble(t, configure, func(w *world) {
		login := func(from string) wire.ServerFrame {
			c := w.connect(wire.Binary, "X-Test-Address", from)
			c.say(loginFrame("alice", ""))
			return c.hear()
		}
		for range 20 {
			if f := login("192.0.2.1"); f.Down.Welcome == nil {
				t.Fatalf("got %+v", f.Down)
			}
		}
		e := login("192.0.2.1").Down.Ending
		if e == nil || e.End != invitation.EndOverloaded || e.RetryAfter <= 0 || e.RetryAfter > 500*time.Millisecond {
			t.Fatalf("the 21st: %+v", e)
		}
		if f := login("192.0.2.2"); f.Down.Welcome == nil {
			t.Errorf("another address: %+v", f.Down)
		}
		time.Sleep(e.RetryAfter)
		if f := login("192.0.2.1"); f.Down.Welcome == nil {
			t.Errorf("after the time that was told: %+v", f.Down)
		}
		for range 20 {
			login("2001:db8::1")
		}
		if f := login("2001:db8::ffff:1"); f.Down.Ending == nil {
			t.Error("an IPv6 host counts anew with each address of its /64")
		}
	})
}

// headerAddress believes a header of the tests.
func headerAddress(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddr(r.Header.Get("X-Test-Address"))
	return a
}
