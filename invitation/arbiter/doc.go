// Package arbiter is the machine of one invitation: it arbitrates between the two sides, keeps the
// time and carries the devices' words across. It is pure; see package invitation.
//
// The host's duties:
//
//  1. Make a [Machine] for the first MsgStart of an id, and give it every message for that id.
//  2. Carry out the effects of each [Machine.Step], in order.
//  3. Keep one timer, for [Machine.Deadline], and give MsgTick when it is due. A tick that comes too
//     early or late does no harm.
//  4. On a panic of a Step, give MsgAbort: the invitation ends as a failure that respects the words
//     the devices have already given.
//  5. After the effect Stop, drop the machine. Answer messages for ids that have no machine with
//     "unknown" to the session that sent them.
//  6. Remember the ids of dropped machines for as long as a message may be under way, and answer a
//     MsgStart for one of them with [Stopped]: a duplicate must not start the invitation again. Of one
//     that has refused the send remember [Machine.Refused], too: another send begins it (see [Anew]).
//
// The machine can not break agreement, even if it exists twice: "accepted" is decided by the two
// devices' own words (docs/spec.md §7), which it only carries. Its own decisions are proposals that a
// caller's device that has confirmed does not believe without the callee's device's word.
//
// A Step costs O(1), allocates a view when the invitation moves and a reply when one is due, and
// never fails. Not safe for concurrent use.
package arbiter
