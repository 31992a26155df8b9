package membership

import (
	"errors"
	"log/slog"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/internal/logonce"
)

// What memberlist calls. It holds a lock of its own meanwhile, so nothing here may call it, nor wait.

// delegate tells others of this node, and takes what they ask.
type delegate Membership

var _ memberlist.Delegate = (*delegate)(nil)

func (d *delegate) NodeMeta(int) []byte {
	m := (*Membership)(d)
	m.mu.Lock()
	defer m.mu.Unlock()
	data, err := encodeMeta(m.config.Cluster, m.roster.self)
	if err != nil { // was encoded by Start; only the lifecycle has changed
		m.config.Logger.Error("encode this node's meta data", slog.Any("error", err))
	}
	return data
}

func (d *delegate) NotifyMsg(data []byte)           { (*Membership)(d).take(data) }
func (*delegate) GetBroadcasts(int, int) [][]byte   { return nil }
func (*delegate) LocalState(bool) []byte            { return nil }
func (*delegate) MergeRemoteState(_ []byte, _ bool) {}

// events takes who comes and goes.
type events Membership

var _ memberlist.EventDelegate = (*events)(nil)

func (e *events) NotifyJoin(n *memberlist.Node)   { (*Membership)(e).heard(n) }
func (e *events) NotifyUpdate(n *memberlist.Node) { (*Membership)(e).heard(n) }

func (e *events) NotifyLeave(n *memberlist.Node) {
	m := (*Membership)(e)
	m.mu.Lock()
	known := m.roster.remove(n.Name, time.Now())
	m.mu.Unlock()
	if known {
		hint(m.changed)
	}
}

// heard takes news of a node.
func (m *Membership) heard(n *memberlist.Node) {
	if n.Name == m.gossip {
		return
	}
	member, err := decodeMeta(m.config.Cluster, n.Name, n.Address(), n.Meta)
	if err != nil {
		return // NotifyAlive has refused it
	}
	m.mu.Lock()
	changed := m.roster.set(n.Name, member)
	m.mu.Unlock()
	if changed {
		hint(m.changed)
	}
}

// admission keeps out whoever does not belong here.
type admission Membership

var (
	_ memberlist.AliveDelegate = (*admission)(nil)
	_ memberlist.MergeDelegate = (*admission)(nil)
)

// NotifyAlive refuses a node.
func (a *admission) NotifyAlive(n *memberlist.Node) error {
	_, err := (*Membership)(a).admit(n)
	return err
}

// NotifyMerge refuses to compare lists with a node of another cluster: each node of its list would be refused.
func (a *admission) NotifyMerge(nodes []*memberlist.Node) error {
	for _, n := range nodes {
		if n.State != memberlist.StateAlive && n.State != memberlist.StateSuspect {
			continue
		}
		cause, err := (*Membership)(a).admit(n)
		if cause == "cluster" || cause == "shards" {
			return err
		}
	}
	return nil
}

// admit returns why a node is not let in, which it logs.
func (m *Membership) admit(n *memberlist.Node) (cause string, err error) {
	if n.Name == m.gossip {
		return "", nil
	}
	member, err := decodeMeta(m.config.Cluster, n.Name, n.Address(), n.Meta)
	if err == nil {
		return "", nil
	}
	r := new(refusal)
	errors.As(err, &r)
	m.mu.Lock()
	m.stats.Refusals++
	m.mu.Unlock()
	logRefusal(m.once, r, member, n)
	return r.cause, err
}

func logRefusal(once *logonce.Logger, r *refusal, member cluster.Member, n *memberlist.Node) {
	once.Log(slog.LevelWarn, "refused "+r.cause+" "+n.Name, "a node is not let into the cluster",
		slog.String("node", member.Name), slog.String("gossip", n.Address()), slog.String("why", r.text))
}
