package gateway

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringfleet/ringfleet/invitation"
)

// stats counts. It is read by the collector; nothing is computed for a metric that nobody scrapes.
type stats struct {
	framesIn, framesOut atomic.Uint64
	bytesIn, bytesOut   atomic.Uint64
	opened              atomic.Uint64 // WebSocket connections
	overRate            atomic.Uint64
	unavailable         atomic.Uint64
	forbidden           atomic.Uint64
	hookErrors          atomic.Uint64
	panics              atomic.Uint64
	renewals            [2]atomic.Uint64 // new tokens that were taken, that were refused

	answers  [invitation.Requests][answerCodes]atomic.Uint64
	logins   [len(ends)]atomic.Uint64 // by end; 0: taken
	endings  [len(ends)]atomic.Uint64 // by end; 0: lost or closed by the client
	upgrades [len(upgradeRefusals)]atomic.Uint64
}

// ends are the ends that have a counter; what is unknown counts as internal.
var ends = [...]invitation.End{
	0, invitation.EndShutdown, invitation.EndSlowReader, invitation.EndIdle, invitation.EndOverloaded,
	invitation.EndLoginTimeout, invitation.EndReplaced, invitation.EndInternal, invitation.EndTokenExpired, invitation.EndRemoteLogin,
	invitation.EndLoggedOut, invitation.EndUnauthorized, invitation.EndBadFrame, invitation.EndFrameTooLarge,
	invitation.EndRateExceeded, invitation.EndBadVersion, invitation.EndBadLogin, invitation.EndTooMany,
}

var upgradeRefusals = [...]string{
	"method", "not_websocket", "subprotocol", "origin", "draining", "connections", "pending", "address", "handshake",
}

func endIndex(end invitation.End) int {
	internal := 0
	for i, e := range ends {
		if e == end {
			return i
		}
		if e == invitation.EndInternal {
			internal = i
		}
	}
	return internal
}

func (s *stats) login(end invitation.End) { s.logins[endIndex(end)].Add(1) }
func (s *stats) end(end invitation.End)   { s.endings[endIndex(end)].Add(1) }

func (s *stats) refuseUpgrade(name string) {
	for i, n := range upgradeRefusals {
		if n == name {
			s.upgrades[i].Add(1)
		}
	}
}

// answerCodes is the number of codes that answers are counted by: the vendor's, and ours, which begin at firstOwn.
const (
	ownFrom     = int(invitation.AlreadySent) + 1
	firstOwn    = int(invitation.LimitExceeded)
	answerCodes = ownFrom + int(invitation.Unavailable) - firstOwn + 1
)

// answer counts the answer to a request.
func (s *stats) answer(a *invitation.Answer) {
	code := int(a.Error)
	if code >= ownFrom {
		code += ownFrom - firstOwn
	}
	if int(a.Request) < len(s.answers) && code >= 0 && code < answerCodes {
		s.answers[a.Request][code].Add(1)
	}
}

// codeAt is the code that answers are counted as at an index.
func codeAt(i int) invitation.CallError {
	if i >= ownFrom {
		i += firstOwn - ownFrom
	}
	return invitation.CallError(i)
}

// endName names an end in metrics and logs.
func endName(end invitation.End) string {
	if end == 0 {
		return "LOST"
	}
	return end.String()
}

// A metric is a row of the table of metrics.
type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(g *Gateway) uint64
}

func newMetric(kind prometheus.ValueType, name, help string, value func(g *Gateway) uint64) metric {
	return metric{prometheus.NewDesc("ringfleet_gateway_"+name, help, nil, nil), kind, value}
}

// Buffered returns how many bytes wait: of frames that have not come whole, and of queues whose client does not read.
func (g *Gateway) Buffered() int64 { return g.buffered.Load() }

func gauge(n int64) uint64 { return uint64(max(n, 0)) }

var metrics = []metric{
	newMetric(prometheus.GaugeValue, "connections", "WebSocket connections, logged in or not.",
		func(g *Gateway) uint64 { return gauge(g.admission.sockets.Load()) }),
	newMetric(prometheus.GaugeValue, "connections_pending", "WebSocket connections that have yet to log in.",
		func(g *Gateway) uint64 { return gauge(g.admission.pending.Load()) }),
	newMetric(prometheus.GaugeValue, "local_connections", "In-process connections.",
		func(g *Gateway) uint64 { return gauge(g.admission.local.Load()) }),
	newMetric(prometheus.GaugeValue, "buffered_bytes", "Bytes of unfinished frames and of queues whose client does not read.",
		func(g *Gateway) uint64 { return gauge(g.buffered.Load()) }),
	newMetric(prometheus.CounterValue, "connections_opened_total", "WebSocket connections that were upgraded.",
		func(g *Gateway) uint64 { return g.stats.opened.Load() }),
	newMetric(prometheus.CounterValue, "frames_received_total", "WebSocket frames received, control frames included.",
		func(g *Gateway) uint64 { return g.stats.framesIn.Load() }),
	newMetric(prometheus.CounterValue, "frames_sent_total", "Frames of the protocol queued for clients.",
		func(g *Gateway) uint64 { return g.stats.framesOut.Load() }),
	newMetric(prometheus.CounterValue, "received_bytes_total", "Bytes of WebSocket frames received.",
		func(g *Gateway) uint64 { return g.stats.bytesIn.Load() }),
	newMetric(prometheus.CounterValue, "sent_bytes_total", "Bytes of WebSocket frames written.",
		func(g *Gateway) uint64 { return g.stats.bytesOut.Load() }),
	newMetric(prometheus.CounterValue, "frames_over_rate_total", "Frames that came faster than the frame rate allows.",
		func(g *Gateway) uint64 { return g.stats.overRate.Load() }),
	newMetric(prometheus.CounterValue, "unavailable_total", "What devices said that the sessions did not take.",
		func(g *Gateway) uint64 { return g.stats.unavailable.Load() }),
	newMetric(prometheus.CounterValue, "sends_shed_total", "New sends that were refused as the node had too much to do.",
		func(g *Gateway) uint64 { return g.shed.refused.Load() }),
	newMetric(prometheus.CounterValue, "forbidden_total", "Sends that MayInvite forbade.",
		func(g *Gateway) uint64 { return g.stats.forbidden.Load() }),
	newMetric(prometheus.CounterValue, "may_invite_errors_total", "Sends for which MayInvite could not decide.",
		func(g *Gateway) uint64 { return g.stats.hookErrors.Load() }),
	newMetric(prometheus.CounterValue, "panics_total", "Connections ended because handling a frame panicked.",
		func(g *Gateway) uint64 { return g.stats.panics.Load() }),
}

var (
	loginsDesc = prometheus.NewDesc("ringfleet_gateway_logins_total",
		"Logins by result: OK, or the end they were refused with.", []string{"result"}, nil)
	endsDesc = prometheus.NewDesc("ringfleet_gateway_ends_total",
		"Connections that are gone, by their end; LOST: closed by the client or the network.", []string{"end"}, nil)
	renewalsDesc = prometheus.NewDesc("ringfleet_gateway_token_renewals_total",
		"New tokens that connections brought, by result.", []string{"result"}, nil)
	upgradesDesc = prometheus.NewDesc("ringfleet_gateway_upgrades_refused_total",
		"HTTP requests that became no connection, by reason.", []string{"reason"}, nil)
	answersDesc = prometheus.NewDesc("ringfleet_gateway_answers_total",
		"Answers to requests of devices, by request and code; OK: it was carried out.", []string{"request", "code"}, nil)
	delayDesc = prometheus.NewDesc("ringfleet_gateway_delay_seconds",
		"For how long what clients say has to wait; 0 without sends in the last second.", nil, nil)
)

// Collector returns the gateway's metrics, to be registered once with a Prometheus registry. Labels
// have a fixed set of values.
func (g *Gateway) Collector() prometheus.Collector { return collector{g} }

type collector struct{ g *Gateway }

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range metrics {
		ch <- m.desc
	}
	ch <- loginsDesc
	ch <- endsDesc
	ch <- upgradesDesc
	ch <- renewalsDesc
	ch <- delayDesc
	ch <- answersDesc
	ch <- durationDesc
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	for _, m := range metrics {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, float64(m.value(c.g)))
	}
	count := func(desc *prometheus.Desc, n *atomic.Uint64, label string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n.Load()), label)
	}
	ch <- prometheus.MustNewConstMetric(delayDesc, prometheus.GaugeValue, c.g.shed.lateness(c.g.now()).Seconds())
	s := &c.g.stats
	for request := invitation.Send; request < invitation.Requests; request++ {
		for i := range answerCodes {
			if n := s.answers[request][i].Load(); n > 0 || i == 0 {
				ch <- prometheus.MustNewConstMetric(answersDesc, prometheus.CounterValue, float64(n), request.String(), codeAt(i).String())
			}
		}
	}
	c.g.timing.collect(ch)
	for i, end := range ends {
		result := endName(end)
		if end == 0 {
			result = "OK"
		}
		count(loginsDesc, &s.logins[i], result)
		count(endsDesc, &s.endings[i], endName(end))
	}
	for i, result := range []string{"ok", "refused"} {
		count(renewalsDesc, &s.renewals[i], result)
	}
	for i, reason := range upgradeRefusals {
		count(upgradesDesc, &s.upgrades[i], reason)
	}
}
