package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/ringfleet/ringfleet/internal/fleet"
	"github.com/ringfleet/ringfleet/loadtest/scrape"
)

// resources are what a node has and uses, by its own metrics.
type resources struct {
	Goroutines  float64 `json:"goroutines"`
	Heap        float64 `json:"heap_bytes"` // with what is not collected yet
	RSS         float64 `json:"rss_bytes"`
	Connections float64 `json:"connections"`
	Sessions    float64 `json:"sessions"`
	Invitations float64 `json:"invitations"` // lingering ones included
	Actors      float64 `json:"actors"`
	Timers      float64 `json:"timers"`

	collected float64 // when, in seconds since 1970
}

// afterwards is what became of a node. Its JSON names are stable.
type afterwards struct {
	Node    string    `json:"node"`
	Before  resources `json:"before"`
	After   resources `json:"after"`
	Seconds float64   `json:"after_s"` // from when the last user had left
	Left    string    `json:"left"`    // what is still there and should not be; "" for nothing

	clean float64 // since when nothing but memory is left, in seconds since 1970
	done  bool
}

// usage asks all nodes.
func (c *chaosRun) usage(ctx context.Context) ([]resources, error) {
	var all []resources
	for _, n := range c.fleet.Nodes() {
		u, err := usageOf(ctx, n)
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, nil
}

func usageOf(ctx context.Context, n *fleet.Node) (resources, error) {
	metrics, err := n.Metrics(ctx)
	if err != nil {
		return resources{}, fmt.Errorf("chaos: %w", err)
	}
	status, err := n.Status(ctx)
	if err != nil {
		return resources{}, fmt.Errorf("chaos: %w", err)
	}
	u := resources{
		Goroutines: metrics["go_goroutines"], Heap: metrics["go_memstats_heap_alloc_bytes"], RSS: metrics[scrape.RSS],
		Connections: metrics["ringfleet_gateway_connections"], Sessions: float64(status.Sessions),
		Timers: metrics["ringfleet_timers"], collected: metrics["go_memstats_last_gc_time_seconds"],
	}
	for _, live := range status.Invitations {
		u.Invitations += float64(live)
	}
	for name, value := range maps.All(metrics) {
		if strings.HasPrefix(name, "ringfleet_actors{") {
			u.Actors += value
		}
	}
	return u, nil
}

// Bounds of what a node may use more than before anybody had connected: goroutines of links that were made again, and
// memory that is kept for reuse.
const (
	moreGoroutines = 20
	moreHeap       = 16 << 20
	timesHeap      = 2
)

// left returns what is there that should not be, "" for nothing.
func (u resources) left(before resources, heap bool) string {
	var left []string
	for _, v := range []struct {
		value float64
		name  string
	}{
		{u.Connections, "connections"}, {u.Sessions, "sessions"}, {u.Invitations, "invitations"}, {u.Actors, "actors"}, {u.Timers, "timers"},
	} {
		if v.value != 0 {
			left = append(left, fmt.Sprintf("%.0f %s", v.value, v.name))
		}
	}
	if u.Goroutines > before.Goroutines+moreGoroutines {
		left = append(left, fmt.Sprintf("%.0f goroutines more than before", u.Goroutines-before.Goroutines))
	}
	if most := timesHeap*before.Heap + moreHeap; heap && u.Heap > most {
		left = append(left, fmt.Sprintf("%.1f MiB of heap more than before", (u.Heap-before.Heap)/(1<<20)))
	}
	return strings.Join(left, ", ")
}

// How long nodes have until nothing is left, besides grace and linger, and how often they are asked.
const (
	leavingTime   = 20 * time.Second
	usageInterval = 500 * time.Millisecond
)

// outlive waits until nothing is left on any node, as long as that may take, and says what is then. With --chaos-idle
// it waits on until every node has collected its garbage.
func (c *chaosRun) outlive(ctx context.Context, o *options) []afterwards {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, 2*o.timers.Grace+o.timers.Linger+leavingTime+c.options.idle)
	defer cancel()
	all := make([]afterwards, len(c.before))
	for clean := 0; clean < len(all); {
		clean = 0
		for i, n := range c.fleet.Nodes() {
			if all[i].look(ctx, n, c.before[i], time.Since(begin), c.options.idle > 0) {
				clean++
			}
		}
		if !pause(ctx, usageInterval) {
			break
		}
	}
	return all
}

// look asks the node once more, until nothing is left, and reports whether that is so. With heap, its garbage must
// have been collected since everything else had gone.
func (a *afterwards) look(ctx context.Context, n *fleet.Node, before resources, after time.Duration, heap bool) bool {
	if a.done {
		return true
	}
	a.Node, a.Before = n.Name(), before
	u, err := usageOf(ctx, n)
	if err != nil {
		if ctx.Err() == nil {
			a.Left = err.Error()
		}
		return false
	}
	collected := a.clean > 0 && u.collected > a.clean
	a.After, a.Seconds, a.Left = u, after.Seconds(), u.left(before, heap && collected)
	if a.clean == 0 && a.Left == "" {
		a.clean = float64(time.Now().UnixMilli()) / 1000
	}
	a.done = a.Left == "" && (!heap || collected)
	return a.done
}

// printAfterwards writes a table of what is left.
func printAfterwards(w io.Writer, all []afterwards) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%-12s %21s %25s %21s %9s  %s\n", "afterwards", "goroutines", "heap MiB", "RSS MiB", "after", "left")
	for i := range all {
		a := &all[i]
		left := a.Left
		if left == "" {
			left = "nothing"
		}
		fmt.Fprintf(w, "%-12s %9.0f -> %8.0f %11.1f -> %10.1f %9.1f -> %8.1f %7.0f s  %s\n", a.Node, a.Before.Goroutines, a.After.Goroutines,
			a.Before.Heap/(1<<20), a.After.Heap/(1<<20), a.Before.RSS/(1<<20), a.After.RSS/(1<<20), a.Seconds, left)
	}
}
