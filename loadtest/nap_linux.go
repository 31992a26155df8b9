package main

import (
	"syscall"
	"time"
)

// napping is how long before its time a wait is handed to the kernel: the runtime's timers wake up to a millisecond late.
const napping = 2 * time.Millisecond

// nap waits for a short time, to some ten microseconds. It holds a thread meanwhile.
func nap(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&t, nil) // a signal that ends it early makes a call early by less than it took to set up
}
