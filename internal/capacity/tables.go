package main

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// tables returns the tables of the page, by name.
func (m *model) tables() (map[string]string, error) {
	tables := map[string]string{}
	for name, write := range map[string]func(*strings.Builder) error{
		"units": m.units, "clusters": m.clusters, "bounds": m.allBounds, "peers": m.peers, "placement": m.placement,
		"return": m.returns, "storm": m.storms, "examples": m.examples, "arithmetic": m.arithmetic,
	} {
		var b strings.Builder
		if err := write(&b); err != nil {
			return nil, err
		}
		tables[name] = b.String()
	}
	return tables, m.err
}

// unit is a row of the table of what things cost.
type unit struct {
	what, figure, unit, by string
}

// list has what things cost, and which part of scripts/capacity measures it.
var list = []unit{
	{"accepted call, one node, saturated", "call.saturated", "µs", "rate"},
	{"accepted call, 3 nodes, saturated, all nodes together", "peer.saturated-3", "µs", "peers"},
	{"accepted call, 5 nodes, saturated", "peer.saturated-5", "µs", "peers"},
	{"accepted call, 10 nodes, saturated", "peer.saturated-10", "µs", "peers"},
	{"messages between nodes for a call, 3 nodes", "peer.messages-3", "", "peers"},
	{"messages between nodes for a call, 5 nodes", "peer.messages-5", "", "peers"},
	{"messages between nodes for a call, 10 nodes", "peer.messages-10", "", "peers"},
	{"bytes between nodes for a call, 5 nodes", "peer.bytes-5", "B", "peers"},
	{"a login, TLS in front of the node", "login.plain", "µs", "login"},
	{"the same with a token (Ed25519)", "login.token", "µs", "login"},
	{"the same with TLS 1.3 in the node (P-256), without a token", "login.tls", "µs", "login"},
	{"with both", "login.tls-token", "µs", "login"},
	{"a silent connection, pings", "connection.ping", "µs/s", "idle"},
	{"a silent connection and its session: live heap", "session.heap", "B", "idle"},
	{"the same: resident memory, with garbage", "connection.resident", "B", "idle"},
	{"the same, just connected, with TLS in the node: resident memory", "connection.tls", "B", "login"},
	{"a connection in the kernel, socket and its buffers, empty", "connection.kernel", "B", "idle"},
	{"a connection's files", "connection.files", "", "idle"},
	{"an invitation that rings, beside the two sessions: live heap", "invitation.heap", "B", "ringing"},
	{"a node alone, idle", "idle.cpu-1", "ms/s", "nodes"},
	{"an idle node of 3", "idle.cpu-3", "ms/s", "nodes"},
	{"an idle node of 10", "idle.cpu-10", "ms/s", "nodes"},
	{"an idle node of 3: resident memory", "idle.resident-3", "B", "nodes"},
	{"an idle node of 10: resident memory", "idle.resident-10", "B", "nodes"},
}

func (m *model) units(b *strings.Builder) error {
	b.WriteString("| what | costs | lowest–highest | load | `scripts/capacity` |\n|---|---|---|---|---|\n")
	var calls []unit
	for _, rate := range rates {
		if name := fmt.Sprint("call.at-", rate); m.figures[name] != (figure{}) {
			calls = append(calls, unit{fmt.Sprintf("accepted call, one node on one processor, %s a second", round(float64(rate))), name, "µs", "rate"})
		}
	}
	for _, u := range append(calls, list...) {
		m.of(u.figure)
		f := m.figures[u.figure]
		fmt.Fprintf(b, "| %s | %s | %s–%s | %.0f | %s |\n", u.what, strings.TrimSpace(number(f.median)+" "+u.unit), number(f.low), number(f.high), f.load, u.by)
	}
	return nil
}

// clusters is the table of what clusters should carry.
func (m *model) clusters(b *strings.Builder) error {
	b.WriteString("| nodes | cores, memory of each | calls/s, nobody else connected | users connected, no calls | what bounds them first | " +
		"calls/s with half of these users |\n|---|---|---|---|---|---|\n")
	for _, n := range sizes {
		for _, each := range cores {
			c, err := m.carries(n, each)
			if err != nil {
				return err
			}
			mixed := max(0, c.calls-c.users/2*m.connectionCPU()/c.callCPU)
			fmt.Fprintf(b, "| %d | %.0f, %.0f GiB%s | %s | %s | %s | %s |\n", n, each, each*gibPer, far(n, each), round(c.calls), round(c.users),
				c.first, round(mixed))
		}
	}
	return nil
}

// far marks what is extrapolated the furthest.
func far(n int, each float64) string {
	switch {
	case each > 2 && n > 10:
		return " **"
	case each > 2 || n > 10:
		return " *"
	}
	return ""
}

// allBounds is the table of the bounds of the users.
func (m *model) allBounds(b *strings.Builder) error {
	names := []string{byMemory, byFiles, byReturn, byTLS, byPings}
	fmt.Fprintf(b, "| nodes × cores | %s |\n|---|%s\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)))
	for _, n := range sizes {
		for _, each := range cores {
			c, err := m.carries(n, each)
			if err != nil {
				return err
			}
			fmt.Fprintf(b, "| %d × %.0f |", n, each)
			for _, name := range names {
				mark := ""
				if name == c.first {
					mark = "**"
				}
				fmt.Fprintf(b, " %s%s%s |", mark, round(c.bounds[name]), mark)
			}
			b.WriteString("\n")
		}
	}
	return nil
}

// peers is the table of what nodes say to each other.
func (m *model) peers(b *strings.Builder) error {
	b.WriteString("| nodes | messages that cross, of a call's | computed | measured | bytes for a call | connections of a node to others, and from them | " +
		"CPU of a call, computed | × one node |\n|---|---|---|---|---|---|---|---|\n")
	alone, _ := m.alone()
	for _, n := range []int{3, 5, 10, 50} {
		measured, bytes := "–", "computed "+round(m.messages(n)*m.messageBytes())
		if f, ok := m.figures[fmt.Sprint("peer.messages-", n)]; ok {
			measured, bytes = number(f.median), round(m.of(fmt.Sprint("peer.bytes-", n)))
		}
		fmt.Fprintf(b, "| %d | %.0f %% | %.1f | %s | %s | %d + %d | %.0f µs | %.1f |\n", n, 100*crossing(n), m.messages(n), measured, bytes,
			n-1, n-1, m.call(n), m.call(n)/alone)
	}
	fmt.Fprintf(b, "\nA node that is idle has for each other node, by the difference of 3 and 10: %.0f kB of resident memory, %.0f µs of CPU a second, and sends %.0f B/s.\n",
		(m.of("idle.resident-10")-m.of("idle.resident-3"))/7/1e3, m.link(), (m.of("idle.peer-bytes-10")-m.of("idle.peer-bytes-3"))/7)
	return nil
}

// placement is the table of how shards fall.
func (m *model) placement(b *strings.Builder) error {
	b.WriteString("| nodes | shards, mean | fewest–most | fullest node | fullest after the worst loss | moved by the worst loss | " +
		"taken by a node that joins | moved between others |\n|---|---|---|---|---|---|---|---|\n")
	for _, n := range []int{1, 2, 3, 5, 10, 20, 50, 100} {
		s, err := spread(n)
		if err != nil {
			return err
		}
		after, moved := "–", "–"
		if n > 1 {
			after, moved = fmt.Sprintf("%.2f × (even: %.2f)", s.afterLoss/s.mean, float64(n)/float64(n-1)), percent(s.moved)
		}
		fmt.Fprintf(b, "| %d | %.0f | %.0f–%.0f | %.2f × | %s | %s | %s | %.0f |\n", n, s.mean, s.least, s.most, s.most/s.mean, after, moved,
			percent(s.newcomer), s.unaffected)
	}
	return nil
}

func percent(shards float64) string { return fmt.Sprintf("%.1f %%", shards*100/4096) }

// returns is the table of how clients come back.
func (m *model) returns(b *strings.Builder) error {
	b.WriteString("| clients that lose their node | nodes left | attempts in the first second, per node | 99 % are back, attempts of each: 2 cores, TLS in front | " +
		"8 cores | 2 cores, TLS in the node | 8 cores |\n|---|---|---|---|---|---|---|\n")
	for _, c := range []struct{ clients, left int }{
		{20_000, 2}, {50_000, 2}, {100_000, 2}, {200_000, 2}, {500_000, 2}, {100_000, 9}, {500_000, 9}, {500_000, 49},
	} {
		fmt.Fprintf(b, "| %s | %d |", round(float64(c.clients)), c.left)
		for i, login := range []string{"login.token", "login.tls-token"} {
			for j, each := range []float64{2, 8} {
				r := simulate(c.clients, c.left, attempt(m.of(login), each*(1-afterLoss)), mostSimulated)
				if i+j == 0 {
					fmt.Fprintf(b, " %s |", round(r.first))
				}
				fmt.Fprintf(b, " %s, %.1f |", seconds(r.most), r.attempts)
			}
		}
		b.WriteString("\n")
	}
	return nil
}

func seconds(d time.Duration) string {
	if d == endless {
		return "not in 5 min"
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// storms is the table of the storms that were run, and what pacing alone would take.
func (m *model) storms(b *strings.Builder) error {
	b.WriteString("| users of three nodes | sessions lost, attached again at 20,000/s and node | seen after | all have sessions after | all have connections after | " +
		"CPU for each session and connection, with its client | memory of a user before, with its client | slowest set-up meanwhile | load |\n" +
		"|---|---|---|---|---|---|---|---|---|\n")
	for _, users := range []int{50_000, 100_000, 200_000, 500_000} {
		name := fmt.Sprintf("storm.%d.", users)
		f, ok := m.figures[name+"s/sessions"]
		paced := float64(users) / 3 / 2 / pace
		if !ok {
			fmt.Fprintf(b, "| %s | %s, %.1f s at least | not run | | | | | | |\n", round(float64(users)), round(float64(users)/3), paced)
			continue
		}
		fmt.Fprintf(b, "| %s | %s, %.1f s at least | %.1f s | %.1f s | %.1f s | %.0f µs | %s B | %.1f s | %.0f |\n", round(float64(users)), round(float64(users)/3), paced,
			m.of(name+"s/notice"), f.median, m.of(name+"s/recovered"), m.of(name+"cpu-µs/user"), round(m.of(name+"B/user")), m.of(name+"ms/set-up")/1000, f.load)
	}
	return nil
}

// demands are the examples.
var demands = []struct {
	what string
	demand
	nodes []int
}{
	{"100,000 users online, 50 call attempts/s", demand{100_000, 50}, []int{3}},
	{"1,000,000 users online, 500 call attempts/s", demand{1_000_000, 500}, []int{3, 10}},
	{"1,000,000 users online, 5,000 call attempts/s", demand{1_000_000, 5_000}, []int{3, 10}},
	{"10,000,000 users online, 5,000 call attempts/s", demand{10_000_000, 5_000}, []int{10, 50}},
	{"10,000,000 users online, 50,000 call attempts/s", demand{10_000_000, 50_000}, []int{50}},
}

func (m *model) examples(b *strings.Builder) error {
	b.WriteString("| wanted | nodes | cores that work: calls, pings, logins, idle | cores of each node | memory of each node | between nodes, each sends | " +
		"a node of so many cores, at least 2, is lost: its users are back after |\n|---|---|---|---|---|---|---|\n")
	for _, d := range demands {
		for _, n := range d.nodes {
			r, err := m.needs(d.demand, n)
			if err != nil {
				return err
			}
			size := max(2, math.Ceil(r.cores))
			back := simulate(int(d.users)/n, n-1, attempt(m.of("login.token"), size*(1-afterLoss)), mostSimulated)
			fmt.Fprintf(b, "| %s | %d | %.1f, %.1f, %.1f, %.1f | %.1f | %.1f GiB | %.1f Mbit/s | 99 %% %s, all %s |\n", d.what, n, r.calls, r.connections, r.logins,
				r.idle, r.cores, r.gib, r.between*8/1e6, seconds(back.most), seconds(back.last))
		}
	}
	return nil
}

// arithmetic shows one row of the table of clusters step by step.
func (m *model) arithmetic(b *strings.Builder) error {
	const n, each = 10, 8
	c, err := m.carries(n, each)
	if err != nil {
		return err
	}
	s, err := spread(n)
	if err != nil {
		return err
	}
	full, fullest := s.afterLoss/s.mean, s.most/s.mean
	alone, rate := m.alone()
	fmt.Fprintf(b, "```\n"+
		"call        = %.0f µs (at %s/s) + %.1f messages × (1 − 1/%d) × %.1f µs = %.0f µs\n"+
		"used        = min(%.2f / %.2f, %.2f / %.2f) = %.2f of the processors, mean of the nodes\n"+
		"idle        = %.1f ms/s + %d links × %.2f ms/s = %.0f ms/s of each node\n"+
		"calls       = %d × (%.2f × %d cores − %.3f) / %.0f µs = %s a second\n"+
		"user        = %.0f B × %.0f for garbage + %.0f B of the kernel = %s B\n"+
		"by memory   = %d / %.2f × %.0f GiB × %.2f / %s B = %s users\n"+
		"by return   = %d × what is back in %.0f s at (1 − %.2f × %.2f) × %d cores, %.0f µs an attempt and %s/s = %s users\n```\n",
		alone, round(float64(rate)), m.hops(), n, m.perMessage(n), c.callCPU,
		normal, fullest, afterLoss, full, c.used,
		m.of("idle.cpu-3"), n-3, m.link()/1000, m.idle(n)/1000,
		n, c.used, each, m.idle(n)/perSecond, c.callCPU, round(c.calls),
		m.of("session.heap"), garbage, m.of("connection.kernel"), round(m.perUser()),
		n, full, each*gibPer, usable, round(m.perUser()), round(c.bounds[byMemory]),
		n, inTime.Seconds(), c.used, full, each, m.of("login.token"), round(loginRate), round(c.bounds[byReturn]))
	return nil
}

// number formats a figure to three digits or so.
func number(x float64) string {
	switch {
	case x >= 1_000:
		return round(x)
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// round formats a number with commas; from 10,000 on, to three digits.
func round(x float64) string {
	if x >= 10_000 {
		unit := math.Pow(10, math.Floor(math.Log10(x))-2)
		x = math.Round(x/unit) * unit
	}
	text := fmt.Sprintf("%.0f", x)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
