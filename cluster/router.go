package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfleet/ringfleet/cluster/placement"
	"github.com/ringfleet/ringfleet/invitation"
)

// The defaults of [Config].
const (
	DefaultMaxHops     = 4
	DefaultMaxEnvelope = 256 << 10
)

// Config is what a [Router] is made of.
type Config struct {
	// Self is this node's name, 1 to [MaxName] bytes. Required.
	Self string
	// Codec encodes what leaves this node. Required.
	Codec Codec
	// Deliver takes what is for this node: from Send and SendNode on the caller's goroutine, from peers
	// on the link's. It must not block. Its error is returned by Send; what a peer sent is then counted as
	// refused. Required.
	Deliver func(Envelope) error
	// Link reaches the other nodes. The default is none: what is for others is ErrUnreachable.
	Link Link
	// Shards says where shards are while they move. The default is none: they are where the view says.
	Shards Shards
	// MaxHops is how often a message is passed on before it is dropped. The default value is 4.
	MaxHops int
	// MaxEnvelope is the largest encoded message, in bytes. The default value is 256 KiB.
	MaxEnvelope int
	// Logger gets panics. The default discards.
	Logger *slog.Logger
}

// Shards says where shards are that the view alone does not place: while they move. Its methods must be
// quick and safe for concurrent use. Package handoff has the implementation.
type Shards interface {
	// Here reports whether this node takes what is for a shard, whatever its view says.
	Here(shard invitation.Shard) bool
	// Moved returns the member that this node gave a shard to, or "": the owner by the view has it.
	Moved(shard invitation.Shard) string
}

// Router brings messages to the owners of their shards. Make one with [NewRouter].
type Router struct {
	config  Config
	patient Patient // the link, if it is one
	ager    Ager    // the codec, if it is one
	state   atomic.Pointer[state]
	views   sync.Mutex // held by SetView
	counts  counts
}

// state is what the router knows of one view.
type state struct {
	view    View
	table   *placement.Table
	members []Member // of the table's members, by their index
	self    int      // this node's index in the table; -1: it owns nothing
}

// NewRouter returns a router whose view is empty until [Router.SetView]. The error says which setting
// is wrong.
func NewRouter(config Config) (*Router, error) {
	switch {
	case config.Self == "" || len(config.Self) > MaxName:
		return nil, fmt.Errorf("cluster: a node's name has 1 to %d bytes, %q has %d", MaxName, config.Self, len(config.Self))
	case config.Codec == nil || config.Deliver == nil:
		return nil, errors.New("cluster: a router needs a Codec and Deliver")
	case config.MaxHops < 0 || config.MaxHops > 255:
		return nil, fmt.Errorf("cluster: MaxHops is 1 to 255, or 0 for %d", DefaultMaxHops)
	case config.MaxEnvelope < 0:
		return nil, errors.New("cluster: MaxEnvelope is below 0")
	}
	if config.MaxHops == 0 {
		config.MaxHops = DefaultMaxHops
	}
	if config.MaxEnvelope == 0 {
		config.MaxEnvelope = DefaultMaxEnvelope
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Router{config: config}
	r.patient, _ = config.Link.(Patient)
	r.ager, _ = config.Codec.(Ager)
	r.state.Store(&state{self: -1})
	return r, nil
}

// SetView makes the router go by a view from now on, and tells the link. A view that is older than the
// one that is set is ignored. The error is that of too many members, and leaves the view as it was. It
// takes some 7 µs for each member.
func (r *Router) SetView(view View) error {
	r.views.Lock()
	defer r.views.Unlock()
	if view.Epoch < r.state.Load().view.Epoch {
		return nil
	}
	table, err := view.Placement()
	if err != nil {
		return fmt.Errorf("cluster: take a view: %w", err)
	}
	s := &state{view: view, table: table, self: -1}
	for i, name := range table.Members() {
		member, _ := view.Member(name) // is there: the table was made of the view
		s.members = append(s.members, member)
		if name == r.config.Self {
			s.self = i
		}
	}
	r.state.Store(s)
	if r.config.Link != nil {
		peers := make([]Member, 0, len(view.Members))
		for _, m := range view.Members {
			if m.Name != r.config.Self {
				peers = append(peers, m)
			}
		}
		r.config.Link.SetPeers(peers)
	}
	return nil
}

// View returns the view that the router goes by.
func (r *Router) View() View { return r.state.Load().view }

// Placement returns who owns which shard by the router's view; nil before the first view.
func (r *Router) Placement() *placement.Table { return r.state.Load().table }

// Owner returns the name of the member that has a shard, as far as this node knows, "" when there is none,
// and whether it is this node.
func (r *Router) Owner(shard invitation.Shard) (name string, self bool) {
	to, here := r.locate(r.state.Load(), shard)
	switch {
	case here:
		return r.config.Self, true
	case to == nil:
		return "", false
	}
	return to.Name, false
}

// locate returns where a shard is: here, or at a member; nil: nowhere, for the moment.
func (r *Router) locate(s *state, shard invitation.Shard) (to *Member, here bool) {
	i, ok := s.table.Index(shard)
	if r.config.Shards == nil {
		if !ok {
			return nil, false
		}
		return &s.members[i], i == s.self
	}
	if r.config.Shards.Here(shard) {
		return nil, true
	}
	if name := r.config.Shards.Moved(shard); name != "" {
		if member := s.view.member(name); member != nil {
			return member, false
		}
	}
	if !ok || i == s.self {
		return nil, false // it is being given away, or taken, this very moment
	}
	return &s.members[i], false
}

// Self returns this node's name.
func (r *Router) Self() string { return r.config.Self }

// Send brings a message to the identity that key is on the shard: to Config.Deliver if this node owns the
// shard, before Send returns, or into the queue of the owner. key may be empty when the payload tells. If Deliver
// keeps a payload, it must not be changed afterwards; else it may be used again. The error is Deliver's, one of [ErrBusy], [ErrUnreachable],
// [ErrNoOwner] and [ErrTooLarge], or the codec's.
func (r *Router) Send(shard invitation.Shard, kind Kind, key string, payload any) error {
	return r.send(shard, header{kind: kind, key: key}, payload)
}

// SendLater is [Router.Send] for a message that nobody waits for: between nodes it may wait for others to go
// with, see [Patient].
func (r *Router) SendLater(shard invitation.Shard, kind Kind, key string, payload any) error {
	return r.send(shard, header{kind: kind, key: key, later: true}, payload)
}

func (r *Router) send(shard invitation.Shard, h header, payload any) error {
	s := r.state.Load()
	to, here := r.locate(s, shard)
	switch {
	case here:
		return r.deliver(Envelope{Kind: h.kind, Shard: shard, Key: h.key, Payload: payload})
	case to == nil:
		r.counts.noOwner.Add(1)
		return ErrNoOwner
	}
	h.version, h.shard = ProtocolVersion, shard
	return r.encodeAndSend(s, to, &h, payload)
}

// SendNode brings a message to a node by its name: to Config.Deliver if it is this node, or if the name
// is "", or into the node's queue. Otherwise like [Router.Send]; instead of ErrNoOwner the error is
// [ErrNoNode].
func (r *Router) SendNode(node string, kind Kind, key string, payload any) error {
	return r.sendNode(node, header{kind: kind, key: key}, payload)
}

// SendNodeLater is [Router.SendNode] for a message that nobody waits for, as [Router.SendLater] is.
func (r *Router) SendNodeLater(node string, kind Kind, key string, payload any) error {
	return r.sendNode(node, header{kind: kind, key: key, later: true}, payload)
}

func (r *Router) sendNode(node string, h header, payload any) error {
	if node == "" || node == r.config.Self {
		return r.deliver(Envelope{Kind: h.kind, Node: r.config.Self, Key: h.key, Payload: payload})
	}
	s := r.state.Load()
	member := s.view.member(node)
	if member == nil {
		r.counts.noOwner.Add(1)
		return ErrNoNode
	}
	h.version, h.node = ProtocolVersion, node
	return r.encodeAndSend(s, member, &h, payload)
}

func (r *Router) deliver(e Envelope) error {
	err := r.config.Deliver(e)
	if err != nil {
		r.counts.refused.Add(1)
	} else {
		r.counts.local.Add(1)
	}
	return err
}

// buffers hold envelopes while they are encoded and sent.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxPooled is the largest buffer that is kept.
const maxPooled = 16 << 10

func (r *Router) encodeAndSend(s *state, to *Member, h *header, payload any) error {
	if len(h.key) > MaxKey || h.kind == 0 {
		return fmt.Errorf("cluster: an envelope has a kind and a key of at most %d bytes", MaxKey)
	}
	buf := buffers.Get().(*[]byte)
	envelope, grown, err := h.encode(*buf, r.config.Codec, payload)
	if err == nil {
		err = r.transmit(s, to, h, envelope)
	}
	if cap(grown) <= maxPooled {
		*buf = grown
		buffers.Put(buf)
	}
	return err
}

// transmit gives an envelope to the link: to the member it is for or, when that one cannot be reached and
// nobody has passed the envelope on before, to another one, which may have a connection where this node has
// none.
func (r *Router) transmit(s *state, to *Member, h *header, envelope []byte) error {
	if len(envelope) > r.config.MaxEnvelope {
		r.counts.tooLarge.Add(1)
		return ErrTooLarge
	}
	if r.config.Link == nil {
		r.counts.unreachable.Add(1)
		return ErrUnreachable
	}
	var err error
	if h.later && r.patient != nil {
		err = r.patient.SendLater(*to, envelope)
	} else {
		err = r.config.Link.Send(*to, envelope)
	}
	if errors.Is(err, ErrUnreachable) && h.hops == 0 {
		if relay := s.relay(r.config.Self, to.Name, h.shard); relay != nil {
			if err = r.config.Link.Send(*relay, envelope); err == nil {
				r.counts.relayed.Add(1)
			}
		}
	}
	switch {
	case err == nil:
		r.counts.remote.Add(1)
		r.counts.bytes.Add(uint64(len(envelope)))
	case errors.Is(err, ErrBusy):
		r.counts.busy.Add(1)
	default:
		r.counts.unreachable.Add(1)
	}
	return err
}

// relay returns a member that serves and is neither of two; the choice is spread by shard. nil: there is
// none.
func (s *state) relay(self, target string, shard invitation.Shard) *Member {
	for i := range s.members {
		m := &s.members[(i+int(shard))%len(s.members)]
		if m.Name != self && m.Name != target {
			return m
		}
	}
	return nil
}

// Receive takes an envelope from a peer, of which it keeps nothing: it is what a link calls. An envelope
// that is for another node is passed on. age is for how long it was held back on the link: the times in it are made less by
// that, if the codec is an [Ager]. Whatever the bytes are, it returns without a panic; what it had to drop it counts.
func (r *Router) Receive(from string, envelope []byte, age time.Duration) {
	defer r.contain(from)
	h, payload, err := parse(envelope, r.config.Self)
	switch {
	case err != nil:
		r.counts.malformed.Add(1)
		return
	case h.version != ProtocolVersion:
		r.counts.unknown.Add(1)
		return
	}
	h.age = min(h.age+age.Truncate(time.Microsecond), maxAge)
	s := r.state.Load()
	to, here := r.destination(s, &h)
	switch {
	case here:
		r.receive(&h, payload)
	case to == nil:
		r.counts.noOwner.Add(1)
	case int(h.hops) >= r.config.MaxHops:
		r.counts.hopLimit.Add(1)
	default:
		r.forward(s, to, &h, payload)
	}
}

// destination returns who an envelope is for by this view; nil: for nobody.
func (r *Router) destination(s *state, h *header) (to *Member, here bool) {
	if h.node == "" {
		return r.locate(s, h.shard)
	}
	if h.node == r.config.Self {
		return nil, true
	}
	return s.view.member(h.node), false
}

func (r *Router) receive(h *header, data []byte) {
	payload, err := r.decode(h, data)
	switch {
	case errors.Is(err, ErrUnknown):
		r.counts.unknown.Add(1)
		return
	case err != nil:
		r.counts.malformed.Add(1)
		return
	}
	r.counts.received.Add(1)
	e := Envelope{Kind: h.kind, Shard: h.shard, Node: h.node, Key: h.key, Hops: h.hops, Payload: payload}
	if r.config.Deliver(e) != nil {
		r.counts.refused.Add(1)
	}
}

func (r *Router) decode(h *header, data []byte) (any, error) {
	if h.age > 0 && r.ager != nil {
		r.counts.aged.Add(1)
		return r.ager.DecodeOlder(h.kind, h.key, data, h.age)
	}
	return r.config.Codec.Decode(h.kind, h.key, data)
}

// forward passes an envelope on as it came, but for its hops and its age.
func (r *Router) forward(s *state, to *Member, h *header, payload []byte) {
	h.hops++
	buf := buffers.Get().(*[]byte)
	b := append(h.append((*buf)[:0], len(payload)), payload...)
	if r.transmit(s, to, h, b) == nil {
		r.counts.forwarded.Add(1)
	}
	if cap(b) <= maxPooled {
		*buf = b
		buffers.Put(buf)
	}
}

// contain ends a panic of the codec or of Deliver, called deferred.
func (r *Router) contain(from string) {
	if recovered := recover(); recovered != nil {
		r.counts.panics.Add(1)
		r.config.Logger.LogAttrs(context.Background(), slog.LevelError, "panic while a peer's message was handled",
			slog.String("peer", from), slog.Any("panic", recovered), slog.String("stack", string(debug.Stack())))
	}
}
