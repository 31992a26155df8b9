package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/scrape"
)

// discover is the --metrics that asks for the nodes' metrics to be found.
const discover = "discover"

// findMetrics finds the metrics of the targets, if that was asked for.
func (o *options) findMetrics(ctx context.Context) error {
	if !slices.Contains(o.metrics, discover) {
		return nil
	}
	o.metrics = nil
	for _, target := range o.targets {
		ctx, cancel := context.WithTimeout(ctx, scrape.Timeout)
		found, err := scrape.Discover(ctx, target, o.tokens.metrics)
		cancel()
		if err != nil {
			return err
		}
		o.metrics = append(o.metrics, found)
	}
	return nil
}

// meters reads what nodes tell of themselves, beside a run.
type meters []*node

// begin reads the metrics of all nodes for the first time. They must be there of the nodes that users connect to.
func (m meters) begin(ctx context.Context) error {
	if err := m.read(ctx); err != nil {
		return fmt.Errorf("--metrics: %w", err)
	}
	return nil
}

// follow reads the metrics of all nodes now and then, until ctx is done.
func (m meters) follow(ctx context.Context, begin time.Time, every time.Duration) {
	for _, n := range m {
		if n.meter != nil {
			n.meter.Begin(begin)
		}
	}
	for pause(ctx, every) {
		_ = m.read(ctx) // counted; what was missed shows at the next reading
	}
}

// read reads the metrics of all nodes once. It returns the first error of a node that users connect to.
func (m meters) read(ctx context.Context) error {
	var first error
	for _, n := range m {
		if n.meter == nil {
			continue
		}
		if err := n.meter.Read(ctx); err != nil && n.target != "" && first == nil {
			first = err
		}
	}
	return first
}
