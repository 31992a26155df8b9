// Package apipb is the API for back ends and operators in Go, generated from
// messages/proto/ringfleet/api/v1/api.proto: what a back end says to a node. docs/api.md tells how to use it.
//
// Package apipbconnect below it has the clients and the handlers of its services. Code of this module that serves them
// is in package api.
//
// The types are plain data without any synchronization. Fields may be added in later versions; numbers, names and
// types never change.
package apipb
