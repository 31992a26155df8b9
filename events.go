package ringfleet

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/ringfleet/ringfleet/actors"
	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/internal/peerwire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/snapshot"
)

// startEvents starts the stream of events, if there is a sink for them.
func (n *Node) startEvents() error {
	config := n.config.Events
	if err := config.Check(); err != nil || len(config.Sinks) == 0 {
		return err
	}
	config.Logger = n.config.Logger
	if n.config.Cluster != nil {
		config.Peers = copyKeepers{n}
	}
	stream, err := events.New(config)
	if err != nil {
		return err
	}
	n.events = stream
	n.registry.MustRegister(stream)
	return nil
}

// told returns what is to be told of events; nil, where there is nobody to tell.
func (n *Node) told() actors.Events {
	if n.events == nil {
		return nil
	}
	return life{n}
}

// life makes events of what happens to invitations. It implements actors.Events.
type life struct{ node *Node }

// Happened implements actors.Events.
func (l life) Happened(kind invitation.EventKind, s actors.Stage, final bool) {
	v, terms := s.View, s.View.Terms
	e := &invitation.Event{
		Kind: kind, ID: terms.ID, At: l.node.config.WallClock().UnixMicro(), Caller: terms.Caller, CallerDevice: terms.Device,
		Callee: terms.Callee, CalleeDevice: v.Chosen, ChannelID: terms.ChannelID, Recovered: s.Recovered,
	}
	if l.node.config.Events.Content {
		e.Content = terms.Content
	}
	switch kind {
	case invitation.EventEnded:
		e.Outcome = v.Outcome
		e.Local, e.Code, e.Reason = v.Local()
		if l.node.config.Events.Content {
			e.Response = v.Response
		}
		e.SetUp, e.Ring, e.Total = durations(s)
	case invitation.EventClose:
		e.Remote, _, e.Reason = v.Remote("")
	default:
		e.CalleeDevice = ""
		e.Remaining = max(v.Deadline.Sub(s.Now), 0)
	}
	if kind == invitation.EventEnded && !final {
		l.node.events.Early(e)
	} else {
		l.node.events.Emit(e)
	}
}

// durations returns how long an invitation that has ended took to be shown, rang, and took in all.
func durations(s actors.Stage) (setUp, ring, total time.Duration) {
	if s.Recovered {
		return 0, 0, 0
	}
	total = s.Now.Sub(s.Sent)
	if s.Rang == 0 {
		return 0, 0, total
	}
	until := s.Now
	if s.Answered != 0 {
		until = s.Answered
	}
	return max(s.Rang.Sub(s.Sent), time.Microsecond), max(until.Sub(s.Rang), time.Microsecond), total
}

// copyKeepers are the other nodes, as keepers of copies. It implements events.Peers.
type copyKeepers struct{ node *Node }

// Backup implements events.Peers: the owner of the callee, who is told of the outcome anyhow, or another one.
func (k copyKeepers) Backup(e *invitation.Event) string {
	m := k.node.member
	if m == nil || m.router == nil {
		return ""
	}
	self := k.node.config.Name
	if name, _ := m.router.Owner(invitation.ShardOf(e.Callee)); name != "" && name != self {
		return name
	}
	table := m.router.Placement()
	if table == nil {
		return ""
	}
	members := table.Members()
	first := int(binary.LittleEndian.Uint32(e.ID[len(e.ID)-4:]) % uint32(max(len(members), 1)))
	for i := range members {
		if name := members[(first+i)%len(members)]; name != self {
			return name
		}
	}
	return ""
}

// Copy implements events.Peers.
func (k copyKeepers) Copy(node string, e *snapshot.Event) { k.say(node, &peerwire.Events{Copy: e}) }

// Held implements events.Peers.
func (k copyKeepers) Held(node string, ids []invitation.ID) { k.say(node, &peerwire.Events{Held: ids}) }

// Delivered implements events.Peers.
func (k copyKeepers) Delivered(node string, ids []invitation.ID) {
	k.say(node, &peerwire.Events{Delivered: ids})
}

// say tells a node something about events. What is lost is said again, or is of no use any more.
func (k copyKeepers) say(node string, msg *peerwire.Events) {
	if k.node.member.router.SendNode(node, peerwire.KindEvents, k.node.config.Name, msg) != nil {
		k.node.dropped.Add(1)
	}
}

// hear takes what another node says about events.
func (n *Node) hear(from string, msg *peerwire.Events) {
	switch {
	case n.events == nil: // this node was started without sinks
	case msg.Copy != nil:
		n.events.Keep(from, msg.Copy)
	case msg.Held != nil:
		n.events.Held(from, msg.Held)
	case msg.Delivered != nil:
		n.events.Delivered(from, msg.Delivered)
	}
}

// eventsLost takes that a node has gone, or was started anew: what it has not delivered others do.
func (n *Node) eventsLost(node string) {
	if n.events != nil {
		n.events.Lost(node)
	}
}

// drainTime bounds for how long a node that ends goes on delivering.
const drainTime = 5 * time.Second

// drainEvents delivers what waits, as far as there is time. What is left of the outcomes the others deliver.
func (n *Node) drainEvents(ctx context.Context) error {
	if n.events == nil {
		return nil
	}
	limit := drainTime
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := n.events.Drain(ctx); err != nil && !errors.Is(err, context.Canceled) {
		n.config.Logger.Warn("not all events were delivered before the end", "error", err)
	}
	return nil
}

// EnableSink lets a sink of Config.Events be delivered to again, on this node, after its receiver had said that it is
// gone. It reports whether there is such a sink.
func (n *Node) EnableSink(name string) bool { return n.events != nil && n.events.Enable(name) }

// Sinks returns how it stands with the sinks of Config.Events, on this node.
func (n *Node) Sinks() []events.SinkStatus {
	if n.events == nil {
		return nil
	}
	return n.events.Status()
}
