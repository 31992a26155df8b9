package tracing

import "github.com/prometheus/client_golang/prometheus"

var (
	spansDesc = prometheus.NewDesc("ringfleet_trace_spans_total",
		"Spans by result: exported, failed (the collector did not take them), lost (too many had begun).", []string{"result"}, nil)
	openDesc = prometheus.NewDesc("ringfleet_trace_spans_open", "Spans that have begun and not ended.", nil, nil)
)

// Describe implements prometheus.Collector.
func (t *Tracer) Describe(ch chan<- *prometheus.Desc) { ch <- spansDesc; ch <- openDesc }

// Collect implements prometheus.Collector.
func (t *Tracer) Collect(ch chan<- prometheus.Metric) {
	for _, r := range []struct {
		result string
		n      uint64
	}{{"exported", t.exported.Load()}, {"failed", t.failed.Load()}, {"lost", t.lost.Load()}} {
		ch <- prometheus.MustNewConstMetric(spansDesc, prometheus.CounterValue, float64(r.n), r.result)
	}
	t.mu.Lock()
	open := len(t.open)
	t.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(openDesc, prometheus.GaugeValue, float64(open))
}
