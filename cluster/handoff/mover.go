package handoff

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/placement"
	"github.com/ringfleet/ringfleet/internal/wake"
	"github.com/ringfleet/ringfleet/invitation"
)

// Place says what a shard is to this node.
type Place uint32

// The places.
const (
	Gone    Place = 0 // what comes for it goes to another node
	Awaited Place = 1 // this node is to have it; what comes for it is kept back
	Held    Place = 2 // it is here
)

// Store is where what lives on shards lives. Its methods are called by goroutines of the mover and of the
// link; not for one shard at once.
type Store interface {
	// Export freezes all that lives on the shards, takes it out, and gives each piece of it to add, encoded.
	// add is safe for concurrent use and keeps the record.
	Export(ctx context.Context, shards *invitation.ShardSet, add func(record []byte)) error
	// Import puts in a record of an Export that was made some time ago. What lives here already under the same
	// identity is merged with it. It must not block. The record is not changed afterwards.
	Import(record []byte, age time.Duration) error
}

// Config is what a [Mover] is made of.
type Config struct {
	// Self is this node's name. Required.
	Self string
	// Store has what lives on the shards. Required.
	Store Store
	// Send gives a message to a member, and never waits. What is lost is said again. Required.
	Send func(member string, msg *Message)
	// Deliver takes what was kept back, for so long, for a shard that is here now. It must not block. Required.
	Deliver func(cluster.Envelope, time.Duration)
	// Cold is told, before anything is delivered to them, of shards that this node has now and of which what
	// lived on them before is lost, or may be: their owner has died, or they are new. It must not block.
	// The default does nothing.
	Cold func(shards invitation.ShardSet)
	// Lost is told the same of shards that another member has now, or this one. It must not block. The
	// default does nothing.
	Lost func(shards invitation.ShardSet)
	// Parted is told that another member has thought this one gone, and sees it again: see [Mover.Back]. It must not
	// block. The default does nothing.
	Parted func(member string)
	// MaxKept is how many messages are kept back for shards that are awaited. The default is 65,536.
	MaxKept int
	// First is the number of this node's first claim: higher than all of its claims before a restart. The
	// default is 1.
	First uint64
	// Logger gets each move at level Info. The default discards.
	Logger *slog.Logger
}

// What is waited for, and how big things are.
const (
	active      = 50 * time.Millisecond  // how often a mover with something to do looks after it
	repeatAfter = 250 * time.Millisecond // an unanswered message is said again
	laterAfter  = 100 * time.Millisecond // a shard that the other one awaits is asked for again
	review      = time.Second            // how often shards are compared with the view
	exportTime  = 30 * time.Second       // an export that takes longer goes without the rest
	chunkBytes  = 128 << 10

	defaultMaxKept = 65_536
)

// Mover is one node's part in the moves. Make one with [New]. All methods are safe for concurrent use.
type Mover struct {
	config Config
	places [invitation.Shards]atomic.Uint32
	moved  [invitation.Shards]atomic.Pointer[string]
	kept   keeper
	counts counts

	mu     sync.Mutex
	view   cluster.View
	table  *placement.Table
	pulls  map[string]*pull // by the member that is asked
	gifts  map[giftKey]*gift
	warm   invitation.ShardSet // awaited, and what lived on them is here
	losses map[uint64]*loss
	heard  map[string][]uint64 // the last losses that each member has told
	strays invitation.ShardSet // held here, or gone from here, against the view, at the last review
	lastID uint64
	closed bool

	forgot   invitation.ShardSet // what this node has dropped, and not told members that it did not see
	forgotAt time.Time

	wake    chan struct{}
	cancel  context.CancelFunc
	running sync.WaitGroup
	ctx     context.Context // of exports; ends with Close
}

// New returns a mover that holds nothing until [Mover.Take]. It runs a goroutine until [Mover.Close]. The
// error says which setting is missing.
func New(config Config) (*Mover, error) {
	if config.Self == "" || config.Store == nil || config.Send == nil || config.Deliver == nil {
		return nil, errors.New("handoff: a mover needs Self, Store, Send and Deliver")
	}
	if config.MaxKept == 0 {
		config.MaxKept = defaultMaxKept
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Parted == nil {
		config.Parted = func(string) {}
	}
	for _, f := range []*func(invitation.ShardSet){&config.Cold, &config.Lost} {
		if *f == nil {
			*f = func(invitation.ShardSet) {}
		}
	}
	m := &Mover{
		config: config, pulls: map[string]*pull{}, gifts: map[giftKey]*gift{}, wake: make(chan struct{}, 1),
		losses: map[uint64]*loss{}, heard: map[string][]uint64{},
		lastID: max(config.First, 1) - 1, kept: keeper{max: config.MaxKept},
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.running.Go(m.look)
	return m, nil
}

// Close ends all moves where they are, and waits for the mover's goroutines.
func (m *Mover) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.cancel()
	m.running.Wait()
}

// Place returns what a shard is to this node. One atomic load.
func (m *Mover) Place(shard invitation.Shard) Place { return Place(m.places[shard].Load()) }

// Here implements [cluster.Shards].
func (m *Mover) Here(shard invitation.Shard) bool { return m.Place(shard) != Gone }

// Moved implements [cluster.Shards].
func (m *Mover) Moved(shard invitation.Shard) string {
	if name := m.moved[shard].Load(); name != nil {
		return *name
	}
	return ""
}

func (m *Mover) set(shard invitation.Shard, place Place) { m.places[shard].Store(uint32(place)) }

// Take makes the mover go by a view from now on. route is called in between, to make the router go by it:
// after what this node is to have is kept back, before the others are asked for it. The error is route's, or that of too
// many members; the mover then stays with the view before.
func (m *Mover) Take(view cluster.View, route func(cluster.View) error) error {
	table, err := view.Placement()
	if err != nil {
		return fmt.Errorf("handoff: take a view: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || view.Epoch < m.view.Epoch {
		return nil
	}
	wanted := m.await(view, table)
	if err := route(view); err != nil {
		return err
	}
	before := m.view
	m.view, m.table = view, table
	m.forgetPulls()
	m.forgetLosses()
	m.want(&wanted)
	m.wantFromNew(before)
	m.settle()
	m.takeBack()
	if more(before, view) {
		m.confess(before)
		m.strays = invitation.AllShards()
		m.review()
	}
	m.hint()
	return nil
}

// more reports whether a view has members that another one has not: shards of theirs that are held here are
// offered at once, as they may hold them as well.
func more(before, now cluster.View) bool {
	return slices.ContainsFunc(now.Members, func(member cluster.Member) bool {
		_, ok := before.Member(member.Name)
		return !ok
	})
}

// await marks what this node is to have and has not, and returns it. What moved to members that have gone,
// or that own it now anyway, is where the view says.
func (m *Mover) await(view cluster.View, table *placement.Table) invitation.ShardSet {
	var wanted invitation.ShardSet
	for shard := range invitation.Shard(invitation.Shards) {
		owner, ok := table.Owner(shard)
		if ok && owner == m.config.Self && m.Place(shard) == Gone {
			m.set(shard, Awaited)
			m.moved[shard].Store(nil)
			wanted.Add(shard)
		}
		if to := m.Moved(shard); to != "" {
			if _, there := view.Member(to); !there || to == owner {
				m.moved[shard].Store(nil)
			}
		}
	}
	return wanted
}

// Receive takes a message of another member.
func (m *Mover) Receive(from string, msg *Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	switch msg.Kind {
	case Claim:
		m.claimed(from, msg)
	case Pull:
		m.pulled(from, msg)
	case Done:
		delete(m.gifts, giftKey{from, msg.ID})
	case Grant:
		m.granted(from, msg)
	case Chunk:
		m.chunk(from, msg)
	case Offer:
		m.offered(from, msg)
	case Lost:
		m.lost(from, msg)
	case Heard:
		m.told(from, msg)
	}
	m.hint()
}

// hint makes the mover look after what it has to do.
func (m *Mover) hint() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// look repeats what was not answered, and compares what is here with the view, until Close.
func (m *Mover) look() {
	wait := wake.Next(review)
	due := time.Now().Add(wait)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.wake:
		case <-timer.C:
		}
		now := time.Now()
		m.mu.Lock()
		m.takeBack()
		m.repeat(now)
		if !now.Before(due) {
			due = now.Add(wake.Next(review))
			m.review()
		}
		wait = due.Sub(now)
		if len(m.pulls)+len(m.gifts)+len(m.losses) > 0 {
			wait = active
		}
		m.mu.Unlock()
		timer.Reset(wait)
	}
}

// review finds the shards that have been where the view does not want them since the last review: those of
// others are offered, those of this node are claimed.
func (m *Mover) review() {
	if m.table == nil {
		return
	}
	var strays, missing invitation.ShardSet
	offers := map[string]*invitation.ShardSet{}
	for shard := range invitation.Shard(invitation.Shards) {
		owner, ok := m.table.Owner(shard)
		place := m.Place(shard)
		if mine := ok && owner == m.config.Self; !ok || mine && place != Gone || !mine && place != Held {
			continue
		}
		strays.Add(shard)
		if !m.strays.Has(shard) {
			continue
		}
		if owner == m.config.Self {
			m.set(shard, Awaited)
			m.moved[shard].Store(nil)
			missing.Add(shard)
			continue
		}
		if offers[owner] == nil {
			offers[owner] = new(invitation.ShardSet)
		}
		offers[owner].Add(shard)
	}
	m.strays = strays
	for owner, shards := range offers {
		m.config.Send(owner, &Message{Kind: Offer, Shards: *shards})
	}
	if !missing.Empty() {
		m.want(&missing)
		m.settle()
	}
}

// Given waits until this node has given away all that others own by its view, and they have said that they
// have it. The error is that of ctx.
func (m *Mover) Given(ctx context.Context) error {
	ticker := time.NewTicker(active / 2)
	defer ticker.Stop()
	for {
		if m.given() {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("handoff: shards could not be given away: %w", context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

func (m *Mover) given() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.gifts) > 0 {
		return false
	}
	for shard := range invitation.Shard(invitation.Shards) {
		if owner, ok := m.table.Owner(shard); ok && owner != m.config.Self && m.Place(shard) != Gone {
			return false
		}
	}
	return true
}
