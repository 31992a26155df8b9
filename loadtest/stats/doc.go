// Package stats keeps latencies in constant memory, at a stated precision, in a form that can be merged: what several
// processes measured becomes one distribution, whose percentiles are exact to that precision, as an average of
// percentiles would not be.
//
// A [Histogram] is safe for concurrent use. As text it is the HdrHistogram's V2 format, compressed, in base64, which
// other tools of that family read; its unit is the microsecond.
package stats
