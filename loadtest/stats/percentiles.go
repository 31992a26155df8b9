package stats

import "time"

// Percentiles are those of a step of a call, in milliseconds. The JSON names are stable.
type Percentiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p99_9_ms"`
	Max   float64 `json:"max_ms"`
}

// Quick are the percentiles of something of which there are many, in milliseconds. The JSON names are stable.
type Quick struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p99_9"`
	Max   float64 `json:"max"`
}

// Percentiles returns those of what was counted.
func (h *Histogram) Percentiles() Percentiles {
	return Percentiles{
		Count: h.Count(), P50: Ms(h.At(0.5)), P90: Ms(h.At(0.9)), P99: Ms(h.At(0.99)), P999: Ms(h.At(0.999)), Max: Ms(h.Max()),
	}
}

// Quick returns the same in the short form.
func (h *Histogram) Quick() Quick { return Quick(h.Percentiles()) }

// Ms returns a duration in milliseconds, to the microsecond.
func Ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
