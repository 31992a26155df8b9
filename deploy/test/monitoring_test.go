package deploy

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

var update = flag.Bool("update", false, "write deploy/k8s/components/monitoring/prometheusrule.yaml anew from deploy/monitoring/rules.yml")

const ruleHead = `# Generated from deploy/monitoring/rules.yml. Do not edit: run "go test -run PrometheusRule . -update" in deploy/test.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: ringfleet
  labels:
    app.kubernetes.io/name: ringfleet
spec:
`

// TestPrometheusRule compares the operator's object with the plain file of rules.
func TestPrometheusRule(t *testing.T) {
	rules, err := os.ReadFile(filepath.Join(root, "deploy", "monitoring", "rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	_, rules, found := bytes.Cut(rules, []byte("\ngroups:\n"))
	if !found {
		t.Fatal("rules.yml has no groups")
	}
	want := ruleHead + regexp.MustCompile(`(?m)^(.)`).ReplaceAllString("groups:\n"+string(rules), "  $1")
	name := filepath.Join(root, "deploy", "k8s", "components", "monitoring", "prometheusrule.yaml")
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil { //nolint:gosec // a file of the repository
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != want {
		t.Errorf("%s is not what rules.yml says (%v): run go test -run PrometheusRule . -update", name, err)
	}
}

// TestAlerts has promtool check the alerts and run their tests. Each alert has a test, and a section of the runbook
// where its annotation says.
func TestAlerts(t *testing.T) {
	book, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile(filepath.Join(root, "deploy", "monitoring", "rules_test.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var alerts []string
	for _, rule := range one[*monitoringv1.PrometheusRule](t, everything).Spec.Groups[0].Rules {
		alerts = append(alerts, rule.Alert)
		if want := "docs/operations.md#" + strings.ToLower(rule.Alert); rule.Annotations["runbook"] != want {
			t.Errorf("%s: its runbook is %q, want %q", rule.Alert, rule.Annotations["runbook"], want)
		}
		if !bytes.Contains(book, []byte("\n### "+rule.Alert+"\n")) {
			t.Errorf("docs/operations.md has no section %s", rule.Alert)
		}
		if !slices.Contains([]string{"page", "ticket"}, rule.Labels["severity"]) || rule.Annotations["summary"] == "" {
			t.Errorf("%s: want a severity, page or ticket, and a summary", rule.Alert)
		}
		if !regexp.MustCompile(`alertname: ` + rule.Alert + `\n\s+exp_alerts:\n`).Match(tests) {
			t.Errorf("rules_test.yml has no case in which %s fires", rule.Alert)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^### (Ringfleet\w+)$`).FindAllSubmatch(book, -1) {
		if !slices.Contains(alerts, string(m[1])) {
			t.Errorf("docs/operations.md has a section %s, and there is no such alert", m[1])
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI has no promtool: install Debian's package prometheus")
		}
		t.Skip("no promtool here: Debian has it in the package prometheus")
	}
	for _, args := range [][]string{{"check", "rules", "rules.yml"}, {"test", "rules", "rules_test.yml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = filepath.Join(root, "deploy", "monitoring")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v: %s", args, err, out)
		}
	}
}

// TestServiceMonitor follows what Prometheus would scrape to the admin service.
func TestServiceMonitor(t *testing.T) {
	m := one[*monitoringv1.ServiceMonitor](t, everything)
	var found []string
	for _, s := range all[*corev1.Service](t, everything) {
		if labels.SelectorFromSet(m.Spec.Selector.MatchLabels).Matches(labels.Set(s.Labels)) {
			found = append(found, s.Name+":"+s.Spec.Ports[0].Name)
			if s.Labels[m.Spec.JobLabel] != "ringfleet" {
				t.Errorf("the job is %q, and the alerts want ringfleet", s.Labels[m.Spec.JobLabel])
			}
		}
	}
	if len(m.Spec.Endpoints) != 1 || !slices.Equal(found, []string{"ringfleet-admin:" + m.Spec.Endpoints[0].Port}) {
		t.Errorf("Prometheus scrapes %v", found)
	}
}
