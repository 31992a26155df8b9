package handoff

import (
	"log/slog"
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/invitation"
)

// loss is what this node tells the others of shards that it has opened without what lived there.
type loss struct {
	shards invitation.ShardSet
	owed   map[string]bool // the members that have not answered
	said   time.Time
}

// lose tells everybody, this node included, that what lived on some shards is lost.
func (m *Mover) lose(shards *invitation.ShardSet) {
	m.config.Cold(*shards)
	m.config.Lost(*shards)
	m.lastID++
	l := &loss{shards: *shards, owed: map[string]bool{}}
	for _, member := range m.view.Members {
		if member.Name != m.config.Self {
			l.owed[member.Name] = true
		}
	}
	if len(l.owed) == 0 {
		return
	}
	m.losses[m.lastID] = l
	m.sayLost(m.lastID, l, time.Now())
}

func (m *Mover) sayLost(id uint64, l *loss, now time.Time) {
	l.said = now
	for name := range l.owed {
		m.config.Send(name, &Message{Kind: Lost, ID: id, Shards: l.shards})
	}
}

// told takes that a member knows of a loss.
func (m *Mover) told(from string, msg *Message) {
	l := m.losses[msg.ID]
	if l == nil {
		return
	}
	if delete(l.owed, from); len(l.owed) == 0 {
		delete(m.losses, msg.ID)
	}
}

// forgetLosses gives up telling members that have gone.
func (m *Mover) forgetLosses() {
	for id, l := range m.losses {
		for name := range l.owed {
			if _, ok := m.view.Member(name); !ok {
				delete(l.owed, name)
			}
		}
		if len(l.owed) == 0 {
			delete(m.losses, id)
		}
	}
	for name := range m.heard {
		if _, ok := m.view.Member(name); !ok {
			delete(m.heard, name)
		}
	}
}

// Back tells a member that this node has thought it gone, and has given up what it heard of it.
func (m *Mover) Back(member string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.view.Member(member); !ok || m.closed {
		return
	}
	m.lastID++
	l := &loss{owed: map[string]bool{member: true}}
	m.losses[m.lastID] = l
	m.sayLost(m.lastID, l, time.Now())
	m.hint()
}

// heardLast is how many losses of a member are remembered, so that one that is told twice is taken once.
const heardLast = 64

// lost takes that what lived on some shards is lost.
func (m *Mover) lost(from string, msg *Message) {
	m.config.Send(from, &Message{Kind: Heard, ID: msg.ID})
	heard := m.heard[from]
	if slices.Contains(heard, msg.ID) {
		return
	}
	if len(heard) >= heardLast {
		heard = slices.Delete(heard, 0, 1)
	}
	m.heard[from] = append(heard, msg.ID)
	if msg.Shards.Empty() {
		m.config.Parted(from)
		return
	}
	m.config.Logger.Info("shards have a new owner, without what lived there", slog.String("owner", from), slog.Int("shards", msg.Shards.Len()))
	m.config.Lost(msg.Shards)
}

// Forget tells everybody that what lived on the shards of this node is lost. It is for a node that has
// dropped it: one that was cut off, or stood still, and does not know who has taken over since.
func (m *Mover) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	var held invitation.ShardSet
	for shard := range invitation.Shard(invitation.Shards) {
		if m.Place(shard) == Held {
			held.Add(shard)
		}
	}
	if !m.closed && !held.Empty() {
		m.forgot, m.forgotAt = held, time.Now()
		m.lose(&held)
		m.hint()
	}
}

// confessTime bounds for how long members that this node did not see when it forgot are told of that. They may not
// have noticed anything.
const confessTime = 5 * time.Minute

// confess tells the members that were not in the view before what this node has forgotten of its own shards.
func (m *Mover) confess(before cluster.View) {
	if m.forgot.Empty() || time.Since(m.forgotAt) > confessTime {
		return
	}
	l := &loss{owed: map[string]bool{}}
	for shard := range m.forgot.All() {
		if owner, ok := m.table.Owner(shard); ok && owner == m.config.Self {
			l.shards.Add(shard)
		}
	}
	for _, member := range m.view.Members {
		if _, ok := before.Member(member.Name); !ok && member.Name != m.config.Self {
			l.owed[member.Name] = true
		}
	}
	if l.shards.Empty() {
		return
	}
	m.lastID++
	m.losses[m.lastID] = l
	m.sayLost(m.lastID, l, time.Now())
}
