package cluster

import (
	"cmp"
	"slices"

	"github.com/ringfleet/ringfleet/cluster/placement"
)

// ProtocolVersion is the version of the peer protocol that this package speaks, the only one so far.
const ProtocolVersion = 1

// Lifecycle is what a member says of itself.
type Lifecycle uint8

// The lifecycle of a member, in order.
const (
	Joining  Lifecycle = 0 // it is there, and owns nothing yet
	Serving  Lifecycle = 1 // it owns shards
	Draining Lifecycle = 2 // it gives its shards away
	Left     Lifecycle = 3 // it is going; in no view
)

// String returns the name, as used in metrics and logs.
func (l Lifecycle) String() string {
	switch l {
	case Joining:
		return "joining"
	case Serving:
		return "serving"
	case Draining:
		return "draining"
	case Left:
		return "left"
	}
	return "unknown"
}

// Member is one node of the cluster, as a view has it.
type Member struct {
	// Name is stable over restarts, for example a pod's. Placement goes by it.
	Name string
	// Boot is new with every start of the process, so a restart is told from a process that lived on.
	Boot uint64
	// Addresses, host:port: of the peer link, of the gateway for clients, and of the gossip.
	Peer, Gateway, Gossip string
	Lifecycle             Lifecycle
	// Build is the version of the software, for people.
	Build string
}

// View is a list of members, ascending by name, each name once. It is immutable: whoever is given one
// must not change its slice.
type View struct {
	// Epoch grows with each change that this node saw. Epochs of two nodes have nothing in common.
	Epoch   uint64
	Members []Member
}

// NewView returns a view of the members, in any order. It keeps no reference to the slice.
func NewView(epoch uint64, members ...Member) View {
	v := View{Epoch: epoch, Members: slices.Clone(members)}
	slices.SortFunc(v.Members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Boot, b.Boot))
	})
	return v
}

// Member returns the member of a name. O(log n).
func (v View) Member(name string) (Member, bool) {
	if m := v.member(name); m != nil {
		return *m, true
	}
	return Member{}, false
}

// member returns the member of a name, which must not be changed; nil: there is none.
func (v *View) member(name string) *Member {
	for low, high := 0, len(v.Members); low < high; {
		middle := int(uint(low+high) / 2)
		switch m := &v.Members[middle]; cmp.Compare(m.Name, name) {
		case 0:
			return m
		case -1:
			low = middle + 1
		default:
			high = middle
		}
	}
	return nil
}

// Owners returns the names of the members that shards are placed on: those that serve; if none does,
// those that drain, so that a cluster that shuts down has owners to the end.
func (v View) Owners() []string {
	for _, lifecycle := range []Lifecycle{Serving, Draining} {
		var names []string
		for i := range v.Members {
			if v.Members[i].Lifecycle == lifecycle {
				names = append(names, v.Members[i].Name)
			}
		}
		if names != nil {
			return names
		}
	}
	return nil
}

// Placement returns who owns which shard by this view. It is worked out anew by each call, some 7 µs for
// each member; [Router.Placement] has it at hand.
func (v View) Placement() (*placement.Table, error) { return placement.New(v.Owners()) }
