// Package cluster brings messages to identities wherever they live. It knows shards, nodes and
// envelopes; what is in an envelope it does not know.
//
//	placement    which member owns which shard; pure
//	membership   gossip → the immutable View that all of this works on
//	link         how envelopes get to another node: in memory, or over TCP and TLS
//
// # Usage
//
//	peers := …                           // a Link, of package link
//	router, err := cluster.NewRouter(cluster.Config{Self: "node-0", Codec: codec, Link: peers, Deliver: deliver})
//	peers.Start(router.Receive)
//	router.SetView(view)                 // and again whenever membership has a new one
//
//	err = router.Send(shard, kind, key, payload)
//
// A message is addressed to an identity, its shard and key, not to a place. The router finds the owner of
// the shard in its view: on this node the payload is handed to Config.Deliver as it is; on another one it
// is encoded and given to the link. A node that gets a message for a shard that it does not own passes it
// on, up to a limit of hops. There is no lookup, no directory and no cache.
//
// # Guarantees
//
// At most once, and in order only between one sending goroutine and one identity while neither the view nor a
// connection changes. Whoever needs more repeats until it is answered, as the machines of package
// invitation do. An error means that this node has dropped the message; nil promises nothing about
// other nodes. When views disagree a message can reach a node that is not the owner, which passes it on by
// its own view.
//
// Nothing here blocks its caller: every queue is bounded and refuses with [ErrBusy] when it is full.
//
// # Concurrency
//
// All methods are safe for concurrent use. The view is swapped atomically; a Send sees one view.
//
// # Failure
//
// What a peer sends cannot harm: envelopes that do not parse, of kinds, versions or messages that are not
// known, or that went around in a circle are dropped and counted ([Stats]). A panic of the codec or of Deliver while
// a peer's envelope is handled is kept to that envelope, counted and logged.
//
// # Testing
//
// link.Network is a network in memory that loses, doubles, delays and cuts as a test says, and
// runs in testing/synctest bubbles; envelopes are encoded on it as between processes.
package cluster
