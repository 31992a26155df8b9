package handoff

import (
	"encoding/binary"
	"log/slog"
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/invitation"
)

// pull is what is asked of one member.
type pull struct {
	to    cluster.Member
	more  invitation.ShardSet // to ask for next
	after time.Time           // and not before

	id      uint64              // of the claim under way; 0: there is none
	asked   invitation.ShardSet // by it
	granted bool
	given   invitation.ShardSet // of asked, what will be here when all chunks are
	chunks  uint32
	chunk   uint32        // the one that is awaited
	partial []byte        // the beginning of a record
	age     time.Duration // of the records; what comes over the link is new
	sent    time.Time
	began   time.Time
	records int
}

// want asks every other member for shards.
func (m *Mover) want(shards *invitation.ShardSet) {
	if shards.Empty() {
		return
	}
	for _, member := range m.view.Members {
		if member.Name != m.config.Self {
			m.wantFrom(member, shards)
		}
	}
}

func (m *Mover) wantFrom(member cluster.Member, shards *invitation.ShardSet) {
	p := m.pulls[member.Name]
	if p == nil {
		p = &pull{to: member}
		m.pulls[member.Name] = p
	}
	p.more.Union(shards)
	m.advance(p, time.Now())
}

// advance sends the next claim, if none is under way.
func (m *Mover) advance(p *pull, now time.Time) {
	if p.id != 0 || p.more.Empty() || now.Before(p.after) {
		return
	}
	m.lastID++
	*p = pull{to: p.to, id: m.lastID, asked: p.more, began: now}
	m.ask(p, now)
}

// ask says what is to be answered next.
func (m *Mover) ask(p *pull, now time.Time) {
	p.sent = now
	if p.granted {
		m.config.Send(p.to.Name, &Message{Kind: Pull, ID: p.id, Chunk: p.chunk})
		return
	}
	m.config.Send(p.to.Name, &Message{Kind: Claim, ID: p.id, Shards: p.asked})
}

// granted takes the answer to a claim.
func (m *Mover) granted(from string, msg *Message) {
	p := m.pulls[from]
	if p == nil || p.id != msg.ID {
		m.config.Send(from, &Message{Kind: Done, ID: msg.ID})
		return
	}
	now := time.Now()
	if p.granted {
		if msg.Chunks == 0 { // it has taken back what it gave
			p.given = invitation.ShardSet{}
			m.finish(p, now)
		}
		return
	}
	for i := range msg.Shards {
		later := msg.Shards[i] & p.asked[i]
		p.more[i] |= later
		p.asked[i] &^= later
	}
	p.after, p.given = now.Add(laterAfter), msg.Given
	if m.stranger(msg.Holders) {
		for i := range msg.Given { // who has the rest is not in the view yet
			rest := p.asked[i] &^ msg.Given[i]
			p.more[i] |= rest
			p.asked[i] &^= rest
		}
	}
	if msg.Chunks == 0 {
		m.finish(p, now)
		return
	}
	p.granted, p.chunks = true, msg.Chunks
	m.ask(p, now)
}

// stranger reports whether some member is not in this node's view.
func (m *Mover) stranger(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		_, known := m.view.Member(name)
		return !known
	})
}

// wantFromNew asks the members that the view before did not have for what is still awaited.
func (m *Mover) wantFromNew(before cluster.View) {
	var awaited invitation.ShardSet
	for shard := range invitation.Shard(invitation.Shards) {
		if m.Place(shard) == Awaited {
			awaited.Add(shard)
		}
	}
	for _, member := range m.view.Members {
		was, ok := before.Member(member.Name)
		if member.Name == m.config.Self || ok && was.Boot == member.Boot {
			continue
		}
		rest := awaited
		if p := m.pulls[member.Name]; p != nil {
			rest.Remove(&p.asked)
		}
		if !rest.Empty() {
			m.wantFrom(member, &rest)
		}
	}
}

// chunk takes a piece of what was claimed.
func (m *Mover) chunk(from string, msg *Message) {
	p := m.pulls[from]
	switch {
	case p == nil || p.id != msg.ID:
		m.config.Send(from, &Message{Kind: Done, ID: msg.ID})
		return
	case !p.granted || p.chunk != msg.Chunk:
		return // it came twice
	}
	p.age = msg.Age
	p.partial = m.unpack(p, append(p.partial, msg.Data...))
	now := time.Now()
	if p.chunk++; p.chunk < p.chunks {
		m.ask(p, now)
		return
	}
	m.config.Send(from, &Message{Kind: Done, ID: p.id})
	m.finish(p, now)
}

// unpack imports the whole records at the beginning of data, and returns the rest.
func (m *Mover) unpack(p *pull, data []byte) []byte {
	for {
		size, n := binary.Uvarint(data)
		if n <= 0 || uint64(len(data)-n) < size {
			return data
		}
		end := n + int(size)
		if err := m.config.Store.Import(data[n:end:end], p.age); err != nil {
			m.counts.damaged.Add(1)
			m.config.Logger.Error("a record of another node could not be taken", slog.String("member", p.to.Name), slog.Any("error", err))
		} else {
			p.records++
		}
		data = data[end:]
	}
}

// finish ends a claim.
func (m *Mover) finish(p *pull, now time.Time) {
	if p.records > 0 {
		m.counts.taken.Add(uint64(p.records))
		m.config.Logger.Info("shards taken", slog.String("from", p.to.Name), slog.Int("shards", p.asked.Len()),
			slog.Int("records", p.records), slog.Duration("took", now.Sub(p.began)))
	}
	m.warm.Union(&p.given)
	*p = pull{to: p.to, more: p.more, after: p.after}
	if p.more.Empty() {
		delete(m.pulls, p.to.Name)
	} else {
		m.advance(p, now)
	}
	m.settle()
}

// forgetPulls gives up on members that have gone, or that have started anew and have nothing.
func (m *Mover) forgetPulls() {
	for name, p := range m.pulls {
		if now, ok := m.view.Member(name); !ok || now.Boot != p.to.Boot {
			delete(m.pulls, name)
		}
	}
}

// settle makes the shards held that are awaited from nobody any more.
func (m *Mover) settle() {
	var pending invitation.ShardSet
	for _, p := range m.pulls {
		pending.Union(&p.asked)
		pending.Union(&p.more)
	}
	var opened, cold invitation.ShardSet
	for shard := range invitation.Shard(invitation.Shards) {
		if m.Place(shard) != Awaited || pending.Has(shard) {
			continue
		}
		opened.Add(shard)
		if !m.warm.Has(shard) {
			cold.Add(shard)
		}
	}
	m.warm.Remove(&opened)
	if !cold.Empty() {
		m.lose(&cold)
	}
	for shard := range opened.All() {
		m.open(shard)
	}
}

// offered takes that another member holds shards of this node.
func (m *Mover) offered(from string, msg *Message) {
	member, ok := m.view.Member(from)
	if !ok {
		return
	}
	var mine invitation.ShardSet
	for shard := range msg.Shards.All() {
		if owner, _ := m.table.Owner(shard); owner == m.config.Self && m.Place(shard) != Gone {
			mine.Add(shard)
		}
	}
	if p := m.pulls[from]; p != nil {
		mine.Remove(&p.asked)
	}
	if !mine.Empty() {
		m.wantFrom(member, &mine)
	}
}

// repeat says again what was not answered.
func (m *Mover) repeat(now time.Time) {
	for _, p := range m.pulls {
		if p.id == 0 {
			m.advance(p, now)
		} else if now.Sub(p.sent) >= repeatAfter {
			m.ask(p, now)
		}
	}
	for id, l := range m.losses {
		if now.Sub(l.said) >= repeatAfter {
			m.sayLost(id, l, now)
		}
	}
	for key, g := range m.gifts {
		if g.ready && now.Sub(g.heard) >= review {
			g.heard = now
			m.config.Send(key.to, g.grant(key.id))
		}
	}
}
