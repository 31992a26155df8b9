package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/internal/logonce"
	"github.com/ringfleet/ringfleet/internal/wake"
)

// Membership is this node's part in the gossip. Make one with [Start].
type Membership struct {
	config Config
	once   *logonce.Logger
	gossip string // this node's name in the gossip
	list   *memberlist.Memberlist
	ring   *memberlist.Keyring // nil: the gossip is plain

	ctx     context.Context // ends with Stop
	cancel  context.CancelFunc
	running sync.WaitGroup // the loops and the probes
	changed chan struct{}  // a hint that roster has changed
	alone   chan struct{}  // a hint that there is nobody else any more

	mu       sync.Mutex
	roster   *roster
	view     cluster.View // the last one that was made
	probing  map[string]bool
	waiting  map[uint64]chan bool // for the answers to questions, by their number
	asked    uint64               // the number of the last question
	helping  int                  // questions of others that are being answered
	conflict bool                 // OnConflict was told
	left     bool
	stats    Stats
}

// Stats are counts since the start.
type Stats struct {
	Views    uint64 // views that were made
	Probes   uint64 // of members, on evidence, for a second look or for another node
	Verdicts uint64 // members that a probe has found dead
	Revivals uint64 // members that answered after a verdict
	Refusals uint64 // news of nodes that are not let in
}

// Start joins the gossip, and keeps looking for others until [Membership.Stop]. It returns at once when
// the sockets are open; a node that finds nobody is alone. The error says what is wrong with the
// configuration, or why the address cannot be bound.
func Start(config Config) (*Membership, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	m := &Membership{
		config: config, once: logonce.New(config.Logger), gossip: gossipName(config.Name, config.Boot),
		changed: make(chan struct{}, 1), alone: make(chan struct{}, 1),
		probing: map[string]bool{}, waiting: map[uint64]chan bool{},
		roster: newRoster(cluster.Member{
			Name: config.Name, Boot: config.Boot, Peer: config.Peer, Gateway: config.Gateway, Build: config.Build,
			Lifecycle: config.Lifecycle,
		}),
	}
	if _, err := encodeMeta(config.Cluster, m.roster.self); err != nil {
		return nil, err
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	if err := m.create(); err != nil {
		m.cancel()
		return nil, err
	}
	m.publish()
	m.running.Go(m.follow)
	m.running.Go(m.join)
	return m, nil
}

// create makes the memberlist.
func (m *Membership) create() error {
	c := memberlist.DefaultLANConfig()
	timing := m.config.Timing
	c.Name = m.gossip
	c.ProbeInterval, c.ProbeTimeout = timing.Probe, timing.ProbeTimeout
	c.GossipInterval, c.PushPullInterval = timing.Gossip, timing.Sync
	c.TCPTimeout = 3 * time.Second
	c.RetransmitMult = 12       // with 6, some of 50 nodes miss some news until they compare lists
	c.EnableCompression = false // the packets are small
	c.LogOutput = memberlistLog(m.config.Logger, m.once)
	c.Delegate, c.Events, c.Alive, c.Merge = (*delegate)(m), (*events)(m), (*admission)(m), (*admission)(m)
	var err error
	if c.BindAddr, c.BindPort, err = splitAddress("the gossip's address", m.config.Bind); err != nil {
		return err
	}
	c.AdvertisePort = c.BindPort
	if m.config.Advertise != "" {
		c.AdvertiseAddr, c.AdvertisePort, err = splitAddress("the advertised address", m.config.Advertise)
		if err != nil {
			return err
		}
	}
	if len(m.config.Keys) > 0 {
		if m.ring, err = memberlist.NewKeyring(m.config.Keys, m.config.Keys[0]); err != nil {
			return fmt.Errorf("membership: gossip keys: %w", err)
		}
		c.Keyring = m.ring
	}
	if m.config.Network != nil {
		if c.Transport, err = m.config.Network.listen(m.config.Bind); err != nil {
			return err
		}
	}
	if m.list, err = memberlist.Create(c); err != nil {
		return fmt.Errorf("membership: open the gossip on %s: %w", m.config.Bind, err)
	}
	m.mu.Lock()
	self := &m.roster.self
	self.Gossip = m.list.LocalNode().Address()
	self.Peer, self.Gateway = reachable(self.Peer, self.Gossip), reachable(self.Gateway, self.Gossip)
	m.mu.Unlock()
	_ = m.list.UpdateNode(0) // there is nobody yet to hear of it
	return nil
}

// reachable returns address or, if it is one of every interface, its port at the host of the gossip.
func reachable(address, gossip string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || host != "" && (ip == nil || !ip.IsUnspecified()) {
		return address
	}
	if at, _, err := net.SplitHostPort(gossip); err == nil {
		host = at
	}
	return net.JoinHostPort(host, port)
}

// Self returns this node, as others see it.
func (m *Membership) Self() cluster.Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.roster.self
}

// View returns the newest view.
func (m *Membership) View() cluster.View {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.view
}

// Knows reports whether a node is in the gossip, in this start of it: whether it may connect as a peer. A
// member that was judged dead is known, as it may be the judge that is cut off.
func (m *Membership) Knows(name string, boot uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.roster.others[gossipName(name, boot)]
	return e != nil && e.member.Lifecycle != cluster.Left
}

// Stats returns the counts.
func (m *Membership) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stats
}

// follow makes views of what has changed, and looks again at those who were judged dead.
func (m *Membership) follow() {
	again := time.NewTimer(wake.Next(secondLook))
	defer again.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-again.C:
			again.Reset(wake.Next(secondLook))
			m.lookAgain()
		case <-m.changed:
			select {
			case <-m.ctx.Done():
				return
			case <-time.After(settle):
			}
			m.publish()
		}
	}
}

func hint(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// publish makes a view of the roster and gives it out, if it is another one than the last.
func (m *Membership) publish() {
	m.mu.Lock()
	members, contested := m.roster.members()
	same := m.stats.Views > 0 && slices.Equal(members, m.view.Members)
	before := m.view
	if !same {
		m.stats.Views++
		m.view = cluster.View{Epoch: m.view.Epoch + 1, Members: members}
	}
	view := m.view
	m.mu.Unlock()
	for _, gossip := range contested {
		m.examine(gossip, errContested)
	}
	if same {
		return
	}
	m.logChanges(before, view)
	m.config.OnView(view)
	if len(view.Members) <= 1 {
		hint(m.alone)
	}
}

func (m *Membership) logChanges(before, after cluster.View) {
	for _, now := range after.Members {
		was, ok := before.Member(now.Name)
		switch {
		case !ok || was.Boot != now.Boot:
			m.log("here", now, after.Epoch)
		case was.Lifecycle != now.Lifecycle:
			m.log("changed", now, after.Epoch)
		}
	}
	for _, was := range before.Members {
		if _, ok := after.Member(was.Name); !ok {
			m.log("gone", was, after.Epoch)
		}
	}
}

func (m *Membership) log(change string, member cluster.Member, epoch uint64) {
	m.config.Logger.LogAttrs(m.ctx, slog.LevelInfo, "members", slog.String("change", change), slog.String("member", member.Name),
		slog.String("lifecycle", member.Lifecycle.String()), slog.String("gossip", member.Gossip),
		slog.String("peer", member.Peer), slog.String("build", member.Build), slog.Uint64("epoch", epoch))
}

// ErrStopped is returned after Leave or Stop.
var ErrStopped = errors.New("membership: this node has left")

const (
	// announced is how long a change of this node waits until it was sent as often as gossip sends news.
	announced = 500 * time.Millisecond
	// farewell is the same for the last change.
	farewell = 3 * time.Second
)

// SetLifecycle tells everybody what this node is from now on. It waits until the news was sent as often as
// gossip sends it, at most half a second; after that the gossip goes on by itself. cluster.Left is said by
// Leave.
func (m *Membership) SetLifecycle(l cluster.Lifecycle) error {
	m.mu.Lock()
	if m.left {
		m.mu.Unlock()
		return ErrStopped
	}
	m.roster.self.Lifecycle = l
	m.left = l == cluster.Left
	m.mu.Unlock()
	hint(m.changed)
	// Its only error is that nobody was told in time; the news is on its way all the same.
	_ = m.list.UpdateNode(announced)
	return nil
}

// SetKeys replaces the keys of the gossip: the first one encrypts from now on, all of them decrypt. To change
// the key of a cluster without a break, give each node first (old, new), then (new, old), then (new). Whether
// the gossip is encrypted cannot be changed this way.
func (m *Membership) SetKeys(keys [][]byte) error {
	ring := m.ring
	switch {
	case ring == nil:
		return errors.New("membership: the gossip was started without keys; start it again with keys")
	case len(keys) == 0:
		return errors.New("membership: no gossip key; the gossip cannot become plain while it runs")
	}
	for i, key := range keys {
		if err := checkKey(key); err != nil {
			return fmt.Errorf("membership: gossip key %d: %w", i+1, err)
		}
	}
	for _, key := range keys {
		if err := ring.AddKey(key); err != nil {
			return fmt.Errorf("membership: add a gossip key: %w", err)
		}
	}
	if err := ring.UseKey(keys[0]); err != nil {
		return fmt.Errorf("membership: use a gossip key: %w", err)
	}
	for _, old := range slices.Clone(ring.GetKeys()) {
		if !slices.ContainsFunc(keys, func(k []byte) bool { return slices.Equal(k, old) }) {
			if err := ring.RemoveKey(old); err != nil {
				return fmt.Errorf("membership: remove a gossip key: %w", err)
			}
		}
	}
	return nil
}

// Leave says farewell, so that the others need not find out, and stops. It waits until the farewell was
// sent as often as gossip sends news, usually some 0.6 s, and at most until the deadline of ctx or some 3 s. The
// error says that it was not; the node has stopped all the same.
func (m *Membership) Leave(ctx context.Context) error {
	if err := m.SetLifecycle(cluster.Left); err != nil {
		return err
	}
	wait := farewell
	if until, ok := ctx.Deadline(); ok {
		wait = max(min(wait, time.Until(until)), time.Millisecond)
	}
	err := m.list.Leave(wait)
	m.Stop()
	if err != nil {
		return fmt.Errorf("membership: say farewell: %w", err)
	}
	return nil
}

// Stop ends the gossip without a word, as a crash would. It waits for what runs, some seconds if a node
// that is being joined does not answer. Calling it again does nothing.
func (m *Membership) Stop() {
	m.mu.Lock()
	m.left = true
	m.mu.Unlock()
	m.cancel()
	_ = m.list.Shutdown() // logs its errors itself and returns none
	m.running.Wait()
}
