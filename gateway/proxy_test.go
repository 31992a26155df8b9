package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/internal/wire"
)

func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// TestBehindProxies reads what trusted proxies say, and nothing of what others do.
func TestBehindProxies(t *testing.T) {
	trusted := prefixes("10.0.0.0/8", "fd00::/8")
	for name, tt := range map[string]struct {
		remote, header string
		values         []string
		want           string
	}{
		"a client, directly":         {"203.0.113.9:1", "X-Forwarded-For", nil, "203.0.113.9"},
		"a client that lies":         {"203.0.113.9:1", "X-Forwarded-For", []string{"198.51.100.1"}, "203.0.113.9"},
		"one proxy":                  {"10.1.1.1:1", "X-Forwarded-For", []string{"203.0.113.9"}, "203.0.113.9"},
		"a client lies to the proxy": {"10.1.1.1:1", "X-Forwarded-For", []string{"198.51.100.1, 203.0.113.9"}, "203.0.113.9"},
		"it claims to be a proxy":    {"10.1.1.1:1", "X-Forwarded-For", []string{"10.9.9.9, 203.0.113.9"}, "203.0.113.9"},
		"two proxies":                {"10.1.1.1:1", "X-Forwarded-For", []string{"198.51.100.1, 203.0.113.9,10.2.2.2"}, "203.0.113.9"},
		"two lines":                  {"10.1.1.1:1", "X-Forwarded-For", []string{"198.51.100.1", "203.0.113.9"}, "203.0.113.9"},
		"all are proxies":            {"10.1.1.1:1", "X-Forwarded-For", []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3"},
		"the proxy says nothing":     {"10.1.1.1:1", "X-Forwarded-For", nil, "10.1.1.1"},
		"garbage":                    {"10.1.1.1:1", "X-Forwarded-For", []string{"203.0.113.9, garbage"}, "10.1.1.1"},
		"garbage in front":           {"10.1.1.1:1", "X-Forwarded-For", []string{"garbage, 203.0.113.9"}, "203.0.113.9"},
		"empty":                      {"10.1.1.1:1", "X-Forwarded-For", []string{""}, "10.1.1.1"},
		"with a port":                {"10.1.1.1:1", "X-Forwarded-For", []string{"203.0.113.9:4711"}, "203.0.113.9"},
		"IPv6":                       {"[fd00::1]:1", "X-Forwarded-For", []string{"2001:db8::9"}, "2001:db8::9"},
		"IPv6 with a port":           {"[fd00::1]:1", "X-Forwarded-For", []string{"[2001:db8::9]:4711"}, "2001:db8::9"},
		"IPv6 in brackets":           {"[fd00::1]:1", "X-Forwarded-For", []string{"[2001:db8::9]"}, "2001:db8::9"},
		"IPv4 in IPv6":               {"[::ffff:10.1.1.1]:1", "X-Forwarded-For", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		"the other header":           {"10.1.1.1:1", "X-Forwarded-For", []string{}, "10.1.1.1"},
		"Forwarded":                  {"10.1.1.1:1", "Forwarded", []string{`for=198.51.100.1, For="203.0.113.9:1";proto=https;by=10.1.1.1`}, "203.0.113.9"},
		"Forwarded, IPv6":            {"10.1.1.1:1", "Forwarded", []string{`for="[2001:db8::9]:4711"`}, "2001:db8::9"},
		"Forwarded, hidden":          {"10.1.1.1:1", "Forwarded", []string{`for=203.0.113.9, for=_hidden`}, "10.1.1.1"},
		"Forwarded, without for":     {"10.1.1.1:1", "Forwarded", []string{`for=203.0.113.9, proto=http`}, "10.1.1.1"},
		"Forwarded, quoted comma":    {"10.1.1.1:1", "Forwarded", []string{`for=198.51.100.1;x="a,for=10.3.3.3\",", for=203.0.113.9`}, "203.0.113.9"},
		"Forwarded, open quote":      {"10.1.1.1:1", "Forwarded", []string{`for=203.0.113.9, for="10.2.2.2, for=198.51.100.1`}, "10.1.1.1"},
	} {
		address, err := gateway.BehindProxies(trusted, tt.header)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = tt.remote
		for _, value := range tt.values {
			r.Header.Add(tt.header, value)
		}
		if name == "the other header" {
			r.Header.Set("Forwarded", "for=203.0.113.9")
		}
		if got := address(r); got.String() != tt.want {
			t.Errorf("%s: %v, want %s", name, got, tt.want)
		}
	}
	for _, wrong := range []func() error{
		func() error { _, err := gateway.BehindProxies(nil, gateway.XForwardedFor); return err },
		func() error { _, err := gateway.BehindProxies(trusted, "X-Real-IP"); return err },
	} {
		if wrong() == nil {
			t.Error("taken")
		}
	}
}

// TestLimitBehindProxy counts the connections of a client that says it is many.
func TestLimitBehindProxy(t *testing.T) {
	address, err := gateway.BehindProxies(prefixes("127.0.0.0/8"), gateway.XForwardedFor)
	if err != nil {
		t.Fatal(err)
	}
	w := loopback(t, func(c *gateway.Config) { c.MaxPerAddress, c.ClientAddress = 2, address })
	w.connect(wire.Binary, gateway.XForwardedFor, "198.51.100.1, 203.0.113.9")
	w.connect(wire.Binary, gateway.XForwardedFor, "198.51.100.2, 203.0.113.9")
	w.refused(http.StatusTooManyRequests, gateway.XForwardedFor, "198.51.100.3, 203.0.113.9")
	w.connect(wire.Binary, gateway.XForwardedFor, "198.51.100.3, 203.0.113.10")
}

func FuzzBehindProxies(f *testing.F) {
	f.Add("203.0.113.9, 10.0.0.1", `for="[2001:db8::1]:1";by=x, for=10.0.0.1`)
	f.Fuzz(func(t *testing.T, plain, structured string) {
		for header, value := range map[string]string{gateway.XForwardedFor: plain, gateway.Forwarded: structured} {
			address, err := gateway.BehindProxies(prefixes("10.0.0.0/8"), header)
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header[header] = []string{value}
			r.RemoteAddr = "203.0.113.7:1"
			if got := address(r); got != netip.MustParseAddr("203.0.113.7") {
				t.Errorf("a stranger's %q gives %v", value, got)
			}
			r.RemoteAddr = "10.0.0.1:1"
			if got := address(r); !got.IsValid() || got.Zone() != "" || got.Is4In6() {
				t.Errorf("%q gives %v", value, got)
			}
		}
	})
}
