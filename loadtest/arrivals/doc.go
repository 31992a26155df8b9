// Package arrivals decides when the calls of an open loop are due. A [Plan] is stages, in each of which the rate holds
// or changes evenly, and a [Process]: calls come as regularly as the rate allows, or at random as those of many callers
// who do not know of each other (Poisson).
//
// A schedule depends on the plan and its seed only, never on the clock: what was due when is decided before the first
// call is made, so a generator or a node that stands still cannot move it. The package has no goroutines.
package arrivals
