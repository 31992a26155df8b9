package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
)

// TestDockerfile looks for what the classic builder cannot do, and compares the image with the pod.
func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	if m := regexp.MustCompile(`(?m)^# *syntax=|--mount|--link|--chmod|<<|\$\{?(TARGET|BUILD)(PLATFORM|OS|ARCH)`).Find(text); m != nil {
		t.Errorf("only BuildKit knows %s", m)
	}
	instructions := regexp.MustCompile(`(?m)^[A-Z]+ .*$`).FindAllString(strings.ReplaceAll(string(text), "\\\n", ""), -1)
	var from, last []string
	for _, line := range instructions {
		if strings.HasPrefix(line, "FROM ") {
			from, last = append(from, strings.Fields(line)[1]), nil
		}
		last = append(last, line)
	}
	if want := []string{"${BUILD_IMAGE}", "${RUN_IMAGE}", "${RUN_IMAGE}"}; !slices.Equal(from, want) {
		t.Errorf("the stages are from %v, want %v", from, want)
	}
	spec := one[*appsv1.StatefulSet](t, production).Spec.Template.Spec
	var ports []string
	for _, p := range spec.Containers[0].Ports {
		ports = append(ports, fmt.Sprintf("%d/%s", p.ContainerPort, strings.ToLower(string(p.Protocol))))
	}
	for _, want := range []string{
		fmt.Sprintf("USER %d:%d", *spec.SecurityContext.RunAsUser, *spec.SecurityContext.RunAsGroup),
		"EXPOSE " + strings.Join(ports, " "),
		`ENTRYPOINT ["/node"]`,
		"STOPSIGNAL SIGTERM",
	} {
		if !slices.Contains(last, want) {
			t.Errorf("the image of the node lacks %q", want)
		}
	}
}

// TestDockerIgnore compares .dockerignore with .gitignore: a tracked file that is left out of the build would mark its
// version as modified.
func TestDockerIgnore(t *testing.T) {
	lines := func(name string) []string {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(regexp.MustCompile(`(?m)^#.*$`).ReplaceAllString(string(text), ""))
	}
	ignored := lines(".gitignore")
	for _, pattern := range lines(".dockerignore") {
		if pattern == "deploy/k8s/overlays/default/secrets" { // deploy/k8s/.gitignore
			continue
		}
		git := "/" + pattern + "/"
		if rest, deep := strings.CutPrefix(pattern, "**/"); deep {
			git = rest
		}
		if !slices.Contains(ignored, git) {
			t.Errorf(".dockerignore leaves out %s, which git does not ignore", pattern)
		}
	}
}
