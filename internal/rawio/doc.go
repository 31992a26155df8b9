// Package rawio reads and writes sockets with system calls of which Go's scheduler is not told.
//
// Before a system call the runtime makes ready to lose the thread to it, and to that end wakes its monitor
// when the process was idle until then: another thread, which then looks around every 20 µs for a millisecond or
// more. For a call on a socket that never blocks that is in vain, and a process that is idle between two messages
// pays it with each. A node at 300 calls a second spends a tenth of its CPU on it.
//
// Only for descriptors that do not block: the scheduler cannot give the thread's processor to others meanwhile.
package rawio
