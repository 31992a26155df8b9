package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet"
	peers "github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/loadtest/figures"
)

// startNodes starts nodes of one cluster, which are shut down at the end of the test. address is where
// each listens for clients and for admins; "" is not to listen.
func startNodes(t *testing.T, names []string, address string) []*ringfleet.Node {
	t.Helper()
	network := peers.NewNetwork(peers.NetworkOptions{})
	var nodes []*ringfleet.Node
	for _, name := range names {
		memory, err := network.Join(name)
		if err != nil {
			t.Fatal(err)
		}
		node, err := ringfleet.Start(ringfleet.Config{
			Name: name, ClientAddress: address, AdminAddress: address,
			Gateway: gateway.Config{Authenticator: auth.Development{}, FrameRate: 100_000, FrameBurst: 100_000},
			Session: session.Config{SendRate: 10_000, SendBurst: 10_000, MaxOutgoing: 4_096, MaxIncoming: 4_096},
			Cluster: &ringfleet.ClusterConfig{Link: memory, Members: names},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := node.Shutdown(ctx); err != nil {
				t.Error(err)
			}
		})
		nodes = append(nodes, node)
	}
	return nodes
}

// TestNodes spreads users over the client addresses of three nodes.
func TestNodes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "result.json")
	args := []string{"--calls", "400", "--users", "40", "--seed", "7", "--windows", "100ms", "--slow-log", "3", "--json", file}
	for _, node := range startNodes(t, []string{"a", "b", "c"}, "127.0.0.1:0") {
		args = append(args, "--target", "ws://"+node.ClientAddress().String(), "--metrics", "http://"+node.AdminAddress().String()+"/metrics")
	}
	var out, errs bytes.Buffer
	if status := command(t.Context(), args, &out, &errs); status != exitOK {
		t.Fatalf("status %d\n%s%s", status, &out, &errs)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var res result
	if err := json.Unmarshal(text, &res); err != nil {
		t.Fatal(err)
	}
	addsUp(t, &res)
	for _, n := range res.Nodes {
		if n.Placed == 0 || n.Placed == 40 || n.Sessions != n.Placed || n.Calls == 0 || n.Setup.P99 < n.Setup.P50 || n.Reconnects > 0 {
			t.Errorf("node %+v", n)
		}
		if n.CPU == nil || n.RSSBefore == nil || n.RSSAfter == nil || n.Bytes != nil {
			t.Errorf("node %+v lacks what its metrics tell", n)
		}
	}
	if res.Calls != 400 || len(res.Slowest) != 3 || res.Slowest[0].Ms < res.Slowest[2].Ms || len(res.Slowest[0].History) < 5 {
		t.Errorf("%d calls, slowest %+v", res.Calls, res.Slowest)
	}
	if res.CPUPerCall == nil || *res.CPUPerCall <= *res.NodeCPU || res.Bytes != nil || res.Messages != nil { // the link in memory tells no bytes
		t.Errorf("per call: %v and %v µs CPU, %v bytes, %v messages", res.CPUPerCall, res.NodeCPU, res.Bytes, res.Messages)
	}
}

// addsUp checks that the nodes' and the windows' numbers add up to those of the run.
func addsUp(t *testing.T, res *result) {
	t.Helper()
	var placed, sessions, calls, setup, accept, lost, gained, errs int64
	for _, n := range res.Nodes {
		placed, sessions, calls = placed+n.Placed, sessions+n.Sessions, calls+n.Calls
		setup, accept = setup+n.Setup.Count, accept+n.Accept.Count
		lost, gained, errs = lost+n.Reconnects, gained+n.Gained, errs+n.Errors
	}
	var begun, completed, rung, accepted, windowErrs, violations, failed, reconnects int64
	for _, w := range res.Windows {
		begun, completed, rung, accepted = begun+w.Begun, completed+w.Completed, rung+w.Setup.Count, accepted+w.Accept.Count
		windowErrs, violations = windowErrs+w.Errors, violations+w.Violations
		failed, reconnects = failed+w.Failed, reconnects+w.Reconnects
	}
	rang := res.Latency["send_to_ringing"].Count
	both := res.Latency["accept_to_caller_accepted"].Count + res.Latency["accept_to_callee_accepted"].Count
	for _, sum := range []struct {
		what      string
		got, want int64
	}{
		{"placed", placed, int64(res.Users)},
		{"sessions", sessions, int64(res.Users)},
		{"calls as caller", calls, res.Calls},
		{"set-ups of the nodes", setup, rang},
		{"set-ups of the windows", rung, rang},
		{"accepts of the nodes", accept, both},
		{"accepts of the windows", accepted, both},
		{"lost", lost, res.Reconnects},
		{"gained", gained, res.Reconnects},
		{"errors of the nodes", errs, res.Errors},
		{"errors of the windows", windowErrs, res.Errors},
		{"begun", begun, res.Calls},
		{"completed", completed, res.Completed},
		{"violations", violations, res.Violations},
		{"failed", failed, res.Failed},
		{"reconnects", reconnects, res.Reconnects},
		{"causes of reconnects", sum(res.Losses), res.Reconnects},
	} {
		if sum.got != sum.want {
			t.Errorf("%s add up to %d, want %d", sum.what, sum.got, sum.want)
		}
	}
}

// TestShares divides what nodes used by calls: of all nodes that tell it.
func TestShares(t *testing.T) {
	cpu, bytes := []float64{6, 20}, 500.0
	res := result{Run: figures.Run{
		Completed: 4, Outcomes: map[string]int64{"accepted": 2},
		Nodes: []figures.Node{{CPU: &cpu[0], Bytes: &bytes}, {CPU: &cpu[1]}, {}},
	}}
	res.share()
	if *res.NodeCPU != 6.5e6 || *res.CPUPerCall != 13e6 || *res.Bytes != 250 || res.Messages != nil {
		t.Errorf("per call: %v and %v µs CPU, %v bytes, %v messages", *res.NodeCPU, *res.CPUPerCall, *res.Bytes, res.Messages)
	}
}
