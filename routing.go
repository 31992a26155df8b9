package ringfleet

import (
	"errors"
	"fmt"
	"sync"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/ask"
	"github.com/ringfleet/ringfleet/cluster/handoff"
	"github.com/ringfleet/ringfleet/internal/peerwire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// deliver takes what other members send to this node.
func (n *Node) deliver(e cluster.Envelope) error {
	switch p := e.Payload.(type) {
	case *session.Input:
		if n.sheds(invitation.User(e.Key), p) {
			return nil
		}
		return n.session(invitation.User(e.Key), p)
	case *invitation.Message:
		return n.arbiter(p)
	case *peerwire.Delivery:
		if p.Down.Welcome != nil || p.Down.Ending != nil {
			n.attaches.answered(p.Conn)
		}
		if n.tracer != nil {
			n.deviceTold(p.Conn, &p.Down)
		}
		if !n.gateway.Deliver(p.Conn, p.Down) && p.User != "" && p.Down.Ending == nil {
			return n.session(p.User, &session.Input{Kind: session.InDetach, Conn: n.conn(p.Conn)})
		}
	case *handoff.Message:
		if n.member.mover != nil {
			n.member.mover.Receive(e.Key, p)
		}
	case *peerwire.Events:
		n.hear(e.Key, p)
	case *ask.Request:
		n.asked(e, p)
	case *ask.Response:
		n.asker.Answer(p)
	}
	return nil
}

// sheds refuses a new send that another node's gateway has taken, if this node has too much to do, and reports
// whether it did. The gateway that has the device knows how busy its own node is, not this one.
func (n *Node) sheds(user invitation.User, in *session.Input) bool {
	if in.Kind != session.InCall || !n.gateway.Busy(in.Call) {
		return false
	}
	network{n}.Device(user, in.Conn, invitation.Down{Answer: &invitation.Answer{
		Request: invitation.Send, RequestID: in.Call.RequestID, Error: invitation.Unavailable, RetryAfter: n.config.Gateway.RetryAfter,
	}})
	return true
}

// handOver gives an envelope to the actors of this node, whether its shard is here or still awaited.
func (n *Node) handOver(e cluster.Envelope) error {
	switch p := e.Payload.(type) {
	case *session.Input:
		return n.host.TellSession(invitation.User(e.Key), p)
	case *invitation.Message:
		return n.host.TellArbiter(p)
	}
	return fmt.Errorf("ringfleet: a %T is for no actor", e.Payload)
}

// What is sent to other nodes is encoded at once, and what turns out to be for this one is copied by whoever takes it
// (deliver): so these are used again.
var (
	inputs     = sync.Pool{New: func() any { return new(session.Input) }}
	messages   = sync.Pool{New: func() any { return new(invitation.Message) }}
	deliveries = sync.Pool{New: func() any { return new(peerwire.Delivery) }}
)

// session gives an input to a user's session, wherever it lives.
func (n *Node) session(user invitation.User, in *session.Input) error {
	if n.member == nil {
		return n.tellHere(user, in)
	}
	shard := invitation.ShardOf(user)
	switch n.member.place(shard) {
	case handoff.Held:
		return n.tellHere(user, in)
	case handoff.Awaited:
		kept := *in
		if ok, err := n.member.mover.Keep(cluster.Envelope{
			Kind: peerwire.KindSession, Shard: shard, Key: string(user), Payload: &kept,
		}); ok || err != nil {
			return err
		}
		return n.session(user, in)
	case handoff.Gone:
	}
	sent := inputs.Get().(*session.Input) // that an input for this node stays off the heap
	*sent = *in
	send := n.member.router.Send
	if patient(in) {
		send = n.member.router.SendLater
	}
	err := send(shard, peerwire.KindSession, string(user), sent)
	*sent = session.Input{}
	inputs.Put(sent)
	return err
}

// patient reports whether nobody waits for an input: the call is over, and both sides know, or it says only that an
// accept was recorded, and is soon followed by how that ended.
func patient(in *session.Input) bool {
	switch in.Kind {
	case session.InWord:
		return in.Word.Kind == invitation.WordDone
	case session.InView:
		return in.View.Settled
	case session.InReply:
		return in.Reply.Request == invitation.Accept && in.Reply.Error == invitation.OK
	default:
		return false
	}
}

// patientDown is patient for what a device is told.
func patientDown(down *invitation.Down) bool {
	switch {
	case down.Notice != nil:
		return down.Notice.Settled // it may forget it
	case down.Answer != nil:
		return down.Answer.Request == invitation.Accept && down.Answer.Error == invitation.OK
	default:
		return false
	}
}

// tellHere gives an input to a session of this node.
func (n *Node) tellHere(user invitation.User, in *session.Input) error {
	if n.tracer != nil {
		n.tracedSession(user, in)
	}
	return n.host.TellSession(user, in)
}

// arbiter gives a message to an invitation's arbiter, wherever it lives.
func (n *Node) arbiter(msg *invitation.Message) error {
	if n.member == nil {
		return n.host.TellArbiter(msg)
	}
	shard := msg.ID.Shard()
	switch n.member.place(shard) {
	case handoff.Held:
		return n.host.TellArbiter(msg)
	case handoff.Awaited:
		kept := *msg
		if ok, err := n.member.mover.Keep(cluster.Envelope{
			Kind: peerwire.KindArbiter, Shard: shard, Payload: &kept,
		}); ok || err != nil {
			return err
		}
		return n.arbiter(msg)
	case handoff.Gone:
	}
	sent := messages.Get().(*invitation.Message) // that a message for this node stays off the heap
	*sent = *msg
	send := n.member.router.Send
	if msg.Kind == invitation.MsgCallerDone || msg.Kind == invitation.MsgCalleeDone {
		send = n.member.router.SendLater // the side that says so has been told how it ended
	}
	err := send(shard, peerwire.KindArbiter, "", sent)
	*sent = invitation.Message{}
	messages.Put(sent)
	return err
}

// place returns what a shard is to this node.
func (m *member) place(shard invitation.Shard) handoff.Place {
	if m.mover != nil {
		return m.mover.Place(shard)
	}
	if _, self := m.router.Owner(shard); self {
		return handoff.Held
	}
	return handoff.Gone
}

// here reports whether a user's session lives on this node, and nothing is kept back for it.
func (n *Node) here(user invitation.User) bool {
	return n.member == nil || n.member.place(invitation.ShardOf(user)) == handoff.Held
}

// holds reports whether actors of a shard may live on this node.
func (n *Node) holds(shard invitation.Shard) bool {
	return n.member == nil || n.member.place(shard) != handoff.Gone
}

// errNoConnection is returned for a connection of this node that is gone.
var errNoConnection = errors.New("ringfleet: no such connection")

// device gives down to a connection of a device of user, wherever it is.
func (n *Node) device(user invitation.User, conn session.Conn, down invitation.Down) error {
	if n.member != nil && conn.Node != n.config.Name {
		send := n.member.router.SendNode
		if patientDown(&down) {
			send = n.member.router.SendNodeLater
		}
		sent := deliveries.Get().(*peerwire.Delivery)
		*sent = peerwire.Delivery{Conn: conn.Number, Down: down, User: user}
		err := send(conn.Node, peerwire.KindDevice, "", sent)
		*sent = peerwire.Delivery{}
		deliveries.Put(sent)
		return err
	}
	if n.tracer != nil {
		n.deviceTold(conn.Number, &down)
	}
	if !n.gateway.Deliver(conn.Number, down) && down.Ending == nil {
		return errNoConnection
	}
	return nil
}
