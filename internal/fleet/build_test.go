package fleet_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringfleet/ringfleet/internal/fleet"
)

// write writes a file of the test's.
func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// run runs a command in a folder, and returns what it says.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@t.example", "GIT_COMMITTER_NAME=t",
		"GIT_COMMITTER_EMAIL=t@t.example", "GIT_CONFIG_GLOBAL=/dev/null", "GOFLAGS=")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", command, err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestBuild: the files as they are, and those of an older commit; the checkout stays as it is.
func TestBuild(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	dir := t.TempDir()
	program := func(text string) {
		write(t, filepath.Join(dir, "cmd", "node", "main.go"), "package main\n\nfunc main() { print(\""+text+"\") }\n")
	}
	write(t, filepath.Join(dir, "go.mod"), "module example.com/m\n")
	commit := func(text string) string {
		program(text)
		run(t, dir, "git", "add", ".")
		run(t, dir, "git", "commit", "-qm", text)
		return run(t, dir, "git", "rev-parse", "HEAD")
	}
	run(t, dir, "git", "init", "-q")
	first := commit("first")
	second := commit("second")
	program("changed")
	for _, c := range []struct{ commit, want string }{{"", "changed"}, {first, "first"}, {"HEAD", "second"}} {
		b, err := fleet.Build(t.Context(), fleet.BuildOptions{Module: filepath.Join(dir, "cmd"), Commit: c.commit})
		if err != nil {
			t.Fatal(err)
		}
		if got := run(t, dir, b.Path("node")); got != c.want {
			t.Errorf("the program of %q says %q, want %q", c.commit, got, c.want)
		}
		b.Remove()
		if _, err := os.Stat(b.Path("node")); err == nil {
			t.Error("it was not removed")
		}
	}
	if text := run(t, dir, "git", "status", "--short"); text != "M cmd/node/main.go" {
		t.Errorf("the checkout was changed: %s", text)
	}
	t.Chdir(dir)
	if got, err := fleet.FirstWith(t.Context(), `"second"`, "cmd"); err != nil || got != second {
		t.Errorf("the first commit with it is %s, %v; want %s", got, err, second)
	}
	if _, err := fleet.FirstWith(t.Context(), "nowhere", "cmd"); err == nil {
		t.Error("a commit has what no commit has")
	}
	program("\"")
	if _, err := fleet.Build(t.Context(), fleet.BuildOptions{Module: dir}); err == nil || !strings.Contains(err.Error(), "main.go") {
		t.Errorf("of a program that cannot be built: %v", err)
	}
}
