// Package membership turns gossip into views: who is in the cluster, by hashicorp/memberlist, as a
// cluster.View that this node's router goes by. Nothing outside this package knows which library gossips.
//
//	m, err := membership.Start(membership.Config{
//		Cluster: "calls", Name: "node-0", Bind: "10.0.0.7:7946", Peer: "10.0.0.7:7947",
//		Seeds: []string{"peers.calls.svc:7946"}, OnView: take,
//	})
//	err = m.SetLifecycle(cluster.Serving)
//	…
//	err = m.Leave(ctx)
//
// # Names, boots and conflicts
//
// A member's name is kept over restarts; its boot number is new with each start, and higher. In the
// gossip each start is a node of its own, name@boot, so a restart, at the same address or another one, is
// seen for what it is within a round of gossip. Of two that have one name and are both alive, the one that
// started first is the member; the other one is in nobody's view, and is told so ([Config].OnConflict). While it is
// not known whether the first is alive, it is probed.
//
// # Guarantees
//
// A view holds each name once, and this node itself, but for its own name while that is contested. Nodes that
// can talk to each other come to the same members and lifecycles; their epochs have nothing in common. A
// node of another cluster, with another number of shards, or without a protocol version in common is in
// no view; the cause is logged once on both sides.
//
// # Failure detection
//
// memberlist probes by itself: with its defaults here the loss of a node is acted on within some seconds. What
// sees more, like a link whose connection was refused or broke, says so with [Membership.Evidence]: the
// member is probed at once, directly and through three others, and is out of this node's view as soon as
// neither finds it, after some 300 ms. Such a verdict is this node's own until memberlist agrees. The
// member is probed again each second, and is back in the view when it answers.
//
// A node looks for others for ever: its seeds and, for a day, the addresses of members it has lost, so a
// cluster that was cut in two becomes one again.
//
// # Concurrency
//
// All methods are safe for concurrent use; which of them wait is said at each. OnView and OnConflict are called from one
// goroutine, one call at a time.
//
// # Testing
//
// [Network] is a gossip network in memory with cuts and loss, for testing/synctest bubbles and for several
// nodes in one process.
package membership
