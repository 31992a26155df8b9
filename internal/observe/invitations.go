// Package observe is what a node tells its operator: metrics of invitations and actors, and the
// handler of the admin address. Metrics are named by the conventions of Prometheus; no label has a
// value that a client chooses.
package observe

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringfleet/ringfleet/actors"
	"github.com/ringfleet/ringfleet/invitation"
)

// Invitations counts and times invitations. It implements [actors.Observer] and
// [prometheus.Collector]; its methods are safe for concurrent use and do not block.
type Invitations struct {
	live     [invitation.Stages]atomic.Int64
	sent     prometheus.Counter
	again    prometheus.Counter
	ended    *prometheus.CounterVec
	setUp    prometheus.Histogram
	ring     prometheus.Histogram
	commit   prometheus.Histogram
	late     prometheus.Histogram
	liveDesc *prometheus.Desc
}

var _ actors.Observer = (*Invitations)(nil)

// NewInvitations returns the metrics of the invitations of one node.
func NewInvitations() *Invitations {
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	}
	fast := []float64{.0005, .001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15}
	return &Invitations{
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ringfleet_invitations_sent_total", Help: "Invitations whose send this node took.",
		}),
		again: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ringfleet_invitations_recovered_total", Help: "Invitations that this node made again, as what it knew of them was lost with another.",
		}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringfleet_invitations_ended_total", Help: "Invitations that ended on this node, by outcome and reason.",
		}, []string{"outcome", "reason"}),
		setUp: histogram("ringfleet_invitation_ringing_seconds", "From the send to the callee's ack.",
			append(fast, 30)),
		ring: histogram("ringfleet_invitation_answer_seconds", "From the callee's ack to the accept.",
			[]float64{.1, .5, 1, 2, 5, 10, 15, 20, 30, 45, 60, 120, 600}),
		commit: histogram("ringfleet_invitation_commit_seconds", "From the accept to the end of the handshake.", fast),
		late: histogram("ringfleet_timer_lateness_seconds", "By how much an invitation's deadline was kept late.",
			[]float64{.01, .025, .05, .075, .1, .25, .5, 1, 5}),
		liveDesc: prometheus.NewDesc("ringfleet_invitations", "Invitations on this node now, by stage; ENDED is lingering.",
			[]string{"stage"}, nil),
	}
}

// Moved implements [actors.Observer].
func (m *Invitations) Moved(s actors.Stage) {
	if s.First {
		m.sent.Inc()
	} else {
		m.live[s.From].Add(-1)
	}
	m.live[s.View.Stage].Add(1)
	took := s.Now.Sub(s.Since).Seconds()
	switch s.View.Stage {
	case invitation.Ringing:
		m.setUp.Observe(took)
	case invitation.Accepting:
		if s.From == invitation.Ringing {
			m.ring.Observe(took)
		}
	case invitation.Ended:
		m.ended.WithLabelValues(s.View.Outcome.String(), s.View.Reason.String()).Inc()
		if s.View.Outcome == invitation.Accepted {
			m.commit.Observe(took)
		}
	case invitation.Offering, invitation.Confirmed:
	}
}

// Settled implements [actors.Observer].
func (m *Invitations) Settled(s actors.Stage) { m.live[s.From].Add(-1) }

// Departed implements [actors.Observer].
func (m *Invitations) Departed(s actors.Stage) { m.live[s.From].Add(-1) }

// Arrived implements [actors.Observer]: what happened before was counted where it did.
func (m *Invitations) Arrived(s actors.Stage) {
	m.live[s.From].Add(1)
	if s.Recovered && s.Sent == s.Now { // else it was another node that made it again
		m.again.Inc()
	}
}

// Late implements [actors.Observer].
func (m *Invitations) Late(by time.Duration) { m.late.Observe(by.Seconds()) }

// Live returns how many invitations are at a stage now.
func (m *Invitations) Live(stage invitation.Stage) int64 { return m.live[stage].Load() }

// Describe implements [prometheus.Collector].
func (m *Invitations) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(ch)
	}
	ch <- m.liveDesc
}

// Collect implements [prometheus.Collector].
func (m *Invitations) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(ch)
	}
	for stage := range invitation.Stage(invitation.Stages) {
		ch <- prometheus.MustNewConstMetric(m.liveDesc, prometheus.GaugeValue, float64(m.Live(stage)), stage.String())
	}
}

func (m *Invitations) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.sent, m.again, m.ended, m.setUp, m.ring, m.commit, m.late}
}
