package wire

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/invitation"
)

// ProtocolVersion is the version of the client protocol that this package speaks, the only one so
// far.
const ProtocolVersion = 1

// Negotiate returns the highest version that both this package and a peer that speaks lowest to
// highest speak. Without one the error is [invitation.EndBadVersion].
func Negotiate(lowest, highest uint32) (uint32, error) {
	if lowest > ProtocolVersion || highest < ProtocolVersion {
		return 0, invitation.EndBadVersion
	}
	return ProtocolVersion, nil
}

// Codec is the encoding of the frames of one connection.
type Codec uint8

// The codecs.
const (
	Binary Codec = 0 // protobuf, in binary WebSocket messages
	JSON   Codec = 1 // protobuf's JSON mapping, in text WebSocket messages
)

// The WebSocket subprotocols that choose a codec.
const (
	SubprotocolBinary = "ringfleet.v1.proto"
	SubprotocolJSON   = "ringfleet.v1.json"
)

// Subprotocols lists the subprotocols in the order in which a node prefers them.
var Subprotocols = []string{SubprotocolBinary, SubprotocolJSON}

// CodecOf returns the codec of a subprotocol, and whether there is one.
func CodecOf(subprotocol string) (Codec, bool) {
	switch subprotocol {
	case SubprotocolBinary:
		return Binary, true
	case SubprotocolJSON:
		return JSON, true
	}
	return Binary, false
}

// Subprotocol returns the WebSocket subprotocol that chooses the codec.
func (c Codec) Subprotocol() string {
	if c == JSON {
		return SubprotocolJSON
	}
	return SubprotocolBinary
}

// Text reports whether the frames travel in text messages.
func (c Codec) Text() bool { return c == JSON }

// String returns "proto" or "json", as used in metrics and flags.
func (c Codec) String() string {
	if c == JSON {
		return "json"
	}
	return "proto"
}

// ErrBadFrame is wrapped by the error of a frame that is not of the protocol. The text after it says
// what is wrong, in at most 200 bytes of UTF-8, and may be shown to the peer.
var ErrBadFrame = errors.New("not of the protocol")

// ErrUnknownFrame is returned by [DecodeDown] for a frame that a newer node may send and that this
// version does not know. A client ignores it.
var ErrUnknownFrame = errors.New("unknown frame")

// maxReason bounds the text of an error, as parts of the peer's data may be in it.
const maxReason = 170

func badFrame(format string, args ...any) error {
	reason := fmt.Sprintf(format, args...)
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	return fmt.Errorf("%w: %s", ErrBadFrame, strings.ToValidUTF8(reason, "?"))
}

var (
	unmarshalBinary = proto.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: 8}
	unmarshalJSON   = protojson.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: 8}
	marshalBinary   = proto.MarshalOptions{}
	marshalJSON     = protojson.MarshalOptions{}
)

// unmarshal reads data into m. Unknown fields are dropped: they are a newer peer's.
func (c Codec) unmarshal(data []byte, m proto.Message) error {
	if c == JSON {
		return unmarshalJSON.Unmarshal(data, m)
	}
	return unmarshalBinary.Unmarshal(data, m)
}

// append appends the encoding of m to buf.
func (c Codec) append(buf []byte, m proto.Message) ([]byte, error) {
	if c == JSON {
		return marshalJSON.MarshalAppend(buf, m)
	}
	return marshalBinary.MarshalAppend(buf, m)
}

// plain takes the library's own decoration out of an error's text.
func plain(err error) string {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	return strings.TrimPrefix(text, "proto: ")
}
