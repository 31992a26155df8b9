// Package link carries envelopes between nodes: it has the implementations of cluster.Link.
//
//	Network   in memory, for tests and for several nodes in one process; faults on demand
//
// Each is started with the function that takes what comes in, usually Router.Receive. It is called
// from goroutines of the link, for one peer from one goroutine at a time, and must not block; the bytes
// it is given are the link's again when it returns.
package link
