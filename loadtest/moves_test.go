package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
)

// door is the way to a node, which a test can shut.
type door struct {
	node *ringfleet.Node

	mu    sync.Mutex
	shut  bool
	rooms []client.Receiver
}

func (d *door) Dial(ctx context.Context, login invitation.Login, receiver client.Receiver) (client.Link, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut {
		return nil, errors.New("connection refused")
	}
	d.rooms = append(d.rooms, receiver)
	return d.node.Dial(ctx, login, receiver)
}

// close ends the connections and takes no more: as a node that goes, if told, or as one that is cut off.
func (d *door) close(told bool) {
	d.bar()
	d.mu.Lock()
	rooms := d.rooms
	d.rooms = nil
	d.mu.Unlock()
	for _, r := range rooms {
		if told {
			r.Receive(invitation.Down{Ending: &invitation.Ending{End: invitation.EndShutdown, RetryAfter: time.Second}})
		} else {
			r.Lost(errors.New("connection reset"))
		}
	}
}

// bar takes no more connections.
func (d *door) bar() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = true
}

func (d *door) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = false
}

// scene is a run against three nodes in a bubble, whose doors a play shuts and opens.
type scene struct {
	*testing.T
	doors map[string]*door
	mark  string
	out   bytes.Buffer
}

// phase says what happens from now on.
func (sc *scene) phase(name string) {
	if err := os.WriteFile(sc.mark, []byte(name+"\n"), 0o600); err != nil {
		sc.Fatal(err)
	}
	time.Sleep(2 * markInterval)
}

// perform runs the load until the play ends, and returns the result.
func perform(t *testing.T, play func(*scene), args ...string) *result {
	var res *result
	file := filepath.Join(t.TempDir(), "mark")
	synctest.Test(t, func(t *testing.T) {
		sc := &scene{T: t, doors: map[string]*door{}, mark: file}
		sc.phase("calm")
		args = append(args, "--users", "60", "--rate", "50", "--duration", "1h", "--mark", file, "--seed", "11")
		names := []string{"a", "b", "c"}
		for i, node := range startNodes(t, names, "") {
			sc.doors[names[i]] = &door{node: node}
			args = append(args, "--target", names[i])
		}
		o, err := parseOptions(args, &sc.out)
		if err != nil {
			t.Fatal(err)
		}
		o.dialer = func(target string) client.Carrier { return sc.doors[target] }
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			var err error
			res, err = o.run(ctx, &sc.out)
			ended <- err
		}()
		time.Sleep(5 * time.Second)
		play(sc)
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if t.Failed() || testing.Verbose() {
			t.Log(sc.out.String())
		}
	})
	return res
}

// TestUsersMove shuts one node's door after the other: users go elsewhere, and no call fails.
func TestUsersMove(t *testing.T) {
	res := perform(t, func(sc *scene) {
		sc.phase("moves")
		sc.doors["a"].close(true)
		time.Sleep(5 * time.Second)
		sc.doors["a"].open()
		sc.doors["b"].close(false)
		time.Sleep(5 * time.Second)
	}, "--allow-reconnects")
	addsUp(t, res)
	if res.Violations+res.Failed+res.Errors+res.Excused > 0 || res.Completed != res.Calls || res.Delayed == 0 {
		t.Errorf("%+v", res)
	}
	a, b, c := res.Nodes[0], res.Nodes[1], res.Nodes[2]
	switch {
	case a.Reconnects < a.Placed || b.Sessions != 0 || c.Reconnects != 0 || c.Gained == 0 || a.Gained == 0:
		t.Errorf("users did not move as they should: %+v", res.Nodes)
	case res.Losses["SHUTDOWN"] != a.Reconnects || res.Losses["broken"] != b.Reconnects:
		t.Errorf("connections were lost by %v", res.Losses)
	}
	if len(res.Phases) != 2 || res.Phases[0].Phase != "calm" || res.Phases[0].Reconnects != 0 || res.Phases[1].Reconnects != res.Reconnects ||
		res.Phases[1].Setup.P99 <= res.Phases[0].Setup.P99 || res.Phases[1].Connected.Max >= res.Phases[1].Setup.Max {
		t.Errorf("phases %+v", res.Phases)
	}
}

// TestLostConnectionsAreErrors runs without --allow-reconnects.
func TestLostConnectionsAreErrors(t *testing.T) {
	res := perform(t, func(sc *scene) { sc.doors["a"].close(true) })
	if res.Errors != res.Reconnects || res.Errors == 0 || res.Violations+res.Failed > 0 {
		t.Errorf("%d errors, %d connections lost, %v", res.Errors, res.Reconnects, res.FailedBy)
	}
}

// homeless is a play in which the users of one node have nowhere to go for a while.
func homeless(d time.Duration) func(*scene) {
	return func(sc *scene) {
		sc.doors["b"].bar()
		sc.doors["c"].bar()
		sc.doors["a"].close(false)
		time.Sleep(d)
		for _, d := range sc.doors {
			d.open()
		}
		time.Sleep(10 * time.Second)
	}
}

// TestAwayWithinTheGrace wants every call to end as its scenario has it.
func TestAwayWithinTheGrace(t *testing.T) {
	res := perform(t, homeless(4*time.Second), "--allow-reconnects")
	if res.Violations+res.Failed+res.Errors+res.Excused > 0 || res.Completed != res.Calls || res.Delayed == 0 {
		t.Errorf("%+v", res)
	}
}

// TestAwayForLongerThanTheContractWaits wants calls to users who stay away to be excused, by cause.
func TestAwayForLongerThanTheContractWaits(t *testing.T) {
	res := perform(t, homeless(50*time.Second), "--allow-reconnects", "--reconnect-timeout", "90s")
	if res.Violations+res.Failed+res.Errors > 0 || res.Completed != res.Calls ||
		res.ExcusedBy["accept: the callee was away longer than the no-response time"] == 0 {
		t.Errorf("%d violations, failed %v, errors %v, excused %v", res.Violations, res.FailedBy, res.ErrorTexts, res.ExcusedBy)
	}
}

// TestAwayForLongerThanUsersTake wants an error for each user who stays away too long, and for nothing else.
func TestAwayForLongerThanUsersTake(t *testing.T) {
	res := perform(t, homeless(20*time.Second), "--allow-reconnects", "--mix", "accept=1,refuse=1")
	if res.Errors != res.Nodes[0].Placed || res.ErrorTexts["a user could not connect for longer than 15s"] != res.Errors || res.Failed > 0 {
		t.Errorf("errors %v, failed %v, want one for each of %d users", res.ErrorTexts, res.FailedBy, res.Nodes[0].Placed)
	}
}
