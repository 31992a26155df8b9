package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ringfleet/ringfleet"
)

// TestAPISettings goes through what is served where, and what is refused.
func TestAPISettings(t *testing.T) {
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, []byte("ops * "+strings.Repeat("0123456789abcdef", 4)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	jwt := "--auth jwt --token-secret-file " + secret
	for args, want := range map[string]string{
		"":                                   apiAddress,
		"--api-address off":                  "none",
		"--api-address 127.0.0.1:1":          "127.0.0.1:1",
		"--api-address :9190":                "error: 127.0.0.1",
		jwt:                                  "none",
		jwt + " --api-address 127.0.0.1:1":   "error: api-tokens-file",
		jwt + " --api-tokens-file " + tokens: apiAddress,
		"--api-tokens-file " + tokens + " --api-address :9190":              ":9190",
		"--api-tokens-file x --api-address off":                             "error: api-address is off",
		"--api-rate 0":                                                      "error: api-rate",
		"--api-cert-file x":                                                 "error: api-cert-file",
		"--nodes 2 --api-address 10.0.0.1:9190 --api-tokens-file " + tokens: "error: api-address",
	} {
		s, err := parse(strings.Fields(args), nil, os.Stderr)
		wrong, refused := strings.CutPrefix(want, "error: ")
		switch {
		case refused && (err == nil || !strings.Contains(err.Error(), wrong)):
			t.Errorf("%q: %v, want an error about %s", args, err, wrong)
		case refused:
		case err != nil:
			t.Errorf("%q: %v", args, err)
		case want == "none" && s.node.API != nil, want != "none" && (s.node.API == nil || s.node.API.Address != want):
			t.Errorf("%q: the API is %+v, want %s", args, s.node.API, want)
		}
	}
}

// TestAPIAddressIsChosen: of two nodes on one machine each has its API.
func TestAPIAddressIsChosen(t *testing.T) {
	var configs [2]ringfleet.APIConfig
	for i := range configs {
		if err := (&apiSettings{address: auto}).listen(&configs[i]); err != nil {
			t.Fatal(err)
		}
		defer configs[i].Listener.Close()
	}
	if one, other := configs[0].Listener.Addr().String(), configs[1].Listener.Addr().String(); one == other {
		t.Errorf("both are at %s", one)
	}
}

// TestAPIDocument compares docs/api.md with the settings.
func TestAPIDocument(t *testing.T) {
	data, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	f := flag.NewFlagSet("node", flag.ContinueOnError)
	new(apiSettings).register(f)
	f.VisitAll(func(fl *flag.Flag) {
		row := regexp.MustCompile("(?m)^\\| `--" + fl.Name + "` \\| ([^|]*)\\| .+\\|$").FindStringSubmatch(string(data))
		if row == nil {
			t.Errorf("docs/api.md has no row for --%s", fl.Name)
		} else if given := strings.Trim(row[1], "` "); given != fl.DefValue {
			t.Errorf("docs/api.md has the default %q for --%s, want %q", given, fl.Name, fl.DefValue)
		}
	})
}
