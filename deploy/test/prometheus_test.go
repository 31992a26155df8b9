package deploy

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// start starts a program that is ended with the test, and waits for some lines of what it says, one after the other. It
// returns what their groups match.
func start(t *testing.T, lines []*regexp.Regexp, name string, args ...string) []string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = writer.CloseWithError(errors.Join(cmd.Wait(), io.EOF))
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		killer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		<-ended
		killer.Stop()
	})
	killer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	var found []string
	scanner := bufio.NewScanner(reader)
	for i := 0; i < len(lines); {
		if !scanner.Scan() {
			t.Fatalf("%s ended: %v", name, scanner.Err())
		}
		if m := lines[i].FindStringSubmatch(scanner.Text()); m != nil {
			found = append(found, m[1:]...)
			i++
		}
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	return found
}

// TestPrometheus has a real Prometheus scrape three nodes under load, with the alerts: each query of the dashboard and
// each alert is evaluated without an error, and the queries give something.
func TestPrometheus(t *testing.T) {
	prometheus, err := exec.LookPath("prometheus")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI has no prometheus: install Debian's package of that name")
		}
		t.Skip("no prometheus here: Debian has it in the package of that name")
	}
	dir := t.TempDir()
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) // takes events
	t.Cleanup(receiver.Close)
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600); err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`^node-\d +(ws://\S+)/v1/connect +http://(\S+)`)
	fleet := start(t, []*regexp.Regexp{row, row, row}, command(t, "node"), "--nodes", "3",
		"--client-address=127.0.0.1:0", "--admin-address=127.0.0.1:0", "--gossip-address=127.0.0.1:0", "--peer-address=127.0.0.1:0",
		"--webhook-url="+receiver.URL, "--webhook-secret-file="+secret)
	rules, err := filepath.Abs(filepath.Join(root, "deploy", "monitoring", "rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs: [{job_name: ringfleet, static_configs: [{targets: [%q, %q, %q]}]}]
`, rules, fleet[1], fleet[3], fleet[5])
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	address := start(t, []*regexp.Regexp{regexp.MustCompile(`msg="?Listening on"? .*address=(127\.\S+)`)}, prometheus,
		"--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address=127.0.0.1:0")[0]
	load := exec.Command(command(t, "loadtest"), "--target="+fleet[0], "--target="+fleet[2], "--target="+fleet[4],
		"--users=60", "--rate=30", "--duration=15s")
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("loadtest: %v: %s", err, out)
	}
	p := api("http://" + address + "/api/v1/")
	p.testQueries(t)
	p.testRules(t)
}

// api is the address of Prometheus's API.
type api string

func (a api) get(t *testing.T, path string, data any) {
	t.Helper()
	response, err := http.Get(string(a) + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Status != "success" {
		t.Errorf("%s: %s %v", path, answer.Error, err)
	}
}

// mayBeEmpty are the queries that show only what is above a bound, or only what is set.
var mayBeEmpty = regexp.MustCompile(` (> 0|< 1e15)$`)

func (a api) testQueries(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "deploy", "monitoring", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$job", "ringfleet", "$namespace", ".*", "$instance", ".*", "$__rate_interval", "1m")
	queries := 0
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			var data struct{ Result []struct{ Value [2]any } }
			a.get(t, "query?query="+url.QueryEscape(variables.Replace(target.Expr)), &data)
			queries++
			if len(data.Result) == 0 && !mayBeEmpty.MatchString(target.Expr) {
				t.Errorf("panel %s: nothing comes of %s", panel.Title, target.Expr)
			}
			for _, r := range data.Result {
				if r.Value[1] == "NaN" {
					t.Errorf("panel %s: no number comes of %s", panel.Title, target.Expr)
				}
			}
		}
	}
	if queries < 50 {
		t.Errorf("the dashboard has %d queries", queries)
	}
}

func (a api) testRules(t *testing.T) {
	t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError, State string }
		}
	}
	a.get(t, "rules", &data)
	rules := 0
	for _, g := range data.Groups {
		for _, r := range g.Rules {
			rules++
			if r.Health != "ok" || r.State == "firing" {
				t.Errorf("alert %s is %s and %s: %s", r.Name, r.Health, r.State, r.LastError)
			}
		}
	}
	if rules == 0 {
		t.Error("Prometheus has no alerts")
	}
}
