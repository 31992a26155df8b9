// Package device is the client's half of the protocol: [Local] is an invitation on the device that
// sent it, [Remote] the same invitation on one device of the callee. The Go SDK runs them; the
// explorer and the simulator run the same code.
//
// The host's duties, for either machine:
//
//  1. Give every notice about the invitation to Step, in the order of the connection.
//  2. Make the request that Step asks for, with a fresh request id, and repeat it with the same
//     request id until it is answered, over reconnects too. Give an answer that is an error to Step.
//  3. Say the word that Step returns. Words need no repeating: the server asks again.
//  4. Some seconds after a resume, query the live invitations that no notice has come about, and Forget
//     those that the server answers with an error for.
//  5. Keep the machine of an ended invitation until Settled, or for the linger at most, and bring
//     Word of every machine kept in the login of a reconnect.
//  6. Fire the event that Step returns, once.
//
// Both machines are total: every state and input has a cell in the package's tables. They are not
// safe for concurrent use, and never fail: a call that breaks a rule gets a
// [invitation.CallError] and changes nothing.
package device

import "github.com/ringfleet/ringfleet/invitation"

// Event is what the application is told (docs/spec.md §4).
type Event uint8

// The events. Those from Accepted on end the lifecycle.
const (
	NoEvent        Event = iota
	Received             // callee: RemoteInvitationReceived
	ReceivedByPeer       // caller: LocalInvitationReceivedByPeer
	Accepted             // both
	Refused              // both
	Canceled             // both
	Failed               // both: …Failure, with the code
)

// String returns the event's name without its side.
func (e Event) String() string {
	return [...]string{"none", "Received", "ReceivedByPeer", "Accepted", "Refused", "Canceled", "Failure"}[e]
}

// Terminal reports whether the event ends the lifecycle.
func (e Event) Terminal() bool { return e >= Accepted }

// Output is what the host of a machine has to do after a Step.
type Output struct {
	Event   Event              // fire it
	Request invitation.Request // make it
	Word    invitation.Word    // say it; Kind NoWord: nothing to say
}
