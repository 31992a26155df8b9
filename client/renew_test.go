package client

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// source gives tokens one after the other, and errors where it has "".
type source struct {
	mu     sync.Mutex
	tokens []string
	asked  []time.Duration // when, since start
	start  time.Time
}

func (s *source) token(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, time.Since(s.start))
	next := s.tokens[0]
	if len(s.tokens) > 1 {
		s.tokens = s.tokens[1:]
	}
	if next == "" {
		return "", errors.New("the issuer is away")
	}
	return next, nil
}

func (s *source) times() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func (p *peer) token(state wire.TokenState) {
	payload, err := wire.EncodeDown(nil, p.codec, wire.ServerFrame{Token: &state})
	if err != nil {
		p.t.Error("say:", err)
	}
	p.raw(ws.NewFrame(p.op(), true, payload))
}

// renews reads a Renew.
func (p *peer) renews(want string) {
	p.t.Helper()
	if f := p.hear(); f.Renew == nil || *f.Renew != want {
		p.t.Errorf("got %+v, want the token %q", f, want)
	}
}

// online dials a node that is played by serve.
func dialed(t *testing.T, s *source, serve func(p *peer)) (*Client, <-chan struct{}) {
	t.Helper()
	s.start = time.Now()
	played := make(chan struct{})
	carrier := piped(&WebSocket{Token: s.token, PingAfter: 24 * time.Hour}, func(conn net.Conn) {
		defer close(played)
		p, login := upgrade(t, conn)
		if login == nil {
			return
		}
		p.welcome()
		serve(p)
		drain(conn)
	})
	c, err := Dial(t.Context(), carrier, Options{User: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	return c, played
}

// TestRenewsToken brings a new token after each warning, and none when its answer comes.
func TestRenewsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{tokens: []string{"first", "second", "third"}}
		c, played := dialed(t, s, func(p *peer) {
			for _, want := range []string{"second", "third"} {
				p.token(wire.TokenState{Remaining: time.Minute})
				p.renews(want)
				p.token(wire.TokenState{Remaining: time.Hour})
				time.Sleep(time.Second)
			}
		})
		time.Sleep(time.Minute)
		if n := len(s.times()); n != 3 {
			t.Errorf("asked for %d tokens, want 3", n)
		}
		_ = c.Close()
		<-played
	})
}

// TestRenewsAgain goes on while there is time: the source fails, and the node cannot judge.
func TestRenewsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{tokens: []string{"first", "", "", "second"}}
		c, played := dialed(t, s, func(p *peer) {
			p.token(wire.TokenState{Remaining: 80 * time.Second})
			p.renews("second")
			p.token(wire.TokenState{Remaining: 70 * time.Second, Refused: "not now", RetryAfter: 5 * time.Second})
			p.renews("second")
			p.token(wire.TokenState{Remaining: 70 * time.Second, Refused: "of another user"})
		})
		time.Sleep(3 * time.Minute)
		if got := s.times(); !slices.Equal(got, []time.Duration{0, 0, 10 * time.Second, 20 * time.Second, 25 * time.Second}) {
			t.Errorf("asked for tokens at %v", got)
		}
		_ = c.Close()
		<-played
	})
}

// TestRenewalEndsWithTheConnection asks for no token any more when it is lost.
func TestRenewalEndsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{tokens: []string{"first", ""}}
		c, played := dialed(t, s, func(p *peer) { p.token(wire.TokenState{Remaining: time.Hour}) })
		synctest.Wait()
		_ = c.Close()
		<-played
		synctest.Wait()
		before := len(s.times())
		time.Sleep(time.Hour)
		if after := len(s.times()); after != before || before != 2 {
			t.Errorf("asked for %d tokens before the end and %d after it", before, after-before)
		}
	})
}

// TestTokenExpired has the client come back with another token.
func TestTokenExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{tokens: []string{"first", "second"}, start: time.Now()}
		logins := make(chan string, 2)
		carrier := piped(&WebSocket{Token: s.token}, func(conn net.Conn) {
			p, login := upgrade(t, conn)
			if login == nil {
				return
			}
			logins <- login.Token
			p.welcome()
			if login.Token == "first" {
				p.say(invitation.Down{Ending: &invitation.Ending{End: invitation.EndTokenExpired}})
			}
			drain(conn)
		})
		c, err := Dial(t.Context(), carrier, Options{User: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		if first, second := <-logins, <-logins; first != "first" || second != "second" {
			t.Errorf("logged in with %q, then %q", first, second)
		}
		_ = c.Close()
	})
}
