// Package explore runs the machines of production through every interleaving of small worlds and
// checks the promises P1 to P5 of docs/spec.md in each state. What is modeled, what is assumed and
// what has been explored is in docs/verification.md.
//
// A [World] says who takes part and what may go wrong; [Explore] visits its states, those of the fewest
// faults first, until all are seen or a promise is broken, and then tells the way there. [Split]
// does it for two calls between the same devices: each alone, and a proof that neither notices the
// other. [Mutants] are wrong machines that have to be found. An exploration runs on one goroutine;
// explorations do not share anything. Memory grows with the states, some hundred bytes each.
package explore
