// Package events tells a deployment's back-end what becomes of invitations: each step of an invitation's life is a
// CloudEvent, delivered to webhooks that are signed as Standard Webhooks specifies, or to any other [Sink].
// docs/events.md describes them for who receives them, docs/adr/0013-events.md why they are as they are.
//
// # Usage
//
//	stream, err := events.New(events.Config{Sinks: []events.SinkConfig{{Name: "crm", Sink: hook}}})
//	stream.Emit(&event)                  // never blocks
//	stream.Close()
//
// Package ringfleet makes the [Stream] of a node from its Config.Events and gives it what its actors tell. A receiver
// that is written in Go needs [Verify] and [Message] only.
//
// # Guarantees
//
// Each event is delivered to each sink at least once, unless it is dropped, which is counted: an event is dropped when
// more than Config.Queue wait for the sink, the oldest first, or when it is older than Config.MaxAge. Of one
// invitation the next event is not sent before the former was acknowledged or dropped; events of different invitations
// are sent side by side. An invitation's last event, of kind [invitation.EventEnded], has an id that is derived from
// the invitation, so whoever sends it, and however often, it is the same one.
//
// The queue is in memory. In a cluster another node keeps a copy of each last event until it was delivered, and delivers
// it if this one is lost (see [Peers]); earlier events are lost with their node.
//
// # Concurrency and failure
//
// All methods of [Stream] are safe for concurrent use. [Stream.Emit] takes a lock for some ns and appends to a bounded
// list; a goroutine takes the list every few ms. Each sink has a queue and goroutines of its own, a bounded number, so
// a slow one holds up nobody else.
package events
