package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/internal/observe"
)

var update = flag.Bool("update", false, "write docs/reference.md")

// TestReference compares docs/reference.md with the settings and metrics that there are. With -update it writes it.
func TestReference(t *testing.T) {
	const page = "../../docs/reference.md"
	var want bytes.Buffer
	want.WriteString("<!-- Written by `go test ./cmd/node -run Reference -update`. -->\n\n# Reference: settings and metrics of a node\n\n" +
		"## Settings\n\nOf `cmd/node`: each is a flag, a variable (`--client-address` is `RINGFLEET_CLIENT_ADDRESS`) and a line of the file that\n" +
		"`--config` names. `node config print` shows those that count.\n\n| setting | default | what it is |\n|---|---|---|\n")
	writeSettings(&want)
	want.WriteString("\n## Metrics\n\nWhat the page of a node in a cluster has beside those of Go and of the process (`go_…`, `process_…`). Some are there with what\n" +
		"they are about only: events, traces, TLS, keys of an issuer.\n\n| metric | kind | labels | what it is |\n|---|---|---|---|\n")
	writeMetrics(t, &want)
	if *update {
		if err := os.WriteFile(page, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("docs/reference.md is not what the code says (%v): go test ./cmd/node -run Reference -update", err)
	}
}

// cell is a text that is safe in a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }

func writeSettings(out io.Writer) {
	f := flag.NewFlagSet("node", flag.ContinueOnError)
	new(settings).register(f)
	f.VisitAll(func(fl *flag.Flag) {
		value, usage := flag.UnquoteUsage(fl)
		name := "`--" + fl.Name
		if value != "" {
			name += " " + strings.ToUpper(strings.ReplaceAll(value, " ", "-"))
		}
		given := ""
		if fl.DefValue != "" {
			given = "`" + fl.DefValue + "`"
		}
		fmt.Fprintf(out, "| %s` | %s | %s |\n", name, given, cell(usage))
	})
}

// nowhere takes events and spans, without which their metrics are not there.
type nowhere struct{ sdk.SpanExporter }

func (nowhere) Deliver(context.Context, []events.Encoded) error { return nil }
func (nowhere) Shutdown(context.Context) error                  { return nil }

func writeMetrics(t *testing.T, out io.Writer) {
	t.Helper()
	node, err := ringfleet.Start(ringfleet.Config{
		Cluster: &ringfleet.ClusterConfig{PeerAddress: "127.0.0.1:0", Gossip: ringfleet.GossipConfig{Address: "127.0.0.1:0"}},
		Gateway: gateway.Config{Authenticator: auth.Development{}},
		Events:  events.Config{Sinks: []events.SinkConfig{{Name: "nowhere", Sink: nowhere{}}}},
		Trace:   ringfleet.TraceConfig{Exporter: nowhere{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	families, err := node.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "ringfleet_") {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), cell(f.GetHelp())))
	}
	rows = append(rows, vector(t, "ringfleet_invitations_ended_total", "counter"))
	slices.Sort(rows)
	for _, row := range rows {
		fmt.Fprint(out, row)
	}
}

// vector returns the row of a metric of invitations that shows only what has happened.
func vector(t *testing.T, name, kind string) string {
	t.Helper()
	descs := make(chan *prometheus.Desc, 100)
	observe.NewInvitations().Describe(descs)
	close(descs)
	for d := range descs {
		m := regexp.MustCompile(`fqName: "(\w+)", help: "([^"]*)".*variableLabels: {([^}]*)}`).FindStringSubmatch(d.String())
		if m != nil && m[1] == name {
			return fmt.Sprintf("| `%s` | %s | `%s` | %s |\n", name, kind, strings.ReplaceAll(m[3], ",", "`, `"), m[2])
		}
	}
	t.Errorf("there is no %s", name)
	return ""
}
