// Package session is the machine of one user: which devices are connected, which invitations are
// live, what each device was shown, and the user's bounds. It relays between devices and arbiters.
// It is pure; see package invitation.
//
// The host's duties:
//
//  1. Make a [Machine] for the first input of a user, and give it every input for that user.
//  2. Carry out the effects of each [Machine.Step], in order.
//  3. Keep one timer, for [Machine.Deadline], and give InTick when it is due.
//  4. After the effect Leave, drop the machine; a later input makes a new one.
//  5. Tell the machine of a lost connection (InDetach) whenever it sends to one that is no more.
//
// # What a session promises
//
// An invitation is shown to a device only on a word from its arbiter: the offer itself, or, for a
// device that connected after the offer came, the answer to a question that the session put after
// that device connected. An ended invitation is never shown. What a device was shown it is also told
// the end of.
//
// A session decides nothing about an invitation, and repeats nothing by itself but its questions:
// devices repeat their calls, arbiters their views.
//
// A Step costs O(1) in the number of live invitations, but for connects, disconnects and the sweep,
// which look at each of the user's. Not safe for concurrent use.
package session
