// Package peerpb is the internal peer protocol in Go, generated from
// messages/proto/ringfleet/peer/v1/peer.proto: what the nodes of one deployment say to each other.
// docs/cluster.md says how the messages are used.
//
// Code of this module uses internal/peerwire, which turns the messages into the types of package
// invitation; no generated type goes further than that. Envelopes are written and read by package
// cluster by hand, as one is handled for each message between nodes; its tests compare it with this
// package.
//
// The types are plain data without any synchronization. Fields may be added in later versions;
// numbers and types never change.
package peerpb
