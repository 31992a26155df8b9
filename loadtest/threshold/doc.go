// Package threshold holds results of the load generator against rules: "setup.p99 > 5ms" fails a run whose 99th
// percentile of set-up is above 5 ms, and "setup.p99 > +20%" fails a comparison in which it has grown by more. A rule
// about something that was not measured fails: one that is misplaced must not pass for ever unseen.
package threshold
