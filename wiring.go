package ringfleet

import (
	"errors"
	"time"

	"github.com/ringfleet/ringfleet/actors"
	"github.com/ringfleet/ringfleet/actors/engine"
	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/internal/observe"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// clockSkew is by how much the wall clocks of a cluster's nodes may differ.
const clockSkew = time.Hour

// backend is the gateway's way to the sessions. It implements gateway.Backend.
type backend struct{ node *Node }

// Attach implements gateway.Backend. A new login is stamped with the wall clock, so that of two
// logins the newer can be told wherever they meet; a stamp decides nothing else.
func (b backend) Attach(conn uint64, login invitation.Login) error {
	now := b.node.config.WallClock()
	switch {
	case !login.Resume:
		login.Stamp = uint64(max(now.UnixMilli(), 1))
	case login.Stamp > uint64(max(now.Add(clockSkew).UnixMilli(), 1)):
		login.Stamp = 0 // no node gave it; it is not to be newer than all logins to come
	}
	return b.node.attach(conn, login.User, &session.Input{
		Kind: session.InAttach, Device: login.Device, Conn: b.node.conn(conn), Login: &login,
	})
}

// Say implements gateway.Backend.
func (b backend) Say(conn uint64, user invitation.User, device invitation.Device, up invitation.Up) error {
	in := &session.Input{Device: device, Conn: b.node.conn(conn)}
	switch {
	case up.Call != nil:
		in.Kind, in.Call = session.InCall, up.Call
	case up.Word != nil:
		in.Kind, in.Word = session.InWord, up.Word
	default:
		in.Kind = session.InLogout
	}
	if b.node.tracer != nil {
		b.node.deviceSaid(conn, user, device, &up)
	}
	return b.node.session(user, in)
}

// Detach implements gateway.Backend.
func (b backend) Detach(conn uint64, user invitation.User, device invitation.Device) {
	b.node.attaches.answered(conn)
	in := &session.Input{Kind: session.InDetach, Device: device, Conn: b.node.conn(conn)}
	b.node.detach(user, in, detachTimes, detachFirst)
}

// turns are those of the actors: gateway and link bring messages and send what comes of them. It implements
// gateway.Turns and link.Turns.
type turns struct{ node *Node }

// Help implements gateway.Turns and link.Turns.
func (t turns) Help(tell func()) { t.node.host.Help(tell) }

// Run implements gateway.Turns.
func (t turns) Run(do func()) { t.node.host.Run(do) }

// Settles implements gateway.Turns and link.Turns.
func (t turns) Settles() bool { return t.node.host.Settles() }

// settle sends what the actors have said.
func (n *Node) settle() {
	n.gateway.Flush()
	if stream := n.stream.Load(); stream != nil {
		stream.Flush()
	}
}

// conn returns the address of a connection of this node.
func (n *Node) conn(number uint64) session.Conn {
	return session.Conn{Node: n.config.Name, Number: number}
}

// network is the actors' way to each other and to devices. It implements actors.Network.
type network struct{ node *Node }

// Session implements actors.Network.
func (n network) Session(user invitation.User, in *session.Input) {
	if n.node.session(user, in) != nil {
		n.node.dropped.Add(1)
	}
}

// View implements actors.Network.
func (n network) View(user invitation.User, v *invitation.View) {
	if !n.node.here(user) {
		n.Session(user, &session.Input{Kind: session.InView, View: v})
		return
	}
	if n.node.tracer != nil {
		n.node.tracedSession(user, &session.Input{Kind: session.InView, View: v})
	}
	if n.node.host.TellView(user, v) != nil {
		n.node.dropped.Add(1)
	}
}

// Reply implements actors.Network.
func (n network) Reply(user invitation.User, r *invitation.Reply) {
	if !n.node.here(user) {
		sent := *r // that a reply on this node stays where it is
		n.Session(user, &session.Input{Kind: session.InReply, Reply: &sent})
		return
	}
	if n.node.tracer != nil {
		sent := *r
		n.node.tracedSession(user, &session.Input{Kind: session.InReply, Reply: &sent})
	}
	if n.node.host.TellReply(user, r) != nil {
		n.node.dropped.Add(1)
	}
}

// Arbiter implements actors.Network. A send for which there is no room is answered; all else that is
// dropped is repeated.
func (n network) Arbiter(msg *invitation.Message) {
	err := n.node.arbiter(msg)
	if err == nil {
		return
	}
	n.node.dropped.Add(1)
	if msg.Kind == invitation.MsgStart && errors.Is(err, engine.ErrFull) {
		n.Session(msg.User, &session.Input{Kind: session.InReply, Reply: &invitation.Reply{
			ID: msg.ID, Device: msg.Device, Request: invitation.Send, RequestID: msg.RequestID,
			Error: invitation.Unavailable, View: &invitation.View{Terms: msg.Terms},
		}})
	}
}

// Holds implements actors.Network.
func (n network) Holds(shard invitation.Shard) bool { return n.node.holds(shard) }

// Device implements actors.Network.
func (n network) Device(user invitation.User, conn session.Conn, down invitation.Down) {
	switch err := n.node.device(user, conn, down); {
	case errors.Is(err, cluster.ErrNoNode) || errors.Is(err, errNoConnection):
		n.Session(user, &session.Input{Kind: session.InDetach, Conn: conn})
	case err != nil:
		n.node.dropped.Add(1)
	}
}

// LostAt implements actors.Network.
func (n network) LostAt(shard invitation.Shard) invitation.Time {
	if n.node.member == nil {
		return n.node.began
	}
	return invitation.Time(n.node.member.lostAt[shard].Load())
}

// observer counts invitations, and tells the embedder of outcomes. It implements actors.Observer.
type observer struct {
	*observe.Invitations
	outcome func(Outcome)
	node    *Node
}

var _ actors.Observer = observer{}

// Moved implements actors.Observer.
func (o observer) Moved(s actors.Stage) {
	o.Invitations.Moved(s)
	o.node.moved(s)
	if s.View.Stage == invitation.Ended && o.node.outcomes != nil {
		now := o.node.config.WallClock()
		o.node.outcomes.Add(s.View.Terms.Caller, s.View, now.Add(-s.Now.Sub(s.Sent)), now)
	}
	if o.outcome == nil || s.View.Stage != invitation.Ended {
		return
	}
	v, terms := s.View, s.View.Terms
	state, code, reason := v.Local()
	o.outcome(Outcome{
		ID: terms.ID, Caller: terms.Caller, CallerDevice: terms.Device, Callee: terms.Callee, CalleeDevice: v.Chosen,
		ChannelID: terms.ChannelID, Outcome: v.Outcome, Local: state, LocalCode: code, Reason: reason,
		Duration: s.Now.Sub(s.Sent),
	})
}
