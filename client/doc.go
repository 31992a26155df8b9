// Package client is the Go SDK of ringfleet: it sends call invitations and is shown those of others.
//
//	c := client.New(&client.WebSocket{URLs: []string{"ws://localhost:8080"}}, client.Options{User: "alice"})
//	c.OnRemoteInvitation(func(r *client.RemoteInvitation) {
//		r.Accept(ctx, "coming")
//	})
//	err := c.Login(ctx)
//	...
//	call := c.NewLocalInvitation("bob")
//	call.SetContent("lunch?")
//	err = call.Send(ctx) // the node has taken it
//	err = call.Wait(ctx) // it has ended
//	if call.State() == invitation.LocalAcceptedByRemote { … }
//	...
//	err = c.Logout(ctx)
//	c.Close()
//
// A [Client] is one device of one user. A [LocalInvitation] is the caller's view of one call, a
// [RemoteInvitation] the callee's; the names of their states, codes and reasons are in package
// invitation, and what they mean in docs/spec.md.
//
// # Guarantees
//
// Each invitation that was sent or shown gets exactly one terminal event here, and its events come
// in the order of docs/spec.md §3. Accepted here means accepted there. The client confirms accepts,
// acknowledges what it is told and repeats unanswered requests by itself, whether or not the
// application's callbacks run; a request takes effect once, however often it is repeated.
//
// # Lost connections
//
// When the connection is lost the client comes back by itself, after a random wait that grows with
// each failure, and resumes: live invitations go on, and what happened meanwhile is told as it stands.
// Methods that wait go on waiting. SessionReconnecting and SessionConnected tell of it. A client that
// stays away for longer than the linger ends its live invitations as failures with reason
// OUTCOME_FORGOTTEN.
//
// Some ends are for good: another device logged in (EndRemoteLogin), the token is wrong
// (EndUnauthorized); see [invitation.Ends]. Then every live invitation gets its terminal event —
// CANCELED for one that this device sent and did not confirm, else FAILURE with OUTCOME_FORGOTTEN —
// followed by SessionEnded, and the client may Login again when the user asks.
//
// # Errors
//
// A request that breaks a rule gives an error in which errors.Is and errors.As find the contract's
// [invitation.CallError]; it changed nothing. Errors of the session are [ErrNotLoggedIn],
// [ErrClosed], and those in which errors.Is finds an [invitation.End]. A method whose context ends
// stops waiting, no more: the request may still take effect, and the events tell.
//
// # Concurrency
//
// Everything is safe for concurrent use. Callbacks and the channel of [Client.Events] are fed by one
// goroutine per client, which exists only while there are events: they come one at a time, in the
// order in which things happened, and never with a lock held. A callback may call any method,
// including those that wait, but while it runs the client's other events wait; the protocol does not.
// By the time a callback runs, State may be further on than its event. Events that wait are bounded
// by [Options.MaxInvitations].
//
// A client that is logged in has no goroutine of its own and, unless a request is unanswered, no
// timer; its carrier may have.
//
// # Carriers
//
// [WebSocket] connects to a node at a distance. A program that embeds a node gets a [Carrier] from
// it, by which the same API costs neither a socket nor serialization.
//
// # Testing
//
// Implement [Carrier]: a fake of a hundred lines is a node. [Options.Observer] sees every step of the
// protocol, also what the client keeps from the application because the node should not have said
// it ([Violation]).
package client
