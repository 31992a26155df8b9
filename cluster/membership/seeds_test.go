package membership

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
)

// names is a resolver.
type names map[string][]string

func (n names) LookupHost(_ context.Context, host string) ([]string, error) {
	if list, ok := n[host]; ok {
		return list, nil
	}
	return nil, errors.New("no such host")
}

func TestSeeds(t *testing.T) {
	dns := names{"peers.calls.svc": {"10.0.0.1", "10.0.0.2", "fd00::1"}, "one": {"10.0.0.3"}}
	file := filepath.Join(t.TempDir(), "seeds")
	text := "# ours\n10.1.0.1:7000\n\n  one  \nfd00::9\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		seeds []string
		want  []string
		fails bool
	}{
		{nil, nil, false},
		{[]string{"10.0.0.7"}, []string{"10.0.0.7:7946"}, false},
		{[]string{"10.0.0.7:1", "10.0.0.7:1"}, []string{"10.0.0.7:1"}, false},
		{[]string{"[fd00::7]:1", "fd00::7"}, []string{"[fd00::7]:1", "[fd00::7]:7946"}, false},
		{[]string{"peers.calls.svc:5"}, []string{"10.0.0.1:5", "10.0.0.2:5", "[fd00::1]:5"}, false},
		{[]string{"gone", "one"}, []string{"10.0.0.3:7946"}, true},
		{[]string{"file:" + file}, []string{"10.0.0.3:7946", "10.1.0.1:7000", "[fd00::9]:7946"}, false},
		{[]string{"file:" + file + "x", "one"}, []string{"10.0.0.3:7946"}, true},
	} {
		got, err := addresses(t.Context(), dns, c.seeds)
		if !slices.Equal(got, c.want) || (err != nil) != c.fails {
			t.Errorf("%v: got %v, %v; want %v", c.seeds, got, err, c.want)
		}
	}
	if err := os.WriteFile(file, []byte("file:other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := addresses(t.Context(), dns, []string{"file:" + file}); err == nil {
		t.Error("a file may name another file")
	}
}

func TestConfig(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no name":           func(c *Config) { c.Name = "" },
		"long name":         func(c *Config) { c.Name = strings.Repeat("x", MaxName+1) },
		"long cluster":      func(c *Config) { c.Cluster = strings.Repeat("x", MaxCluster+1) },
		"bind without port": func(c *Config) { c.Bind = "10.0.0.1" },
		"bind to a name":    func(c *Config) { c.Bind = "localhost:1" },
		"bad port":          func(c *Config) { c.Bind = "10.0.0.1:99999" },
		"advertise a name":  func(c *Config) { c.Advertise = "localhost:1" },
		"short key":         func(c *Config) { c.Keys = [][]byte{make([]byte, 15)} },
		"slow probes":       func(c *Config) { c.Timing.ProbeTimeout = time.Second },
		"seed without host": func(c *Config) { c.Seeds = []string{":1"} },
		"seed with two":     func(c *Config) { c.Seeds = []string{"a:1:2"} },
		"seed's port":       func(c *Config) { c.Seeds = []string{"a:b"} },
		"seed of no file":   func(c *Config) { c.Seeds = []string{"file:"} },
	} {
		c := Config{Name: "a", Bind: "10.0.0.1:1", Network: NewNetwork()}
		change(&c)
		if m, err := Start(c); err == nil {
			t.Errorf("%s: started", name)
			m.Stop()
		}
	}
}

// TestHeadlessService: a name that resolves to several addresses, some of them of nobody, and that
// changes.
func TestHeadlessService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := names{"peers": {"10.0.0.1", "10.0.0.77"}}
		n := NewNetwork()
		var nodes []*Membership
		for _, name := range []string{"a", "b"} {
			m, err := Start(Config{
				Name: name, Bind: map[string]string{"a": "10.0.0.1:7946", "b": "10.0.0.2:7946"}[name], Network: n,
				Seeds: []string{"peers:7946"}, Resolver: dns, Lifecycle: cluster.Serving,
			})
			if err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, m)
		}
		time.Sleep(5 * time.Second)
		for _, m := range nodes {
			if got := len(m.View().Members); got != 2 {
				t.Errorf("%s sees %d members", m.Self().Name, got)
			}
			m.Stop()
		}
		time.Sleep(10 * time.Second)
	})
}
