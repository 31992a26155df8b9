package link_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/link"
)

// TestStreamCarries: what is sent arrives, in order, in both directions, also what is sent before the
// connection stands.
func TestStreamCarries(t *testing.T) {
	a, b := open(t, "a", 1, nil), open(t, "b", 2, nil)
	meet(a, b)
	var want []string
	for i := range 5_000 {
		text := fmt.Sprint(i)
		sendAll(t, a, b.member, text)
		want = append(want, "a:"+text)
	}
	sendAll(t, b, a.member, "back", "")
	eventually(t, "arrived", func() bool { return len(b.received()) == len(want) && len(a.received()) == 2 })
	if got := b.received(); !slices.Equal(got, want) {
		t.Error("what has arrived is not what was sent")
	}
	if got := a.received(); !slices.Equal(got, []string{"b:back", "b:"}) {
		t.Errorf("received %q", got)
	}
	eventually(t, "counted", func() bool { return a.Stats().Sent == 5_000 })
	if s := a.Stats(); s.Writes > s.Sent || s.Peers != 1 || s.Connected != 1 || s.Inbound != 1 || s.Received != 2 || s.Dropped+s.Busy+s.Broken != 0 {
		t.Errorf("counted %+v", s)
	}
}

// TestStreamSizes: envelopes from nothing to the largest one arrive whole; a larger one is refused by the
// sender, also when only the receiver knows the bound.
func TestStreamSizes(t *testing.T) {
	const most = 100_000
	a := open(t, "a", 1, nil)
	b := open(t, "b", 2, func(c *link.StreamConfig) { c.MaxEnvelope = most })
	meet(a, b)
	eventually(t, "connected", connected(a, 1))
	sizes := []int{0, 1, 4_092, 65_531, 65_532, 65_533, 65_536, most - 1, most}
	for i, size := range sizes {
		sendAll(t, a, b.member, strings.Repeat(string(rune('a'+i)), size))
	}
	eventually(t, "arrived", func() bool { return len(b.received()) == len(sizes) })
	for i, got := range b.received() {
		if got != "a:"+strings.Repeat(string(rune('a'+i)), sizes[i]) {
			t.Errorf("%d bytes have changed on their way", sizes[i])
		}
	}
	if err := a.Send(b.member, make([]byte, most+1)); !errors.Is(err, cluster.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
}

// TestStreamIsBounded: a peer that does not read fills its queue, and Send says so without waiting.
func TestStreamIsBounded(t *testing.T) {
	hold := make(chan struct{})
	a := open(t, "a", 1, func(c *link.StreamConfig) { c.Queue = 64 << 10; c.Timeout = time.Minute })
	b, err := link.Listen(link.StreamConfig{Cluster: "test", Node: "b", Boot: 2, Listen: "127.0.0.1:0", Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	defer close(hold)
	if err := b.Start(func(string, []byte, time.Duration) { <-hold }); err != nil {
		t.Fatal(err)
	}
	member := cluster.Member{Name: "b", Boot: 2, Peer: b.Addr().String()}
	a.SetPeers([]cluster.Member{member})
	eventually(t, "connected", connected(a, 1))
	envelope := make([]byte, 1_000)
	eventually(t, "busy", func() bool {
		for {
			if err := a.Send(member, envelope); err != nil {
				return errors.Is(err, cluster.ErrBusy) && a.Stats().Queued > 60<<10
			}
		}
	})
	if s := a.Stats(); s.Queued > 64<<10 || s.Busy == 0 {
		t.Errorf("counted %+v", s)
	}
}

// TestStreamBreaks: the death of a peer is evidence on both connections at once; sends are refused, and go on
// when the peer is back, also as another start.
func TestStreamBreaks(t *testing.T) {
	a, b := open(t, "a", 1, nil), open(t, "b", 2, nil)
	meet(a, b)
	eventually(t, "connected", connected(a, 1))
	eventually(t, "connected", connected(b, 1))
	start := time.Now()
	b.Close()
	eventually(t, "noticed", func() bool { return len(a.heard()) > 0 && a.Stats().Connected == 0 })
	t.Logf("a broken connection was noticed after %v", time.Since(start).Round(time.Millisecond))
	for _, e := range a.heard() {
		if e != "b@2" {
			t.Errorf("evidence against %s", e)
		}
	}
	eventually(t, "refused", func() bool { return errors.Is(a.Send(b.member, nil), cluster.ErrUnreachable) })

	again := open(t, "b", 3, func(c *link.StreamConfig) { c.Listen = b.member.Peer })
	again.SetPeers([]cluster.Member{a.member})
	before := len(a.heard())
	eventually(t, "another start is evidence", func() bool { return len(a.heard()) > before })
	if err := a.Send(again.member, nil); !errors.Is(err, cluster.ErrUnreachable) {
		t.Errorf("to a start that is not in the view: %v", err)
	}
	a.SetPeers([]cluster.Member{again.member})
	sendAll(t, a, again.member, "hello")
	eventually(t, "arrived", func() bool { return slices.Equal(again.received(), []string{"a:hello"}) })
	a.SetPeers(nil)
	if err := a.Send(again.member, nil); !errors.Is(err, cluster.ErrUnreachable) {
		t.Errorf("to one that has left the view: %v", err)
	}
	eventually(t, "hung up", func() bool { return again.Stats().Inbound == 0 })
}

// TestStreamRefuses: who does not belong here is refused, and the cause is logged once at the node that
// refuses.
func TestStreamRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*link.StreamConfig)
		peer   func(*cluster.Member)
		log    string
		dead   bool // it speaks for the death of the one that was meant
	}{
		"another cluster": {change: func(c *link.StreamConfig) { c.Cluster = "prod" }, log: "another cluster"},
		"stranger":        {change: func(c *link.StreamConfig) { c.Node = "stranger" }},
		"another boot":    {peer: func(m *cluster.Member) { m.Boot = 77 }, dead: true},
		"another name":    {peer: func(m *cluster.Member) { m.Name = "c" }, dead: true},
		"its own name":    {change: func(c *link.StreamConfig) { c.Node = "b" }, peer: func(m *cluster.Member) { m.Name = "x" }},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, "b", 2, func(c *link.StreamConfig) { c.Admit = func(node string, _ uint64) bool { return node != "stranger" } })
			a := open(t, "a", 1, c.change)
			member := b.member
			if c.peer != nil {
				c.peer(&member)
			}
			a.SetPeers([]cluster.Member{member})
			eventually(t, "refused twice", func() bool { return b.Stats().Refused >= 2 })
			if s := a.Stats(); s.Connected != 0 || s.Broken == 0 || b.Stats().Inbound != 0 {
				t.Errorf("counted %+v and %+v", s, b.Stats())
			}
			want := 0
			if c.log != "" {
				want = 1
			}
			if n := strings.Count(b.logged(), "is refused"); n != want || !strings.Contains(b.logged(), c.log) {
				t.Errorf("logged %d times:\n%s", n, b.logged())
			}
			if n := strings.Count(a.logged(), "no connection to a peer"); n != 1 {
				t.Errorf("the one that is refused has logged %d times:\n%s", n, a.logged())
			}
			if c.dead != (len(a.heard()) > 0) {
				t.Errorf("evidence: %v", a.heard())
			}
		})
	}
}

// TestStreamGarbage: whatever comes in on the port is refused and logged once, and peers are not
// disturbed.
func TestStreamGarbage(t *testing.T) {
	a, b := open(t, "a", 1, nil), open(t, "b", 2, nil)
	meet(a, b)
	eventually(t, "connected", connected(a, 1))
	for _, garbage := range []string{
		"", "x", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00\x01", strings.Repeat("\xff", 100_000),
		"ringpeer", "ringpeer\xff\xff\xff\xff", "ringpeer\x01\xff\xff\xff", "ringpeer\x01\x00\x00\x02\xff\xff", "ringpeer\x03\x00\x00\x01x",
		"ringpeer\x01\x00\x00\x00", "ringpeer\x01\x00\x00\x10x",
	} {
		refused := b.Stats().Refused
		conn, err := net.Dial("tcp", b.member.Peer)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write([]byte(garbage)) // it may be closed already
		_ = conn.Close()
		eventually(t, fmt.Sprintf("refused: %.20q", garbage), func() bool { return b.Stats().Refused > refused })
	}
	sendAll(t, a, b.member, "hello")
	eventually(t, "arrived", func() bool { return slices.Equal(b.received(), []string{"a:hello"}) })
	if n := strings.Count(b.logged(), "is refused"); n > 2 { // a connection that is reset is a cause of its own
		t.Errorf("logged %d times:\n%s", n, b.logged())
	}
	if s := b.Stats(); s.Inbound != 1 || len(b.heard()) != 0 {
		t.Errorf("counted %+v, evidence %v", s, b.heard())
	}
}

// TestStreamStrangersAreBounded: connections that say nothing do not keep peers out for long.
func TestStreamStrangersAreBounded(t *testing.T) {
	b := open(t, "b", 2, func(c *link.StreamConfig) { c.Ping, c.Timeout = 100*time.Millisecond, 500*time.Millisecond })
	for range 100 {
		conn, err := net.Dial("tcp", b.member.Peer)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	a := open(t, "a", 1, nil)
	a.SetPeers([]cluster.Member{b.member})
	eventually(t, "connected in spite of them", connected(a, 1))
	eventually(t, "all refused", func() bool { return b.Stats().Refused >= 100 })
}

func TestStreamConfig(t *testing.T) {
	for name, change := range map[string]func(*link.StreamConfig){
		"no name":     func(c *link.StreamConfig) { c.Node = "" },
		"no boot":     func(c *link.StreamConfig) { c.Boot = 0 },
		"too large":   func(c *link.StreamConfig) { c.MaxEnvelope = 1 << 30 },
		"below 0":     func(c *link.StreamConfig) { c.Queue = -1 },
		"slow pings":  func(c *link.StreamConfig) { c.Ping = time.Minute },
		"no address":  func(c *link.StreamConfig) { c.Listen = "nowhere" },
		"no TLS file": func(c *link.StreamConfig) { c.TLS = &link.TLS{Cert: "none", Key: "none", CA: "none"} },
	} {
		c := link.StreamConfig{Node: "a", Boot: 1, Listen: "127.0.0.1:0"}
		change(&c)
		if s, err := link.Listen(c); err == nil {
			t.Errorf("%s: taken", name)
			s.Close()
		}
	}
	s := open(t, "a", 1, nil)
	if s.Start(func(string, []byte, time.Duration) {}) == nil {
		t.Error("started twice")
	}
	s.Close()
	s.SetPeers([]cluster.Member{{Name: "b", Boot: 1, Peer: "127.0.0.1:1"}})
	if s.Start(func(string, []byte, time.Duration) {}) == nil || s.Stats().Peers != 0 {
		t.Error("it goes on after it was closed")
	}
}
