package e2e

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// TestSocketDropsInEveryStage plays a call again and again, and drops the socket of one side behind
// the first step of its client, behind the second, and so on: the client comes back, and the call ends
// as it would have.
func TestSocketDropsInEveryStage(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(w *world, r *client.RemoteInvitation) error
		local  invitation.LocalState
		remote invitation.RemoteState
	}{
		{
			"accept", func(w *world, r *client.RemoteInvitation) error { return r.Accept(w.t.Context(), "yes") },
			invitation.LocalAcceptedByRemote, invitation.RemoteAccepted,
		},
		{
			"refuse", func(w *world, r *client.RemoteInvitation) error { return r.Refuse(w.t.Context(), "no") },
			invitation.LocalRefusedByRemote, invitation.RemoteRefused,
		},
	} {
		for _, side := range []invitation.Side{invitation.Caller, invitation.Callee} {
			t.Run(fmt.Sprint(tt.name, " ", side), func(t *testing.T) {
				steps := 1
				for drop := 1; drop <= steps; drop++ {
					bubble(t, ringfleet.Config{}, func(w *world) {
						time.Sleep(2 * time.Second) // of what is younger than its node, more may be known elsewhere
						cutter := &cutter{at: drop}
						alice := w.observed("alice", cutter, side == invitation.Caller)
						bob := w.observed("bob", cutter, side == invitation.Callee)
						l, r := w.call(alice, bob)
						w.must(tt.answer(w, r))
						w.wantLocal(localOf(w, l), localEnd{State: tt.local})
						w.wantRemote(remoteOf(w, r), remoteEnd{State: tt.remote})
						time.Sleep(10 * time.Second)
						if !alice.Connected() || !bob.Connected() || len(bob.rings) != 0 {
							t.Errorf("dropped at step %d of %s: a client did not come back, or rang twice", drop, cutter.step)
						}
						if t.Failed() {
							t.Logf("dropped behind step %d, %s", drop, cutter.step)
						}
						steps = max(steps, cutter.seen)
					})
				}
				if steps < 8 {
					t.Errorf("there were only %d steps", steps)
				}
				t.Logf("dropped behind each of %d steps", steps)
			})
		}
	}
}

// cutter cuts a line behind a step of its client.
type cutter struct {
	line *line
	at   int

	mu   sync.Mutex
	seen int
	step client.Step // behind which it cut
}

// observe counts the steps of a call; those of the session are not counted.
func (c *cutter) observe(o client.Observation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.Side == 0 {
		return
	}
	if c.seen++; c.seen == c.at {
		c.step = o.Step
		c.line.cut(false)
	}
}

// observed returns a client that is logged in, and that the cutter watches or not.
func (w *world) observed(user invitation.User, c *cutter, watched bool) *phone {
	w.t.Helper()
	options := client.Options{User: user, Device: "phone"}
	if watched {
		options.Observer = c.observe
	}
	p := w.newPhone(options)
	if watched {
		c.line = p.line
	}
	w.must(p.Login(w.t.Context()))
	return p
}

// TestLiveInvitationSurvives drops both sockets for most of the grace while it rings.
func TestLiveInvitationSurvives(t *testing.T) {
	bubble(t, ringfleet.Config{}, func(w *world) {
		alice, bob := w.phone("alice", "phone"), w.phone("bob", "tablet")
		l := alice.NewLocalInvitation("bob")
		w.must(l.SetContent("dinner?"))
		w.must(l.Send(w.t.Context()))
		start := time.Now()
		r := w.ring(bob)
		synctest.Wait() // it has been acknowledged
		alice.line.cut(true)
		bob.line.cut(true)
		time.Sleep(19 * time.Second)
		alice.line.up()
		bob.line.up()
		time.Sleep(11 * time.Second)
		if !alice.Connected() || !bob.Connected() {
			t.Fatal("the clients did not come back")
		}
		if l.State() != invitation.LocalReceivedByRemote || r.State() != invitation.RemoteInvitationReceived || len(bob.rings) != 0 {
			t.Errorf("after the drop: %v, %v, and %d more rings", l.State(), r.State(), len(bob.rings))
		}
		left := 60*time.Second - time.Since(start)
		for name, got := range map[string]time.Duration{"caller": l.Remaining(), "callee": r.Remaining()} {
			if got < left-lateness || got > left+lateness {
				t.Errorf("the %s is told %v that remain, want %v", name, got, left)
			}
		}
		w.must(r.Accept(w.t.Context(), "yes"))
		w.wantLocal(localOf(w, l), localEnd{State: invitation.LocalAcceptedByRemote})
		w.wantRemote(remoteOf(w, r), remoteEnd{State: invitation.RemoteAccepted})
	})
}

// TestOutcomeWaits keeps an outcome for a side that is away when it is decided.
func TestOutcomeWaits(t *testing.T) {
	bubble(t, ringfleet.Config{}, func(w *world) {
		alice, bob := w.phone("alice", "phone"), w.phone("bob", "tablet")
		l, r := w.call(alice, bob)
		bob.line.cut(true)
		w.must(l.Cancel(w.t.Context()))
		time.Sleep(4 * time.Minute)
		if r.State() != invitation.RemoteInvitationReceived {
			t.Errorf("who is away knows of %v", r.State())
		}
		bob.line.up()
		_, want := canceled(invitation.CallerCanceled)
		w.wantRemote(remoteOf(w, r), want)
	})
}

// TestCalleeComesOnline has a callee log in 1 s before the 30 s are over.
func TestCalleeComesOnline(t *testing.T) {
	bubble(t, ringfleet.Config{}, func(w *world) {
		l := w.send(w.phone("alice", "phone"), "bob")
		time.Sleep(29 * time.Second)
		r := w.ring(w.phone("bob", "tablet"))
		w.must(r.Accept(w.t.Context(), ""))
		w.wantLocal(localOf(w, l), localEnd{State: invitation.LocalAcceptedByRemote})
	})
}

// TestSecondLoginSingle ends the older device, which stays away, and cancels what it sent.
func TestSecondLoginSingle(t *testing.T) {
	bubble(t, ringfleet.Config{}, func(w *world) {
		desk, bob := w.phone("alice", "desk"), w.phone("bob", "tablet")
		l, r := w.call(desk, bob)
		cell := w.phone("alice", "cell")
		if err := await(w, desk.ended, "the end of the older session"); !errors.Is(err, invitation.EndRemoteLogin) {
			t.Errorf("the older session ended with %v", err)
		}
		local, remote := canceled(invitation.CallerLoggedOut)
		w.wantLocal(localOf(w, l), local)
		w.wantRemote(remoteOf(w, r), remote)
		time.Sleep(time.Minute)
		if desk.Connected() || !cell.Connected() {
			t.Error("the older device came back")
		}
		_, atCell := w.call(bob, cell)
		w.must(atCell.Accept(w.t.Context(), ""))
	})
}

// TestSecondLoginMulti lets all devices ring, and the sending device alone confirm.
func TestSecondLoginMulti(t *testing.T) {
	bubble(t, multi, func(w *world) {
		desk, cell := w.phone("alice", "desk"), w.phone("alice", "cell")
		bob := w.phone("bob", "tablet")
		l, r := w.call(desk, bob)
		w.must(r.Accept(w.t.Context(), ""))
		w.wantLocal(localOf(w, l), localEnd{State: invitation.LocalAcceptedByRemote})
		w.wantRemote(remoteOf(w, r), remoteEnd{State: invitation.RemoteAccepted})
		if !desk.Connected() || !cell.Connected() {
			t.Error("a device was ended")
		}
	})
}

// TestSameDeviceReplaces ends the older connection of a device, for which the newer goes on.
func TestSameDeviceReplaces(t *testing.T) {
	bubble(t, ringfleet.Config{}, func(w *world) {
		first := w.connect(wire.Binary)
		stamp := first.login(invitation.Login{User: "bob", Device: "tablet"}).Stamp
		w.send(w.phone("alice", "phone"), "bob")
		id := first.rings()
		first.seen(id)
		second := w.connect(wire.Binary)
		second.login(invitation.Login{User: "bob", Device: "tablet", Resume: true, Stamp: stamp, Words: []invitation.Word{
			{ID: id, Side: invitation.Callee, Kind: invitation.WordSeen},
		}})
		first.ends(invitation.EndReplaced)
		if a := second.request(invitation.Call{Request: invitation.Accept, ID: id}); a.Error != invitation.OK {
			t.Errorf("the accept on the newer connection: %+v", a)
		}
		w.wantRemote(remoteTold(second), remoteEnd{State: invitation.RemoteAccepted})
	})
}

// TestShutdownAndReturn stops a node and starts another: clients are told to come back, and do.
func TestShutdownAndReturn(t *testing.T) {
	bubble(t, ringfleet.Config{}, func(w *world) {
		alice, bob, raw := w.phone("alice", "phone"), w.phone("bob", "tablet"), w.online("carol", "phone")
		w.stop()
		raw.ends(invitation.EndShutdown)
		w.startPiped()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if !alice.Connected() || !bob.Connected() {
			t.Fatal("the clients did not come back")
		}
		l, r := w.call(alice, bob)
		w.must(r.Accept(w.t.Context(), ""))
		w.wantLocal(localOf(w, l), localEnd{State: invitation.LocalAcceptedByRemote})
	})
}

// TestTwoNodesShareNothing runs two nodes in one process.
func TestTwoNodesShareNothing(t *testing.T) {
	bubble(t, ringfleet.Config{Name: "one"}, func(one *world) {
		two := &world{t: one.t, config: ringfleet.Config{Name: "two"}, patience: one.patience, seen: map[any]bool{}}
		two.startPiped()
		one.t.Cleanup(func() { two.stop() })
		here, there := one.phone("alice", "phone"), two.phone("alice", "desk")
		bob := two.phone("bob", "tablet")
		l := one.send(here, "bob") // who is on the other node
		one.wantLocal(localOf(one, l), localEnd{invitation.LocalFailure, invitation.LocalRemoteOffline, invitation.CalleeOffline})
		if !here.Connected() || !there.Connected() || len(bob.rings) != 0 {
			t.Error("a node minded the other's clients")
		}
		for _, w := range []*world{one, two} {
			want := map[string]float64{"one": 1, "two": 2}[w.node.Name()]
			if n := w.metric("ringfleet_gateway_connections", ""); n != want {
				t.Errorf("node %s counts %v connections, want %v", w.node.Name(), n, want)
			}
		}
		one.wholeCall("carol", "dave")
		two.wholeCall("carol", "dave")
	})
}
