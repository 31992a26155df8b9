package cluster

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/ringfleet/ringfleet/invitation"
)

// Kind says what an envelope carries. The cluster gives the numbers no meaning; 0 is not used.
type Kind uint8

// Envelope is a message on its way to an identity or to a node.
type Envelope struct {
	Kind    Kind
	Shard   invitation.Shard // of the identity; where Node is empty
	Node    string           // the node it is for; "" for one that is for an identity
	Key     string           // whom on the shard, or what on the node, it is for
	Hops    uint8            // how many nodes have passed it on
	Payload any              // shared with the sender when both are on one node: not to be changed
}

// Codec turns payloads into bytes for other nodes. It must be safe for concurrent use.
type Codec interface {
	// Append appends the payload's bytes to buf and keeps no reference to either.
	Append(buf []byte, kind Kind, payload any) ([]byte, error)
	// Decode reads what Append wrote, on any version of the product; it keeps no reference to data, and
	// what it returns is safe to use, whatever data is. Its error wraps ErrUnknown for what a newer
	// version may have written.
	Decode(kind Kind, key string, data []byte) (payload any, err error)
}

// Ager is a [Codec] of messages in which time goes by.
type Ager interface {
	// DecodeOlder is Decode of what was written for so long ago that the times in it, those that remained then, are
	// others by now.
	DecodeOlder(kind Kind, key string, data []byte, age time.Duration) (payload any, err error)
}

// ErrUnknown is wrapped by the errors of a Codec for messages that this version does not know.
var ErrUnknown = errors.New("message of another version")

// errMalformed is the error of an envelope that no version has written.
var errMalformed = errors.New("cluster: malformed envelope")

// The sizes of what an envelope's header may hold, in bytes.
const (
	MaxKey  = 255 // Envelope.Key
	MaxName = 255 // Envelope.Node, and the name of a member
)

// The fields of ringfleet.peer.v1.Envelope.
const (
	fieldVersion protowire.Number = 1
	fieldKind    protowire.Number = 2
	fieldHops    protowire.Number = 3
	fieldShard   protowire.Number = 4
	fieldKey     protowire.Number = 5
	fieldNode    protowire.Number = 6
	fieldPayload protowire.Number = 7
	fieldAge     protowire.Number = 8
)

// maxAge bounds how old an envelope counts as: no time that travels is longer.
const maxAge = time.Hour

// fixedHeader is the most that a header takes beside key and node: tags, numbers and lengths.
const fixedHeader = 48

// header is an envelope without what it carries.
type header struct {
	version uint64
	kind    Kind
	hops    uint8
	shard   invitation.Shard
	key     string
	node    string
	age     time.Duration // how long it was under way to the node that has passed it on; whole microseconds
	later   bool          // of this node only: nobody waits for it
}

// size bounds the bytes of a header.
func (h *header) size() int { return fixedHeader + len(h.key) + len(h.node) }

// append writes an envelope up to its payload of size bytes, which is to follow.
func (h *header) append(b []byte, size int) []byte {
	number := func(field protowire.Number, n uint64) {
		if n != 0 {
			b = protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), n)
		}
	}
	text := func(field protowire.Number, s string) {
		if s != "" {
			b = protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
		}
	}
	number(fieldVersion, h.version)
	number(fieldKind, uint64(h.kind))
	number(fieldHops, uint64(h.hops))
	number(fieldShard, uint64(h.shard))
	text(fieldKey, h.key)
	text(fieldNode, h.node)
	number(fieldAge, uint64(h.age/time.Microsecond))
	b = protowire.AppendTag(b, fieldPayload, protowire.BytesType)
	return protowire.AppendVarint(b, uint64(size))
}

// encode makes the bytes of an envelope in buf, which it may replace by a larger one: the payload goes
// behind room for the header, and the header, whose length is known only then, right before it.
func (h *header) encode(buf []byte, codec Codec, payload any) (envelope, grown []byte, err error) {
	room := h.size()
	if cap(buf) < room {
		buf = make([]byte, room, 2*room+512)
	}
	out, err := codec.Append(buf[:room], h.kind, payload)
	if err != nil {
		return nil, buf, fmt.Errorf("cluster: %w", err)
	}
	whole := h.append(out, len(out)-room) // behind the payload first, as its length is not known before
	head := whole[len(out):]
	start := room - len(head)
	copy(out[start:], head)
	return out[start:], whole, nil
}

// parse reads an envelope. The payload is a part of data.
// A node's name that is self is no copy.
func parse(data []byte, self string) (h header, payload []byte, err error) {
	for len(data) > 0 {
		field, wireType, n := protowire.ConsumeTag(data)
		if n < 0 {
			return h, nil, errMalformed
		}
		data = data[n:]
		switch wireType {
		case protowire.VarintType:
			v, m := protowire.ConsumeVarint(data)
			if m < 0 || !h.setNumber(field, v) {
				return h, nil, errMalformed
			}
			data = data[m:]
		case protowire.BytesType:
			v, m := protowire.ConsumeBytes(data)
			if m < 0 || !h.setBytes(field, v, self) {
				return h, nil, errMalformed
			}
			if field == fieldPayload {
				payload = v
			}
			data = data[m:]
		default: // of a newer version
			m := protowire.ConsumeFieldValue(field, wireType, data)
			if m < 0 {
				return h, nil, errMalformed
			}
			data = data[m:]
		}
	}
	if h.version == 0 || h.kind == 0 {
		return h, nil, errMalformed
	}
	return h, payload, nil
}

func (h *header) setNumber(field protowire.Number, v uint64) bool {
	switch field {
	case fieldVersion:
		h.version = v
	case fieldKind:
		h.kind = Kind(v)
		return uint64(h.kind) == v
	case fieldHops:
		h.hops = uint8(min(v, 255))
	case fieldShard:
		h.shard = invitation.Shard(v)
		return v < invitation.Shards
	case fieldAge:
		h.age = time.Duration(min(v, uint64(maxAge/time.Microsecond))) * time.Microsecond
	}
	return true
}

func (h *header) setBytes(field protowire.Number, v []byte, self string) bool {
	switch field {
	case fieldKey:
		h.key = string(v)
		return len(v) <= MaxKey
	case fieldNode:
		if h.node = self; string(v) != self {
			h.node = string(v)
		}
		return len(v) <= MaxName
	}
	return true
}
