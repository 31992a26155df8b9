package deploy

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// startLine is what a node says when it listens.
var startLine = regexp.MustCompile(`serves clients on (\S+) and its operator on (http://\S+)$`)

// TestContainer starts the node as the container does, apart from its addresses, asks what the probes ask, and ends
// it as the kubelet would, within the pod's grace period.
func TestContainer(t *testing.T) {
	for _, p := range nodes(t) {
		if p.overlay == loadtest { // its three nodes are those of --nodes, which has tests of its own
			continue
		}
		args := []string{"--client-address=127.0.0.1:0", "--admin-address=127.0.0.1:0"}
		if p.overlay != development {
			args = append(args, "--gossip-address=127.0.0.1:0", "--peer-address=127.0.0.1:0", "--gossip-advertise=",
				"--peer-advertise=", "--client-advertise=", "--join=")
		}
		cmd := exec.Command(command(t, "node"), args...)
		cmd.Env = p.mounted(t)
		cmd.Stderr = t.Output()
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		grace := time.Duration(*p.spec.TerminationGracePeriodSeconds) * time.Second
		killer := time.AfterFunc(grace+time.Minute, func() { _ = cmd.Process.Kill() })
		admin := ""
		lines := bufio.NewScanner(out)
		for admin == "" && lines.Scan() {
			if m := startLine.FindStringSubmatch(lines.Text()); m != nil {
				admin = m[2]
			}
		}
		if admin == "" {
			t.Fatalf("%s: the node did not start: %v", p.overlay, errors.Join(lines.Err(), cmd.Wait()))
		}
		for what, probe := range map[string]*corev1.Probe{
			"startup": p.container.StartupProbe, "readiness": p.container.ReadinessProbe, "liveness": p.container.LivenessProbe,
		} {
			if err := ask(admin+probe.HTTPGet.Path, time.Minute); err != nil {
				t.Errorf("%s: %s probe: %v", p.overlay, what, err)
			}
		}
		started := time.Now()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		for lines.Scan() { // to its end
		}
		if err := cmd.Wait(); err != nil || time.Since(started) > grace {
			t.Errorf("%s: ended after %v: %v", p.overlay, time.Since(started), err)
		}
		killer.Stop()
	}
}

// ask asks until the answer is 200, as a probe would.
func ask(url string, within time.Duration) error {
	deadline, again := time.After(within), time.NewTicker(20*time.Millisecond)
	defer again.Stop()
	for {
		response, err := http.Get(url) //nolint:gosec // a node of this test
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("%s: %s", url, response.Status)
		}
		select {
		case <-deadline:
			return err
		case <-again.C:
		}
	}
}
