package observe

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringfleet/ringfleet/actors"
)

// Actors is the [prometheus.Collector] of a node's actors. It reads their counts when scraped.
type Actors struct {
	stats func() actors.Stats
}

// NewActors returns the metrics of a host.
func NewActors(host *actors.Host) *Actors { return &Actors{stats: host.Stats} }

var actorDescs = struct {
	live, activated, refused, queued, overflow, timers, panics *prometheus.Desc
}{
	live:      prometheus.NewDesc("ringfleet_actors", "Actors live now, by kind.", []string{"kind"}, nil),
	activated: prometheus.NewDesc("ringfleet_actors_activated_total", "Actors made, by kind.", []string{"kind"}, nil),
	refused: prometheus.NewDesc("ringfleet_actor_messages_refused_total",
		"Messages refused since the actor's mailbox, or the node, was full, by kind.", []string{"kind"}, nil),
	queued:   prometheus.NewDesc("ringfleet_actors_queued", "Actors that wait for a worker.", nil, nil),
	overflow: prometheus.NewDesc("ringfleet_worker_overflow_total", "Times the queue of the workers was full.", nil, nil),
	timers:   prometheus.NewDesc("ringfleet_timers", "Deadlines armed now.", nil, nil),
	panics:   prometheus.NewDesc("ringfleet_actor_panics_total", "Panics of actors; each ended at most one invitation.", nil, nil),
}

// Describe implements [prometheus.Collector].
func (a *Actors) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(a, ch) }

// Collect implements [prometheus.Collector].
func (a *Actors) Collect(ch chan<- prometheus.Metric) {
	s, d := a.stats(), &actorDescs
	gauge := func(desc *prometheus.Desc, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(v), labels...)
	}
	counter := func(desc *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(d.live, s.Sessions.Live, "session")
	gauge(d.live, s.Arbiters.Live, "arbiter")
	counter(d.activated, s.Sessions.Activated, "session")
	counter(d.activated, s.Arbiters.Activated, "arbiter")
	counter(d.refused, s.Sessions.Busy, "session")
	counter(d.refused, s.Arbiters.Busy, "arbiter")
	gauge(d.queued, s.Engine.Queued)
	counter(d.overflow, s.Engine.Overflow)
	gauge(d.timers, s.Engine.Timers)
	counter(d.panics, s.Engine.Panics)
}
