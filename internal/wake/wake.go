// Package wake has what a process does now and then done at the same moments, so that an idle one wakes once for all of it:
// to wake a process that sleeps costs more than most of what it wakes for.
package wake

import "time"

// Next returns how long it is until whatever is done once an interval is done next: to the next whole multiple of the
// interval by the wall clock, or to the one after it where that is less than half an interval away. So whatever is done
// each second, by timers that are reset to Next(time.Second), is done together, on all nodes whose clocks agree.
func Next(interval time.Duration) time.Duration {
	wait := interval - time.Duration(time.Now().UnixNano()%int64(interval))
	if wait < interval/2 {
		wait += interval
	}
	return wait
}
