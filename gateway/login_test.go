package gateway_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// TestBeforeLogin shows what a connection that has not logged in is told.
func TestBeforeLogin(t *testing.T) {
	for _, codec := range codecs {
		bubble(t, nil, func(w *world) {
			c := w.connect(codec)
			c.call(send(1, "bob"))
			if a := c.answer(1); a.Error != invitation.OK || a.Notice == nil || a.Notice.Side != invitation.Caller ||
				a.Notice.Local != invitation.LocalFailure || a.Notice.Code != uint8(invitation.LocalNotLoggedIn) {
				t.Errorf("send: got %+v with %+v", a, a.Notice)
			}
			for _, r := range []invitation.Request{invitation.Cancel, invitation.Accept, invitation.Refuse, invitation.Query} {
				c.call(invitation.Call{Request: r, RequestID: 2})
				if a := c.answer(2); a.Error != invitation.NotFound || a.Notice != nil {
					t.Errorf("%s: got %+v", r, a)
				}
			}
			c.alive()
			c.login("alice")
			c = w.connect(codec)
			c.say(wire.ClientFrame{Up: invitation.Up{Word: &invitation.Word{Side: invitation.Callee, Kind: invitation.WordSeen}}})
			c.ends(invitation.EndBadFrame)
			c = w.connect(codec)
			c.say(wire.ClientFrame{Up: invitation.Up{Logout: true}})
			c.ends(invitation.EndLoggedOut)
			w.wantLog("attach 1 alice/phone")
		})
	}
}

func TestLoginsThatAreRefused(t *testing.T) {
	bubble(t, nil, func(w *world) {
		for name, tt := range map[string]struct {
			spoil func(*wire.Login)
			want  invitation.End
		}{
			"newer versions only": {func(l *wire.Login) { l.MinVersion, l.MaxVersion = 2, 3 }, invitation.EndBadVersion},
			"older versions only": {func(l *wire.Login) { l.MinVersion, l.MaxVersion = 0, 0 }, invitation.EndBadVersion},
			"no user":             {func(l *wire.Login) { l.User = "" }, invitation.EndBadLogin},
			"bad user":            {func(l *wire.Login) { l.User = "a*b" }, invitation.EndBadLogin},
			"user of 65 bytes":    {func(l *wire.Login) { l.User = invitation.User(strings.Repeat("x", 65)) }, invitation.EndBadLogin},
			"no device":           {func(l *wire.Login) { l.Device = "" }, invitation.EndBadLogin},
			"the server's device": {func(l *wire.Login) { l.Device = invitation.Agent }, invitation.EndBadLogin},
			"bad device":          {func(l *wire.Login) { l.Device = `"` }, invitation.EndBadLogin},
		} {
			c := w.connect(wire.Binary)
			f := loginFrame("alice", "")
			tt.spoil(f.Login)
			c.say(f)
			t.Log(name)
			c.ends(tt.want)
		}
		w.wantLog()
		for end, err := range map[invitation.End]error{
			invitation.EndTooMany:    invitation.EndTooMany,
			invitation.EndOverloaded: errors.New("mailbox full"),
		} {
			w.backend.fail(err, nil)
			c := w.connect(wire.Binary)
			c.say(loginFrame("alice", ""))
			if e := c.ends(end); (e.RetryAfter > 0) != (end == invitation.EndOverloaded) {
				t.Errorf("%s: retry after %v", end, e.RetryAfter)
			}
		}
		if log := w.backend.said(); len(log) != 2 {
			t.Errorf("a refused login was detached: %q", log)
		}
	})
}

var secret = []byte("0123456789abcdef0123456789abcdef")

func tokens(t *testing.T) auth.Key {
	t.Helper()
	key, err := auth.SecretKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func token(t *testing.T, user string, in time.Duration) string {
	t.Helper()
	claims := jwt.MapClaims{"sub": user, "exp": time.Now().Add(in).Unix()}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTokens(t *testing.T) {
	key := tokens(t)
	configure := func(c *gateway.Config) {
		j, err := auth.NewJWT(auth.JWTConfig{Keys: []auth.Key{key}})
		if err != nil {
			t.Fatal(err)
		}
		c.Authenticator = j
	}
	bubble(t, configure, func(w *world) {
		good, late := token(t, "alice", time.Hour), token(t, "alice", -time.Hour)
		for name, tt := range map[string]struct {
			user           invitation.User
			frame, request string
			want           invitation.End // 0: welcome
		}{
			"in the frame":               {"alice", good, "", 0},
			"in the request":             {"alice", "", "Bearer " + good, 0},
			"the frame's goes first":     {"alice", good, "Bearer " + late, 0},
			"the user by the token":      {"", good, "", 0},
			"none":                       {"alice", "", "", invitation.EndUnauthorized},
			"expired":                    {"alice", late, "", invitation.EndUnauthorized},
			"expired, in the request":    {"alice", "", "Bearer " + late, invitation.EndUnauthorized},
			"for another user":           {"bob", good, "", invitation.EndUnauthorized},
			"another kind of credential": {"alice", "", "Basic " + good, invitation.EndUnauthorized},
			"garbage":                    {"alice", "garbage", "", invitation.EndUnauthorized},
		} {
			c := w.connect(wire.Binary, "Authorization", tt.request)
			c.say(loginFrame(tt.user, tt.frame))
			if tt.want != 0 {
				t.Log(name)
				c.ends(tt.want)
				continue
			}
			if f := c.hear(); f.Down.Welcome == nil || f.Info.User != "alice" {
				t.Errorf("%s: got %+v", name, f.Down)
			}
		}
	})
}

// TestTokenExpiresOnALiveConnection: an hour and the leeway of 10 s after the token was made.
func TestTokenExpiresOnALiveConnection(t *testing.T) {
	key := tokens(t)
	configure := func(c *gateway.Config) {
		j, err := auth.NewJWT(auth.JWTConfig{Keys: []auth.Key{key}})
		if err != nil {
			t.Fatal(err)
		}
		c.Authenticator = j
	}
	bubble(t, configure, func(w *world) {
		start := time.Now()
		c := w.connect(wire.Binary)
		c.say(loginFrame("alice", token(t, "alice", time.Hour)))
		if left := c.hear().Info.TokenRemaining; left != time.Hour+auth.DefaultLeeway {
			t.Errorf("the Welcome says %v", left)
		}
		if warned := c.hear().Token; warned == nil || warned.Remaining != time.Minute || warned.Refused != "" {
			t.Errorf("warned by %+v", warned)
		}
		c.ends(invitation.EndTokenExpired)
		if after := time.Since(start); after != time.Hour+auth.DefaultLeeway {
			t.Errorf("ended after %v", after)
		}
		if c.pings != 144 { // every 25 s
			t.Errorf("%d pings", c.pings)
		}
		synctest.Wait()
		w.wantLog("attach 1 alice/phone", "detach 1")
	})
}

// outage is an authenticator that cannot decide.
type outage struct{ wait bool }

func (o outage) Authenticate(ctx context.Context, _ auth.Request) (auth.Identity, error) {
	if o.wait {
		<-ctx.Done()
		return auth.Identity{}, ctx.Err()
	}
	return auth.Identity{}, errors.New("the key server is away")
}

func TestAuthenticatorThatCannotDecide(t *testing.T) {
	bubble(t, func(c *gateway.Config) { c.Authenticator = outage{} }, func(w *world) {
		c := w.connect(wire.Binary)
		c.say(loginFrame("alice", ""))
		if e := c.ends(invitation.EndOverloaded); e.RetryAfter != time.Second {
			t.Errorf("retry after %v", e.RetryAfter)
		}
	})
	bubble(t, func(c *gateway.Config) { c.Authenticator = outage{wait: true} }, func(w *world) {
		c := w.connect(wire.Binary)
		start := time.Now()
		c.say(loginFrame("alice", ""))
		e := c.hear().Down.Ending
		if e == nil || e.End != invitation.EndLoginTimeout && e.End != invitation.EndOverloaded || time.Since(start) != 10*time.Second {
			t.Errorf("got %+v after %v", e, time.Since(start))
		}
	})
}

// panicking is an authenticator with a bug.
type panicking struct{}

func (panicking) Authenticate(context.Context, auth.Request) (auth.Identity, error) { panic("a bug") }

func TestPanicEndsOneConnection(t *testing.T) {
	bubble(t, func(c *gateway.Config) { c.Authenticator = panicking{} }, func(w *world) {
		c := w.connect(wire.Binary)
		c.say(loginFrame("alice", ""))
		c.ends(invitation.EndInternal)
		w.connect(wire.Binary).alive()
	})
}
