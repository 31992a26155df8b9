// Package monitoring_test compares the alerts and the dashboard with the metrics that a node has.
package monitoring_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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
	"github.com/ringfleet/ringfleet/invitation"
)

// values are the values of a metric's labels, by label.
type values map[string]map[string]bool

// registered returns the metrics of a node in a cluster: their labels and the values that these have.
func registered(t *testing.T) (metrics map[string]values, histograms map[string]bool) {
	t.Helper()
	set, err := auth.NewJWKS(auth.JWKSConfig{URL: server(t).URL})
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	authenticator, err := auth.NewJWT(auth.JWTConfig{JWKS: set})
	if err != nil {
		t.Fatal(err)
	}
	node, err := ringfleet.Start(ringfleet.Config{
		Cluster:       &ringfleet.ClusterConfig{PeerAddress: "127.0.0.1:0", Gossip: ringfleet.GossipConfig{Address: "127.0.0.1:0"}},
		Gateway:       gateway.Config{Authenticator: authenticator},
		ClientAddress: "127.0.0.1:0", ClientTLS: clientTLS(t),
		Events: events.Config{Sinks: []events.SinkConfig{{Name: "nowhere", Sink: nowhere{}}}},
		Trace:  ringfleet.TraceConfig{Exporter: nowhere{}},
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
	metrics, histograms = map[string]values{}, map[string]bool{}
	for _, f := range families {
		v := values{}
		for _, m := range f.GetMetric() {
			histograms[f.GetName()] = m.GetHistogram() != nil
			for _, l := range m.GetLabel() {
				if v[l.GetName()] == nil {
					v[l.GetName()] = map[string]bool{}
				}
				v[l.GetName()][l.GetValue()] = true
			}
		}
		metrics[f.GetName()] = v
	}
	metrics["ringfleet_invitations_ended_total"] = ended(t)
	metrics["up"] = values{} // Prometheus's own
	return metrics, histograms
}

// nowhere takes events and spans, without which their metrics are not there.
type nowhere struct{ sdk.SpanExporter }

// Shutdown implements the SpanExporter of OpenTelemetry's SDK.
func (nowhere) Shutdown(context.Context) error { return nil }

// Deliver implements events.Sink.
func (nowhere) Deliver(context.Context, []events.Encoded) error { return nil }

// server publishes a key, without which one metric is not there.
func server(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		// The public key of RFC 8037, appendix A.2.
		_, _ = w.Write([]byte(`{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	}))
	t.Cleanup(s.Close)
	return s
}

// clientTLS returns a certificate, without which one metric is not there.
func clientTLS(t *testing.T) *ringfleet.ClientTLS {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	cert := s.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	c := &ringfleet.ClientTLS{Cert: filepath.Join(t.TempDir(), "cert.pem"), Key: filepath.Join(t.TempDir(), "key.pem")}
	for path, block := range map[string]*pem.Block{
		c.Cert: {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, c.Key: {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// ended returns the labels of the one metric that shows only what has happened.
func ended(t *testing.T) values {
	t.Helper()
	descs := make(chan *prometheus.Desc, 100)
	observe.NewInvitations().Describe(descs)
	close(descs)
	for d := range descs {
		if strings.Contains(d.String(), `"ringfleet_invitations_ended_total"`) && strings.Contains(d.String(), "variableLabels: {outcome,reason}") {
			v := values{"outcome": {}, "reason": {"": true}}
			for o := invitation.Accepted; o <= invitation.Forgotten; o++ {
				v["outcome"][o.String()] = true
			}
			return v
		}
	}
	t.Error("there is no ringfleet_invitations_ended_total with outcome and reason")
	return values{}
}

var (
	selector = regexp.MustCompile(`\b(up|(?:ringfleet|process|go)_\w+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
)

// ofPrometheus are the labels that scraping adds.
var ofPrometheus = []string{"job", "namespace", "instance"}

// wrong returns what an expression refers to that there is not, and how many metrics it refers to.
func wrong(expr string, metrics map[string]values, histograms map[string]bool) (faults []string, found int) {
	for _, m := range selector.FindAllStringSubmatch(expr, -1) {
		name := m[1]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base := strings.TrimSuffix(name, suffix); histograms[base] {
				name = base
			}
		}
		labels, ok := metrics[name]
		if !ok {
			faults = append(faults, "no metric "+m[1])
			continue
		}
		found++
		if histograms[name] && name == m[1] {
			faults = append(faults, name+" is a histogram: want its _bucket, _sum or _count")
		}
		for _, c := range matcher.FindAllStringSubmatch(m[2], -1) {
			if slices.Contains(ofPrometheus, c[1]) {
				continue
			}
			if labels[c[1]] == nil {
				faults = append(faults, name+" has no label "+c[1])
				continue
			}
			for value := range strings.SplitSeq(c[3], "|") {
				if !labels[c[1]][value] {
					faults = append(faults, name+" has no "+c[1]+" "+value)
				}
			}
		}
	}
	return faults, found
}

// expressions returns the queries of the dashboard and the alerts, by where they are.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	list := map[string]string{}
	rules, err := os.ReadFile("rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`- alert: (\w+)\n\s+expr: ((?s:.+?))\n\s+(?:for|labels):`).FindAllStringSubmatch(string(rules), -1) {
		list["alert "+m[1]] = m[2]
	}
	if want := strings.Count(string(rules), "- alert:"); len(list) != want || want == 0 {
		t.Fatalf("found %d of %d alerts", len(list), want)
	}
	text, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %s has no query", p.Title)
		}
		for _, target := range p.Targets {
			list["panel "+p.Type+" "+p.Title+" "+target.RefID] = target.Expr
		}
	}
	return list
}

// TestMetricsExist follows each metric of the alerts and the dashboard, with its labels and their values, to the node.
func TestMetricsExist(t *testing.T) {
	metrics, histograms := registered(t)
	list := expressions(t)
	for _, where := range slices.Sorted(maps.Keys(list)) {
		faults, found := wrong(list[where], metrics, histograms)
		for _, fault := range faults {
			t.Errorf("%s: %s", where, fault)
		}
		if found == 0 {
			t.Errorf("%s refers to no metric: %s", where, list[where])
		}
	}
	for expr, want := range map[string]string{
		`rate(ringfleet_calls_total[5m])`:                         "no metric ringfleet_calls_total",
		`ringfleet_shards{place="lost"}`:                          "ringfleet_shards has no place lost",
		`ringfleet_shards{job="x",state="held"}`:                  "ringfleet_shards has no label state",
		`ringfleet_invitations_ended_total{outcome=~"expired|x"}`: "ringfleet_invitations_ended_total has no outcome x",
		`ringfleet_invitation_commit_seconds`:                     "ringfleet_invitation_commit_seconds is a histogram: want its _bucket, _sum or _count",
		`sum(ringfleet_invitation_commit_seconds_bucket)`:         "",
	} {
		if faults, _ := wrong(expr, metrics, histograms); strings.Join(faults, "") != want {
			t.Errorf("%s: %v, want %q", expr, faults, want)
		}
	}
}

// TestDocumentedMetrics follows each metric that docs/operations.md names to the node.
func TestDocumentedMetrics(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	metrics, _ := registered(t)
	names := regexp.MustCompile(`\bringfleet_\w+`).FindAllString(string(text), -1)
	for _, name := range names {
		if metrics[name] == nil {
			t.Errorf("docs/operations.md names %s, which there is not", name)
		}
	}
	if len(names) == 0 {
		t.Error("docs/operations.md names no metric")
	}
}
