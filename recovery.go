package ringfleet

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/snapshot"
)

// What a node does when another one is lost; docs/adr/0010-recovery.md tells why it is enough.

// cold implements handoff.Config.Cold.
func (m *member) cold(shards invitation.ShardSet) {
	m.lack(&snapshot.Loss{Shards: shards, At: m.node.host.Now()})
}

// lack notes that shards are without what lived there.
func (m *member) lack(loss *snapshot.Loss) {
	for shard := range m.lostAt {
		if loss.Shards.Has(invitation.Shard(shard)) {
			m.lostAt[shard].Store(max(m.lostAt[shard].Load(), int64(loss.At)))
		}
	}
}

// losses returns what there is to know of shards about what was lost on them, for whoever has them next.
func (m *member) losses(shards *invitation.ShardSet) []*snapshot.Loss {
	since := int64(m.node.host.Now().Add(-m.node.config.Session.Timers.Grace))
	byTime := map[int64]*snapshot.Loss{}
	for shard := range shards.All() {
		at := m.lostAt[shard].Load()
		if at == 0 || at < since {
			continue
		}
		if byTime[at] == nil {
			byTime[at] = &snapshot.Loss{At: invitation.Time(at)}
		}
		byTime[at].Shards.Add(shard)
	}
	return slices.Collect(maps.Values(byTime))
}

// lost implements handoff.Config.Lost: whoever knows of users and invitations of these shards tells the new
// owner.
func (m *member) lost(shards invitation.ShardSet) {
	m.node.gateway.Reattach(func(user invitation.User) bool { return shards.Has(invitation.ShardOf(user)) }, 0)
	go m.node.host.Lost(&shards)
	go m.node.mirrorOutcomes(&shards)
}

// maxGone bounds the members that are remembered as gone.
const maxGone = 1_024

// missing tells sessions of connections that are lost with their gateway. A member that comes back as it was
// has been thought dead: it is asked to tell again who is connected there.
func (m *member) missing(before, after cluster.View) {
	parted := false
	for _, was := range before.Members {
		now, ok := after.Member(was.Name)
		if was.Name == m.node.config.Name || ok && now.Boot == was.Boot {
			continue
		}
		last := uint64(math.MaxUint64)
		if ok {
			last = now.Boot
		}
		go m.node.eventsLost(was.Name)
		m.tells.add(func() { m.node.host.NodeGone(was.Name, last) })
		parted = parted || was.Lifecycle != cluster.Draining
		if len(m.gone) >= maxGone {
			clear(m.gone)
		}
		m.gone[was.Name] = was.Boot
	}
	for _, now := range after.Members {
		boot, ok := m.gone[now.Name]
		delete(m.gone, now.Name)
		if ok && boot == now.Boot {
			parted = true
			m.tells.add(func() { m.mover.Back(now.Name) })
		}
	}
	if parted { // whoever was not seen may have made what lives here, too, or have it still
		m.cold(invitation.AllShards())
		m.tells.add(m.node.host.Parted)
	}
}

// serial calls functions one after the other, in a goroutine that ends when there are none.
type serial struct {
	mu      sync.Mutex
	waiting []func()
	running bool
}

func (s *serial) add(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, f)
	if !s.running {
		s.running = true
		go s.run()
	}
}

func (s *serial) run() {
	for {
		s.mu.Lock()
		if len(s.waiting) == 0 {
			s.running = false
			s.mu.Unlock()
			return
		}
		f := s.waiting[0]
		s.waiting = s.waiting[1:]
		s.mu.Unlock()
		f()
	}
}

// reattachTo tells the sessions of a member, which has thought this node gone, which devices are connected here.
func (m *member) reattachTo(name string) {
	m.node.gateway.Reattach(func(user invitation.User) bool {
		owner, _ := m.router.Owner(invitation.ShardOf(user))
		return owner == name
	}, 0)
}

// forgetTime bounds how long a node takes to drop what it knows.
const forgetTime = 30 * time.Second

func (n *Node) stalled(standstill time.Duration) {
	if m := n.member; m != nil && m.mover != nil {
		m.stalled(standstill)
	}
}

// stalled takes that the process stood still for so long that others may have taken over what it has. What it
// knows is stale, so it drops that: before any deadline that has passed meanwhile can end what goes on
// elsewhere. Devices, and other nodes, know the rest.
func (m *member) stalled(standstill time.Duration) {
	m.node.config.Logger.Warn("the process stood still; it asks again for all that it knew", "standstill", standstill)
	m.seen.Lock()
	defer m.seen.Unlock()
	m.forget()
}

// forget drops what the node knows. It is called with seen locked: what comes with another view is not to be dropped.
func (m *member) forget() {
	ctx, cancel := context.WithTimeout(context.Background(), forgetTime)
	defer cancel()
	m.cold(invitation.AllShards()) // what is told from now on comes to be anew
	if err := m.node.host.Forget(ctx); err != nil {
		m.node.config.Logger.Error("not all that was stale could be dropped", "error", err)
	}
	m.mover.Forget()
	if m.node.events != nil {
		m.node.events.Forget()
	}
}

// ErrCutOff is why a node that sees less than half of its cluster is not ready.
var ErrCutOff = errors.New("ringfleet: the node sees less than half of the members that it saw last; " +
	"it serves again when it sees more, or when it is told that they are gone (POST /cluster/agree)")

// agreed are the members that a node counts with: those it has seen, but for those that left in order.
type agreed struct{ names map[string]bool }

// agreeAfter is how long most of the members have to be without the others until those are not counted any more.
const agreeAfter = time.Minute

// take takes a view, and reports whether it has less than half of the members that are counted.
func (a *agreed) take(before, now cluster.View) bool {
	present := 0
	for _, was := range before.Members {
		if _, ok := now.Member(was.Name); !ok && was.Lifecycle == cluster.Draining {
			delete(a.names, was.Name)
		}
	}
	if a.names == nil {
		a.names = map[string]bool{}
	}
	for _, member := range now.Members {
		if a.names[member.Name] || member.Lifecycle == cluster.Serving {
			a.names[member.Name] = true
			present++
		}
	}
	return 2*present < len(a.names)
}

// count makes the members that serve by a view all that are counted.
func (a *agreed) count(now cluster.View) {
	clear(a.names)
	for _, member := range now.Members {
		if member.Lifecycle == cluster.Serving {
			a.names[member.Name] = true
		}
	}
}

// setCutOff begins or ends that this node is cut off.
func (m *member) setCutOff(off bool) {
	switch {
	case off == m.isOff.Swap(off):
	case off:
		m.node.config.Logger.Warn("this node is cut off: it sends its clients elsewhere", "sees", len(m.last.Members), "of", len(m.agreed.names))
		m.node.gateway.StopAccepting()
		go m.setAside()
	default:
		m.node.config.Logger.Info("this node is not cut off any more")
		if !m.node.stopping.Load() && !m.node.drained.Load() {
			m.node.gateway.StartAccepting()
		}
	}
}

// setAside sends the devices of a node that is cut off elsewhere, and drops what it knows: the others have taken
// over by now.
func (m *member) setAside() {
	m.apart.Lock()
	defer m.apart.Unlock()
	if !m.isOff.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), forgetTime)
	defer cancel()
	if err := m.node.gateway.EndAll(ctx); err != nil {
		m.node.config.Logger.Warn("not all clients could be sent elsewhere", "error", err)
	}
	m.seen.Lock()
	defer m.seen.Unlock()
	if m.isOff.Load() { // else the others get what it knows, and give what they know
		m.forget()
	}
}

// settle stops counting the members that have been away since the view of an epoch, for long.
func (m *member) settle(epoch uint64) {
	m.seen.Lock()
	defer m.seen.Unlock()
	if m.last.Epoch == epoch && !m.isOff.Load() {
		m.agreed.count(m.last)
	}
}

// ErrAlone is returned by [Node.Agree] for a node that is in no cluster, or in one whose members never change.
var ErrAlone = errors.New("ringfleet: the node's cluster, if it has one, does not change")

// Agree makes the node count with the members that it sees now, and no others: it serves again if it was cut
// off. It is for operators who know that the others are gone for good.
func (n *Node) Agree() error {
	m := n.member
	if m == nil || m.mover == nil {
		return ErrAlone
	}
	m.seen.Lock()
	defer m.seen.Unlock()
	m.agreed.count(m.last)
	m.setCutOff(false)
	return nil
}
