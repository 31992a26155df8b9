// Package link carries envelopes between nodes: it has the implementations of cluster.Link.
//
//	Stream    over TCP, with mutual TLS if configured, between processes
//	Network   in memory, for tests and for several nodes in one process; faults on demand
//
// Each is started with the function that takes what comes in, usually Router.Receive. It is called
// from goroutines of the link, for one peer from one goroutine at a time, and must not block; the bytes
// it is given are the link's again when it returns.
//
// # Stream
//
// Each node opens one connection to each other member and sends on it; what the others send comes on
// theirs. So there are two connections between two nodes, and none ever has to be agreed on. On one there
// are
//
//	8 bytes      "ringpeer", so that what is no peer is refused before anything is read into memory
//	frames       4 bytes: a type and, in 3 bytes big-endian, a length; then the frame's body
//
// The first frame is a Hello (messages/peerpb), which the other node answers with a HelloAnswer: is
// this the cluster, is it the node that was meant and in the start that was meant, is there a version in
// common, is the caller a member. Then frames carry one envelope each, and pings and pongs keep the
// connection alive: it breaks when nothing was heard for [StreamConfig.Timeout], or when a write took that
// long. Frames of an unknown type are skipped.
//
// Where both nodes tell what their clocks say in the Hello and its answer, there are stamps between the envelopes, a
// frame with the sender's clock in microseconds, not more than one in 10 ms. So the receiver knows for how long an envelope
// was held back in a queue, a buffer or the network, from when it was given to Send: by how much the difference of the two
// clocks exceeds the least one of the last minute or two. It tells [Receive] what that is over 50 ms. A minute is
// also for how long the messages of a machine that stood still with its clock are taken for older than they are. The
// difference is remembered beyond a connection, for a start of the peer's process; for its very first connection it is
// that of the Hello, or of the answer on the connection the other way.
//
// What waits for a peer is a buffer of bytes with a bound ([StreamConfig.Queue]). It is written by whoever has
// run the actors that sent it, before it rests ([Turns]), as far as that goes without blocking; by a goroutine of the
// link in all other cases, with TLS too. Whatever has come together is one write, so the busier a link is, the fewer
// system calls a message takes. [Stream.SendLater] lets a message that nobody waits for go with the next one
// to the same peer; what goes to other peers meanwhile does not take it out.
//
// When a connection breaks, what waited is dropped and counted; sends are refused with
// cluster.ErrUnreachable until the next connection stands. Refused and broken connections, in either
// direction, are told to [StreamConfig.Evidence]: the death of a process shows here first.
//
// Whatever a stranger sends on the port, the node refuses it, logs the cause once, and goes on; before the
// Hello it costs one goroutine for at most [StreamConfig.Timeout], of a bounded number.
//
// Why not protoactor's remote: docs/adr/0009-link.md.
package link
