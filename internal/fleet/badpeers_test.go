package fleet_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/internal/fleet"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

// secret is a key of the gossip, and the file that it is in.
type secret struct {
	key  []byte
	file string
}

func newSecret(t *testing.T) secret {
	t.Helper()
	s := secret{make([]byte, 32), filepath.Join(t.TempDir(), "keys")}
	if _, err := rand.Read(s.key); err != nil {
		t.Fatal(err)
	}
	write(t, s.file, base64.StdEncoding.EncodeToString(s.key)+"\n")
	return s
}

// TestBadPeers: who does not belong to a cluster is refused, and that is logged once for each cause; the cluster goes
// on as if nothing had been.
func TestBadPeers(t *testing.T) {
	full := asked(t)
	key, ca := newSecret(t), newAuthority(t)
	badPeers(t, full, append([]string{"--gossip-keys-file", key.file}, ca.args()...), key, [][]string{
		{"first record does not look like a TLS handshake"},
		{"signed by unknown authority"},
		{"payload is too small to decrypt"},
		{"no installed keys could decrypt"},
	})
}

// TestBadPeersInPlain is the same for a cluster without keys and certificates, where garbage gets further.
func TestBadPeersInPlain(t *testing.T) {
	full := asked(t)
	if !full {
		t.Skip("is in the long form only")
	}
	badPeers(t, full, nil, secret{}, [][]string{{"does not speak the protocol"}, {"remote state is encrypted"}})
}

// badPeers lets them visit a cluster of nodes with args, and wants some causes, given by parts of a line each, to be
// logged besides those that are always the same.
func badPeers(t *testing.T, full bool, args []string, key secret, causes [][]string) {
	b := newBed(t, fleet.Config{Args: args}, numbered("node-", 3)...)
	before := b.epochs()
	l := b.steady(full, time.Second)
	l.phase("garbage")
	source := mathrand.New(mathrand.NewPCG(*seed, 0))
	for range pick(full, 20, 3) {
		b.garbage(source)
	}
	l.phase("a stranger's certificate")
	for range 5 {
		b.knockWith(newAuthority(t))
	}
	l.phase("wrong key, name, version")
	strangers := newFleet(t, fleet.Config{Binary: built(t).Path("node")})
	for _, o := range []fleet.NodeOptions{
		{Name: "wrong-key", Args: []string{"--gossip-keys-file", newSecret(t).file}},
		{Name: "wrong-cluster", Args: []string{"--cluster-name", "another"}},
		{Name: "namesake", Args: []string{"--name", "node-1"}},
	} {
		o.Args, o.Hasty = slices.Concat(args, o.Args, []string{"--join", "file:" + b.Seeds()}), true
		if _, err := strangers.Add(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	b.visitWithVersion(key, 2, 3)
	l.lasts(pick(full, 30*time.Second, 7*time.Second)) // in which they try again and again
	b.namesakeEnds(strangers.Node("namesake"))
	for _, name := range []string{"wrong-key", "wrong-cluster"} {
		if s, err := strangers.Node(name).Status(t.Context()); err != nil || len(s.Cluster.Members) != 1 {
			t.Errorf("%s sees %+v, %v", name, s, err)
		}
	}
	b.settled()
	if now := b.epochs(); now != before {
		t.Errorf("the epochs were %s, and are %s", before, now)
	}
	l.flawless(l.stop())
	b.quiet()
	for _, cause := range append(causes, []string{"it is of cluster", "another"}, []string{"it speaks versions 2 to 3"},
		[]string{"claims a name that is in use"}) {
		b.loggedOnce(cause)
	}
	b.nothingTwice()
}

// epochs returns the epochs of all nodes' views.
func (b *bed) epochs() string {
	b.Helper()
	text := ""
	for _, n := range b.Nodes() {
		s, err := n.Status(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		text += fmt.Sprintf("%s %d ", n.Name(), s.Cluster.Epoch)
	}
	return text
}

// label is what the gossip's messages to a part of a cluster begin with. Memberlist logs what part that is.
const label = 244

// garbage sends what is no message to all ports of all nodes.
func (b *bed) garbage(source *mathrand.Rand) {
	b.Helper()
	data := make([]byte, 1_200)
	fill := func(first byte) {
		for i := range data {
			data[i] = byte(source.Uint32())
		}
		data[0] = first
	}
	for _, n := range b.Nodes() {
		gossip, peer := n.Advertised()
		udp, err := net.Dial("udp", gossip)
		if err != nil {
			b.Fatal(err)
		}
		for i := range 256 {
			fill(byte(i)) // each kind of message
			if _, err := udp.Write(data[:1+4*i]); err != nil {
				b.Fatal(err)
			}
		}
		for i := range 20 {
			fill(label)
			if _, err := udp.Write(data); err != nil {
				b.Fatal(err)
			}
			fill(byte(i))
			b.pour(gossip, data)
			b.pour(peer, data)
		}
		_ = udp.Close()
	}
}

// pour sends data over a connection, and reads what comes back.
func (b *bed) pour(address string, data []byte) {
	b.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = conn.Write(data)          // it may be closed already
	_, _ = io.Copy(io.Discard, conn) // until it is closed, or no more is worth the time
}

// knockWith connects to all peer ports with a certificate of another authority.
func (b *bed) knockWith(a authority) {
	b.Helper()
	cert, err := tls.LoadX509KeyPair(a.cert, a.key)
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range b.Nodes() {
		_, peer := n.Advertised()
		conn, err := tls.Dial("tcp", peer, &tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true, //nolint:gosec // the stranger trusts anybody
		})
		if err != nil {
			continue // is refused
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			b.Errorf("%s lets a stranger in: %v", n.Name(), err)
		}
		_ = conn.Close()
	}
}

// visitor speaks the gossip, with meta data of its own making.
type visitor struct{ meta []byte }

func (v visitor) NodeMeta(int) []byte             { return v.meta }
func (visitor) NotifyMsg([]byte)                  {}
func (visitor) GetBroadcasts(int, int) [][]byte   { return nil }
func (visitor) LocalState(bool) []byte            { return nil }
func (visitor) MergeRemoteState(_ []byte, _ bool) {}

// visitWithVersion joins the gossip as a node that speaks other versions of the protocol only, until the test
// ends.
func (b *bed) visitWithVersion(key secret, least, most uint32) {
	b.Helper()
	meta, err := proto.Marshal(&peerpb.NodeMeta{
		Cluster: "ringfleet", Name: "visitor", Boot: 7, MinVersion: least, MaxVersion: most, Shards: invitation.Shards,
		Lifecycle: peerpb.Lifecycle_LIFECYCLE_SERVING, PeerAddress: "127.0.0.1:1",
	})
	if err != nil {
		b.Fatal(err)
	}
	c := memberlist.DefaultLANConfig()
	c.Name, c.BindAddr, c.BindPort, c.AdvertisePort = "visitor@7", "127.0.0.1", 0, 0
	c.SecretKey, c.Delegate, c.LogOutput = key.key, visitor{meta}, io.Discard
	list, err := memberlist.Create(c)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = list.Shutdown() }) // it logs its errors
	for _, n := range b.Nodes() {
		gossip, _ := n.Advertised()
		if _, err := list.Join([]string{gossip}); err != nil {
			b.Logf("%s does not take the visitor: %v", n.Name(), err)
		}
	}
}

// namesakeEnds wants a node whose name is in use to end by itself, and to say why.
func (b *bed) namesakeEnds(n *fleet.Node) {
	b.Helper()
	err := fleet.Until(within(b.T, limit), func(context.Context) error {
		if n.Running() {
			return errors.New("it runs")
		}
		return nil
	})
	if lines, logErr := n.Log().Lines("in use by"); err != nil || logErr != nil || len(lines) == 0 {
		b.Errorf("a node whose name is in use: %v, %v; it says\n%s", err, logErr, n.Log().Tail(20))
	}
}

// loggedOnce wants a line with some parts to be logged by some node, and by none twice.
func (b *bed) loggedOnce(parts []string) {
	b.Helper()
	total := 0
	for _, n := range b.Nodes() {
		lines, err := n.Log().Lines(parts...)
		if err != nil {
			b.Fatal(err)
		}
		total += len(lines)
		if len(lines) > 1 {
			b.Errorf("%s logs %q %d times:\n%s", n.Name(), parts, len(lines), strings.Join(lines, "\n"))
		}
	}
	b.Logf("%q: %d lines in the logs of %d nodes", parts, total, len(b.Nodes()))
	if total == 0 {
		b.Errorf("nobody logs %q", parts)
	}
}

// differs matches what may differ between two lines about one thing: the time, numbers, and from a quoted part
// on everything, as there a peer chooses the words.
var differs = regexp.MustCompile(`^time=\S+|\b[0-9a-f]{6,}\b|\d+|label \\".*`)

// nothingTwice wants no two warnings of a node to be about the same.
func (b *bed) nothingTwice() {
	b.Helper()
	for _, n := range b.Nodes() {
		lines, err := n.Log().Lines("level=WARN")
		if err != nil {
			b.Fatal(err)
		}
		seen := map[string]string{}
		for _, line := range lines {
			key := differs.ReplaceAllString(line, "")
			if first, again := seen[key]; again {
				b.Errorf("%s warns twice:\n%s\n%s", n.Name(), first, line)
			}
			seen[key] = line
		}
		b.Logf("%s warned %d times", n.Name(), len(lines))
	}
}
