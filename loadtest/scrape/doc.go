// Package scrape follows what nodes tell of themselves on their admin address: CPU, memory, goroutines, garbage
// collection, connections. A [Meter] follows one node over restarts and readings that come to nothing; [Discover] finds the
// admin address of a node of which only the clients' address is known.
package scrape
