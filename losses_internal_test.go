package ringfleet

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	peers "github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/invitation"
)

func member1(t *testing.T, network *peers.Network, name string) *Node {
	t.Helper()
	memory, err := network.Join(name)
	if err != nil {
		t.Fatal(err)
	}
	n, err := Start(Config{
		Name: name, Cluster: &ClusterConfig{Link: memory, Members: []string{"a", "b"}},
		Gateway: gateway.Config{Authenticator: auth.Development{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return n
}

// TestFreshSessionsCountByTheNodesWallClock: the clock that is configured is the only one.
func TestFreshSessionsCountByTheNodesWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func() time.Time { return time.Now().Add(-30 * time.Second) }
		n, err := Start(Config{Name: "a", WallClock: slow, Gateway: gateway.Config{Authenticator: auth.Development{}}})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Shutdown(context.Background())
		login := invitation.Login{User: "alice", Device: "phone"}
		if err := (backend{n}).Attach(1, login); err != nil {
			t.Fatal(err)
		}
		s, ok, err := n.host.Session(t.Context(), "alice")
		if want := uint64(slow().UnixMilli()); err != nil || !ok || s.First < want || s.First > want+1_000 {
			t.Errorf("it counts from %d, want %d; %v, %v", s.First, want, ok, err)
		}
	})
}

// TestLossesMoveWithShards: sessions that come to be after a move, of shards that were lost before it, know that
// their devices may know more than they do; until the grace is over.
func TestLossesMoveWithShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		links := peers.NewNetwork(peers.NetworkOptions{})
		from, to := member1(t, links, "a"), member1(t, links, "b")
		time.Sleep(time.Minute)
		shards := func(of ...invitation.Shard) (s invitation.ShardSet) {
			for _, shard := range of {
				s.Add(shard)
			}
			return s
		}
		from.member.cold(shards(3))
		time.Sleep(29 * time.Second)
		lostAt := from.host.Now()
		from.member.cold(shards(5, 6))
		time.Sleep(2 * time.Second)
		var records [][]byte
		moved := shards(3, 4, 5)
		if err := (store{from}).Export(t.Context(), &moved, func(r []byte) { records = append(records, r) }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		for _, r := range records {
			if err := (store{to}).Import(r, time.Second); err != nil {
				t.Fatal(err)
			}
		}
		for shard, want := range map[invitation.Shard]invitation.Time{3: 0, 4: 0, 5: lostAt, 6: 0} {
			if got := (network{to}).LostAt(shard); got != want {
				t.Errorf("shard %d was lost at %v, want %v", shard, got, want)
			}
		}
	})
}
