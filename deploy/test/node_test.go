package deploy

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// binaries builds the commands as the Dockerfile does, and returns their folder.
var binaries = sync.OnceValues(func() (string, error) {
	dockerfile, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		return "", err
	}
	build := regexp.MustCompile(`(?m)^RUN go build (.+) -buildvcs=true -ldflags "(.+)" -o /out/ (.+)$`).FindStringSubmatch(string(dockerfile))
	if build == nil {
		return "", errors.New("the Dockerfile has no RUN go build of the known form")
	}
	dir, err := os.MkdirTemp("", "ringfleet-deploy")
	if err != nil {
		return "", err
	}
	// Without the version: a checkout may have no .git.
	args := slices.Concat([]string{"build"}, strings.Fields(build[1]),
		[]string{"-buildvcs=false", "-ldflags", build[2], "-o", dir + "/"}, strings.Fields(build[3]))
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("go %v: %w: %s", args, err, out)
	}
	return dir, nil
})

// command returns the path of a command.
func command(t *testing.T, name string) string {
	t.Helper()
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// TestBinariesAreStatic looks for what an image without libc cannot run.
func TestBinariesAreStatic(t *testing.T) {
	for _, name := range []string{"node", "loadtest"} {
		f, err := elf.Open(command(t, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP {
				t.Errorf("%s is linked dynamically", name)
			}
		}
		_ = f.Close()
	}
}

// settings returns the node's settings and their defaults as --help tells them, by name.
func settings(t *testing.T) map[string]string {
	t.Helper()
	help, err := exec.Command(command(t, "node"), "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	name := ""
	for line := range strings.Lines(string(help)) {
		if m := regexp.MustCompile(`^  -([a-z-]+)`).FindStringSubmatch(line); m != nil {
			name = m[1]
			found[name] = ""
		}
		if m := regexp.MustCompile(`\(default "?(.*?)"?\)$`).FindStringSubmatch(strings.TrimSpace(line)); m != nil && name != "" {
			found[name] = m[1]
		}
	}
	if len(found) < 40 || found["shutdown-timeout"] != "30s" {
		t.Fatalf("--help was not understood: %v", found)
	}
	return found
}

// A pod as the kubelet would start it: its first node's container, and what Kubernetes tells it.
type pod struct {
	overlay   string
	spec      corev1.PodSpec
	container corev1.Container
	env       map[string]string
}

// podName and podIP are what the downward API says in tests.
const (
	podName = "ringfleet-0"
	podIP   = "127.0.0.1"
)

// nodes returns a pod of each overlay that runs the node.
func nodes(t *testing.T) []pod {
	t.Helper()
	var pods []pod
	for _, overlay := range overlays {
		spec := corev1.PodSpec{}
		if sets := all[*appsv1.StatefulSet](t, overlay); len(sets) == 1 {
			spec = sets[0].Spec.Template.Spec
		} else {
			spec = one[*batchv1.Job](t, overlay).Spec.Template.Spec
		}
		found := false
		for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
			if c.Image == "ringfleet:latest" {
				found = true
				pods = append(pods, pod{overlay, spec, c, environment(t, overlay, c)})
			}
		}
		if !found {
			t.Errorf("%s runs no node", overlay)
		}
	}
	return pods
}

// environment resolves what a container's environment refers to.
func environment(t *testing.T, overlay string, c corev1.Container) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, from := range c.EnvFrom {
		for _, m := range all[*corev1.ConfigMap](t, overlay) {
			if m.Name == from.ConfigMapRef.Name {
				for name, value := range m.Data {
					env[name] = value
				}
			}
		}
		if len(env) == 0 {
			t.Errorf("%s: no ConfigMap %s", overlay, from.ConfigMapRef.Name)
		}
	}
	for _, v := range c.Env {
		env[v.Name] = resolve(t, c, v, env)
	}
	return env
}

func resolve(t *testing.T, c corev1.Container, v corev1.EnvVar, before map[string]string) string {
	t.Helper()
	switch {
	case v.ValueFrom == nil:
		return regexp.MustCompile(`\$\((\w+)\)`).ReplaceAllStringFunc(v.Value, func(ref string) string {
			value, ok := before[ref[2:len(ref)-1]]
			if !ok {
				t.Errorf("%s refers to %s, which is not before it", v.Name, ref)
			}
			return value
		})
	case v.ValueFrom.FieldRef != nil:
		value, ok := map[string]string{"metadata.name": podName, "status.podIP": podIP}[v.ValueFrom.FieldRef.FieldPath]
		if !ok {
			t.Errorf("%s: unexpected field %s", v.Name, v.ValueFrom.FieldRef.FieldPath)
		}
		return value
	case v.ValueFrom.ResourceFieldRef != nil:
		switch v.ValueFrom.ResourceFieldRef.Resource {
		case "requests.memory":
			return strconv.FormatInt(c.Resources.Requests.Memory().Value(), 10)
		case "limits.cpu":
			return strconv.FormatInt(c.Resources.Limits.Cpu().Value(), 10)
		}
	}
	t.Errorf("%s: its source is not known to this test", v.Name)
	return ""
}

// mounted returns the environment with the files that it names in a folder of the test.
func (p pod) mounted(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	for _, m := range p.container.VolumeMounts {
		i := slices.IndexFunc(p.spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if i < 0 || p.spec.Volumes[i].Secret == nil {
			t.Fatalf("%s: no secret is mounted as %s", p.overlay, m.Name)
		}
		volume := p.spec.Volumes[i].Secret
		if volume.DefaultMode == nil || *volume.DefaultMode != 0o440 {
			t.Errorf("%s: the mode of %s is not 0440", p.overlay, volume.SecretName)
		}
		secrets := all[*corev1.Secret](t, p.overlay)
		j := slices.IndexFunc(secrets, func(s *corev1.Secret) bool { return s.Name == volume.SecretName })
		if j < 0 {
			t.Fatalf("%s: no secret %s", p.overlay, volume.SecretName)
		}
		for name, data := range secrets[j].Data {
			path := filepath.Join(dir, m.MountPath, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var env []string
	for name, value := range p.env {
		if strings.HasPrefix(value, "/") {
			value = filepath.Join(dir, value)
		}
		env = append(env, name+"="+value)
	}
	return env
}

// TestSettings compares the variables with the settings, and lets the node judge their values.
func TestSettings(t *testing.T) {
	known := settings(t)
	for _, p := range nodes(t) {
		for name := range p.env {
			setting, ours := strings.CutPrefix(name, "RINGFLEET_")
			setting = strings.ToLower(strings.ReplaceAll(setting, "_", "-"))
			if _, ok := known[setting]; ours && !ok {
				t.Errorf("%s sets %s, but the node has no --%s", p.overlay, name, setting)
			}
		}
		if len(p.container.Command)+len(p.container.Args) > 0 {
			t.Errorf("%s has arguments: want the settings in the environment, where they can be overridden one by one", p.overlay)
		}
		check := func(env ...string) error {
			cmd := exec.Command(command(t, "node"), "--check")
			cmd.Env = slices.Concat(p.mounted(t), env)
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		}
		if err := check(); err != nil {
			t.Errorf("%s: the node refuses its settings: %v", p.overlay, err)
		}
		// What Kubernetes adds for a service named ringfleet unless service links are off.
		if err := check("RINGFLEET_SERVICE_HOST=10.0.0.1"); err == nil {
			t.Errorf("%s: the node took RINGFLEET_SERVICE_HOST, so this test shows nothing", p.overlay)
		}
		if p.spec.EnableServiceLinks == nil || *p.spec.EnableServiceLinks {
			t.Errorf("%s: service links are on, and the node refuses their variables", p.overlay)
		}
	}
}

// TestLoadTestArguments lets the load generator judge its arguments.
func TestLoadTestArguments(t *testing.T) {
	spec := one[*batchv1.Job](t, loadtest).Spec.Template.Spec
	args := spec.Containers[0].Args
	run := func(args ...string) (int, string) {
		// A flag after the others that is wrong by its value: all that come before it have been taken.
		out, err := exec.Command(command(t, "loadtest"), append(args, "--users=1")...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatalf("loadtest: %v", err)
		}
		return exit.ExitCode(), string(out)
	}
	if code, out := run(args...); code != 2 || !strings.Contains(out, "a call needs 2") {
		t.Errorf("exit status %d: %s", code, out)
	}
	if _, out := run("--user=3"); strings.Contains(out, "a call needs 2") {
		t.Errorf("a wrong flag was taken: %s", out)
	}
	n, err := strconv.Atoi(environment(t, loadtest, spec.InitContainers[0])["RINGFLEET_NODES"])
	targets := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return !strings.HasPrefix(a, "--target=") })
	if err != nil || len(targets) != n {
		t.Errorf("%d targets for %d nodes (%v)", len(targets), n, err)
	}
}
