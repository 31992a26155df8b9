// Package api serves the API for back ends and operators (messages/proto/ringfleet/api/v1/api.proto, docs/api.md): as
// gRPC, as gRPC-Web and as HTTP with JSON, all from one handler.
//
//	server, err := api.New(api.Config{Backend: backend, Tokens: tokens})
//	http.ListenAndServe("127.0.0.1:9091", server.Handler())
//
// It decides who may ask (a token's scope), how often (a rate for each token) and for how long, checks what is asked,
// and finds where it belongs: to the node that has the user or the invitation, or to a node by its name. The [Backend]
// does it there. Each request is counted, timed, and told to the log: who, what, about whom, and what came of it, never
// what users say to each other.
//
// # Guarantees
//
// Every error is typed: a code of gRPC, and an apipb.ErrorDetail. A node that is dying shows as UNAVAILABLE, which may be
// tried again; nothing is tried again here. Bounds: the size of a request, the streams of a token, the time of a
// request. All methods are safe for concurrent use.
package api
