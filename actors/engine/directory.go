package engine

import (
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// The errors of [Directory.Tell]. The message was not taken.
var (
	// ErrBusy: the actor's mailbox or the directory is full. Try again later.
	ErrBusy = errors.New("engine: too many messages wait for this actor, or too many actors are live: try again later")
	// ErrFull is the [ErrBusy] of a message for which there is no actor, and too many are live to make
	// one.
	ErrFull = fmt.Errorf("engine: the directory is full: %w", ErrBusy)
	// ErrStopped: the system is stopping. Try again elsewhere.
	ErrStopped = errors.New("engine: the node is stopping: try another one")
)

// DirectoryOptions say what the actors of a directory are.
type DirectoryOptions[K comparable] struct {
	// Activate makes the actor of key, which msg is the first message for, or returns nil if there is
	// to be none. It is called under a lock: it must be quick, and tell nobody anything. Required.
	Activate func(key K, msg any) Behavior
	// Miss is given each message for which Activate returned nil, on the goroutine that told it or, for
	// a message that an actor left behind, of that actor. No lock is held. The default drops them.
	Miss func(key K, msg any)
	// Hash spreads the keys over the shards. The default is hash/maphash.
	Hash func(key K) uint64
	// Mailbox is how many messages may wait for one actor; over it, Tell returns ErrBusy. Ticks and
	// what an actor tells itself count, but are never refused. The default is 1,024.
	Mailbox int
	// Limit is how many actors may be live; over it, a Tell that would make another returns ErrFull.
	// The default is 8,388,608.
	Limit int
}

const (
	shards         = 256
	defaultMailbox = 1_024
	defaultLimit   = 8 << 20
)

// Directory is the actors of one kind on this node, by key. An actor comes to be with the first
// message for its key and ends when it leaves ([Context.Leave]).
//
// # Guarantees
//
// Every message for which Tell returned nil is handled exactly once: by the Receive of an actor of the
// key, or by Miss. The only exception is [System.Stop], which drops what still waits and counts it.
// There is at most one actor of a key at a time, and all messages of a key are handled in the order in
// which Tell took them, over a change of actors too; two Tells by one goroutine are taken in their order. (What
// goes to Miss keeps its order among its kind only.)
//
// All methods are safe for concurrent use, by actors too, and never block for longer than another
// Tell to the same shard takes.
type Directory[K comparable] struct {
	sys      *System
	activate func(key K, msg any) Behavior
	miss     func(key K, msg any)
	hash     func(key K) uint64
	mailbox  int
	limit    int64
	live     atomic.Int64
	missed   atomic.Uint64
	shards   [shards]shard[K]
}

// shard is a part of a directory. Messages are posted under its lock, so an actor that is taken out of
// live under the same lock knows that no other message can follow those in its mailbox.
type shard[K comparable] struct {
	dir    *Directory[K]
	mu     sync.Mutex
	live   map[K]*activation[K]
	closed bool

	activated, left, retold, dropped, busy uint64
}

// NewDirectory returns an empty directory of sys. It panics without options.Activate.
func NewDirectory[K comparable](sys *System, options DirectoryOptions[K]) *Directory[K] {
	if options.Activate == nil {
		panic("engine: DirectoryOptions.Activate is not set")
	}
	d := &Directory[K]{
		sys: sys, activate: options.Activate, miss: options.Miss, hash: options.Hash,
		mailbox: options.Mailbox, limit: int64(options.Limit),
	}
	if d.mailbox == 0 {
		d.mailbox = defaultMailbox
	}
	if d.limit == 0 {
		d.limit = defaultLimit
	}
	if d.miss == nil {
		d.miss = func(K, any) {}
	}
	if d.hash == nil {
		seed := maphash.MakeSeed()
		d.hash = func(key K) uint64 { return maphash.Comparable(seed, key) }
	}
	for i := range d.shards {
		s := &d.shards[i]
		s.dir, s.live = d, make(map[K]*activation[K])
	}
	sys.own(d)
	return d
}

// Tell gives msg to the actor of key, which is made if there is none. It never waits for the actor.
// The error is [ErrBusy], [ErrFull] or [ErrStopped]. nil means that msg was taken, by an actor or by Miss. msg
// must not be changed any more, and must not be a message of protoactor's own.
func (d *Directory[K]) Tell(key K, msg any) error {
	s := &d.shards[d.hash(key)%shards]
	s.mu.Lock()
	a, err := s.find(key, msg)
	if a != nil {
		a.mailbox.PostUserMessage(msg) // what Send comes to: a is live, so its process is not asked for
	}
	s.mu.Unlock()
	if a == nil && err == nil {
		d.lost(key, msg)
	}
	return err
}

// find returns the activation that is to get msg, or nil if there is to be none.
func (s *shard[K]) find(key K, msg any) (*activation[K], error) {
	if s.closed {
		return nil, ErrStopped
	}
	a := s.live[key]
	switch {
	case a != nil && a.mailbox.UserMessageCount() >= s.dir.mailbox:
		s.busy++
		return nil, ErrBusy
	case a != nil:
		return a, nil
	}
	behavior := s.dir.build(key, msg)
	switch {
	case behavior == nil:
		return nil, nil //nolint:nilnil // Miss gets it
	case s.dir.live.Load() >= s.dir.limit:
		s.busy++
		return nil, ErrFull
	}
	return s.spawn(key, behavior), nil
}

// spawn makes the activation of a key a process of protoactor's, as a spawn of protoactor's does, but for a context of its own, which would
// be 96 bytes, and a process of 24.
func (s *shard[K]) spawn(key K, behavior Behavior) *activation[K] {
	a := &activation[K]{Context: Context{sys: s.dir.sys, behavior: behavior}, key: key, shard: s}
	a.timer.owner = &a.Context
	registry, free := s.dir.sys.actors.ProcessRegistry, false
	if a.pid, free = registry.Add(a, registry.NextID()); !free {
		panic(actor.ErrNameExists) // no name of the registry's comes twice
	}
	a.mailbox.RegisterHandlers(a, s.dir.sys.pool)
	a.mailbox.Start()
	s.live[key] = a
	s.activated++
	s.dir.live.Add(1)
	s.dir.sys.live.Add(1)
	return a
}

// depart takes a, which is stopping, out of the directory and passes on what it leaves in its mailbox.
// It runs as the mailbox's consumer.
func (s *shard[K]) depart(a *activation[K]) {
	d := s.dir
	var missed []any
	s.mu.Lock()
	delete(s.live, a.key)
	s.left++
	d.live.Add(-1)
	var heir *activation[K]
	for l := a.mailbox.nextUser(); l != nil; l = a.mailbox.nextUser() {
		if _, stale := l.msg.(Tick); stale {
			continue
		}
		if s.closed {
			s.dropped++
			continue
		}
		if heir == nil {
			behavior := d.build(a.key, l.msg)
			if behavior == nil {
				missed = append(missed, l.msg)
				continue
			}
			heir = s.spawn(a.key, behavior)
		}
		s.retold++
		heir.mailbox.PostUserMessage(l.msg)
	}
	s.mu.Unlock()
	for _, msg := range missed {
		d.lost(a.key, msg)
	}
}

// build calls Activate. A panic counts as nil.
func (d *Directory[K]) build(key K, msg any) (b Behavior) {
	defer d.sys.contain("activate")
	return d.activate(key, msg)
}

// lost calls Miss.
func (d *Directory[K]) lost(key K, msg any) {
	defer d.sys.contain("miss")
	d.missed.Add(1)
	d.miss(key, msg)
}

// Len returns how many actors are live. O(1).
func (d *Directory[K]) Len() int { return int(d.live.Load()) }

// Keys returns the keys of the live actors. Each shard's keys are copied under its lock, one shard at a
// time, so the loop may call the directory; actors that come or go meanwhile may be seen or not. O(n).
func (d *Directory[K]) Keys() iter.Seq[K] {
	return func(yield func(K) bool) {
		var keys []K
		for i := range d.shards {
			s := &d.shards[i]
			keys = keys[:0]
			s.mu.Lock()
			for key := range s.live {
				keys = append(keys, key)
			}
			s.mu.Unlock()
			for _, key := range keys {
				if !yield(key) {
					return
				}
			}
		}
	}
}

// DirectoryStats are the counts of a directory since it was made.
type DirectoryStats struct {
	Live      int    // actors now
	Activated uint64 // actors made
	Left      uint64 // actors ended
	Retold    uint64 // messages that an actor left behind and the next one got
	Missed    uint64 // messages given to Miss
	Dropped   uint64 // messages that still waited when the system stopped
	Busy      uint64 // messages refused with ErrBusy
}

// Stats returns the counts: exact for a directory at rest, otherwise each is right for some moment of
// the call. It takes each shard's lock once.
func (d *Directory[K]) Stats() DirectoryStats {
	stats := DirectoryStats{Live: d.Len(), Missed: d.missed.Load()}
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.Lock()
		stats.Activated += s.activated
		stats.Left += s.left
		stats.Retold += s.retold
		stats.Dropped += s.dropped
		stats.Busy += s.busy
		s.mu.Unlock()
	}
	return stats
}

// close implements directory: it takes no more messages and stops the actors.
func (d *Directory[K]) close() {
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.Lock()
		s.closed = true
		for _, a := range s.live {
			a.Leave()
		}
		s.mu.Unlock()
	}
}
