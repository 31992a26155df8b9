//go:build !linux

package main

import "time"

// napping is zero: there is nothing better than the runtime's timers.
const napping = 0

func nap(time.Duration) {}
