// Package ask lets one node ask another, over the routes of package cluster, for something that it knows or can do,
// and wait for the answer: what people and back ends want to know or have done. What actors say to each other needs no
// answer, and does not pass here.
//
//	asker := ask.New(ask.Config{Self: "a", Reply: reply})
//	body, err := asker.Ask(ctx, send, "GetUser", request)
//
// The router's Deliver calls [Asker.Take] with the requests of others and [Asker.Answer] with their answers.
//
// # Guarantees
//
// A request of Ask is served at most once, and answered at most once. Nothing is repeated: when an answer does not come,
// as a message was lost or a node has died, Ask returns [ErrNoAnswer], and whoever asked tries again if the request may
// be served twice. AskAgain does that meanwhile; its first answer counts. A deadline travels as the time that remains.
//
// Ask, Take and what they call are safe for concurrent use. Take never blocks. What waits for answers, and what is
// served at once for other nodes, is bounded; over the bound a request is refused with [Unavailable].
package ask
