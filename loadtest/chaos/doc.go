// Package chaos hurts a fleet of real nodes: one fault after the other, by a schedule that its seed repeats.
//
// [Schedule] is the list of faults, pure and without end: fault n of a seed, a number of nodes and weights is always
// the same. [Injector] makes faults happen to the processes of a [fleet.Fleet] and to the network between them, one
// node at a time. [Log] remembers when each began and ended, and says what the contract allows while one is
// being taken over (docs/spec.md §7, P2).
//
// The schedule is repeated by its seed, the moments in which nodes and clients are when a fault meets them are not:
// processes and the network run in real time. Whoever needs the very same run wants internal/sim.
package chaos
