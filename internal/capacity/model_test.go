package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPageIsCurrent compares the page with what would be written.
func TestPageIsCurrent(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "capacity.md"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := fill(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, want) {
		t.Error("docs/capacity.md is not what the figures say; run `go generate ./internal/capacity`")
	}
}

// even are figures of which results can be computed by hand: a call is 200 µs on one node; 30 messages of 100 bytes cross if
// every one does, for 10 µs each.
const even = `
call.at-1000     200 200 200 0
call.saturated   200 200 200 0
peer.messages-3   20  20  20 0
peer.messages-5   24  24  24 0
peer.bytes-5    2400 2400 2400 0
peer.messages-10  27  27  27 0
peer.saturated-10 470 470 470 0
peer.saturated-3 400 400 400 0
peer.saturated-5 440 440 440 0
login.token      400 400 400 0
login.tls-token 1600 1600 1600 0
connection.ping    1   1   1 0
session.heap    1000 1000 1000 0
connection.kernel 2000 2000 2000 0
connection.files   1   1   1 0
invitation.heap 1000 1000 1000 0
idle.cpu-3         0   0   0 0
idle.cpu-10        0   0   0 0
`

func evenModel(t *testing.T) *model {
	t.Helper()
	f, err := parse(even)
	if err != nil {
		t.Fatal(err)
	}
	return newModel(f)
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > want*0.005 {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestModel computes by hand what the model computes.
func TestModel(t *testing.T) {
	m := evenModel(t)
	near(t, "messages that would cross", m.hops(), 30)
	near(t, "messages between ten", m.messages(10), 27)
	near(t, "µs of a call between ten", m.call(10), 200+27*10)
	near(t, "bytes of a user", m.perUser(), 4000)
	s, err := spread(10)
	if err != nil {
		t.Fatal(err)
	}
	c, err := m.carries(10, 8)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "used", c.used, min(0.6*s.mean/s.most, 0.8*s.mean/s.afterLoss))
	near(t, "calls a second", c.calls, 10*8*1e6*c.used/470)
	near(t, "users by memory", c.bounds[byMemory], 10*s.mean/s.afterLoss*32*(1<<30)*0.75/4000)
	for name, bound := range c.bounds {
		if bound < c.users && name != byTLS {
			t.Errorf("%s bounds %v users, less than the %v by %s", name, bound, c.users, c.first)
		}
	}
}

// TestHeadroom: whatever is lost, no node has to do more than what the rules say.
func TestHeadroom(t *testing.T) {
	m := evenModel(t)
	for _, n := range sizes {
		for _, each := range cores {
			c, err := m.carries(n, each)
			if err != nil {
				t.Fatal(err)
			}
			s, _ := spread(n)
			ofNode := c.calls * c.callCPU / 1e6 / float64(n) / each
			if most := ofNode * s.most / s.mean; most > normal+1e-9 {
				t.Errorf("%d × %.0f: the fullest node uses %.2f of its processors", n, each, most)
			}
			if most := ofNode * s.afterLoss / s.mean; most > afterLoss+1e-9 {
				t.Errorf("%d × %.0f: after a loss the fullest node uses %.2f of its processors", n, each, most)
			}
			r, err := m.needs(demand{calls: c.calls}, n)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "cores for what a cluster carries", r.cores, each)
		}
	}
}

// TestReturn: clients that fit come back within the first back-off; those that do not, not faster than the rate or the
// processors let them.
func TestReturn(t *testing.T) {
	if r := simulate(9_000, 2, time.Microsecond, mostSimulated); r.last > 350*time.Millisecond || r.attempts > 1.1 {
		t.Errorf("9,000 clients, 10,000 at once: %+v", r)
	}
	r := simulate(50_000, 2, time.Microsecond, mostSimulated)
	if least := 4 * time.Second; r.last < least*9/10 || r.last > 4*least {
		t.Errorf("50,000 clients, 10,000 at once and 10,000 a second: %+v", r)
	}
	if r.half > r.most || r.most > r.last {
		t.Errorf("more are back earlier: %+v", r)
	}
	r = simulate(9_000, 2, 2*time.Millisecond, mostSimulated)
	if least := 9 * time.Second; r.last < least || r.last > 2*least {
		t.Errorf("9,000 clients, 1,000 attempts a second: %+v", r)
	}
	few := evenModel(t).returnIn(3, 0.4, 400)
	many := evenModel(t).returnIn(3, 1.6, 400)
	if few < 3*2*500 || few > 3*2*21*1_000 || many < 2*few {
		t.Errorf("back in 20 s at 1,000 attempts a second: %v, at 4,000: %v", few, many)
	}
}

func TestFigures(t *testing.T) {
	f, err := parse("# a comment\n\na 2 1 3 0.5\na 4 4 4 1\n")
	if err != nil || f["a"].median != 4 || len(f) != 1 {
		t.Errorf("parsed %v, %v", f, err)
	}
	for _, bad := range []string{"a 1", "a 1 1 1 x", "a 5 1 3 0", "a -1 -1 -1 0"} {
		if _, err := parse(bad); err == nil || !strings.Contains(err.Error(), "figures.txt:1") {
			t.Errorf("%q gives %v", bad, err)
		}
	}
	if _, err := newModel(figures{}).tables(); err == nil {
		t.Error("tables without figures")
	}
	if _, err := fill([]byte("<!-- capacity nonsense -->\n<!-- end -->")); err == nil {
		t.Error("an unknown table is no error")
	}
}

func TestNumbers(t *testing.T) {
	for x, want := range map[float64]string{
		0.7556: "0.76", 19.04: "19.0", 436.4: "436", 4581: "4,581", 10_000: "10,000", 123_456: "123,000", 1_234_567: "1,230,000", 99_960: "100,000",
	} {
		if got := number(x); got != want {
			t.Errorf("%v is %q, want %q", x, got, want)
		}
	}
}

// TestConstants looks for what the model takes from elsewhere.
func TestConstants(t *testing.T) {
	for file, texts := range map[string][]string{
		"client/connect.go":                {"firstBackoff = 250 * time.Millisecond"},
		"client/client.go":                 {"positive(o.MaxBackoff, 10*time.Second)"},
		"gateway/config.go":                {"def(&c.LoginRate, 5_000)"},
		"gateway/reattach.go":              {"defaultPace = 20_000"},
		"deploy/systemd/ringfleet.service": {"LimitNOFILE=1048576"},
	} {
		source, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			if !bytes.Contains(source, []byte(text)) {
				t.Errorf("%s has no %q any more: the model has to follow", file, text)
			}
		}
	}
}
