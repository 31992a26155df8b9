package observe

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/handoff"
	"github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/cluster/membership"
)

// ClusterState is what a node knows of its cluster.
type ClusterState struct {
	View    cluster.View
	Owned   map[string]int // how many shards members own by the view
	Router  cluster.Stats
	Handoff handoff.Stats
	Link    *link.StreamStats // nil if the link is none of TCP
	Gossip  *membership.Stats // nil if the members are known beforehand
}

// Cluster is the [prometheus.Collector] of a node's part in its cluster. It has no metrics for a node that is
// alone, and none with the name of a member: the labels' values are bounded.
type Cluster struct {
	state func() (ClusterState, bool)
}

// NewCluster returns the metrics of what state returns when they are scraped; it returns false for a node
// that is alone.
func NewCluster(state func() (ClusterState, bool)) *Cluster { return &Cluster{state} }

// Describe implements [prometheus.Collector].
func (*Cluster) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{membersDesc, epochDesc, shardsDesc, transfersDesc, keptDesc, routedDesc} {
		ch <- d
	}
	for _, m := range handoffMetrics {
		ch <- m.desc
	}
	for _, m := range routerMetrics {
		ch <- m.desc
	}
	for _, m := range linkMetrics {
		ch <- m.desc
	}
	for _, m := range gossipMetrics {
		ch <- m.desc
	}
}

// Collect implements [prometheus.Collector].
func (c *Cluster) Collect(ch chan<- prometheus.Metric) {
	s, ok := c.state()
	if !ok {
		return
	}
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	members := map[cluster.Lifecycle]int{}
	for _, m := range s.View.Members {
		members[m.Lifecycle]++
	}
	for _, l := range []cluster.Lifecycle{cluster.Joining, cluster.Serving, cluster.Draining} {
		gauge(membersDesc, float64(members[l]), l.String())
	}
	gauge(epochDesc, float64(s.View.Epoch))
	gauge(shardsDesc, float64(s.Handoff.Held), "held")
	gauge(shardsDesc, float64(s.Handoff.Awaited), "awaited")
	gauge(transfersDesc, float64(s.Handoff.Taking), "taking")
	gauge(transfersDesc, float64(s.Handoff.Giving), "giving")
	gauge(keptDesc, float64(s.Handoff.Waiting))
	for _, r := range routed(&s.Router) {
		ch <- prometheus.MustNewConstMetric(routedDesc, prometheus.CounterValue, float64(r.count), r.result)
	}
	collect(ch, handoffMetrics, &s.Handoff)
	collect(ch, routerMetrics, &s.Router)
	if s.Link != nil {
		collect(ch, linkMetrics, s.Link)
	}
	if s.Gossip != nil {
		collect(ch, gossipMetrics, s.Gossip)
	}
}

var (
	membersDesc = prometheus.NewDesc("ringfleet_cluster_members", "Members of this node's view, by lifecycle.", []string{"lifecycle"}, nil)
	epochDesc   = prometheus.NewDesc("ringfleet_cluster_view_epoch", "The epoch of this node's view: how many it has had since its start.", nil, nil)
	shardsDesc  = prometheus.NewDesc("ringfleet_shards",
		"Shards on this node: held, with their actors, or awaited, on their way from others.", []string{"place"}, nil)
	transfersDesc = prometheus.NewDesc("ringfleet_handoffs", "Members that this node is taking shards from, or giving shards to.",
		[]string{"direction"}, nil)
	keptDesc   = prometheus.NewDesc("ringfleet_handoff_waiting_messages", "Messages kept back now for shards that are awaited.", nil, nil)
	routedDesc = prometheus.NewDesc("ringfleet_router_messages_total",
		"Messages between actors by result: local, remote (given to the link), received (from the link), or why they were dropped.",
		[]string{"result"}, nil)
)

type count struct {
	result string
	count  uint64
}

// routed returns the results of a router's messages.
func routed(s *cluster.Stats) []count {
	return []count{
		{"local", s.Local},
		{"remote", s.Remote},
		{"received", s.Received},
		{"refused", s.Refused},
		{"busy", s.Busy},
		{"unreachable", s.Unreachable},
		{"no_owner", s.NoOwner},
		{"hop_limit", s.HopLimit},
		{"too_large", s.TooLarge},
		{"malformed", s.Malformed},
		{"unknown", s.Unknown},
		{"panic", s.Panics},
	}
}

// metric is a metric without labels that is read from an S.
type metric[S any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*S) uint64
}

func collect[S any](ch chan<- prometheus.Metric, metrics []metric[S], s *S) {
	for _, m := range metrics {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, float64(m.value(s)))
	}
}

func counterOf[S any](name, help string, value func(*S) uint64) metric[S] {
	return metric[S]{prometheus.NewDesc("ringfleet_"+name, help, nil, nil), prometheus.CounterValue, value}
}

func gaugeOf[S any](name, help string, value func(*S) int) metric[S] {
	return metric[S]{
		prometheus.NewDesc("ringfleet_"+name, help, nil, nil), prometheus.GaugeValue,
		func(s *S) uint64 { return uint64(max(value(s), 0)) },
	}
}

var handoffMetrics = []metric[handoff.Stats]{
	counterOf("handoff_kept_messages_total", "Messages kept back for shards that were awaited.",
		func(s *handoff.Stats) uint64 { return s.Kept }),
	counterOf("handoff_taken_records_total", "Sessions and invitations that came here from other members.",
		func(s *handoff.Stats) uint64 { return s.Taken }),
	counterOf("handoff_given_records_total", "Sessions and invitations that were frozen for other members.",
		func(s *handoff.Stats) uint64 { return s.Given }),
	counterOf("handoff_returned_records_total", "Of those given, the ones taken back, as the other member had gone.",
		func(s *handoff.Stats) uint64 { return s.Returned }),
	counterOf("handoff_damaged_records_total", "Sessions and invitations of other members that could not be read.",
		func(s *handoff.Stats) uint64 { return s.Damaged }),
}

var routerMetrics = []metric[cluster.Stats]{
	counterOf("router_forwarded_messages_total", "Messages of other members that were passed on: views disagreed.",
		func(s *cluster.Stats) uint64 { return s.Forwarded }),
	counterOf("router_relayed_messages_total", "Messages that took a way around, as there was no connection to the right member.",
		func(s *cluster.Stats) uint64 { return s.Relayed }),
	counterOf("router_sent_bytes_total", "Bytes of the messages that were given to the link.",
		func(s *cluster.Stats) uint64 { return s.Bytes }),
}

var linkMetrics = []metric[link.StreamStats]{
	gaugeOf("peers", "Members to keep a connection to.", func(s *link.StreamStats) int { return s.Peers }),
	gaugeOf("peer_connections", "Of them, those that a connection stands to.", func(s *link.StreamStats) int { return s.Connected }),
	gaugeOf("peer_inbound_connections", "Connections from other members.", func(s *link.StreamStats) int { return s.Inbound }),
	gaugeOf("peer_queued_bytes", "Bytes that wait to be sent to other members.", func(s *link.StreamStats) int { return s.Queued }),
	counterOf("peer_sent_bytes_total", "Bytes sent to other members.", func(s *link.StreamStats) uint64 { return s.Bytes }),
	counterOf("peer_sent_messages_total", "Messages sent to other members.", func(s *link.StreamStats) uint64 { return s.Sent }),
	counterOf("peer_writes_total", "System calls that took.", func(s *link.StreamStats) uint64 { return s.Writes }),
	counterOf("peer_received_messages_total", "Messages received from other members.",
		func(s *link.StreamStats) uint64 { return s.Received }),
	counterOf("peer_dropped_messages_total", "Messages that waited when a connection broke or a member went.",
		func(s *link.StreamStats) uint64 { return s.Dropped }),
	counterOf("peer_busy_messages_total", "Messages refused as the queue of a member was full.",
		func(s *link.StreamStats) uint64 { return s.Busy }),
	counterOf("peer_connections_broken_total", "Connections to members that broke or could not be made.",
		func(s *link.StreamStats) uint64 { return s.Broken }),
	counterOf("peer_connections_refused_total", "Connections of others that were refused.",
		func(s *link.StreamStats) uint64 { return s.Refused }),
	counterOf("peer_frames_skipped_total", "Frames of a type that this node does not know.",
		func(s *link.StreamStats) uint64 { return s.Skipped }),
}

var gossipMetrics = []metric[membership.Stats]{
	counterOf("membership_views_total", "Views that were made.", func(s *membership.Stats) uint64 { return s.Views }),
	counterOf("membership_probes_total", "Probes of members: on evidence, for a second look or for another node.",
		func(s *membership.Stats) uint64 { return s.Probes }),
	counterOf("membership_verdicts_total", "Members that a probe has found dead.", func(s *membership.Stats) uint64 { return s.Verdicts }),
	counterOf("membership_revivals_total", "Members that answered after such a verdict.",
		func(s *membership.Stats) uint64 { return s.Revivals }),
	counterOf("membership_refusals_total", "News of nodes that are not let in.", func(s *membership.Stats) uint64 { return s.Refusals }),
}
