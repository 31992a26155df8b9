// Package ringfleet is a self-hosted call-invitation service: the part of a calling product that
// makes a phone ring. A caller sends an invitation; the callee's devices ring and acknowledge; the
// callee accepts or refuses, or the caller cancels, or time runs out; a handshake ends it with one
// outcome that both sides agree on. It stops where the media begins.
//
// This package starts a node inside another Go program. The command cmd/node is a thin shell around
// it.
//
//	node, err := ringfleet.Start(ringfleet.Config{
//		Gateway: gateway.Config{Authenticator: authenticator},
//	})
//	...
//	mux.Handle("/v1/connect", node.Handler())           // devices over WebSockets
//	alice, err := client.Dial(ctx, node, client.Options{User: "alice"}) // devices in this process
//	...
//	err = node.Shutdown(ctx)
//
// # Guarantees
//
// docs/spec.md is the contract. In short: an invitation that ends as accepted on one side ends as
// accepted on the other; each device that was shown it, and the one that sent it, gets exactly one
// terminal event; events come in order; nobody's phone rings for an invitation that is over.
//
// # Layers
//
// This package is the only one that knows all others: the gateway speaks to devices, actors run the
// machines of package invitation, and what is here carries messages between them.
//
// # Concurrency
//
// All methods of [Node] are safe for concurrent use. Several nodes may live in one process; they
// share nothing.
package ringfleet
