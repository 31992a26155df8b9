package membership

import (
	"bytes"
	"fmt"
	"io"
	"log" //nolint:depguard // as memberlist does
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/internal/logonce"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

// stranger is a node that speaks the gossip, with meta data of its own making.
type stranger struct{ meta []byte }

func (s stranger) NodeMeta(int) []byte                { return s.meta }
func (stranger) NotifyMsg([]byte)                     {}
func (stranger) GetBroadcasts(int, int) [][]byte      { return nil }
func (stranger) LocalState(bool) []byte               { return nil }
func (stranger) MergeRemoteState(_ []byte, _ bool)    {}
func (stranger) NotifyMerge([]*memberlist.Node) error { return nil }

// logBuffer is a place for a node's log.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func goodMeta() *peerpb.NodeMeta {
	return &peerpb.NodeMeta{
		Cluster: "test", Name: "stranger", Boot: 7, MinVersion: 1, MaxVersion: 1, Shards: invitation.Shards,
		Lifecycle: peerpb.Lifecycle_LIFECYCLE_SERVING,
	}
}

// badMetas are what nodes say that do not belong here, with a part of what is logged of each.
var badMetas = map[string]struct {
	change func(*peerpb.NodeMeta)
	log    string
}{
	"another cluster":    {func(m *peerpb.NodeMeta) { m.Cluster = "prod" }, `cluster \"prod\"`},
	"other shards":       {func(m *peerpb.NodeMeta) { m.Shards = 1024 }, "1024 shards"},
	"a version to come":  {func(m *peerpb.NodeMeta) { m.MinVersion, m.MaxVersion = 2, 3 }, "versions 2 to 3"},
	"no version":         {func(m *peerpb.NodeMeta) { m.MinVersion, m.MaxVersion = 0, 0 }, "versions 0 to 0"},
	"another's name":     {func(m *peerpb.NodeMeta) { m.Name = "node-0" }, `its name is \"node-0\"`},
	"no name":            {func(m *peerpb.NodeMeta) { m.Name = "" }, `its name is \"\"`},
	"no such life cycle": {func(m *peerpb.NodeMeta) { m.Lifecycle = 9 }, "lifecycle 9"},
}

// TestRefused: a node that does not belong here is in no view, whatever it does, and the cause is logged once.
func TestRefused(t *testing.T) {
	for name, c := range badMetas {
		t.Run(name, func(t *testing.T) {
			meta := goodMeta()
			c.change(meta)
			data, err := proto.Marshal(meta)
			if err != nil {
				t.Fatal(err)
			}
			text, names := visit(t, data)
			if fmt.Sprint(names) != "[node-0 node-1]" {
				t.Errorf("the members are %v", names)
			}
			if strings.Count(text, "not let into") != 1 || !strings.Contains(text, c.log) {
				t.Errorf("logged\n%s", text)
			}
		})
	}
	t.Run("garbage", func(t *testing.T) {
		text, names := visit(t, bytes.Repeat([]byte{0xff}, 512))
		if fmt.Sprint(names) != "[node-0 node-1]" || strings.Count(text, "does not say what it is") != 1 {
			t.Errorf("the members are %v, logged\n%s", names, text)
		}
	})
	t.Run("one of us", func(t *testing.T) {
		data, err := proto.Marshal(goodMeta())
		if err != nil {
			t.Fatal(err)
		}
		if text, names := visit(t, data); fmt.Sprint(names) != "[node-0 node-1 stranger]" || strings.Contains(text, "not let into") {
			t.Errorf("the members are %v, logged\n%s", names, text)
		}
	})
}

// visit makes a cluster of two, lets a stranger try to join for a minute, and returns what one of the two
// has logged, and whom it sees.
func visit(t *testing.T, meta []byte) (said string, names []string) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		var text logBuffer
		var nodes []*Membership
		for i, logger := range []*slog.Logger{slog.New(slog.NewTextHandler(&text, nil)), nil} {
			m, err := Start(Config{
				Cluster: "test", Name: fmt.Sprintf("node-%d", i), Bind: fmt.Sprintf("10.0.0.%d:7946", i+1), Network: n,
				Seeds: []string{"10.0.0.1"}, Lifecycle: cluster.Serving, Logger: logger,
			})
			if err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, m)
		}
		c := memberlist.DefaultLANConfig()
		transport, err := n.listen("10.0.0.9:7946")
		if err != nil {
			t.Fatal(err)
		}
		c.Name, c.Transport, c.Delegate = "stranger@7", transport, stranger{meta}
		c.Merge, c.LogOutput = stranger{}, io.Discard
		list, err := memberlist.Create(c)
		if err != nil {
			t.Fatal(err)
		}
		for range 12 {
			_, _ = list.Join([]string{"10.0.0.1:7946", "10.0.0.2:7946"}) // is refused
			time.Sleep(5 * time.Second)
		}
		for _, m := range nodes[0].View().Members {
			names = append(names, m.Name)
		}
		said = text.String()
		_ = list.Shutdown()
		for _, m := range nodes {
			m.Stop()
		}
		time.Sleep(10 * time.Second)
	})
	return said, names
}

// TestMeta: what a node says of itself arrives, in the room that gossip has for it.
func TestMeta(t *testing.T) {
	long := strings.Repeat("x", 100)
	want := cluster.Member{
		Name: long, Boot: 1 << 63, Peer: long, Gateway: long, Gossip: "10.0.0.1:1", Lifecycle: cluster.Left, Build: long[:MaxBuild],
	}
	data, err := encodeMeta(long[:MaxCluster], want)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("at most %d bytes of meta data", len(data))
	got, err := decodeMeta(long[:MaxCluster], gossipName(want.Name, want.Boot), want.Gossip, data)
	if err != nil || got != want {
		t.Errorf("decoded %+v, %v", got, err)
	}
	want.Peer = strings.Repeat(long, 5)
	if _, err := encodeMeta("test", want); err == nil {
		t.Error("too much is taken")
	}
}

func FuzzMeta(f *testing.F) {
	for _, c := range badMetas {
		meta := goodMeta()
		c.change(meta)
		data, _ := proto.Marshal(meta)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeMeta("test", "stranger@7", "10.0.0.1:1", data)
		if err == nil && (m.Name != "stranger" || m.Boot != 7 || m.Lifecycle > cluster.Left) {
			t.Fatalf("%+v is taken", m)
		}
	})
}

// TestRosterIsBounded: what is remembered about lost members is bounded in number and time.
func TestRosterIsBounded(t *testing.T) {
	r := newRoster(cluster.Member{Name: "self", Gossip: "self"})
	start := time.Unix(0, 0)
	for i := range 2 * maxLost {
		name := fmt.Sprintf("n%04d", i)
		r.set(name, cluster.Member{Name: name, Gossip: name})
		if !r.remove(name, start.Add(time.Duration(i))) {
			t.Fatal("it is not known")
		}
	}
	lost := r.lookFor(start.Add(time.Second))
	if len(lost) != maxLost || lost[0] != fmt.Sprintf("n%04d", maxLost) {
		t.Errorf("%d are remembered, from %v", len(lost), lost[:1])
	}
	if lost := r.lookFor(start.Add(lostTime + time.Second)); len(lost) != 0 {
		t.Errorf("after a day, %d are remembered", len(lost))
	}
	r.set("x", cluster.Member{Name: "x", Gossip: "x", Lifecycle: cluster.Left})
	r.remove("x", start)
	if lost := r.lookFor(start); len(lost) != 0 {
		t.Errorf("one that said farewell is looked for: %v", lost)
	}
	if r.remove("x", start) || r.judge("x", true) {
		t.Error("a stranger is known")
	}
}

// TestMemberlistLog: what memberlist warns of is logged once for each cause, whatever the ports.
func TestMemberlistLog(t *testing.T) {
	var text logBuffer
	logger := slog.New(slog.NewTextHandler(&text, nil))
	l := log.New(memberlistLog(logger, logonce.New(logger)), "", log.LstdFlags)
	for port := range 100 {
		l.Printf("[ERR] memberlist: Decrypt packet failed: no installed keys could decrypt the message from=10.0.0.1:%d", 5000+port)
		l.Printf("[ERR] memberlist: discarding packet with unacceptable label %q: from=127.0.0.1:%d", fmt.Sprintf("\"%c: \\", port), port)
		l.Printf("[ERR] memberlist: discarding packet with unacceptable label %q", strings.Repeat(fmt.Sprint(port), 500))
		l.Printf("[ERR] memberlist: discarding packet with unacceptable label %q: from=10.0.0.2:%d",
			strings.Repeat("x", 200+port%7)+strings.Repeat("\"\\", port), port)
		l.Printf("[WARN] memberlist: Got invalid checksum for UDP packet: %x, %x", 1<<30+port, 1<<31-port)
		l.Printf("[DEBUG] memberlist: Stream connection from=10.0.0.1:%d", port)
		l.Printf("[WARN] memberlist: ignoring alive message for 'x': %s", refuse("cluster", "it is of another one"))
	}
	l.Print("[WARN] memberlist: something else")
	if out := text.String(); strings.Count(out, "\n") != 6 || !strings.Contains(out, "Decrypt") || !strings.Contains(out, "something else") {
		t.Errorf("logged\n%s", out)
	}
}
