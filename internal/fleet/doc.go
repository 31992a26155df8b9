// Package fleet runs nodes as processes of their own, and stops, pauses and cuts them off: what tests and the
// chaos mode of the load generator need to see the command cmd/node as its operators see it.
//
// # Usage
//
//	binaries, err := fleet.Build(ctx, fleet.BuildOptions{})
//	defer binaries.Remove()
//	f, err := fleet.New(fleet.Config{Binary: binaries.Path("node"), Proxied: true})
//	defer f.Close()
//	a, err := f.Add(ctx, fleet.NodeOptions{Name: "a"}) // and b and c
//	err = f.Settled(ctx)                               // all see all, and have their shards
//	f.Proxy().Set("a", "b", faultproxy.Rule{Cut: true})
//	err = a.Kill()
//	err = a.Start(ctx, fleet.StartOptions{NewAddress: true})
//
// # Addresses
//
// On Linux each node, and each that moves, takes another address of 127.0.0.0/8, elsewhere all nodes share
// 127.0.0.1; the ports are free ones either way, kept until the node moves. Nodes find each other by a file of
// seeds that the fleet keeps.
//
// With [Config].Proxied each node tells the others the addresses of its doors in a [faultproxy.Proxy] instead of its
// own, for its gossip and its peers. Clients and operators connect directly. The proxy knows whose a datagram is by the
// socket it comes from. For TCP that is not enough, as a connection comes from any port, and from 127.0.0.1
// whatever the node is bound to; so the fleet looks into /proc for the process that has the socket. Nodes need no
// flag for this, and it works with TLS and with encrypted gossip, but on Linux only.
//
// # Failure
//
// No process outlives the fleet: Close kills them, and the kernel does when this process ends without it (on
// Linux). What a node writes to its standard output and error goes to a file and, as far as its last lines go,
// into errors. Nothing here retries: an error of Add or Start means that the node is not there, and that its process
// has been killed.
//
// All types are safe for concurrent use; one node's starts and stops are done one after the other.
package fleet
