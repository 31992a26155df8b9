package main

import (
	"fmt"
	"math"
	"time"

	"github.com/ringfleet/ringfleet/cluster/placement"
	"github.com/ringfleet/ringfleet/invitation"
)

// The rules of docs/capacity.md, "Headroom".
const (
	normal    = 0.6       // of the processors of the fullest node, while all nodes are there
	afterLoss = 0.8       // of them without one node; what is left is for those who come back
	usable    = 0.75      // of the memory, for what the process and the kernel keep for connections
	garbage   = 2.0       // bytes for each that lives, as GOMEMLIMIT has them at most
	files     = 1_048_576 // open files, as in deploy/systemd
	inTime    = 20 * time.Second
	pace      = 20_000 // sessions that a gateway attaches again a second, after their node was lost
	gibPer    = 4.0    // GiB for each core
	hour      = 3_600.0
)

// cores and sizes are what the tables are about.
var (
	cores = []float64{2, 8, 32}
	sizes = []int{3, 10, 50}
)

// model computes with figures. The first figure that is missing is kept as err.
type model struct {
	figures figures
	err     error
}

func newModel(f figures) *model { return &model{figures: f} }

func (m *model) of(name string) float64 {
	f, ok := m.figures[name]
	if !ok && m.err == nil {
		m.err = fmt.Errorf("figures.txt has no %s", name)
	}
	return f.median
}

// hops is how many messages of a call would cross if every one did: a message crosses with the probability 1−1/n in a
// cluster of n nodes, if users and their connections are spread at random.
func (m *model) hops() float64 {
	return (m.of("peer.messages-3")/crossing(3) + m.of("peer.messages-5")/crossing(5)) / 2
}

func crossing(n int) float64 { return 1 - 1/float64(n) }

// messages returns how many messages of a call cross between n nodes.
func (m *model) messages(n int) float64 { return m.hops() * crossing(n) }

// messageBytes is the mean of a message between nodes.
func (m *model) messageBytes() float64 { return m.of("peer.bytes-5") / m.of("peer.messages-5") }

// perMessage is the CPU of a message that crosses between n nodes, both ends, in µs, as measured at saturation with so many
// nodes; for more than ten, that of ten.
func (m *model) perMessage(n int) float64 {
	name := fmt.Sprint("-", min(n, 10))
	return (m.of("peer.saturated"+name) - m.of("call.saturated")) / m.of("peer.messages"+name)
}

// rates are those at which scripts/capacity measures calls on one node.
var rates = []int{2_000, 1_000, 300, 100}

// alone returns the CPU of an accepted call on one node, in µs, at the highest rate at which it was measured: at lower ones it
// costs more, as less is written at once, and when a node is saturated less than one should plan with.
func (m *model) alone() (µs float64, rate int) {
	for _, rate := range rates {
		if f, ok := m.figures[fmt.Sprint("call.at-", rate)]; ok {
			return f.median, rate
		}
	}
	return m.of("call.at-1000"), 0
}

// call returns the CPU of an accepted call in a cluster of n nodes, in µs.
func (m *model) call(n int) float64 {
	alone, _ := m.alone()
	return alone + m.messages(n)*m.perMessage(n)
}

// connectionCPU is what a silent connection costs, in µs a second, if it lasts an hour.
func (m *model) connectionCPU() float64 {
	return m.of("connection.ping") + m.of("login.token")/hour
}

// perUser is the memory that a user who is connected and silent takes, in bytes: with garbage, and with the kernel's.
func (m *model) perUser() float64 { return m.of("session.heap")*garbage + m.of("connection.kernel") }

// link is the CPU of a link to another node, and back, that is idle, in µs a second.
func (m *model) link() float64 {
	return (m.of("idle.cpu-10") - m.of("idle.cpu-3")) * 1_000 / 7
}

// idle returns the CPU of a node of n that has nothing to do, in µs a second.
func (m *model) idle(n int) float64 {
	return m.of("idle.cpu-3")*1_000 + m.link()*float64(n-3)
}

// share says how unevenly shards fall.
type share struct {
	mean, most, least    float64 // shards of a node
	afterLoss, moved     float64 // shards of the fullest node after the worst loss; and of those that the lost one had
	newcomer, unaffected float64 // shards that go to another node that joins; that move between others
}

// spread returns how shards fall on n nodes named as those of a StatefulSet.
func spread(n int) (share, error) {
	names := make([]string, n+1)
	for i := range names {
		names[i] = fmt.Sprintf("ringfleet-%d", i)
	}
	table, err := placement.New(names[:n])
	if err != nil {
		return share{}, err
	}
	s := share{mean: float64(invitation.Shards) / float64(n), least: math.Inf(1)}
	for _, count := range table.Counts() {
		s.most, s.least = max(s.most, float64(count)), min(s.least, float64(count))
	}
	for i := range n {
		rest := append(append([]string(nil), names[:i]...), names[i+1:n]...)
		without, err := placement.New(rest)
		if err != nil {
			return share{}, err
		}
		for _, count := range without.Counts() {
			s.afterLoss = max(s.afterLoss, float64(count))
		}
		moved := 0.0
		for range table.Moves(without) {
			moved++
		}
		s.moved = max(s.moved, moved)
	}
	joined, err := placement.New(names)
	if err != nil {
		return share{}, err
	}
	for move := range table.Moves(joined) {
		if move.To == names[n] {
			s.newcomer++
		} else {
			s.unaffected++
		}
	}
	return s, nil
}

// cluster is what nodes of a size should carry together.
type cluster struct {
	nodes       int
	cores       float64
	calls       float64            // a second, if nobody else is connected
	users       float64            // connected, if nobody calls: the least of bounds
	bounds      map[string]float64 // users by what bounds them
	first       string             // which one is the least
	used        float64            // of the processors that are to be used, as a mean of the nodes
	leftForBack float64            // of the processors while clients come back
	callCPU     float64            // µs
}

// The bounds of the users.
const (
	byMemory  = "memory"
	byFiles   = "open files"
	byReturn  = "return after a loss"
	byTLS     = "return after a loss, TLS in the node"
	byPings   = "CPU of silent connections"
	gigabyte  = 1 << 30
	perSecond = 1e6 // µs of a processor
)

// carries computes a cluster.
func (m *model) carries(n int, cores float64) (cluster, error) {
	s, err := spread(n)
	if err != nil {
		return cluster{}, err
	}
	c := cluster{nodes: n, cores: cores, callCPU: m.call(n), bounds: map[string]float64{}}
	whole, fullest, full := float64(n), s.most/s.mean, s.afterLoss/s.mean
	c.used = min(normal/fullest, afterLoss/full)
	c.leftForBack = 1 - c.used*full
	budget := c.used*cores*perSecond - m.idle(n)
	c.calls = whole * budget / c.callCPU
	ram := cores * gibPer * gigabyte
	c.bounds[byMemory] = whole / full * ram * usable / m.perUser()
	c.bounds[byFiles] = (whole - 1) * files / m.of("connection.files")
	c.bounds[byPings] = whole * budget / m.connectionCPU()
	c.bounds[byReturn] = m.returnIn(n, c.leftForBack*cores, m.of("login.token"))
	c.bounds[byTLS] = m.returnIn(n, c.leftForBack*cores, m.of("login.tls-token"))
	c.users = math.Inf(1)
	for _, name := range []string{byMemory, byFiles, byReturn, byPings} {
		if c.bounds[name] < c.users {
			c.users, c.first = c.bounds[name], name
		}
	}
	return c, m.err
}

// returnIn returns of how many users of n nodes those of one node are back in time, 99 % of them, if each of the others has so
// many processors left and an attempt takes µs.
func (m *model) returnIn(n int, left, µs float64) float64 {
	low, high := 0.0, 1e7
	for high-low > high/20 {
		middle := (low + high) / 2
		if simulate(int(middle), n-1, attempt(µs, left), roughly).most <= inTime {
			low = middle
		} else {
			high = middle
		}
	}
	return low * float64(n)
}

// attempt is for how long an attempt keeps a node with so many processors left.
func attempt(µs, left float64) time.Duration {
	return time.Duration(µs / left * float64(time.Microsecond))
}

// demand is what somebody wants to carry.
type demand struct {
	users, calls float64
}

// need is what a demand takes of a cluster of n nodes.
type need struct {
	calls, connections, logins, idle float64 // cores
	cores                            float64 // of each node, by the headroom rule
	live, kernel                     float64 // bytes of each node, after a loss
	gib                              float64 // memory of each node
	between                          float64 // bytes a second that a node sends to others
}

// needs computes what n nodes have to be for a demand.
func (m *model) needs(d demand, n int) (need, error) {
	s, err := spread(n)
	if err != nil {
		return need{}, err
	}
	var r need
	r.calls = d.calls * m.call(n) / perSecond
	r.connections = d.users * m.of("connection.ping") / perSecond
	r.logins = d.users / hour * m.of("login.token") / perSecond
	r.idle = float64(n) * m.idle(n) / perSecond
	used := min(normal/(s.most/s.mean), afterLoss/(s.afterLoss/s.mean))
	r.cores = (r.calls + r.connections + r.logins + r.idle) / float64(n) / used
	most := d.users / float64(n) * s.afterLoss / s.mean
	ringing := d.calls * ringSeconds / float64(n) * s.afterLoss / s.mean
	r.live = most*m.of("session.heap") + ringing*m.of("invitation.heap")
	r.kernel = most * m.of("connection.kernel")
	r.gib = (r.live*garbage + r.kernel) / usable / gigabyte
	r.between = d.calls * m.messages(n) * m.messageBytes() / float64(n)
	return r, m.err
}

// ringSeconds is for how long a phone rings, on average, for examples.
const ringSeconds = 20
