package gateway_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// reattached returns how often each connection was re-attached, by its user.
func (b *backend) reattached(t *testing.T) map[invitation.User]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := map[invitation.User]int{}
	for _, login := range b.logins {
		if !login.Reattach {
			continue
		}
		n[login.User]++
		if !login.Resume || login.Stamp == 0 || login.Device == "" || login.Words != nil {
			t.Errorf("re-attached with %+v", login)
		}
	}
	return n
}

// even is every second user.
func even(user invitation.User) bool { return (user[len(user)-1]-'0')%2 == 0 }

// TestReattachThousand re-attaches 500 of 1,000 connections, of both kinds, at the pace given.
func TestReattachThousand(t *testing.T) {
	bubble(t, nil, func(w *world) {
		for i := range 950 {
			w.open(invitation.User(fmt.Sprint("user", i)))
		}
		var heard []*client
		for i := range 50 {
			heard = append(heard, w.online(invitation.User(fmt.Sprint("user", 950+i))))
		}
		w.backend.tell = true
		start := time.Now()
		w.g.Reattach(even, 1_000)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if n := len(w.backend.reattached(t)); n < 90 || n > 110 {
			t.Errorf("%d in 0.1 s, at a pace of 1,000 per second", n)
		}
		for i, c := range heard {
			if !even(invitation.User(fmt.Sprint(i))) {
				continue
			}
			if f := c.hear(); f.Down.Welcome == nil || !f.Down.Welcome.Tell {
				t.Fatalf("heard %+v", f.Down)
			}
		}
		if took := time.Since(start); took > 600*time.Millisecond {
			t.Errorf("took %v", took)
		}
		time.Sleep(500 * time.Millisecond)
		n := w.backend.reattached(t)
		for user, times := range n {
			if !even(user) || times != 1 {
				t.Errorf("%s was re-attached %d times", user, times)
			}
		}
		if len(n) != 500 {
			t.Errorf("%d were re-attached", len(n))
		}
	})
}

// TestRemind re-attaches those that are meant, one after the other, while it may.
func TestRemind(t *testing.T) {
	bubble(t, nil, func(w *world) {
		for i := range 10 {
			w.open(invitation.User(fmt.Sprint("user", i)))
		}
		w.online("user6")
		turns := 0
		w.g.Remind(even, func() bool { turns++; return true })
		n := w.backend.reattached(t)
		if turns != 6 || len(n) != 5 || n["user6"] != 2 {
			t.Errorf("%d turns, re-attached %v", turns, n)
		}
		w.g.Remind(even, func() bool { turns++; return turns < 8 })
		if turns != 8 {
			t.Errorf("%d turns, want 2 more than 6", turns)
		}
	})
}

// TestReattachIsSilent: a Welcome that does not ask to tell does not reach a device that had one.
func TestReattachIsSilent(t *testing.T) {
	bubble(t, nil, func(w *world) {
		c := w.online("alice")
		_, e := w.open("bob")
		w.g.Reattach(nil, 0)
		synctest.Wait()
		if n := w.backend.reattached(t); n["alice"] != 1 || n["bob"] != 1 {
			t.Errorf("re-attached %v", n)
		}
		if _, n := e.last(); n != 1 {
			t.Errorf("bob heard %d", n)
		}
		c.call(send(1, "bob"))
		c.answer(1) // and no Welcome before it
		// The stamp of a Welcome that was kept from the device counts all the same.
		for conn := range uint64(2) {
			if !w.g.Deliver(conn+1, invitation.Down{Welcome: &invitation.Welcome{Stamp: 99}}) {
				t.Error("no connection", conn+1)
			}
		}
		w.g.Reattach(nil, 0)
		synctest.Wait()
		for _, login := range w.backend.logins[4:] {
			if login.Stamp != 99 {
				t.Errorf("re-attached with %+v", login)
			}
		}
	})
}

// TestReattachWhileBusy tries again until the backend takes it, and ends a connection that it refuses.
func TestReattachWhileBusy(t *testing.T) {
	bubble(t, nil, func(w *world) {
		_, e := w.open("alice")
		c := w.online("carol")
		gone, _ := w.open("dave")
		w.backend.fail(errors.New("full"), nil)
		w.g.Reattach(nil, 0)
		time.Sleep(time.Second)
		if n := w.backend.reattached(t); n["alice"] < 5 || n["alice"] > 20 {
			t.Errorf("tried %v in a second", n)
		}
		gone.Close()
		synctest.Wait()
		before := w.backend.reattached(t)["dave"]
		w.backend.fail(invitation.EndRemoteLogin, nil)
		c.ends(invitation.EndRemoteLogin)
		if down, n := e.last(); n != 2 || down.Ending == nil || down.Ending.End != invitation.EndRemoteLogin {
			t.Errorf("alice heard %d, the last is %+v", n, down)
		}
		time.Sleep(time.Second)
		after := w.backend.reattached(t)
		if after["dave"] != before {
			t.Error("re-attached one that is gone")
		}
		if again := w.backend.reattached(t); again["alice"] != after["alice"] || again["carol"] != after["carol"] {
			t.Error("goes on after the end")
		}
	})
}

// TestReattachCallsMerge: calls that come while one is at it are done together.
func TestReattachCallsMerge(t *testing.T) {
	bubble(t, nil, func(w *world) {
		for i := range 10 {
			w.open(invitation.User(fmt.Sprint("user", i)))
		}
		w.g.Reattach(even, 10) // half a second
		synctest.Wait()
		for range 200 {
			w.g.Reattach(even, 10)
		}
		for i := range 10 {
			w.g.Reattach(func(user invitation.User) bool { return user == invitation.User(fmt.Sprint("user", i)) }, 10)
		}
		time.Sleep(time.Minute)
		for user, n := range w.backend.reattached(t) {
			want := 1
			if even(user) {
				want = 2
			}
			if n < want || n > 2 {
				t.Errorf("%s was re-attached %d times", user, n)
			}
		}
		if n := len(w.backend.reattached(t)); n != 10 {
			t.Errorf("%d were re-attached", n)
		}
	})
}

// TestReattachLeavesOthersAlone: connections without a login, or without an answer to it.
func TestReattachLeavesOthersAlone(t *testing.T) {
	bubble(t, func(c *gateway.Config) { c.Authenticator = trusting{} }, func(w *world) {
		w.connect(wire.Binary)
		w.backend.fail(invitation.EndRemoteLogin, nil)
		c := w.connect(wire.Binary)
		c.say(loginFrame("alice", ""))
		c.ends(invitation.EndRemoteLogin)
		w.backend.fail(nil, nil)
		w.g.Reattach(nil, 0)
		synctest.Wait()
		if n := w.backend.reattached(t); len(n) != 0 {
			t.Errorf("re-attached %v", n)
		}
		if w.g.Deliver(77, invitation.Down{Notice: &invitation.Notice{}}) {
			t.Error("there is a connection 77")
		}
	})
}

// TestResumedSendIsJudged: no session has to be asked about one that cannot be.
func TestResumedSendIsJudged(t *testing.T) {
	bubble(t, nil, func(w *world) {
		c := w.online("alice")
		for i, tt := range []struct {
			r    invitation.Resumed
			want invitation.CallError
		}{
			{invitation.Resumed{Local: invitation.LocalSentToRemote}, invitation.OK},
			{invitation.Resumed{Local: invitation.LocalReceivedByRemote, Remaining: invitation.MaxTimer}, invitation.OK},
			{invitation.Resumed{Local: invitation.LocalReceivedByRemote, Remaining: invitation.MaxTimer + time.Millisecond}, invitation.InvalidArgument},
			{invitation.Resumed{Local: invitation.LocalAcceptedByRemote}, invitation.InvalidArgument},
			{invitation.Resumed{}, invitation.OK},
			{invitation.Resumed{Local: invitation.LocalReceivedByRemote, Confirmed: "desk"}, invitation.OK},
			{invitation.Resumed{Local: invitation.LocalReceivedByRemote, Confirmed: "no/device"}, invitation.InvalidArgument},
		} {
			call := send(uint64(i+1), "bob")
			call.Resumed = &tt.r
			c.call(call)
			if a := c.answer(call.RequestID); a.Error != tt.want {
				t.Errorf("%+v: answered %s", tt.r, a.Error)
			}
		}
	})
}
