package membership

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
)

// The bounds of what is remembered about members that were lost.
const (
	maxLost  = 256
	lostTime = 24 * time.Hour
)

// entry is another node, as the gossip has it.
type entry struct {
	member cluster.Member
	judged bool // found dead by a probe of ours; not in views
}

// roster is all that is known about who is there. Not safe for concurrent use.
type roster struct {
	self   cluster.Member
	others map[string]*entry    // by name in the gossip
	lost   map[string]time.Time // gossip addresses of members that went without a farewell, and when
}

func newRoster(self cluster.Member) *roster {
	return &roster{self: self, others: map[string]*entry{}, lost: map[string]time.Time{}}
}

// set takes news of a node. It reports whether anything has changed.
func (r *roster) set(gossip string, m cluster.Member) bool {
	delete(r.lost, m.Gossip)
	e := r.others[gossip]
	if e == nil {
		r.others[gossip] = &entry{member: m, judged: supersedes(r.self, m)}
		for _, other := range r.others {
			other.judged = other.judged || supersedes(m, other.member)
		}
		return true
	}
	changed := e.member != m
	e.member = m
	return changed
}

// supersedes reports whether one node is a later start of another at the same address, so that the other
// one must be gone.
func supersedes(m, other cluster.Member) bool {
	return m.Name == other.Name && m.Gossip == other.Gossip && m.Boot > other.Boot
}

// remove takes the news that a node is gone. It reports whether it was known.
func (r *roster) remove(gossip string, now time.Time) bool {
	e := r.others[gossip]
	if e == nil {
		return false
	}
	delete(r.others, gossip)
	if e.member.Lifecycle != cluster.Left && e.member.Gossip != r.self.Gossip {
		r.remember(e.member.Gossip, now)
	}
	return true
}

// remember notes where a member was, to look for it again.
func (r *roster) remember(address string, now time.Time) {
	if len(r.lost) >= maxLost {
		oldest := ""
		for a, at := range r.lost {
			if oldest == "" || at.Before(r.lost[oldest]) {
				oldest = a
			}
		}
		delete(r.lost, oldest)
	}
	r.lost[address] = now
}

// lookFor returns the addresses of lost members, ascending.
func (r *roster) lookFor(now time.Time) []string {
	maps.DeleteFunc(r.lost, func(_ string, at time.Time) bool { return now.Sub(at) > lostTime })
	return slices.Sorted(maps.Keys(r.lost))
}

// judge notes what a probe has found. It reports whether that changes anything.
func (r *roster) judge(gossip string, dead bool) bool {
	e := r.others[gossip]
	if e == nil || e.judged == dead {
		return false
	}
	e.judged = dead
	return true
}

// judged returns the names in the gossip of those who were judged dead, ascending.
func (r *roster) judged() []string {
	var names []string
	for gossip, e := range r.others {
		if e.judged {
			names = append(names, gossip)
		}
	}
	slices.Sort(names)
	return names
}

// find returns the name in the gossip of a member; boot 0 stands for whichever is in the view.
func (r *roster) find(name string, boot uint64) (string, bool) {
	best, found := "", false
	for gossip, e := range r.others {
		switch {
		case e.member.Name != name || boot != 0 && e.member.Boot != boot || boot == 0 && e.judged:
		case !found || e.member.Boot < r.others[best].member.Boot:
			best, found = gossip, true
		}
	}
	return best, found
}

// members returns who is in the view, ascending by name, and the names in the gossip of those who hold a
// name that another node, which started later, claims, too.
func (r *roster) members() (members []cluster.Member, contested []string) {
	first := map[string]string{} // by name: the node that started first
	boot := func(gossip string) uint64 {
		if gossip == "" {
			return r.self.Boot
		}
		return r.others[gossip].member.Boot
	}
	first[r.self.Name] = ""
	rivals := map[string]bool{}
	for gossip, e := range r.others {
		if e.judged || e.member.Lifecycle == cluster.Left {
			continue
		}
		other, taken := first[e.member.Name]
		if taken {
			rivals[e.member.Name] = true
		}
		if !taken || e.member.Boot < boot(other) {
			first[e.member.Name] = gossip
		}
	}
	for name, gossip := range first {
		if rivals[name] && gossip != "" {
			contested = append(contested, gossip)
		}
		switch {
		case gossip != "" && name == r.self.Name: // contested: here it is neither's
		case gossip != "":
			members = append(members, r.others[gossip].member)
		case r.self.Lifecycle != cluster.Left:
			members = append(members, r.self)
		}
	}
	slices.SortFunc(members, func(a, b cluster.Member) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(contested)
	return members, contested
}
