// Package peerwire turns what actors say to each other into the peer protocol (messages/peerpb) and
// back, for messages that leave their node. It is the codec of a cluster.Router:
//
//	router, err := cluster.NewRouter(cluster.Config{Codec: peerwire.Codec{Now: clock.Now}, …})
//	err = router.Send(shard, peerwire.KindSession, string(user), &session.Input{…})
//
// What is carried, by kind:
//
//	KindSession   *session.Input        key: the user
//	KindArbiter   *invitation.Message   no key: the message names the invitation
//	KindDevice    *Delivery             to a node, no key: the delivery names the connection
//	KindHandoff   *handoff.Message      to a node, no key
//	KindRequest   *ask.Request          to a node, or to a shard; no key
//	KindResponse  *ask.Response         to a node, no key
//
// The state of actors that are moved is encoded apart, a record each (Codec.AppendRecord, Codec.Record),
// and carried in the chunks of a handoff.
//
// # Guarantees
//
// What is decoded means what was encoded (round-trip properties, golden files), apart from points in
// time: a view's deadline travels as the time that remains, in whole microseconds, and is put on the
// receiver's clock when it arrives. So a deadline moves by the time its message was under way, and no
// two clocks need agree.
//
// Whatever a peer sends, decoding returns a message that is safe to give to a machine (ids and
// enumerations are in range), or an error. It does not check what a machine checks. What only a newer
// version can have sent gives an error that wraps cluster.ErrUnknown.
//
// What calls consist of is written and read by hand, all else and whatever is odd by the generated code; both give the same
// (docs/adr/0012-peer-codec.md).
//
// All functions are safe for concurrent use, and keep no reference to what they are given.
package peerwire
