package deploy

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/ringfleet/ringfleet/loadtest/figures"
)

var rolling = flag.String("rolling", "", "restart real nodes under load: short or full (make rolling-test)")

// TestRolling restarts three nodes one after the other, as a StatefulSet does, while a load outlasts it: no call fails, no
// promise is broken, and clients are told before they lose a connection. Entrypoint and signal are the
// Dockerfile's; environment, secrets, probes, grace period and the order of things are those of the rendered overlay.
// What is not: each pod has an address of its own of 127.0.0.0/8 instead of a network, and the names of the services are
// resolved by the test.
//
// Then the same with SIGKILL in place of preStop and SIGTERM. Calls survive that, too, as their devices bring them back;
// what is lost is that clients are told. That this test would see a call that fails, nodes show that are killed and whose
// recovery is broken.
func TestRolling(t *testing.T) {
	if *rolling != "short" && *rolling != "full" {
		t.Skip("make rolling-test runs this")
	}
	drained := roll(t, command(t, entrypoint(t)), true)
	if drained.Violations+drained.Failed+drained.Errors+drained.Excused > 0 || drained.Completed == 0 || drained.Completed != drained.Calls {
		t.Errorf("a rolling restart is not without loss:\n%s", drained.said)
	}
	if drained.Losses["broken"] > 0 || drained.Reconnects == 0 {
		t.Errorf("connections were lost as %v: want each to be told", drained.Losses)
	}
	killed := roll(t, command(t, entrypoint(t)), false)
	if killed.Violations+killed.Failed > 0 {
		t.Errorf("killed nodes lose calls:\n%s", killed.said)
	}
	if killed.Losses["broken"] == 0 {
		t.Error("killed nodes lose no connection without a word: this test shows nothing")
	}
	broken := roll(t, brokenNode(t), false)
	if broken.Violations+broken.Failed == 0 {
		t.Error("nodes whose recovery is broken were killed, and no call failed: this test shows nothing")
	}
	t.Logf("with the drain:\n%v\nkilled instead:\n%v\nkilled, with a recovery that is broken:\n%v", drained, killed, broken)
}

// brokenNode builds a node that recovers nothing as it should.
func brokenNode(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-tags", "brokenrecovery", "-o", path, "./cmd/node")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// rollReport is what the load generator says of a run.
type rollReport struct {
	*figures.Run
	said string
	took time.Duration // all three restarts
}

// String says what matters.
func (r *rollReport) String() string {
	ringing := r.Latency[figures.Ringing]
	return fmt.Sprintf("  %d calls, %d completed, %d violations, %d failed %v, %d errors %v, %d excused %v; three restarts in %v\n"+
		"  %d connections lost %v, %d calls with a side away, %d requests repeated; ringing after p50 %.1f p99 %.0f max %.0f ms",
		r.Calls, r.Completed, r.Violations, r.Failed, r.FailedBy, r.Errors, r.ErrorTexts, r.Excused, r.ExcusedBy, r.took.Round(time.Second),
		r.Reconnects, r.Losses, r.Delayed, r.Repeats, ringing.P50, ringing.P99, ringing.Max)
}

// takeoverTime is for how long endings may wait when a process has died (docs/spec.md §7, P2).
const takeoverTime = 5 * time.Second

// roll restarts all pods of the default overlay under load, whose nodes are a program.
func roll(t *testing.T, program string, drain bool) *rollReport {
	t.Helper()
	set := one[*appsv1.StatefulSet](t, production)
	k := &kubelet{T: t, set: set, stopSignal: stopSignal(t), program: program, running: map[string]*running{}}
	for _, p := range nodes(t) {
		if p.overlay == production {
			k.pod = p
		}
	}
	k.service = newService(t, k.ready)
	replicas := int(*set.Spec.Replicas)
	for i := range replicas {
		k.start(i)
	}
	for i := range replicas {
		k.awaitReady(i)
	}
	takeover := time.Second
	if !drain {
		takeover = takeoverTime
	}
	load, stop := k.load(takeover)
	k.wait(3 * time.Second)
	begin := time.Now()
	for i := replicas - 1; i >= 0; i-- { // the order of a StatefulSet
		k.end(i, drain)
		k.start(i)
		k.awaitReady(i)
		k.wait(k.minReady())
	}
	load.took = time.Since(begin)
	k.wait(3 * time.Second)
	stop()
	for i := range replicas {
		k.kill(i)
	}
	return load
}

// kubelet does what Kubernetes does with the pods of a StatefulSet.
type kubelet struct {
	*testing.T
	set        *appsv1.StatefulSet
	pod        pod
	stopSignal syscall.Signal
	program    string
	service    *service
	running    map[string]*running
	addresses  int // that were given out
}

// running is a pod that runs.
type running struct {
	ip      string
	command *exec.Cmd
	ended   chan struct{}
	leaving bool // no endpoint of the services any more
}

func stopSignal(t *testing.T) syscall.Signal {
	t.Helper()
	name := instruction(t, `(?m)^STOPSIGNAL (\w+)$`)
	signal, ok := map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT, "SIGQUIT": syscall.SIGQUIT}[name]
	if !ok {
		t.Fatalf("the image is stopped by %s", name)
	}
	return signal
}

// entrypoint returns the command of the image's last stage.
func entrypoint(t *testing.T) string {
	t.Helper()
	var args []string
	if err := json.Unmarshal([]byte(instruction(t, `(?m)^ENTRYPOINT (.*)$`)), &args); err != nil || len(args) != 1 {
		t.Fatalf("the entrypoint is %v, %v", args, err)
	}
	return strings.TrimPrefix(args[0], "/")
}

// instruction returns what the last instruction of the Dockerfile of a form says.
func instruction(t *testing.T, form string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(form).FindAllStringSubmatch(string(text), -1)
	if len(all) == 0 {
		t.Fatalf("the Dockerfile has no %s", form)
	}
	return all[len(all)-1][1]
}

func (k *kubelet) name(i int) string { return k.set.Name + "-" + strconv.Itoa(i) }

// start starts a pod, at an address that no pod had before.
func (k *kubelet) start(i int) {
	k.Helper()
	k.addresses++
	r := &running{ip: fmt.Sprintf("127.%d.%d.%d", 1+os.Getpid()%250, k.service.number, k.addresses), ended: make(chan struct{})}
	p := k.pod
	p.env = map[string]string{}
	for name, value := range k.pod.env {
		value = strings.ReplaceAll(value, podName, k.name(i))
		if strings.HasSuffix(name, "_ADDRESS") { // all addresses of the pod are its one
			_, port, err := net.SplitHostPort(value)
			if err != nil {
				k.Fatal(err)
			}
			value = net.JoinHostPort(r.ip, port)
		}
		p.env[name] = strings.ReplaceAll(value, podIP+":", r.ip+":")
	}
	p.env["RINGFLEET_JOIN"] = "file:" + k.service.names
	p.env["POD_IP"] = r.ip
	r.command = exec.Command(k.program)
	r.command.Env = p.mounted(k.T)
	r.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := os.Create(filepath.Join(k.TempDir(), k.name(i)+".log"))
	if err != nil {
		k.Fatal(err)
	}
	r.command.Stdout, r.command.Stderr = log, log
	k.running[k.name(i)] = r
	k.service.resolve(k.running)
	if err := r.command.Start(); err != nil {
		k.Fatal(err)
	}
	go func() {
		_ = r.command.Wait() // what it ended with is in its state
		_ = log.Close()
		close(r.ended)
	}()
	k.Cleanup(func() { k.killed(r) })
}

// awaitReady asks what the readiness probe asks, as often.
func (k *kubelet) awaitReady(i int) {
	k.Helper()
	r, probe := k.running[k.name(i)], k.pod.container.ReadinessProbe
	_, port, err := net.SplitHostPort(k.pod.env["RINGFLEET_ADMIN_ADDRESS"])
	if err == nil {
		err = ask("http://"+net.JoinHostPort(r.ip, port)+probe.HTTPGet.Path, time.Minute)
	}
	if err != nil {
		text, _ := os.ReadFile(r.command.Stdout.(*os.File).Name())
		k.Fatalf("%s is not ready: %v\n%s", k.name(i), err, text)
	}
	k.service.include(r)
}

// end deletes a pod: the services forget it, preStop is done, the signal is sent, and what has not ended within the grace
// period is killed, which fails the test. Without drain it is killed at once, as the services find out.
func (k *kubelet) end(i int, drain bool) {
	k.Helper()
	r := k.running[k.name(i)]
	if !drain {
		k.kill(i)
		return
	}
	grace := time.After(time.Duration(*k.pod.spec.TerminationGracePeriodSeconds) * time.Second)
	sleep := time.Duration(k.pod.container.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	// The services find out while preStop waits: half way, say.
	forget := time.AfterFunc(sleep/2, func() { k.service.exclude(r) })
	defer forget.Stop()
	k.wait(sleep)
	if err := r.command.Process.Signal(k.stopSignal); err != nil {
		k.Fatal(err)
	}
	select {
	case <-r.ended:
		if code := r.command.ProcessState.ExitCode(); code != 0 {
			k.Errorf("%s ended with status %d", k.name(i), code)
		}
	case <-grace:
		k.Errorf("%s was killed after its grace period", k.name(i))
		k.kill(i)
	}
	delete(k.running, k.name(i))
	k.service.resolve(k.running)
}

func (k *kubelet) kill(i int) {
	r := k.running[k.name(i)]
	k.killed(r)
	k.service.exclude(r)
	delete(k.running, k.name(i))
	k.service.resolve(k.running)
}

func (k *kubelet) killed(r *running) {
	_ = r.command.Process.Kill() // it has ended if that fails
	<-r.ended
}

// minReady is for how long a pod has to be ready before the next one is ended. The short form takes a fifth.
func (k *kubelet) minReady() time.Duration {
	d := time.Duration(k.set.Spec.MinReadySeconds) * time.Second
	if *rolling == "short" {
		d /= 5
	}
	return d
}

func (k *kubelet) wait(d time.Duration) {
	select {
	case <-time.After(d):
	case <-k.Context().Done():
	}
}

// ready returns the clients' addresses of the pods that the services lead to.
func (k *kubelet) ready(r *running) string {
	_, port, err := net.SplitHostPort(k.pod.env["RINGFLEET_CLIENT_ADDRESS"])
	if err != nil {
		k.Fatal(err)
	}
	return net.JoinHostPort(r.ip, port)
}

// load starts the load generator at the service, which allows events to be later by a time. The function that it returns ends it, after its last call.
func (k *kubelet) load(takeover time.Duration) (*rollReport, func()) {
	k.Helper()
	dir, err := tree()
	if err != nil {
		k.Fatal(err)
	}
	file := filepath.Join(k.TempDir(), "result.json")
	users, rate := "150", "60"
	if *rolling == "full" {
		users, rate = "600", "200"
	}
	var said strings.Builder
	cmd := exec.Command(command(k.T, "loadtest"), "--target", "ws://"+k.service.address(), "--users", users, "--rate", rate, "--duration", "1h",
		"--allow-reconnects", "--takeover", takeover.String(), "--seed", "1", "--json", file, "--jwt-audience", k.pod.env["RINGFLEET_TOKEN_AUDIENCE"],
		"--jwt-key-file", filepath.Join(dir, "overlays", production, "secrets", "tokens-key.pem"))
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		k.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the report says more
		close(ended)
	}()
	k.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended if that fails
		<-ended
	})
	report := new(rollReport)
	return report, func() {
		_ = cmd.Process.Signal(os.Interrupt) // the report tells if it had ended
		ctx, cancel := context.WithTimeout(k.Context(), 3*time.Minute)
		defer cancel()
		select {
		case <-ended:
		case <-ctx.Done():
			k.Fatal("the load does not end")
		}
		report.said = said.String()
		var err error
		if report.Run, err = figures.Read(file); err != nil {
			k.Fatalf("%v\n%s", err, report.said)
		}
	}
}
