// Package clientpb is the public client protocol in Go, generated from
// messages/proto/ringfleet/client/v1/client.proto. docs/protocol.md says how the frames are used.
//
// Programs that are not clients of the protocol themselves do better with package client, and code
// of this module with internal/wire, which turns frames into the types of package invitation: no
// generated type goes further than that.
//
// The types are plain data without any synchronization. Fields may be added in later versions;
// numbers, types and JSON names never change.
package clientpb
