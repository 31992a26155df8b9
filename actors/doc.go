// Package actors runs the machines of package invitation as actors: a session per user and an
// arbiter per invitation, each a mailbox in front of a pure machine and one timer. There is nothing
// of the protocol here: a shell gives a message to its machine and carries out the effects.
//
// # Usage
//
//	host := actors.New(actors.Options{Network: network, Session: config})
//	err := host.TellSession(user, input) // from a gateway, or another node
//	err = host.TellArbiter(message)
//	err = host.Stop(ctx)
//
// # Guarantees
//
// Messages to one session, and to one arbiter, are handled in the order in which they were told, one
// at a time. An actor comes to be with the first message that needs one: a session with any word of
// a device or an arbiter, an arbiter with the send of its invitation. It leaves when its machine has
// nothing left to keep; a message for an invitation without an arbiter is answered "unknown" to the
// session that sent it. Everything is in memory.
//
// # Failure
//
// A panic over a message ends at most the one invitation, as a failure: its arbiter is told to abort,
// which respects the words that devices have already given. A session goes on without the message.
// Both are counted and logged by the engine. A full mailbox refuses with [engine.ErrBusy]; what is
// lost so between actors is repeated by the protocol.
//
// # Concurrency
//
// All methods of [Host] are safe for concurrent use and never block, but for Stop.
package actors
