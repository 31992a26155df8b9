package main

import (
	"fmt"
	"io"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/loadtest/figures"
)

// counted returns what users came to at the node; with what latencies are from, if it is to be merged with that of others.
func (n *node) counted(parts bool) figures.Node {
	f := figures.Node{
		Target: n.target, Placed: n.placed, Sessions: n.sessions.Load(), Calls: n.calls.Load(), Setup: n.setup.Quick(),
		Accept: n.accept.Quick(), Reconnects: n.lost.Load(), Gained: n.gained.Load(), Failed: n.failed.Load(), Errors: n.errors.Load(),
	}
	if parts {
		f.Counted = figures.NewCounted(0)
		f.Counted.Setup, f.Counted.Accept = &n.setup, &n.accept
	}
	return f
}

// share divides what the nodes used by the calls.
func (res *result) share() {
	total := func(of func(*figures.Node) *float64) *float64 {
		var sum *float64
		for i := range res.Nodes {
			if value := of(&res.Nodes[i]); value != nil {
				if sum == nil {
					sum = new(float64)
				}
				*sum += *value
			}
		}
		return sum
	}
	per := func(sum *float64, calls int64, factor float64) *float64 {
		if sum == nil || calls == 0 {
			return nil
		}
		share := *sum / float64(calls) * factor
		return &share
	}
	accepted := res.Outcomes[invitation.Accepted.String()]
	cpu := total(func(n *figures.Node) *float64 { return n.CPU })
	res.NodeCPU, res.CPUPerCall = per(cpu, res.Completed, 1e6), per(cpu, accepted, 1e6)
	res.NodeRSS = total(func(n *figures.Node) *float64 { return n.RSSAfter })
	res.Bytes = per(total(func(n *figures.Node) *float64 { return n.Bytes }), accepted, 1)
	res.Messages = per(total(func(n *figures.Node) *float64 { return n.Messages }), accepted, 1)
}

// printNodes writes a table of the nodes, and what they used per call.
func (res *result) printNodes(w io.Writer) {
	fmt.Fprintf(w, "\n%-28s %7s %7s %9s %9s %9s %9s %9s %6s %6s %6s %8s %8s %10s\n", "node", "placed", "now", "calls",
		"setup p50", "p99", "max", "acc. p99", "lost", "gained", "errors", "CPU s", "RSS MiB", "to peers")
	for i := range res.Nodes {
		n := &res.Nodes[i]
		name := n.Target
		if name == "" {
			name = n.Metrics
		}
		fmt.Fprintf(w, "%-28s %7d %7d %9d %9.2f %9.2f %9.2f %9.2f %6d %6d %6d %8s %8s %10s\n", name, n.Placed, n.Sessions,
			n.Calls, n.Setup.P50, n.Setup.P99, n.Setup.Max, n.Accept.P99, n.Reconnects, n.Gained, n.Errors, number(n.CPU, "%.2f", 1),
			number(n.RSSAfter, "%.1f", 1<<20), number(n.Bytes, "%.1f MB", 1e6))
	}
	whose := "the nodes"
	if res.SelfHosted {
		whose = "this process, node and generator"
	}
	if res.NodeCPU != nil {
		fmt.Fprintf(w, "\n%s: %.0f µs CPU per call (%s per accepted call), %s MiB resident\n", whose, *res.NodeCPU,
			number(res.CPUPerCall, "%.0f", 1), number(res.NodeRSS, "%.1f", 1<<20))
	}
	if res.Bytes != nil || res.Messages != nil {
		fmt.Fprintf(w, "between nodes: %s bytes and %s messages per accepted call\n",
			number(res.Bytes, "%.0f", 1), number(res.Messages, "%.1f", 1))
	}
}

// number formats a value in a unit; "-" stands for one that is not known.
func number(value *float64, format string, unit float64) string {
	if value == nil {
		return "-"
	}
	return fmt.Sprintf(format, *value/unit)
}

// printPhases writes a table of the phases, if any were marked.
func (res *result) printPhases(w io.Writer) {
	if len(res.Phases) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%-20s %8s %9s %9s %9s %9s %9s %9s %6s %6s %6s\n", "phase", "seconds", "calls/s", "setup p50", "p99", "max",
		"conn. p99", "acc. p99", "lost", "failed", "errors")
	for i := range res.Phases {
		p := &res.Phases[i]
		fmt.Fprintf(w, "%-20s %8.1f %9.0f %9.2f %9.2f %9.2f %9.2f %9.2f %6d %6d %6d\n", p.Phase, p.Seconds, p.CallsPerS,
			p.Setup.P50, p.Setup.P99, p.Setup.Max, p.Connected.P99, p.Accept.P99, p.Reconnects, p.Failed, p.Errors)
	}
}
