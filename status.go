package ringfleet

import (
	"github.com/ringfleet/ringfleet/internal/observe"
	"github.com/ringfleet/ringfleet/invitation"
)

// Status is a node's state, as the admin address shows it. Its parts are read one after the other, not at
// one instant.
type Status struct {
	Node        string           `json:"node"`
	Ready       bool             `json:"ready"`
	Reason      string           `json:"reason,omitempty"` // why it is not ready
	Sessions    int              `json:"sessions"`
	Invitations map[string]int64 `json:"invitations"` // by stage
	Queues      QueueStatus      `json:"queues"`
	Cluster     *ClusterStatus   `json:"cluster,omitempty"` // nil for a node that is alone
}

// QueueStatus is what waits on a node.
type QueueStatus struct {
	Actors      int   `json:"actors"`       // that have messages and wait for a worker
	Kept        int   `json:"kept"`         // messages for shards that are on their way here
	PeerBytes   int   `json:"peer_bytes"`   // for other nodes
	ClientBytes int64 `json:"client_bytes"` // of unfinished frames, and for clients that do not read
}

// ClusterStatus is the cluster as a node sees it.
type ClusterStatus struct {
	Name     string         `json:"name"`
	Epoch    uint64         `json:"epoch"`   // of this node's view; the epochs of two nodes have nothing in common
	Members  []MemberStatus `json:"members"` // ascending by name
	Shards   ShardStatus    `json:"shards"`
	Handoffs HandoffStatus  `json:"handoffs"`
}

// MemberStatus is a member in a node's view.
type MemberStatus struct {
	Name      string `json:"name"`
	Boot      uint64 `json:"boot,string"` // more digits than a number of JSON is sure to keep
	Lifecycle string `json:"lifecycle"`
	Peer      string `json:"peer"`
	Gateway   string `json:"gateway"`
	Gossip    string `json:"gossip"`
	Build     string `json:"build"`
	Shards    int    `json:"shards"` // that it owns by this view
}

// ShardStatus counts the shards of a node.
type ShardStatus struct {
	Held    int `json:"held"`    // whose actors live here
	Awaited int `json:"awaited"` // that are on their way here
}

// HandoffStatus is how shards move from and to a node.
type HandoffStatus struct {
	Taking   int    `json:"taking"`   // members that shards are being taken from
	Giving   int    `json:"giving"`   // members that shards are being given to
	KeptNow  int    `json:"kept_now"` // messages kept back
	Kept     uint64 `json:"kept"`     // messages kept back since the start
	Taken    uint64 `json:"taken"`    // records (a session, an invitation) that came here since the start
	Given    uint64 `json:"given"`    // records that were frozen for others since the start
	Returned uint64 `json:"returned"` // of them, those taken back as the other node had gone
	Damaged  uint64 `json:"damaged"`  // records of others that could not be read
}

// Status returns the node's state.
func (n *Node) Status() Status {
	sessions, _ := n.host.Live()
	s := Status{
		Node: n.config.Name, Ready: true, Sessions: sessions, Invitations: map[string]int64{},
		Queues: QueueStatus{Actors: n.host.Stats().Engine.Queued, ClientBytes: n.gateway.Buffered()},
	}
	if err := n.Ready(); err != nil {
		s.Ready, s.Reason = false, err.Error()
	}
	for stage := range invitation.Stage(invitation.Stages) {
		s.Invitations[stage.String()] = n.invitations.Live(stage)
	}
	if state, ok := n.clusterState(); ok {
		s.Queues.Kept = state.Handoff.Waiting
		if state.Link != nil {
			s.Queues.PeerBytes = state.Link.Queued
		}
		s.Cluster = clusterStatus(n.member.config.Name, state)
	}
	return s
}

func clusterStatus(name string, state observe.ClusterState) *ClusterStatus {
	h := state.Handoff
	s := &ClusterStatus{
		Name: name, Epoch: state.View.Epoch, Members: make([]MemberStatus, 0, len(state.View.Members)),
		Shards: ShardStatus{Held: h.Held, Awaited: h.Awaited},
		Handoffs: HandoffStatus{
			Taking: h.Taking, Giving: h.Giving, KeptNow: h.Waiting, Kept: h.Kept, Taken: h.Taken, Given: h.Given,
			Returned: h.Returned, Damaged: h.Damaged,
		},
	}
	for _, m := range state.View.Members {
		s.Members = append(s.Members, MemberStatus{
			Name: m.Name, Boot: m.Boot, Lifecycle: m.Lifecycle.String(), Peer: m.Peer, Gateway: m.Gateway, Gossip: m.Gossip,
			Build: m.Build, Shards: state.Owned[m.Name],
		})
	}
	return s
}

// clusterState returns what the node knows of its cluster; false for a node that is alone.
func (n *Node) clusterState() (observe.ClusterState, bool) {
	m := n.member
	if m == nil || m.router == nil {
		return observe.ClusterState{}, false
	}
	s := observe.ClusterState{View: m.router.View(), Owned: map[string]int{}, Router: m.router.Stats()}
	if table := m.router.Placement(); table != nil {
		for i, owned := range table.Counts() {
			s.Owned[table.Members()[i]] = owned
		}
	}
	if m.mover != nil {
		s.Handoff = m.mover.Stats()
	} else {
		s.Handoff.Held = s.Owned[n.config.Name]
	}
	if m.stream != nil {
		stats := m.stream.Stats()
		s.Link = &stats
	}
	if g := m.gossip.Load(); g != nil {
		stats := g.Stats()
		s.Gossip = &stats
	}
	return s, true
}
