package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/cluster/placement"
	"github.com/ringfleet/ringfleet/internal/fleet"
	"github.com/ringfleet/ringfleet/invitation"
)

// TestRandomUsers: users at any of three nodes call users at any of them.
func TestRandomUsers(t *testing.T) {
	full := asked(t)
	b := newBed(t, fleet.Config{}, numbered("node-", 3)...)
	l := startLoad(t, b.Nodes(), "--users", pick(full, "1000", "200"), "--calls", pick(full, "50000", "3000"))
	l.flawless(l.wait())
	b.quiet()
}

// TestFourPlaces: a call works wherever its four parts are: the caller's session and the callee's session live on
// two nodes, and the two are connected to two others.
func TestFourPlaces(t *testing.T) {
	full := asked(t)
	b := newBed(t, fleet.Config{}, numbered("node-", 5)...)
	owned := ownedUsers(t, names(b.Nodes()))
	calls := combinations(names(b.Nodes()))
	if !full {
		calls = everyThird(calls)
	}
	done := map[invitation.Outcome]int{}
	var mu sync.Mutex
	var group sync.WaitGroup
	slots := make(chan struct{}, 20)
	for i, p := range calls {
		for _, want := range []invitation.Outcome{invitation.Accepted, invitation.Refused, invitation.Canceled} {
			caller, callee := owned.next(p.caller), owned.next(p.callee)
			slots <- struct{}{}
			group.Go(func() {
				defer func() { <-slots }()
				err := b.call(caller, b.Node(p.callerGate), callee, b.Node(p.calleeGate), want)
				if err != nil {
					t.Errorf("call %d, %+v, to be %v: %v", i, p, want, err)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					done[want]++
				}
			})
		}
	}
	group.Wait()
	t.Logf("calls over four different nodes, of %d arrangements: %d accepted, %d refused, %d canceled", len(calls),
		done[invitation.Accepted], done[invitation.Refused], done[invitation.Canceled])
	b.quiet()
}

// places are the nodes that have to do with a call.
type places struct{ caller, callee, callerGate, calleeGate string }

// combinations returns all ways to choose four different nodes.
func combinations(names []string) []places {
	var all []places
	for _, a := range names {
		for _, b := range names {
			for _, c := range names {
				for _, d := range names {
					if a != b && a != c && a != d && b != c && b != d && c != d {
						all = append(all, places{a, b, c, d})
					}
				}
			}
		}
	}
	return all
}

func everyThird(all []places) []places {
	var some []places
	for i := 0; i < len(all); i += 3 {
		some = append(some, all[i])
	}
	return some
}

// supply has users whose sessions live on a node.
type supply struct {
	t     *testing.T
	table *placement.Table
	made  int
}

func ownedUsers(t *testing.T, names []string) *supply {
	t.Helper()
	table, err := placement.New(names)
	if err != nil {
		t.Fatal(err)
	}
	return &supply{t: t, table: table}
}

// next returns a new user whose session lives on a node.
func (s *supply) next(on string) invitation.User {
	s.t.Helper()
	for {
		s.made++
		user := invitation.User("user-" + strconv.Itoa(s.made))
		if owner, ok := s.table.Owner(invitation.ShardOf(user)); !ok {
			s.t.Fatal("nobody owns a shard")
		} else if owner == on {
			return user
		}
	}
}

// call makes a call that is to have an outcome.
func (b *bed) call(caller invitation.User, callerGate *fleet.Node, callee invitation.User, calleeGate *fleet.Node, want invitation.Outcome) error {
	ctx, cancel := context.WithTimeout(b.Context(), limit)
	defer cancel()
	from, err := phone(ctx, callerGate, caller)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := phone(ctx, calleeGate, callee)
	if err != nil {
		return err
	}
	defer to.Close()
	ended := make(chan client.Event, 1)
	to.OnEvent(func(e client.Event) {
		if e.Kind.Terminal() {
			ended <- e
		}
	})
	rings := make(chan struct{}, 1)
	to.OnRemoteInvitation(func(r *client.RemoteInvitation) {
		switch want {
		case invitation.Accepted:
			_ = r.Accept(ctx, "yes") // the outcome tells
		case invitation.Refused:
			_ = r.Refuse(ctx, "no") // the outcome tells
		default:
			rings <- struct{}{}
		}
	})
	local := from.NewLocalInvitation(callee)
	if err := local.Send(ctx); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if want == invitation.Canceled {
		select {
		case <-rings:
		case <-ctx.Done():
			return errors.New("it does not ring")
		}
		if err := local.Cancel(ctx); err != nil {
			return fmt.Errorf("cancel: %w", err)
		}
	}
	if err := local.Wait(ctx); err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	states := map[invitation.Outcome]invitation.LocalState{
		invitation.Accepted: invitation.LocalAcceptedByRemote, invitation.Refused: invitation.LocalRefusedByRemote,
		invitation.Canceled: invitation.LocalCanceled,
	}
	if got := local.State(); got != states[want] {
		return fmt.Errorf("it ended as %v for the caller", got)
	}
	kinds := map[invitation.Outcome]client.EventKind{
		invitation.Accepted: client.RemoteInvitationAccepted, invitation.Refused: client.RemoteInvitationRefused,
		invitation.Canceled: client.RemoteInvitationCanceled,
	}
	select {
	case e := <-ended:
		if e.Kind != kinds[want] {
			return fmt.Errorf("it ended as %v for the callee", e.Kind)
		}
	case <-ctx.Done():
		return errors.New("it did not end for the callee")
	}
	return nil
}

// phone logs a user in at a node.
func phone(ctx context.Context, at *fleet.Node, user invitation.User) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, &client.WebSocket{URLs: []string{at.ClientURL()}}, client.Options{User: user})
	if err != nil {
		return nil, fmt.Errorf("log %s in at %s: %w", user, at.Name(), err)
	}
	return c, nil
}
