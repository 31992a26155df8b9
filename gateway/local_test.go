package gateway_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/invitation"
)

// ear collects what an in-process device is told.
type ear struct {
	mu    sync.Mutex
	downs []invitation.Down
}

func (e *ear) Receive(d invitation.Down) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.downs = append(e.downs, d)
}

func (e *ear) Lost(error) {}

// hear is a receiver of a function.
type hear func(invitation.Down)

func (h hear) Receive(d invitation.Down) { h(d) }

func (hear) Lost(error) {}

// last waits in a bubble and returns the last thing heard, and how many.
func (e *ear) last() (invitation.Down, int) {
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.downs) == 0 {
		return invitation.Down{}, 0
	}
	return e.downs[len(e.downs)-1], len(e.downs)
}

func (w *world) open(user invitation.User) (*gateway.Local, *ear) {
	w.t.Helper()
	e := new(ear)
	l, err := w.g.Open(invitation.Login{User: user, Device: "desk"}, e)
	if err != nil {
		w.t.Fatal(err)
	}
	if down, n := e.last(); down.Welcome == nil || n != 1 {
		w.t.Fatalf("got %d, the last is %+v", n, down)
	}
	return l, e
}

func say(t *testing.T, l *gateway.Local, call invitation.Call) {
	t.Helper()
	if err := l.Say(invitation.Up{Call: &call}); err != nil {
		t.Fatal(err)
	}
}

func TestLocalConversation(t *testing.T) {
	bubble(t, nil, func(w *world) {
		l, e := w.open("alice")
		say(t, l, send(1, "bob"))
		if down, n := e.last(); n != 2 || down.Answer == nil || down.Answer.RequestID != 1 || down.Answer.Error != invitation.OK {
			t.Errorf("got %d, the last is %+v", n, down.Answer)
		}
		n := &invitation.Notice{Side: invitation.Callee, Peer: "bob"}
		w.g.Deliver(1, invitation.Down{Notice: n})
		if down, _ := e.last(); down.Notice != n {
			t.Error("a notice was copied")
		}
		if err := l.Say(invitation.Up{Logout: true}); err != nil {
			t.Error(err)
		}
		w.g.Deliver(1, invitation.Down{Ending: &invitation.Ending{End: invitation.EndLoggedOut}})
		w.g.Deliver(1, invitation.Down{Notice: n})
		if down, n := e.last(); n != 4 || down.Ending == nil || down.Ending.End != invitation.EndLoggedOut {
			t.Errorf("got %d, the last is %+v", n, down)
		}
		if err := l.Say(invitation.Up{Logout: true}); !errors.Is(err, invitation.EndLoggedOut) {
			t.Errorf("say after the end: %v", err)
		}
		_ = l.Close()
		w.wantLog("attach 1 alice/desk", "say 1 send", "say 1 logout", "detach 1")
	})
}

func TestLocalClose(t *testing.T) {
	bubble(t, nil, func(w *world) {
		l, e := w.open("alice")
		_ = l.Close()
		_ = l.Close()
		if err := l.Say(invitation.Up{Logout: true}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("say after close: %v", err)
		}
		w.g.Deliver(1, invitation.Down{Notice: &invitation.Notice{}})
		if _, n := e.last(); n != 1 {
			t.Errorf("heard %d", n)
		}
		w.wantLog("attach 1 alice/desk", "detach 1")
	})
}

// TestLocalPaysForNothingButTheSame: arguments, MayInvite, the backend's refusals and the rate.
func TestLocalLimits(t *testing.T) {
	configure := func(c *gateway.Config) {
		c.LocalRate = 5
		c.MayInvite = func(_ context.Context, _, callee invitation.User) (bool, error) { return callee != "never", nil }
	}
	bubble(t, configure, func(w *world) {
		l, e := w.open("alice")
		long := send(1, "bob")
		long.Content = strings.Repeat("x", 8193)
		word := invitation.Up{Word: &invitation.Word{}}
		for _, tt := range []struct {
			call invitation.Call
			want invitation.CallError
		}{
			{long, invitation.InvalidArgument},
			{send(1, "a/b"), invitation.InvalidArgument},
			{send(1, "never"), invitation.Forbidden},
			{send(1, "bob"), invitation.OK},
		} {
			say(t, l, tt.call)
			if down, _ := e.last(); down.Answer == nil || down.Answer.Error != tt.want || down.Answer.RequestID != 1 || down.Answer.Request != invitation.Send {
				t.Errorf("got %+v, want %s", down.Answer, tt.want)
			}
		}
		w.backend.fail(nil, errors.New("full"))
		say(t, l, invitation.Call{Request: invitation.Query, RequestID: 2})
		if down, _ := e.last(); down.Answer.Error != invitation.Unavailable || down.Answer.RetryAfter != time.Second {
			t.Errorf("got %+v", down.Answer)
		}
		if err := l.Say(word); err != nil {
			t.Errorf("a word: %v", err)
		}
		if err := l.Say(invitation.Up{Logout: true}); !errors.Is(err, invitation.EndOverloaded) {
			t.Errorf("a logout: %v", err)
		}
		w.backend.fail(nil, nil)
		for range 5 { // with the five before, two seconds' worth
			say(t, l, invitation.Call{Request: invitation.Query, RequestID: 3})
		}
		synctest.Wait()
		say(t, l, invitation.Call{Request: invitation.Query, RequestID: 4})
		if down, _ := e.last(); down.Answer.Error != invitation.LimitExceeded || down.Answer.RetryAfter != 200*time.Millisecond {
			t.Errorf("got %+v", down.Answer)
		}
	})
}

func TestLocalLoginsThatAreRefused(t *testing.T) {
	bubble(t, func(c *gateway.Config) { c.MaxLocal = 2 }, func(w *world) {
		open := func(user invitation.User, device invitation.Device) error {
			_, err := w.g.Open(invitation.Login{User: user, Device: device}, hear(func(invitation.Down) {}))
			return err
		}
		for _, err := range []error{open("a/b", "desk"), open("", "desk"), open("alice", "")} {
			if !errors.Is(err, invitation.EndBadLogin) {
				t.Errorf("got %v", err)
			}
		}
		w.backend.fail(invitation.EndTooMany, nil)
		for range 3 { // a refused one takes no place
			if err := open("alice", "desk"); !errors.Is(err, invitation.EndTooMany) {
				t.Errorf("got %v", err)
			}
		}
		w.backend.fail(nil, nil)
		l, _ := w.open("alice")
		w.open("bob")
		if err := open("carol", "desk"); !errors.Is(err, invitation.EndOverloaded) {
			t.Errorf("got %v", err)
		}
		_ = l.Close()
		w.open("carol")
	})
}

// TestLocalSaysFromReceive: an engine answers a notice from inside of receive.
func TestLocalSaysFromReceive(t *testing.T) {
	bubble(t, nil, func(w *world) {
		var l *gateway.Local
		var err error
		l, err = w.g.Open(invitation.Login{User: "alice", Device: "desk"}, hear(func(d invitation.Down) {
			if d.Notice != nil {
				_ = l.Say(invitation.Up{Word: &invitation.Word{Kind: invitation.WordSeen}})
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.g.Deliver(1, invitation.Down{Notice: &invitation.Notice{}})
		synctest.Wait()
		w.wantLog("attach 1 alice/desk", "say 1 word SEEN")
	})
}
