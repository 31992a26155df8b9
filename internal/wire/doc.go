// Package wire turns the messages of package invitation into frames of the public client protocol
// and back: protobuf in binary or in its JSON mapping, one frame per WebSocket message
// (docs/protocol.md). The gateway and the Go client share it, so that they cannot drift apart.
//
//	frame, err := wire.DecodeUp(wire.Binary, data)           // node: what a device says
//	buf, err = wire.EncodeDown(buf[:0], wire.Binary, frame)  // node: what a device is told
//	buf, err = wire.EncodeUp(buf[:0], wire.Binary, frame)    // client
//	frame, err := wire.DecodeDown(wire.Binary, data)         // client
//
// # What is refused where
//
// A frame that is not of the protocol gives an error that wraps [ErrBadFrame] and says why; the
// connection ends with [invitation.EndBadFrame]. A request whose values break a rule of the contract
// (too long, not UTF-8, a bad user id, a timer out of bounds) is a good frame: its values are handed
// on as they came, and the session answers it with a call error. A malformed invitation id in a
// request becomes the zero ID, which names no invitation, so that the answer is NOT_FOUND. A user
// and device that are malformed in a login are handed on too: they end the connection with
// [invitation.EndBadLogin]. Words are made by programs, not by people: a malformed word is a bad
// frame.
//
// # Units
//
// The wire counts milliseconds. Every duration is rounded up, so that what remains never shows as
// nothing, and is limited to what 32 bits hold.
//
// # Concurrency and ownership
//
// All functions are safe for concurrent use. Nothing that is returned refers to the data that was
// decoded, and nothing that is encoded is kept.
package wire
