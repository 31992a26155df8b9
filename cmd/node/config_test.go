package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/invitation/session"
)

// command runs the command to its end, which must come before anything starts.
func command(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, os.Environ(), &out, &errs)
	return code, out.String(), errs.String()
}

// file writes a file of the test's.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestWrongSettings refuses each before anything starts, and says why.
func TestWrongSettings(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"--no-such-setting 1", "no-such-setting"},
		{"serve", `unexpected argument "serve"`},
		{"--expire soon", "expire"},
		{"--expire 900ms", "1s to 10m0s"},
		{"--linger 11m", "1s to 10m0s"},
		{"--name no/name", "Name"},
		{"--device-policy both", "want single or multi"},
		{"--auth none", "want development or jwt"},
		{"--auth jwt", "token-public-keys, token-secret-file or token-jwks-url"},
		{"--auth jwt --token-secret-file no-such-file", "no-such-file"},
		{"--auth jwt --token-public-keys no-such-file", "no-such-file"},
		{"--auth jwt --token-jwks-url http://issuer.example/keys", "want https"},
		{"--auth jwt --token-jwks-url keys.json", "not the URL"},
		{"--auth jwt --token-jwks-url https://issuer.example/keys --token-jwks-keep 1m", "want longer"},
		{"--token-jwks-url https://issuer.example/keys", "auth is development"},
		{"--client-tls-cert-file cert.pem", "want both"},
		{"--client-tls-key-file key.pem", "want both"},
		{"--client-tls-cert-file no-such-file --client-tls-key-file no-such-file", "no-such-file"},
		{"--client-tls-min-version 1.1", "want 1.2 or 1.3"},
		{"--trusted-proxies nonsense", "10.0.0.0/8"},
		{"--trusted-proxies 0.0.0.0/0", "everybody"},
		{"--trusted-proxies 10.0.0.0/8 --proxy-header X-Real-IP", "X-Forwarded-For or Forwarded"},
		{"--proxy-header Forwarded", "trusted-proxies"},
		{"--origins app.example.com", "scheme://host"},
		{"--origins https://app.example.com/", "without a path"},
		{"--token-issuer me", "auth is development"},
		{"--client-address 0.0.0.0:8080", "development authentication"},
		{"--client-address :8080", "development authentication"},
		{"--client-address 192.0.2.1:8080", "token keys"},
		{"--client-address nonsense", "nonsense"},
		{"--admin-address :9090", "--admin-token-file"},
		{"--admin-address 192.0.2.1:9090", "--insecure-admin"},
		{"--admin-token-file no-such-file", "no-such-file"},
		{"--admin-open-metrics", "admin-token-file"},
		{"--log-level loud", "want debug, info, warn or error"},
		{"--log-format xml", "want text or json"},
		{"--shutdown-timeout 0s", "shutdown-timeout"},
		{"--max-devices -1", "MaxDevices"},
		{"--send-rate -1", "SendRate"},
		{"--max-frame 100", "MaxFrame"},
		{"--max-connections -1", "MaxConnections"},
		{"--ping-interval 60s --idle-timeout 30s", "PingInterval"},
		{"--login-timeout 2h", "LoginTimeout"},
		{"--config no-such-file", "no-such-file"},
	} {
		code, stdout, stderr := command(strings.Fields(tt.args)...)
		if code != exitUsage || !strings.HasPrefix(stderr, "node: ") || !strings.Contains(stderr, tt.want) || stdout != "" {
			t.Errorf("node %s: status %d, %q, %q; want 2 and a reason with %q", tt.args, code, stdout, stderr, tt.want)
		}
	}
}

// TestAllMistakesAtOnce names more than the first.
func TestAllMistakesAtOnce(t *testing.T) {
	_, _, stderr := command("--device-policy", "both", "--auth", "none", "--log-level", "loud")
	for _, want := range []string{"device-policy", "auth", "log-level"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q does not name %s", stderr, want)
		}
	}
}

// TestNearestName says what was probably meant, wherever the name is from.
func TestNearestName(t *testing.T) {
	for args, want := range map[string]string{
		"--clients-address :1":                        "there is no setting --clients-address; did you mean client-address?",
		"--max-conections 5":                          "did you mean max-connections?",
		"--origin https://a.example":                  "did you mean origins?",
		"--zzzzzzzzzzzz 1":                            "there is no setting --zzzzzzzzzzzz (see --help)",
		"--" + strings.Repeat("x", 10_000) + " 1":     "there is no setting",
		"--config " + file(t, "a", "expires 2s\n"):    `"expires" names no setting; did you mean expire?`,
		"--config " + file(t, "b", "# ok\nzzzzz 1\n"): `"zzzzz" names no setting (see --help)`,
	} {
		if code, _, stderr := command(strings.Fields(args)...); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("node %.60s: status %d, %.200q, want %q", args, code, stderr, want)
		}
	}
	t.Setenv("RINGFLEET_CLIENTS_ADDRESS", ":1")
	if _, _, stderr := command("--check"); !strings.Contains(stderr, "RINGFLEET_CLIENTS_ADDRESS names no setting; did you mean RINGFLEET_CLIENT_ADDRESS?") {
		t.Errorf("%q", stderr)
	}
}

// TestConfigPrint prints where each value is from; what it prints is a file with the same settings.
func TestConfigPrint(t *testing.T) {
	path := file(t, "node.conf", "expire 2s\nlinger 2s\ngrace 2s\nRINGFLEET_ACCEPT_WINDOW 7s\n")
	t.Setenv("RINGFLEET_CONFIG", path)
	t.Setenv("RINGFLEET_LINGER", "3s")
	args := []string{
		"--expire", "4s", "--auth", "jwt", "--token-jwks-url", "https://user:sesame@issuer.example/keys?key=sesame", "--origins", "https://a.example,https://b.example",
	}
	code, printed, stderr := command(append([]string{"config", "print"}, args...)...)
	if code != exitOK || stderr != "" {
		t.Fatalf("status %d, %q", code, stderr)
	}
	if strings.Contains(printed, "sesame") {
		t.Errorf("it prints a password: %s", printed)
	}
	for name, want := range map[string]string{
		"expire": "4s # flag", "linger": "3s # RINGFLEET_LINGER", "grace": "2s # file " + path, "no-response": "30s # default",
		"accept-window": "7s # file " + path, "origins": "https://a.example,https://b.example # flag",
	} {
		line := regexp.MustCompile(`(?m)^` + name + ` .*$`).FindString(printed)
		if got := strings.Join(strings.Fields(line), " "); got != name+" "+want {
			t.Errorf("%q, want %s %s", got, name, want)
		}
	}
	if regexp.MustCompile(`(?m)^max-connections +0 `).MatchString(printed) {
		t.Error("it does not print how many connections there may be")
	}
	t.Setenv("RINGFLEET_CONFIG", file(t, "printed.conf", printed))
	t.Setenv("RINGFLEET_LINGER", "")
	_, again, stderr := command("config", "print")
	values := func(text string) string { return regexp.MustCompile(`(?m) +# .*$`).ReplaceAllString(text, "") }
	if values(again) != values(printed) || stderr != "" {
		t.Errorf("as a file it gives %q\n%s\nwant\n%s", stderr, values(again), values(printed))
	}
}

// TestConfigCheck does what --check does.
func TestConfigCheck(t *testing.T) {
	if code, stdout, stderr := command("config", "check"); code != exitOK || stdout != "the settings are right\n" || stderr != "" {
		t.Errorf("status %d, %q, %q", code, stdout, stderr)
	}
	for _, args := range []string{"config", "config show", "config check --expire soon", "config print --expire soon", "config check more"} {
		if code, stdout, stderr := command(strings.Fields(args)...); code != exitUsage || stdout != "" || stderr == "" {
			t.Errorf("node %s: status %d, %q, %q", args, code, stdout, stderr)
		}
	}
}

func TestUnknownVariable(t *testing.T) {
	t.Setenv("RINGFLEET_EXPIRY", "60s")
	code, _, stderr := command("--check")
	if code != exitUsage || !strings.Contains(stderr, "RINGFLEET_EXPIRY names no setting") {
		t.Errorf("status %d, %q", code, stderr)
	}
}

func TestWrongFile(t *testing.T) {
	for text, want := range map[string]string{
		"expiry 60s\n":     "expiry",
		"expire soon\n":    "expire",
		"expire 900ms\n":   "1s to 10m0s",
		"max-devices two ": "max-devices",
	} {
		code, _, stderr := command("--check", "--config", file(t, "node.conf", text))
		if code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("file %q: status %d, %q, want 2 and a reason with %q", text, code, stderr, want)
		}
	}
}

// TestPrecedence sets one thing in the file, the environment and a flag, one in two of them, one in the
// file alone.
func TestPrecedence(t *testing.T) {
	config := file(t, "node.conf", "# timers\nexpire 2s\nlinger 2s\ngrace 2s\ndevice-policy multi\n")
	t.Setenv("RINGFLEET_CONFIG", config)
	t.Setenv("RINGFLEET_EXPIRE", "3s")
	t.Setenv("RINGFLEET_LINGER", "3s")
	s, err := parse([]string{"--expire", "4s"}, os.Environ(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	u := s.node.Session
	if u.Timers.Expire != 4*time.Second || u.Timers.Linger != 3*time.Second || u.Timers.Grace != 2*time.Second ||
		u.Timers.NoResponse != session.DefaultConfig.Timers.NoResponse || u.Policy != session.Multi {
		t.Errorf("the settings are %+v", u)
	}
}

func TestCheck(t *testing.T) {
	for _, args := range [][]string{
		{"--check"},
		{"--check", "--client-address", "localhost:0", "--origins", "https://a.example,https://b.example"},
		{"--check", "--client-address", "[::1]:8080", "--device-policy", "multi", "--log-format", "json", "--log-level", "debug"},
		{"--check", "--client-address", ":8080", "--auth", "jwt", "--token-public-keys", keys(t), "--token-issuer", "me"},
		{"--check", "--auth", "jwt", "--token-secret-file", file(t, "secret", strings.Repeat("s", 32)+"\n")},
		{"--check", "--auth", "jwt", "--token-jwks-url", "https://issuer.example/keys"},
		{"--check", "--trusted-proxies", "10.0.0.0/8, 192.0.2.1,fd00::1", "--proxy-header", "forwarded", "--origins", "*"},
		{"--check", "--admin-address", ":9090", "--insecure-admin"},
		{"--check", "--admin-address", ":9090", "--admin-token-file", file(t, "admin", adminTokens), "--admin-open-metrics"},
	} {
		if code, stdout, stderr := command(args...); code != exitOK || stdout != "the settings are right\n" || stderr != "" {
			t.Errorf("node %v: status %d, %q, %q", args, code, stdout, stderr)
		}
	}
}

// keys writes a file with an Ed25519 and an RSA public key.
func keys(t *testing.T) string {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, "keys.pem", publicPEM(t, public)+"\n"+publicPEM(t, &private.PublicKey))
}

func publicPEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// TestWrongKeys refuses files that hold no keys, and says what to give instead.
func TestWrongKeys(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	secretKey := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	for name, tt := range map[string]struct{ setting, text, want string }{
		"a short secret": {"--token-secret-file", "short", "32"},
		"no PEM":         {"--token-public-keys", "key", "BEGIN PUBLIC KEY"},
		"empty":          {"--token-public-keys", "", "token-public-keys"},
		"a private key":  {"--token-public-keys", secretKey, "PUBLIC KEY"},
	} {
		code, _, stderr := command("--check", "--auth", "jwt", tt.setting, file(t, "key", tt.text))
		if code != exitUsage || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: status %d, %q, want 2 and a reason with %q", name, code, stderr, tt.want)
		}
	}
}

// TestHelp teaches: every setting is there, and the three ways to give it.
func TestHelp(t *testing.T) {
	code, stdout, stderr := command("--help")
	if code != exitOK || stderr != "" {
		t.Errorf("status %d, %q", code, stderr)
	}
	f := flag.NewFlagSet("node", flag.ContinueOnError)
	new(settings).register(f)
	f.VisitAll(func(fl *flag.Flag) {
		if !strings.Contains(stdout, "  -"+fl.Name) || fl.Usage == "" {
			t.Errorf("the help does not tell of --%s", fl.Name)
		}
	})
	for _, want := range []string{"RINGFLEET_CLIENT_ADDRESS", "--config", "ringctl demo", "127.0.0.1:8080", "127.0.0.1:9090"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the help does not say %q", want)
		}
	}
	if _, err := parse([]string{"-h"}, nil, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h gives %v", err)
	}
}
