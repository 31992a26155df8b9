package ringfleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfleet/ringfleet/actors"
	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/handoff"
	"github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/cluster/membership"
	"github.com/ringfleet/ringfleet/internal/peerwire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/invitation/snapshot"
)

// member is a node's part in its cluster.
type member struct {
	node    *Node
	config  ClusterConfig
	boot    uint64
	link    Link
	router  *cluster.Router
	mover   *handoff.Mover                        // nil where the members never change
	gossip  atomic.Pointer[membership.Membership] // nil as well
	met     chan struct{}                         // closed when another member was seen
	joined  atomic.Bool                           // this node serves, and has had all that it owns
	cancel  context.CancelFunc                    // ends what serve waits for
	serving chan struct{}                         // closed when serve has returned
	stream  *link.Stream                          // the link, where it is one
	lostAt  [invitation.Shards]atomic.Int64       // when this node took over a shard without what lived on it; 0: it did not
	isOff   atomic.Bool                           // this node is cut off
	apart   sync.Mutex                            // held while what is cut off is set aside

	seen   sync.Mutex // guards the following
	last   cluster.View
	gone   map[string]uint64 // the members that went, and their boots
	agreed agreed
	tells  serial
}

// joinCluster makes the node a member of its cluster.
func (n *Node) joinCluster() error {
	if n.config.Cluster == nil {
		return nil
	}
	m := &member{
		node: n, config: n.config.Cluster.withDefaults(), boot: n.boot, met: make(chan struct{}), serving: make(chan struct{}),
		gone: map[string]uint64{},
	}
	m.link = m.config.Link
	if err := m.listen(); err != nil {
		return err
	}
	n.member = m
	routing := cluster.Config{
		Self: n.config.Name, Codec: peerwire.Codec{Now: n.host.Now}, Deliver: n.deliver, Link: m.link, Logger: n.config.Logger,
	}
	if !m.config.fixed() {
		mover, err := handoff.New(handoff.Config{
			Self: n.config.Name, Store: store{n}, Send: m.tell, Deliver: n.hand, First: m.boot, Logger: n.config.Logger,
			Cold: m.cold, Lost: m.lost, Parted: m.reattachTo,
		})
		if err != nil {
			return err
		}
		m.mover, routing.Shards = mover, mover
	}
	router, err := cluster.NewRouter(routing)
	if err != nil {
		return err
	}
	m.router = router
	if err := m.link.Start(router.Receive); err != nil {
		return fmt.Errorf("ringfleet: start the link: %w", err)
	}
	if m.config.fixed() {
		m.joined.Store(true)
		close(m.serving)
		return router.SetView(m.config.view())
	}
	return nil
}

// listen opens the link over TCP, where no other was given.
func (m *member) listen() error {
	if m.link != nil {
		return nil
	}
	stream, err := link.Listen(link.StreamConfig{
		Cluster: m.config.Name, Node: m.node.config.Name, Boot: m.boot, Listen: m.config.PeerAddress, TLS: m.config.PeerTLS,
		Admit: func(node string, boot uint64) bool {
			g := m.gossip.Load()
			return g != nil && g.Knows(node, boot)
		},
		Evidence: func(node string, boot uint64, cause error) {
			if g := m.gossip.Load(); g != nil {
				g.Evidence(node, boot, cause)
			}
		},
		Turns:  turns{m.node},
		Logger: m.node.config.Logger,
	})
	if err != nil {
		return fmt.Errorf("ringfleet: peer address: %w", err)
	}
	m.link, m.stream = stream, stream
	m.node.stream.Store(stream)
	return nil
}

// announce tells the other members of this node. It is called when the node's own listeners are open.
func (n *Node) announce() error {
	m := n.member
	if m == nil || m.config.fixed() {
		return nil
	}
	gossip, err := membership.Start(membership.Config{
		Cluster: m.config.Name, Name: n.config.Name, Boot: m.boot,
		Bind: m.config.Gossip.Address, Advertise: m.config.Gossip.Advertise,
		Peer: m.peerAddress(), Gateway: m.clientAddress(), Build: m.config.Build,
		Seeds: m.config.Gossip.Join, Keys: m.config.Gossip.Keys, Timing: m.config.Gossip.Timing, Network: m.config.Gossip.Network,
		OnView: m.view, OnConflict: n.fail, Logger: n.config.Logger,
	})
	if err != nil {
		return fmt.Errorf("ringfleet: gossip address: %w", err)
	}
	m.gossip.Store(gossip)
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	go m.serve(ctx)
	return nil
}

func (m *member) peerAddress() string {
	if m.config.PeerAdvertise != "" || m.stream == nil {
		return m.config.PeerAdvertise
	}
	return m.stream.Addr().String()
}

func (m *member) clientAddress() string {
	if address := m.node.ClientAddress(); m.config.ClientAdvertise == "" && address != nil {
		return address.String()
	}
	return m.config.ClientAdvertise
}

// view takes a new view. Views come one after the other.
func (m *member) view(v cluster.View) {
	m.seen.Lock()
	defer m.seen.Unlock()
	if err := m.mover.Take(v, m.router.SetView); err != nil {
		m.node.config.Logger.Error("a view of the members could not be taken", "error", err)
		return
	}
	m.node.views.tell()
	m.missing(m.last, v)
	before := m.last
	m.last = v
	m.setCutOff(m.agreed.take(before, v))
	time.AfterFunc(agreeAfter, func() { m.settle(v.Epoch) })
	if len(v.Members) > 1 {
		select {
		case <-m.met:
		default:
			close(m.met)
		}
	}
}

// serve makes this node one that owns shards: at once or, if it was told whom to join, when it has met
// somebody.
func (m *member) serve(ctx context.Context) {
	defer close(m.serving)
	if len(m.config.Gossip.Join) > 0 {
		timer := time.NewTimer(m.config.JoinTimeout)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return
		case <-m.met:
		case <-timer.C:
			m.node.config.Logger.Warn("nobody answered yet, so this node serves alone; it goes on looking",
				"join", m.config.Gossip.Join, "waited", m.config.JoinTimeout)
		}
	}
	if err := m.gossip.Load().SetLifecycle(cluster.Serving); err != nil {
		return // it is leaving already
	}
	ticker := time.NewTicker(settled)
	defer ticker.Stop()
	for {
		if me, ok := m.router.View().Member(m.node.config.Name); ok && me.Lifecycle == cluster.Serving && m.mover.Stats().Awaited == 0 {
			m.joined.Store(true)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// settled is how often a node that joins looks whether it has all that it owns.
const settled = 20 * time.Millisecond

// tell implements handoff.Config.Send.
func (m *member) tell(to string, msg *handoff.Message) {
	// What cannot be sent is said again.
	_ = m.router.SendNode(to, peerwire.KindHandoff, m.node.config.Name, msg)
}

// drain gives away what this node owns.
func (m *member) drain(ctx context.Context) error {
	if m.cancel != nil {
		m.cancel()
		<-m.serving
	}
	g := m.gossip.Load()
	if g == nil {
		return nil
	}
	if err := g.SetLifecycle(cluster.Draining); err != nil {
		return nil //nolint:nilerr // it has left before
	}
	for m.owned() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("ringfleet: drain: %w", context.Cause(ctx))
		case <-time.After(settled):
		}
	}
	return m.mover.Given(ctx)
}

// owned reports whether this node goes by a view from before it drained.
func (m *member) owned() bool {
	me, ok := m.router.View().Member(m.node.config.Name)
	return ok && me.Lifecycle != cluster.Draining
}

// leave says farewell, and ends the link.
func (m *member) leave(ctx context.Context) error {
	var err error
	if g := m.gossip.Load(); g != nil {
		if err = g.Leave(ctx); errors.Is(err, membership.ErrStopped) {
			err = nil
		}
	}
	if m.mover != nil {
		m.mover.Close()
	}
	m.link.Close()
	return err
}

// store is what lives on the shards of a node. It implements handoff.Store.
type store struct{ node *Node }

// Export implements handoff.Store. Events that wait go before the arbiters that may tell of the next.
func (s store) Export(ctx context.Context, shards *invitation.ShardSet, add func([]byte)) error {
	codec := peerwire.Codec{Now: s.node.host.Now}
	encode := func(r actors.Record) []byte {
		data, err := codec.AppendRecord(nil, &r)
		if err != nil {
			panic(fmt.Errorf("ringfleet: move an actor: %w", err)) // its invitation ends as a failure
		}
		return data
	}
	for _, loss := range s.node.member.losses(shards) {
		add(encode(actors.Record{Lost: loss}))
	}
	if s.node.events == nil {
		err := s.node.host.Export(ctx, shards.Has, func(r actors.Record) { add(encode(r)) })
		s.node.exportOutcomes(shards, func(r actors.Record) { add(encode(r)) }) // the last may have come just now
		return err
	}
	var mu sync.Mutex
	var actorRecords [][]byte
	err := s.node.host.Export(ctx, shards.Has, func(r actors.Record) {
		data := encode(r)
		mu.Lock()
		defer mu.Unlock()
		actorRecords = append(actorRecords, data)
	})
	s.node.events.Export(func(id invitation.ID) bool { return shards.Has(id.Shard()) }, func(e *snapshot.Event) {
		add(encode(actors.Record{Event: e}))
	})
	for _, data := range actorRecords {
		add(data)
	}
	s.node.exportOutcomes(shards, func(r actors.Record) { add(encode(r)) })
	return err
}

// Import implements handoff.Store.
func (s store) Import(data []byte, age time.Duration) error {
	written := func() invitation.Time { return s.node.host.Now().Add(-age) } // so that no deadline moves
	r, err := peerwire.Codec{Now: written}.Record(data)
	if err != nil {
		return fmt.Errorf("ringfleet: take an actor: %w", err)
	}
	switch {
	case r.Lost != nil:
		s.node.member.lack(r.Lost)
	case r.Outcomes != nil:
		if s.node.outcomes != nil {
			s.node.outcomes.Take(r.Outcomes, s.node.config.WallClock())
		}
	case r.Event == nil:
		s.node.host.Import([]actors.Record{*r})
	case s.node.events != nil:
		s.node.events.Import(r.Event, age)
	}
	return nil
}

// hand gives what was kept back for so long to the actors of this node.
func (n *Node) hand(e cluster.Envelope, kept time.Duration) {
	switch p := e.Payload.(type) {
	case *session.Input:
		p.Older(kept)
	case *invitation.Message:
		p.Older(kept)
	}
	if err := n.handOver(e); err != nil {
		n.dropped.Add(1)
	}
}
