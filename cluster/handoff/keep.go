package handoff

import (
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/invitation"
)

// keeper has the messages that are kept back.
type keeper struct {
	mu     sync.Mutex
	max    int
	count  int
	queues map[invitation.Shard][]kept
}

// kept is a message that is kept back.
type kept struct {
	envelope cluster.Envelope
	since    time.Time
}

// Keep keeps a message back until its shard is here, and reports true; or it reports false, as the shard is
// not awaited any more: look at its place again. The error is [cluster.ErrBusy]: there is no room.
func (m *Mover) Keep(e cluster.Envelope) (bool, error) {
	k := &m.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case m.Place(e.Shard) != Awaited:
		return false, nil
	case k.count >= k.max:
		return false, cluster.ErrBusy
	}
	if k.queues == nil {
		k.queues = map[invitation.Shard][]kept{}
	}
	k.queues[e.Shard] = append(k.queues[e.Shard], kept{e, time.Now()})
	k.count++
	m.counts.kept.Add(1)
	return true, nil
}

// open makes a shard held, after all that was kept back for it has been delivered, in its order.
func (m *Mover) open(shard invitation.Shard) {
	k := &m.kept
	for {
		k.mu.Lock()
		queue := k.queues[shard]
		delete(k.queues, shard)
		k.count -= len(queue)
		if len(queue) == 0 {
			m.set(shard, Held)
			k.mu.Unlock()
			return
		}
		k.mu.Unlock()
		for _, e := range queue {
			m.config.Deliver(e.envelope, time.Since(e.since))
		}
	}
}
