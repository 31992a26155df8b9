package actors

import (
	"context"
	"fmt"
	"sync"

	"github.com/ringfleet/ringfleet/actors/engine"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/invitation/snapshot"
)

// Record is what one actor is moved as: [snapshot.Record].
type Record = snapshot.Record

// exportWindow is how many actors are asked for their state at once.
const exportWindow = 4_096

// export is told to each actor that is to be moved. It must be answered, by done, exactly once.
type export struct {
	add    func(Record)
	window chan struct{} // one for each actor that has not answered

	mu  sync.RWMutex
	off bool // nobody waits any more: who has not left stays
}

func (x *export) done() { <-x.window }

// take gives a record to add, and reports whether the actor is to leave.
func (x *export) take(record func() Record) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if !x.off {
		x.add(record())
	}
	return !x.off
}

// room waits for room in the window.
func (x *export) room(ctx context.Context) error {
	select {
	case x.window <- struct{}{}:
		return nil
	case <-ctx.Done():
		x.mu.Lock()
		x.off = true
		x.mu.Unlock()
		return fmt.Errorf("actors: export: %d or more actors have not answered: %w", len(x.window), ctx.Err())
	}
}

// Export takes the actors of some shards out of the node, to be moved: each gives its state to add and
// leaves, after what it was told before. [Network.Holds] must be false for these shards already, so that
// none comes to be anew; what an actor leaves in its mailbox, and what it is told from then on, goes to
// the Network.
//
// It returns when all have answered, or when ctx is done; then those that have not answered go on here,
// and the error says so. add is called by several goroutines at once, and not any more after Export has
// returned; it must not block. A record is add's to keep. An actor whose state cannot be taken, or for
// which add panics, is lost, an invitation as a failure; the others are not. Export must not be called
// by an actor. When the host stops meanwhile, it waits for ctx.
func (h *Host) Export(ctx context.Context, shards func(invitation.Shard) bool, add func(Record)) error {
	x := &export{add: add, window: make(chan struct{}, exportWindow)}
	err := tellAll(ctx, x, h.arbiters, func(id invitation.ID) bool { return shards(id.Shard()) })
	if err == nil {
		err = tellAll(ctx, x, h.sessions, func(user invitation.User) bool { return shards(invitation.ShardOf(user)) })
	}
	for range exportWindow {
		if err == nil {
			err = x.room(ctx)
		}
	}
	if err != nil {
		return err
	}
	for _, id := range h.past.of(shards) {
		add(Record{Past: id})
	}
	return nil
}

func tellAll[K comparable](ctx context.Context, x *export, d *engine.Directory[K], match func(K) bool) error {
	for key := range d.Keys() {
		if !match(key) {
			continue
		}
		if err := x.room(ctx); err != nil {
			return err
		}
		if !d.TellLive(key, x) {
			x.done()
		}
	}
	return nil
}

// arrival is told to the actor that a record is for. It makes the actor if there is none.
type arrival struct {
	Record
	made bool // the actor was made of it
}

// Import puts in what an [Host.Export] has taken out. Of each record an actor is made, its deadline
// armed; where an actor lives already, the two are merged, as the Merge of its machine says. Nothing is
// refused for want of room. [Network.Holds] may still be false. An arbiter of an invitation that is over
// here is left out. Records must have been made by an Export or by a decoder; the host keeps them. It
// does not wait for the actors. When the host stops, it does nothing.
func (h *Host) Import(records []Record) {
	for i := range records {
		var err error
		switch r := &records[i]; {
		case r.Session != nil:
			err = h.sessions.TellAlways(r.Session.User, &arrival{Record: *r})
		case r.Arbiter != nil:
			err = h.arbiters.TellAlways(r.Arbiter.State.View.Terms.ID, &arrival{Record: *r})
		default:
			h.past.add(r.Past, 0)
		}
		if err != nil {
			return // the host stops
		}
	}
}

// restoreSession makes the session that arrives.
func (h *Host) restoreSession(in *arrival) engine.Behavior {
	in.made = true
	return &sessionActor{host: h, machine: *session.Restore(*in.Session, &h.config)}
}

// restoreArbiter makes the arbiter that arrives, unless its invitation is over here.
func (h *Host) restoreArbiter(in *arrival) engine.Behavior {
	r := in.Arbiter
	if h.past.has(r.State.View.Terms.ID) {
		return nil
	}
	in.made = true
	return &arbiterActor{
		host: h, machine: *arbiter.Restore(r.State), sent: r.Sent, reached: r.Reached, told: r.Told,
		rang: r.Rang, answered: r.Answered, kinds: r.Events &^ recoveredBit, recovered: r.Events&recoveredBit != 0,
	}
}

// sessionMissed is given what newSession makes no session for. If that was because its shard is not held
// it goes where it is, which may be here by now.
func (h *Host) sessionMissed(user invitation.User, msg any) {
	elsewhere := func() bool { return startsSession(msg) || !h.network.Holds(invitation.ShardOf(user)) }
	switch msg := msg.(type) {
	case *export:
		msg.done()
	case *look:
		msg.missed()
	case *input:
		if elsewhere() {
			h.network.Session(user, &msg.Input)
		} else {
			h.sessions.TellLive(user, msg)
		}
	case *invitation.View:
		if elsewhere() {
			h.network.View(user, msg)
		} else {
			h.sessions.TellLive(user, msg)
		}
	}
}

// arbiterMissed is given what newArbiter makes no arbiter for; see sessionMissed.
func (h *Host) arbiterMissed(id invitation.ID, msg any) {
	switch msg := msg.(type) {
	case *export:
		msg.done()
	case *look:
		msg.missed()
	case calleeLost: // it has just gone
	case *invitation.Message:
		switch {
		case !h.network.Holds(id.Shard()), firstTerms(msg) != nil && !h.past.has(id):
			h.network.Arbiter(msg)
		case !h.arbiters.TellLive(id, msg):
			h.unknown(id, msg)
		}
	}
}

// moved takes what a session is told about moving; false: it is something else.
func (a *sessionActor) moved(c *engine.Context, msg any) bool {
	switch msg := msg.(type) {
	case *export:
		if msg.take(a.record) {
			c.Leave()
		}
		msg.done()
	case *arrival:
		if !msg.made {
			a.carryOut(c, a.machine.Merge(c.Now(), *msg.Session, nil))
		}
		c.Arm(a.machine.Deadline())
	case *look:
		a.show(msg)
	case greet:
		a.carryOut(c, a.machine.Greet(c.Now(), nil))
	default:
		return false
	}
	return true
}

func (a *sessionActor) record() Record { return Record{Session: new(a.machine.State())} }

// moved takes what an arbiter is told about moving, and about nodes that were lost; false: it is something else.
func (a *arbiterActor) moved(c *engine.Context, msg any) bool {
	switch msg := msg.(type) {
	case *export:
		if msg.take(a.record) {
			a.departed(c.Now())
			c.Leave()
		}
		msg.done()
	case *arrival:
		if msg.made {
			a.arrived(c.Now())
		} else {
			a.merge(c, msg.Arbiter)
		}
		c.Arm(a.machine.Deadline())
	case calleeLost:
		a.calleeLost(c, msg)
	case *look:
		a.show(msg)
	default:
		return false
	}
	return true
}

func (a *arbiterActor) record() Record {
	events := a.kinds
	if a.recovered {
		events |= recoveredBit
	}
	return Record{Arbiter: &snapshot.Arbiter{
		State: a.machine.State(), Sent: a.sent, Reached: a.reached, Told: a.told,
		Rang: a.rang, Answered: a.answered, Events: events,
	}}
}

func (a *arbiterActor) departed(now invitation.Time) {
	if a.host.observer != nil && a.sent != 0 {
		a.host.observer.Departed(a.stage(now))
	}
}

func (a *arbiterActor) arrived(now invitation.Time) {
	if a.host.observer != nil && a.sent != 0 {
		a.host.observer.Arrived(a.stage(now))
	}
}

// merge takes the state of another arbiter of the invitation. A stage that the other one has reached was
// told by its node.
func (a *arbiterActor) merge(c *engine.Context, r *snapshot.Arbiter) {
	now := c.Now()
	effects := a.machine.Merge(now, r.State, nil)
	a.sent = invitation.Earliest(a.sent, r.Sent)
	a.rang, a.answered = invitation.Earliest(a.rang, r.Rang), invitation.Earliest(a.answered, r.Answered)
	if stage := a.machine.View().Stage; stage != a.told && stage <= r.Told {
		a.departed(now)
		a.told, a.reached = stage, r.Reached
		a.arrived(now)
	}
	a.observe(now, arbiterTick)
	a.happen(now, effects)
	for i := range effects {
		a.carryOut(c, now, &effects[i])
	}
}

// lost ends an arbiter whose state could not be taken: the invitation ends as a failure, and does not
// start again.
func (a *arbiterActor) lost(c *engine.Context, x *export) {
	defer x.done()
	defer c.Leave()
	a.step(c, arbiterAbort)
	a.conclude(c.Now())
	a.host.past.add(a.machine.View().Terms.ID, 0)
	if a.host.observer != nil && a.sent != 0 {
		a.host.observer.Settled(a.stage(c.Now()))
	}
}
