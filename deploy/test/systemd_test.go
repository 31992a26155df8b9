package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestSystemd lets the node judge the settings for systemd, with the files that make-secrets makes, and compares the
// unit's timeout with the node's.
func TestSystemd(t *testing.T) {
	unit, err := os.ReadFile(filepath.Join(root, "deploy", "systemd", "ringfleet.service"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(root, "deploy", "systemd", "node.env"))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := tree()
	if err != nil {
		t.Fatal(err)
	}
	secrets := filepath.Join(dir, "overlays", production, "secrets")
	var env []string
	takes := time.Duration(0)
	for line := range strings.Lines(string(file)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if value, ok := strings.CutPrefix(line, "RINGFLEET_SHUTDOWN_TIMEOUT="); ok {
			if takes, err = time.ParseDuration(value); err != nil {
				t.Fatal(err)
			}
		}
		env = append(env, strings.Replace(line, "=/etc/ringfleet/", "="+secrets+"/", 1))
	}
	cmd := exec.Command(command(t, "node"), "--check")
	cmd.Env = append(env, "RINGFLEET_NAME=machine-1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the node refuses node.env: %v: %s", err, out)
	}
	m := regexp.MustCompile(`(?m)^TimeoutStopSec=(\w+)$`).FindSubmatch(unit)
	if m == nil {
		t.Fatal("the unit has no TimeoutStopSec")
	}
	if given, err := time.ParseDuration(string(m[1])); err != nil || takes == 0 || given < takes+margin {
		t.Errorf("systemd kills after %v, but a node may take %v: want %v more (%v)", given, takes, margin, err)
	}
}
