// Package crew lets several processes make the calls of one run: a leader, which starts workers or is joined by them, tells
// each its part, starts all at one moment, shows how it goes, and makes one result of theirs. Each worker judges its calls
// itself: its users call each other and nobody else's.
//
// Leader and workers speak over TCP, in frames of a length and JSON. A worker must know the leader's token, which keeps strangers
// out; nothing is encrypted, so join over networks that are trusted only. A lost connection ends a worker's run.
package crew
