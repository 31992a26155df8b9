// Package invitation is the vocabulary of the call-invitation protocol: who takes part, what an
// invitation is made of, its states and codes, and the messages that its four state machines
// exchange. The machines themselves are in the packages below it:
//
//	device   the client's half: Local on the caller's device, Remote on a callee's device
//	session  the server's half for one user: devices, live invitations, bounds
//	arbiter  one invitation: arbitrates, keeps time, carries the devices' words across
//
// # Purity
//
// Everything here and below is pure: no clock, socket, goroutine, lock, actor or generated type.
// Time is an argument ([Time]), randomness is an argument, and what a machine wants done it returns
// as data. That is why the code that runs in production is the code that the explorer in
// internal/explore drives through every interleaving of small worlds.
//
// # How agreement works
//
// Each side's device is the register of its own word (docs/spec.md §7). A caller's device says
// "confirmed" or "canceled", never both; a callee's device says "accepted" or "failed", never both.
// The server carries views down ([View], [Notice]) and words up ([Word]); both only ever move
// forward, so losing, doubling or reordering them is harmless: the sender of a view repeats it until
// the word that answers it has come.
//
// # Concurrency
//
// Values of this package are plain data. [Terms] and [View] are shared by pointer between actors of
// a node and must not be changed once sent.
package invitation
