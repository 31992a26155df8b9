package events

import "github.com/prometheus/client_golang/prometheus"

// The metrics of a stream.
var (
	queuedDesc = prometheus.NewDesc("ringfleet_events_queued", "Events that wait for a sink, or are on their way to it.",
		[]string{"sink"}, nil)
	deliveredDesc = prometheus.NewDesc("ringfleet_events_delivered_total", "Events that a sink has acknowledged.",
		[]string{"sink"}, nil)
	retriedDesc = prometheus.NewDesc("ringfleet_events_retried_total",
		"Events whose delivery failed, each time it did; they are tried again.", []string{"sink"}, nil)
	droppedDesc = prometheus.NewDesc("ringfleet_events_dropped_total",
		"Events that were not delivered: too many (full), too old (age), too fast (burst), or another node's by now (stale).",
		[]string{"sink", "cause"}, nil)
	disabledDesc = prometheus.NewDesc("ringfleet_events_disabled",
		"1 while a sink gets nothing as its receiver is gone, until POST /events/enable?sink=NAME.", []string{"sink"}, nil)
	copiesDesc        = prometheus.NewDesc("ringfleet_event_copies", "Outcomes of other nodes that this one keeps a copy of.", nil, nil)
	copiesDroppedDesc = prometheus.NewDesc("ringfleet_event_copies_dropped_total",
		"Copies of outcomes that were dropped, as there were too many or they were too old.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (*Stream) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		queuedDesc, deliveredDesc, retriedDesc, droppedDesc, disabledDesc, copiesDesc, copiesDroppedDesc,
	} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (s *Stream) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	counter := func(d *prometheus.Desc, value uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	for _, status := range s.Status() {
		gauge(queuedDesc, float64(status.Queued), status.Sink)
		counter(deliveredDesc, status.Delivered, status.Sink)
		counter(retriedDesc, status.Retried, status.Sink)
		for cause, dropped := range status.Dropped {
			counter(droppedDesc, dropped, status.Sink, cause)
		}
		disabled := 0.0
		if status.Disabled {
			disabled = 1
		}
		gauge(disabledDesc, disabled, status.Sink)
	}
	s.mu.Lock()
	kept, dropped := len(s.copies.theirs), s.copies.dropped
	s.mu.Unlock()
	gauge(copiesDesc, float64(kept))
	counter(copiesDroppedDesc, dropped)
}

// Copies returns how many outcomes of other nodes are kept here.
func (s *Stream) Copies() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.copies.theirs)
}

// SinkStatus is how it stands with a sink.
type SinkStatus struct {
	Sink      string
	Queued    int
	Delivered uint64
	Retried   uint64
	Dropped   map[string]uint64 // by cause: full, age, burst, stale
	Disabled  bool
}

// Status returns how it stands with each sink, in the order of the configuration.
func (s *Stream) Status() []SinkStatus {
	list := make([]SinkStatus, 0, len(s.senders))
	for _, n := range s.senders {
		n.mu.Lock()
		status := SinkStatus{
			Sink: n.config.Name, Queued: n.queue.count, Delivered: n.counts.delivered, Retried: n.counts.retried,
			Dropped: map[string]uint64{}, Disabled: n.disabled,
		}
		for cause := range dropCause(causes) {
			status.Dropped[cause.String()] = n.counts.dropped[cause]
		}
		n.mu.Unlock()
		list = append(list, status)
	}
	return list
}
