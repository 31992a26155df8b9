package events

import (
	"context"
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/snapshot"
)

// Peers are the other nodes of a cluster: one keeps a copy of each outcome until it was delivered. Methods must not
// block; what they say may be lost, and is said again.
type Peers interface {
	// Backup returns the node that is to keep a copy of an invitation's outcome, "" if there is no other node.
	Backup(e *invitation.Event) string
	// Copy gives a node a copy. It is called by actors.
	Copy(node string, e *snapshot.Event)
	// Held tells a node that these copies of its outcomes are kept here; Delivered that those which it keeps are of no
	// use any more. At most MaxIDs at a time.
	Held(node string, ids []invitation.ID)
	Delivered(node string, ids []invitation.ID)
}

// MaxIDs is how many ids are told at once.
const MaxIDs = 4_096

const (
	// beat is how often copies are looked after.
	beat = 100 * time.Millisecond
	// heldAfter is for how long a copy was kept until that is told: most are not needed as long.
	heldAfter = 2 * beat
	// copyAgain is after what time a copy of which nobody has said that it is held is sent again. After
	// some times that time doubles with each, so often at most: a node of another version, or without sinks, never says so.
	copyAgain   = 5 * beat
	copyOften   = 8
	copyDoubles = 6
)

// copies are the outcomes of this node that others have copies of, and those that this node has for others.
type copies struct {
	mine   map[invitation.ID]*mine
	unheld map[invitation.ID]*mine // of mine, those of which nobody has said that they are held
	early  map[invitation.ID]*mine // of mine, those that are not queued, as they may change
	told   map[string][]invitation.ID

	theirs  map[invitation.ID]*theirs
	order   []*theirs // the oldest first; may have some that are gone
	untold  []*theirs // not told to be held
	dropped uint64
}

// mine is an outcome of this node.
type mine struct {
	*queued
	node  string    // that has the copy
	sent  time.Time // when it was sent last
	times int       // how often it was sent again
}

// theirs is a copy of the outcome of another node.
type theirs struct {
	event snapshot.Event
	from  string
	since time.Time // when it was queued first
	came  time.Time
	gone  bool
}

func (c *copies) init() {
	c.mine, c.unheld, c.early = map[invitation.ID]*mine{}, map[invitation.ID]*mine{}, map[invitation.ID]*mine{}
	c.told, c.theirs = map[string][]invitation.ID{}, map[invitation.ID]*theirs{}
}

// Early takes an outcome that may still change: it is copied, and delivered only if this node is lost.
func (s *Stream) Early(e *invitation.Event) { s.copy(&queued{event: e, since: time.Now()}, false) }

// copy gives another node a copy of an outcome.
func (s *Stream) copy(q *queued, final bool) {
	if s.config.Peers == nil {
		return
	}
	id := q.event.ID
	node := s.config.Peers.Backup(q.event)
	s.mu.Lock()
	before := s.copies.mine[id]
	if before != nil && before.node != "" && before.node != node {
		s.copies.told[before.node] = append(s.copies.told[before.node], id)
	}
	s.copies.forget(id)
	if node != "" && !s.closed {
		m := &mine{queued: q, node: node, sent: time.Now()}
		s.copies.mine[id], s.copies.unheld[id] = m, m
		if !final {
			s.copies.early[id] = m
		}
	}
	s.mu.Unlock()
	if node != "" {
		s.config.Peers.Copy(node, q.copy(time.Now()))
	}
}

func (q *queued) copy(now time.Time) *snapshot.Event {
	return &snapshot.Event{Event: *q.event, Age: max(now.Sub(q.since), 0)}
}

func (c *copies) forget(id invitation.ID) {
	delete(c.mine, id)
	delete(c.unheld, id)
	delete(c.early, id)
}

// release takes that an outcome needs no copy any more.
func (c *copies) release(q *queued) {
	id := q.event.ID
	if m := c.mine[id]; m != nil && m.queued == q {
		c.told[m.node] = append(c.told[m.node], id)
		c.forget(id)
	}
}

// keepCopies tells the others about copies until ctx is done.
func (s *Stream) keepCopies(ctx context.Context) {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			s.tellCopies(now)
		}
	}
}

func (s *Stream) tellCopies(now time.Time) {
	s.mu.Lock()
	c := &s.copies
	for id, m := range c.early {
		if now.Sub(m.since) >= s.config.MaxAge { // its arbiter has gone elsewhere
			c.told[m.node] = append(c.told[m.node], id)
			c.forget(id)
		}
	}
	var delivered map[string][]invitation.ID
	if len(c.told) > 0 {
		delivered, c.told = c.told, map[string][]invitation.ID{}
	}
	var again []*mine
	for _, m := range c.unheld {
		if now.Sub(m.sent) >= copyAgain<<min(max(m.times-copyOften, 0), copyDoubles) && len(again) < MaxIDs {
			m.sent = now
			m.times++
			again = append(again, m)
		}
	}
	held := c.hold(now)
	for len(c.order) > 0 && (c.order[0].gone || now.Sub(c.order[0].since) >= s.config.MaxAge) {
		c.dropFirst()
	}
	s.mu.Unlock()
	for node, ids := range delivered {
		for part := range slices.Chunk(ids, MaxIDs) {
			s.config.Peers.Delivered(node, part)
		}
	}
	for _, m := range again {
		s.config.Peers.Copy(m.node, m.copy(now))
	}
	for node, ids := range held {
		for part := range slices.Chunk(ids, MaxIDs) {
			s.config.Peers.Held(node, part)
		}
	}
}

// hold returns what is to be told to be held, by node.
func (c *copies) hold(now time.Time) map[string][]invitation.ID {
	held := map[string][]invitation.ID{}
	for len(c.untold) > 0 && now.Sub(c.untold[0].came) >= heldAfter {
		if t := c.untold[0]; !t.gone {
			held[t.from] = append(held[t.from], t.event.ID)
		}
		c.untold[0] = nil
		c.untold = c.untold[1:]
	}
	return held
}

// dropFirst drops the oldest copy.
func (c *copies) dropFirst() {
	t := c.order[0]
	c.order[0] = nil
	c.order = c.order[1:]
	if !t.gone {
		t.gone = true
		delete(c.theirs, t.event.ID)
		c.dropped++
	}
}

// Keep keeps a copy for another node.
func (s *Stream) Keep(from string, e *snapshot.Event) {
	now := time.Now()
	t := &theirs{event: *e, from: from, since: now.Add(-e.Age), came: now}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.copies
	if before := c.theirs[e.ID]; before != nil {
		before.gone = true
	}
	c.theirs[e.ID] = t
	c.order, c.untold = append(c.order, t), append(c.untold, t)
	for len(c.theirs) > s.config.Queue {
		c.dropFirst()
	}
}

// Held takes that a node keeps copies of this node's outcomes.
func (s *Stream) Held(from string, ids []invitation.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if m := s.copies.unheld[id]; m != nil && m.node == from {
			delete(s.copies.unheld, id)
		} else if m := s.copies.mine[id]; m == nil || m.node != from {
			s.copies.told[from] = append(s.copies.told[from], id) // that it was delivered got lost
		}
	}
}

// Delivered takes that a node needs copies no more.
func (s *Stream) Delivered(from string, ids []invitation.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if t := s.copies.theirs[id]; t != nil && t.from == from {
			t.gone = true
			delete(s.copies.theirs, id)
		}
	}
}

// Lost takes that a node is gone: what it has not delivered this node does, and what it has kept is given to another.
func (s *Stream) Lost(node string) {
	s.mu.Lock()
	var adopted []*queued
	for id, t := range s.copies.theirs {
		if t.from == node {
			t.gone = true
			delete(s.copies.theirs, id)
			adopted = append(adopted, &queued{event: &t.event.Event, since: t.since})
		}
	}
	again := map[string][]*snapshot.Event{}
	for _, m := range s.copies.mine {
		if m.node == node {
			s.copyElsewhere(m, again)
		}
	}
	delete(s.copies.told, node)
	s.mu.Unlock()
	slices.SortFunc(adopted, func(a, b *queued) int { return a.since.Compare(b.since) })
	for _, q := range adopted {
		s.emit(q)
	}
	for to, events := range again {
		for _, e := range events {
			s.config.Peers.Copy(to, e)
		}
	}
	if len(adopted) > 0 {
		s.config.Logger.Info("outcomes of a node that is gone are delivered by this one", "node", node, "events", len(adopted))
	}
}

// copyElsewhere gives an outcome, whose copy is lost, another node, and adds it to what is to be sent.
func (s *Stream) copyElsewhere(m *mine, to map[string][]*snapshot.Event) {
	id := m.event.ID
	if m.node = s.config.Peers.Backup(m.event); m.node == "" {
		s.copies.forget(id)
		return
	}
	m.sent, m.times = time.Now(), 0
	s.copies.unheld[id] = m
	to[m.node] = append(to[m.node], m.copy(m.sent))
}

// Export takes out what waits about some invitations, for another node that goes on with them, and gives it to add.
func (s *Stream) Export(match func(invitation.ID) bool, add func(*snapshot.Event)) {
	s.distribute()
	sinks := map[*queued][]string{}
	var order []*queued
	for _, n := range s.senders {
		n.mu.Lock()
		n.queue.export(match, func(q *queued) {
			if sinks[q] == nil {
				order = append(order, q)
			}
			sinks[q] = append(sinks[q], n.config.Name)
		})
		n.unlock()
	}
	s.mu.Lock()
	for id := range s.copies.early {
		if m := s.copies.early[id]; match(id) {
			s.copies.told[m.node] = append(s.copies.told[m.node], id)
			s.copies.forget(id)
		}
	}
	s.mu.Unlock()
	now := time.Now()
	for _, q := range order {
		e := q.copy(now)
		if len(sinks[q]) < len(s.senders) {
			e.Sinks = sinks[q]
		}
		add(e)
		s.moved(q, len(sinks[q]))
	}
}

// moved takes that another node delivers an event to some of its sinks.
func (s *Stream) moved(q *queued, sinks int) {
	finished := make([]*queued, sinks)
	for i := range finished {
		finished[i] = q
	}
	s.finish(finished)
}

// Import takes what another node has exported some time ago.
func (s *Stream) Import(e *snapshot.Event, age time.Duration) {
	q := &queued{event: &e.Event, since: time.Now().Add(-e.Age - age)}
	if len(e.Sinks) == 0 {
		s.emit(q)
		return
	}
	var wanted []*sender
	for _, n := range s.senders {
		if slices.Contains(e.Sinks, n.config.Name) && n.wants(q.event.Kind) {
			wanted = append(wanted, n)
		}
	}
	if len(wanted) == 0 {
		return
	}
	q.left = int32(len(wanted))
	if q.event.Kind == invitation.EventEnded {
		s.copy(q, true)
	}
	s.mu.Lock()
	s.waiting++
	s.mu.Unlock()
	for _, n := range wanted {
		n.add([]*queued{q})
	}
}
