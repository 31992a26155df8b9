// Package messages holds the protobuf schemas of ringfleet's protocols and, in the packages below
// it, the Go code generated from them. Nothing is exported here.
//
//	proto/ringfleet/client/v1   what a device and a node say to each other, public
//	clientpb                    the same in Go
//	proto/ringfleet/peer/v1     what two nodes say to each other, internal
//	peerpb                      the same in Go
//	proto/ringfleet/api/v1      what back ends and operators say to a node, public
//	apipb                       the same in Go; below it its clients and handlers
//	testdata/golden             frames as they were sent once: added, never edited
//	testdata/client.binpb       all that was ever part of the client protocol, as a buf image
//	testdata/peer.binpb         the same of the peer protocol
//	testdata/api.binpb          the same of the API
//
// # Change
//
// Edit the .proto file and run
//
//	go generate ./messages
//
// which lints, refuses what would break a client in the field or a node of the version before
// (numbers, types and JSON names are for ever), and generates. The generated code is committed, so
// that building and testing need neither buf nor a plugin; `make generate-check` fails when it is not
// current. A new field or frame also wants a golden file (see internal/wire and internal/peerwire);
// one of the client protocol also a place in docs/protocol.md.
package messages

//go:generate ./generate.sh
