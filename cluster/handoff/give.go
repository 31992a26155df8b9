package handoff

import (
	"context"
	"encoding/binary"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/invitation"
)

// giftKey names a claim that is being answered.
type giftKey struct {
	to string
	id uint64
}

// gift is what was claimed and frozen, until the claimant has it.
type gift struct {
	to      cluster.Member
	shards  invitation.ShardSet
	later   invitation.ShardSet
	holders []string
	ready   bool
	stream  []byte // the records, each with its length before it
	count   int
	written time.Time // the last of the records was
	heard   time.Time
	began   time.Time
}

func (g *gift) chunks() uint32 { return uint32((len(g.stream) + chunkBytes - 1) / chunkBytes) }

func (g *gift) grant(id uint64) *Message {
	return &Message{Kind: Grant, ID: id, Chunks: g.chunks(), Shards: g.later, Given: g.shards, Holders: g.holders}
}

// claimed takes a claim: what is here is given away. Of two members that both await a shard, the one with
// the lower name gets it.
func (m *Mover) claimed(from string, msg *Message) {
	key := giftKey{from, msg.ID}
	if g := m.gifts[key]; g != nil {
		if g.ready {
			m.config.Send(from, g.grant(msg.ID))
		}
		return
	}
	member, ok := m.view.Member(from)
	if !ok {
		return // it is asked again until this node knows who asks
	}
	g := &gift{to: member, began: time.Now(), heard: time.Now()}
	holders := map[string]bool{}
	for shard := range msg.Shards.All() {
		switch m.Place(shard) {
		case Held:
			m.give(shard, from)
			g.shards.Add(shard)
		case Awaited:
			if from > m.config.Self {
				g.later.Add(shard)
			}
		case Gone:
			holder, _ := m.table.Owner(shard)
			if holder == from {
				m.moved[shard].Store(nil)
			} else if to := m.Moved(shard); to != "" {
				holder = to
			}
			if holder != from && holder != m.config.Self && holder != "" {
				holders[holder] = true
			}
		}
	}
	g.holders = slices.Sorted(maps.Keys(holders))
	if g.shards.Empty() {
		m.config.Send(from, g.grant(msg.ID))
		return
	}
	m.gifts[key] = g
	m.running.Go(func() { m.export(key, g) })
}

// give makes a shard another member's: from now on what comes for it is passed on.
func (m *Mover) give(shard invitation.Shard, to string) {
	m.moved[shard].Store(&to)
	m.set(shard, Gone)
}

// export freezes what lives on the shards of a gift.
func (m *Mover) export(key giftKey, g *gift) {
	ctx, cancel := context.WithTimeout(m.ctx, exportTime)
	defer cancel()
	var mu sync.Mutex
	var stream []byte
	count := 0
	err := m.config.Store.Export(ctx, &g.shards, func(record []byte) {
		mu.Lock()
		defer mu.Unlock()
		stream = binary.AppendUvarint(stream, uint64(len(record)))
		stream = append(stream, record...)
		count++
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.config.Logger.Error("not all that lives on some shards could be given away", slog.String("member", key.to), slog.Any("error", err))
		g.shards = invitation.ShardSet{} // the claimant is to count with a loss
	}
	mu.Lock()
	defer mu.Unlock()
	now := time.Now()
	g.stream, g.count, g.ready, g.written, g.heard = stream, count, true, now, now
	m.counts.given.Add(uint64(count))
	if len(stream) == 0 {
		delete(m.gifts, key) // there is nothing that could be lost
	} else {
		m.config.Logger.Info("shards given", slog.String("to", key.to), slog.Int("shards", g.shards.Len()),
			slog.Int("records", count), slog.Int("bytes", len(stream)), slog.Duration("froze", time.Since(g.began)))
	}
	m.config.Send(key.to, g.grant(key.id))
	m.hint()
}

// pulled answers a pull.
func (m *Mover) pulled(from string, msg *Message) {
	g := m.gifts[giftKey{from, msg.ID}]
	switch {
	case g == nil:
		m.config.Send(from, &Message{Kind: Grant, ID: msg.ID}) // nothing is left of it
		return
	case !g.ready || msg.Chunk >= g.chunks():
		return
	}
	g.heard = time.Now()
	rest := g.stream[int(msg.Chunk)*chunkBytes:]
	m.config.Send(from, &Message{Kind: Chunk, ID: msg.ID, Chunk: msg.Chunk, Data: rest[:min(len(rest), chunkBytes)], Age: time.Since(g.written)})
}

// takeBack takes back what was given to members that have gone before they had it.
func (m *Mover) takeBack() {
	for key, g := range m.gifts {
		now, ok := m.view.Member(key.to)
		if ok && now.Boot == g.to.Boot || !g.ready {
			continue
		}
		delete(m.gifts, key)
		back := &pull{to: g.to, age: time.Since(g.written)}
		m.unpack(back, g.stream)
		m.counts.returned.Add(uint64(back.records))
		m.config.Logger.Warn("shards taken back, as the node they were given to has gone", slog.String("member", key.to),
			slog.Int("shards", g.shards.Len()), slog.Int("records", back.records))
		for shard := range g.shards.All() {
			if m.Place(shard) == Gone {
				m.set(shard, Held)
				m.moved[shard].Store(nil)
			}
		}
	}
}
