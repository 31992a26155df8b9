// Package gateway carries the conversation between devices and their sessions: WebSocket
// connections at /v1/connect, and in-process connections that pay for no socket and no
// serialization. It authenticates logins, enforces every limit that does not need to know the user's
// invitations, and knows nothing of sessions, actors or nodes: those are behind [Backend].
//
//	gw, err := gateway.New(gateway.Config{Authenticator: authenticator}, backend)
//	go gateway.NewServer(":8080", gw.Handler()).ListenAndServe()
//	...
//	gw.Deliver(conn, down)      // by the backend, from anywhere
//	...
//	err = gw.Shutdown(ctx)      // tells every device to reconnect elsewhere
//
// # Guarantees
//
// For each connection the backend sees Attach, then any number of Says in the order in which the
// device said them, then Detach, one after the other; nothing before an Attach that returned nil,
// nothing after Detach, and Detach exactly once. What is delivered to a connection is written in the
// order of the Deliver calls, or not at all: a connection that ends loses what it had not sent, and
// the device learns the state when it is back (docs/adr/0004-views-and-words.md).
//
// # How a connection lives
//
// There is no goroutine and no buffer that belongs to an idle connection. On Linux a plain TCP
// connection leaves net/http after the upgrade and is watched by a few pollers, which read it with a
// buffer of their own (poll_linux.go). Any other connection, TLS or a net.Pipe in a test, is read by
// a goroutine of its own that waits with one byte (read.go). Frames to a device are encoded into a
// buffer that exists while they wait, and written by goroutines that exist while there is something
// to write, several frames in one write (flush.go). One wheel looks after all timeouts (wheel.go).
//
// # Ends
//
// A connection that the gateway or the backend ends is told why by an Ending frame and a close frame
// with the same code, and has CloseTimeout to answer. See invitation.Ends for the codes.
//
// # Failure
//
// A panic while a frame is handled ends that connection with invitation.EndInternal and is logged.
package gateway
