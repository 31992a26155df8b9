// Package sim is a seeded simulator: hundreds of users, thousands of calls, the real machines
// (invitation/session, invitation/arbiter, invitation/device), and everything that may go wrong
// between them, decided by one random source. It is single-threaded and has a clock of its own: a
// run is a function of its [Params], and its seed repeats it.
//
//	r := sim.Run(sim.Draw(seed, calls), sim.Hooks{})
//	if r.Failure != nil {
//		t.Fatal(r.Failure) // the promise, how to repeat it, and the history of the invitation
//	}
//
// Where the explorer (internal/explore) goes through everything that can happen in a world of one or
// two calls, the simulator goes through a little of what can happen in worlds like real ones: many
// calls at once, glare, several devices, second logins, connections that break, devices that are
// away for longer than the grace or the linger, links that lose, double, delay and reorder, actors
// that panic, sessions and arbiters that move to another node, in runs of hours.
//
// A move goes through the codec of the peer protocol. It must change nothing, so nothing is excused for it; all
// times of a run are whole microseconds, as those of the protocol are.
//
// # What is judged
//
// After every event the promises of docs/spec.md §7 are checked on the invitation it concerns:
//
//   - P1: package judge compares what both sides were told; an outcome is forgotten only after the
//     linger.
//   - P2: a referee of its own repeats the contract's timers for what reached the arbiter, to the
//     nanosecond. From the decision on, each device that is connected is told its ∎ within a second; a
//     connection that came back and a message that was lost or late since add what taking them over
//     takes (see limit).
//   - P3: package judge, for each device.
//   - P4: an invitation is first shown to a device by a view that the arbiter gave before the outcome
//     and after the device connected.
//   - P5: what reached the arbiter first, says the referee, is what the devices are told, and the
//     answers to their calls agree with it.
//
// At the end everybody comes back, everything is left alone, and then nothing may be left: no
// arbiter, no session.
//
// # Excuses
//
// What is excused, and why, is counted by cause for each call (see cause): only what would have been a violation.
//
// # Cost
//
// Nothing is written down while all is well. A run that fails is run again, with a history.
package sim
