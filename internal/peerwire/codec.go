package peerwire

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/ask"
	"github.com/ringfleet/ringfleet/cluster/handoff"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

// The kinds of payload, for the kind of an envelope.
const (
	KindSession = cluster.Kind(peerpb.Kind_KIND_SESSION)
	KindArbiter = cluster.Kind(peerpb.Kind_KIND_ARBITER)
	KindDevice  = cluster.Kind(peerpb.Kind_KIND_DEVICE)
	KindHandoff = cluster.Kind(peerpb.Kind_KIND_HANDOFF)
	KindEvents  = cluster.Kind(peerpb.Kind_KIND_EVENTS)
)

// Delivery is something that a session tells a device, on its way to the node that holds the device's
// connection.
type Delivery struct {
	Conn uint64 // the number of the connection, on that node
	Down invitation.Down

	// Whose connection it is, so that a node that does not have it can answer with a detach; may be empty.
	User   invitation.User
	Device invitation.Device
}

// ErrMalformed is wrapped by the errors of messages that no version can have sent.
var ErrMalformed = errors.New("peerwire: malformed message")

// malformed describes a fault; %T and numbers only, never a peer's bytes, as it gets logged.
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// unknown is the error of what only a newer version can have sent.
func unknown(what string) error { return fmt.Errorf("peerwire: %w: %s", cluster.ErrUnknown, what) }

// Codec implements [cluster.Codec] for what the actors say to each other.
type Codec struct {
	// Now is the node's clock, the one that its actors are given. Required.
	Now func() invitation.Time
}

var unmarshal = proto.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: 8}

// Append appends the payload of an envelope to buf. The error is a mistake of the program: a payload of
// a type that the kind does not carry, of no kind, or with a text that its session should not have let
// through.
func (c Codec) Append(buf []byte, kind cluster.Kind, payload any) ([]byte, error) {
	w := writer{b: buf, now: c.Now()}
	if w.payload(kind, payload) {
		return w.b, nil
	}
	return c.generated(buf, kind, payload)
}

// generated is Append by the generated code.
func (c Codec) generated(buf []byte, kind cluster.Kind, payload any) ([]byte, error) {
	m, err := c.message(kind, payload)
	if err != nil {
		return buf, fmt.Errorf("peerwire: encode %T: %w", payload, err)
	}
	out, err := proto.MarshalOptions{}.MarshalAppend(buf, m)
	if err != nil {
		return buf, fmt.Errorf("peerwire: encode %T: %w", payload, err)
	}
	return out, nil
}

func (c Codec) message(kind cluster.Kind, payload any) (proto.Message, error) {
	switch p := payload.(type) {
	case *session.Input:
		if kind == KindSession {
			return inputMessage(p, c.Now())
		}
	case *invitation.Message:
		if kind == KindArbiter {
			return arbiterMessage(p, c.Now())
		}
	case *Delivery:
		if kind == KindDevice {
			return deliveryMessage(p)
		}
	case *handoff.Message:
		if kind == KindHandoff {
			return handoffMessage(p)
		}
	case *Events:
		if kind == KindEvents {
			return eventsMessage(p)
		}
	case *ask.Request, *ask.Response:
		return askMessage(kind, p)
	}
	return nil, fmt.Errorf("kind %d does not carry it", kind)
}

// Decode reads the payload of an envelope: a *[session.Input], *[invitation.Message], *[Delivery],
// *[handoff.Message], *[Events], *[ask.Request] or *[ask.Response], by kind. Its error wraps [ErrMalformed], or
// [cluster.ErrUnknown] for what a newer version may have sent.
func (c Codec) Decode(kind cluster.Kind, _ string, data []byte) (any, error) {
	if kind != KindHandoff {
		r := newReader(data, c.Now())
		if payload, ok := r.read(kind); ok {
			return payload, nil
		}
	}
	return c.parse(kind, data)
}

// parse is Decode by the generated code.
func (c Codec) parse(kind cluster.Kind, data []byte) (any, error) {
	switch kind {
	case KindSession:
		m := new(peerpb.SessionInput)
		if err := unmarshal.Unmarshal(data, m); err != nil {
			return nil, malformed("not a session input")
		}
		return input(m, c.Now())
	case KindArbiter:
		m := new(peerpb.ArbiterMessage)
		if err := unmarshal.Unmarshal(data, m); err != nil {
			return nil, malformed("not an arbiter message")
		}
		return message(m, c.Now())
	case KindDevice:
		m := new(peerpb.DeviceMessage)
		if err := unmarshal.Unmarshal(data, m); err != nil {
			return nil, malformed("not a device message")
		}
		return delivery(m)
	case KindHandoff:
		m := new(peerpb.Handoff)
		if err := unmarshal.Unmarshal(data, m); err != nil {
			return nil, malformed("not a handoff message")
		}
		return handoffOf(m)
	case KindEvents:
		m := new(peerpb.Events)
		if err := unmarshal.Unmarshal(data, m); err != nil {
			return nil, malformed("not a message about events")
		}
		return eventsOf(m)
	case KindRequest, KindResponse:
		return askOf(kind, data)
	}
	return nil, unknown("kind of envelope")
}

// maxDuration bounds the durations that travel: none of the product's is near it, and a point in time
// plus one does not overflow.
const maxDuration = 1_000 * time.Hour

func microseconds(d time.Duration) int64 { return int64(d / time.Microsecond) }

func duration(us int64) (time.Duration, error) {
	if us > int64(maxDuration/time.Microsecond) || us < -int64(maxDuration/time.Microsecond) {
		return 0, malformed("a duration of %d µs", us)
	}
	return time.Duration(us) * time.Microsecond, nil
}

// remaining returns what is left until a deadline, nil for never. It is rounded down, so that what was
// decoded is encoded as the same.
func remaining(deadline, now invitation.Time) *int64 {
	if deadline == 0 {
		return nil
	}
	us := left(deadline, now)
	return &us
}

func left(deadline, now invitation.Time) int64 {
	d := deadline.Sub(now)
	us := microseconds(d)
	if d < 0 && d%time.Microsecond != 0 {
		us--
	}
	return us
}

// deadline is the inverse of remaining, on the receiver's clock.
func deadline(us *int64, now invitation.Time) (invitation.Time, error) {
	if us == nil {
		return 0, nil
	}
	d, err := duration(*us)
	// A deadline before the clock's origin is as overdue as one at it; 0 would stand for never.
	return max(now.Add(d), 1), err
}

func idBytes(id invitation.ID) []byte {
	if id.IsZero() {
		return nil
	}
	return id[:]
}

// parseID reads the id of an invitation, which must be there.
func parseID(b []byte) (invitation.ID, error) {
	id, err := parseOptionalID(b)
	if err == nil && id.IsZero() {
		err = malformed("no invitation id")
	}
	return id, err
}

func parseOptionalID(b []byte) (invitation.ID, error) {
	if len(b) == 0 {
		return invitation.ID{}, nil
	}
	if len(b) != len(invitation.ID{}) {
		return invitation.ID{}, malformed("an invitation id of %d bytes", len(b))
	}
	id := invitation.ID(b)
	if id.Shard() >= invitation.Shards {
		return invitation.ID{}, malformed("an invitation id of shard %d", id.Shard())
	}
	return id, nil
}

// A number is an enumeration of the vocabulary, all of which fit in a byte or two.
type number interface{ ~uint8 | ~uint16 }

// enum reads an enumeration of which limit is the number of members.
func enum[T number, E ~int32](e E, limit int, what string) (T, error) {
	if e < 0 || int(e) >= limit {
		return 0, unknown(what)
	}
	return T(e), nil
}

// code reads a number that is only passed on, so that one that is not known does no harm.
func code[T number](n uint32, what string) (T, error) {
	if uint32(T(n)) != n {
		return 0, malformed("%s %d", what, n)
	}
	return T(n), nil
}
