package ringfleet

import (
	"math"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/handoff"
	"github.com/ringfleet/ringfleet/invitation"
)

// What a node does when another one is lost; docs/adr/0010-recovery.md tells why it is enough.

// cold implements handoff.Config.Cold.
func (m *member) cold(shards handoff.Shards) {
	now := int64(m.node.host.Now())
	for shard := range shards.All() {
		m.lostAt[shard].Store(now)
	}
}

// lost implements handoff.Config.Lost: whoever knows of users and invitations of these shards tells the new
// owner.
func (m *member) lost(shards handoff.Shards) {
	set := invitation.ShardSet(shards)
	m.node.gateway.Reattach(func(user invitation.User) bool { return set.Has(invitation.ShardOf(user)) }, 0)
	go m.node.host.Lost(&set)
}

// maxGone bounds the members that are remembered as gone.
const maxGone = 1_024

// missing tells sessions of connections that are lost with their gateway. A member that comes back as it was
// has been thought dead, and did the same to this node: each tells the other again who is connected.
func (m *member) missing(before, after cluster.View) {
	for _, was := range before.Members {
		now, ok := after.Member(was.Name)
		switch {
		case was.Name == m.node.config.Name, ok && now.Boot == was.Boot:
			continue
		case ok:
			go m.node.host.NodeGone(was.Name, now.Boot)
		default:
			go m.node.host.NodeGone(was.Name, math.MaxUint64)
		}
		if len(m.gone) >= maxGone {
			clear(m.gone)
		}
		m.gone[was.Name] = was.Boot
	}
	for _, now := range after.Members {
		if boot, ok := m.gone[now.Name]; ok {
			delete(m.gone, now.Name)
			if boot == now.Boot {
				m.reattachTo(now.Name)
			}
		}
	}
}

// reattachTo tells the sessions of a member again which devices are connected here.
func (m *member) reattachTo(name string) {
	m.node.gateway.Reattach(func(user invitation.User) bool {
		owner, _ := m.router.Owner(invitation.ShardOf(user))
		return owner == name
	}, 0)
}
