package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/internal/fleet"
	"github.com/ringfleet/ringfleet/invitation"
)

// gossipKey returns a key of so many bytes, as a line of a file.
func gossipKey(with byte, size int) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{with}, size)) + "\n"
}

// certificates makes an authority and a certificate by it for a name, and returns their settings.
func certificates(t *testing.T, name string) []string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	node := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	write := func(name, kind string, der []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return file(t, name, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	}
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, &key.PublicKey, key)
	ca := write("ca.pem", "CERTIFICATE", der, err)
	der, err = x509.CreateCertificate(rand.Reader, node, authority, &key.PublicKey, key)
	cert := write("cert.pem", "CERTIFICATE", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(key)
	return []string{"--peer-cert-file", cert, "--peer-key-file", write("key.pem", "PRIVATE KEY", der, err), "--peer-ca-file", ca}
}

// TestWrongClusterSettings refuses each before anything starts, and says why.
func TestWrongClusterSettings(t *testing.T) {
	key := file(t, "key", gossipKey('k', 32))
	short := file(t, "short", "# the first is right\n"+gossipKey('k', 16)+gossipKey('k', 31))
	words := file(t, "words", "open sesame\n")
	empty := file(t, "empty", "# no key yet\n")
	for _, tt := range []struct{ args, want string }{
		{"--gossip-keys-file no-such-file", "no-such-file"},
		{"--gossip-keys-file " + short, "line 3 has 31 bytes"},
		{"--gossip-keys-file " + words, "line 1 is not base64"},
		{"--gossip-keys-file " + empty, "has no key"},
		{"--gossip-address localhost:7946", "want IP:port"},
		{"--gossip-address :7946", "want IP:port"},
		{"--gossip-address 0.0.0.0:7946", "--gossip-keys-file"},
		{"--gossip-address 0.0.0.0:7946", "--insecure-cluster"},
		{"--gossip-address 192.0.2.1:7946 " + strings.Join(certificates(t, "ringfleet-node"), " "), "without keys"},
		{"--gossip-advertise nowhere", "nowhere"},
		{"--peer-advertise 192.0.2.1", "missing port"},
		{"--peer-address nonsense", "nonsense"},
		{"--peer-address :7947", "--peer-cert-file"},
		{"--peer-address 192.0.2.1:7947 --gossip-keys-file " + key, "without certificates"},
		{"--peer-cert-file cert.pem", "peer-key-file is missing"},
		{"--peer-cert-file cert.pem --peer-key-file key.pem", "peer-ca-file is missing"},
		{"--peer-ca-file ca.pem", "peer-cert-file is missing"},
		{"--peer-cert-file no-such-file --peer-key-file key.pem --peer-ca-file ca.pem", "no-such-file"},
		{strings.Join(certificates(t, "another-name"), " "), "ringfleet-node"},
		{"--join a:b:c", "a:b:c"},
		{"--join 127.0.0.1:7946,file:", "file:"},
		{"--join-timeout 0s", "join-timeout"},
		{"--cluster-name " + strings.Repeat("c", 65), "65 bytes"},
		{"--gossip-address off --join 127.0.0.1:7946", "join is for nodes of a cluster"},
		{"--gossip-address off --gossip-keys-file " + key, "gossip-address is off"},
		{"--reconnect-spread -1s", "reconnect-spread"},
		{"--nodes 17", "want 1 to 16"},
		{"--nodes 2 --gossip-address off", "could not find each other"},
		{"--nodes 2 --admin-address :9090", "admin-address"},
		{"--nodes 2 --client-advertise example.com:80", "advertise the same"},
	} {
		code, stdout, stderr := command(strings.Fields(tt.args)...)
		if code != exitUsage || !strings.HasPrefix(stderr, "node: ") || !strings.Contains(stderr, tt.want) || stdout != "" {
			t.Errorf("node %s: status %d, %q, %q; want 2 and a reason with %q", tt.args, code, stdout, stderr, tt.want)
		}
		if strings.Contains(stderr, "sesame") {
			t.Errorf("node %s tells a key: %s", tt.args, stderr)
		}
	}
}

func TestRightClusterSettings(t *testing.T) {
	tls := certificates(t, "ringfleet-node")
	key := file(t, "keys", "# new, old\n\n"+gossipKey('n', 32)+gossipKey('o', 16))
	for _, args := range [][]string{
		{"--gossip-address", "off"},
		{"--gossip-address", ""},
		{"--gossip-address", "0.0.0.0:7946", "--peer-address", ":7947", "--insecure-cluster"},
		append([]string{"--gossip-address", "[::]:7946", "--peer-address", ":7947", "--gossip-keys-file", key}, tls...),
		{"--gossip-address", "[::1]:0", "--peer-address", "localhost:0", "--join", "127.0.0.1:1, nodes.example:2,file:/etc/nodes"},
	} {
		if code, stdout, stderr := command(append(args, "--check")...); code != exitOK || stdout != "the settings are right\n" || stderr != "" {
			t.Errorf("node %v: status %d, %q, %q", args, code, stdout, stderr)
		}
	}
}

// status returns what a node's operator sees.
func status(ctx context.Context, admin string) (s ringfleet.Status, err error) {
	text, err := fetch(ctx, admin+"/status")
	if err == nil {
		err = json.Unmarshal([]byte(text), &s)
	}
	return s, err
}

// settled waits until each node serves, shows so many members that serve, and nothing moves any more.
func settled(ctx context.Context, t *testing.T, members int, admins ...string) (all []ringfleet.Status) {
	t.Helper()
	err := fleet.Until(ctx, func(ctx context.Context) error {
		all = nil
		held := 0
		for _, admin := range admins {
			s, err := status(ctx, admin)
			switch {
			case err != nil:
				return err
			case !s.Ready || len(s.Cluster.Members) != members || s.Cluster.Shards.Awaited+s.Cluster.Handoffs.Taking+s.Cluster.Handoffs.Giving > 0:
				return fmt.Errorf("%s shows %+v", admin, s.Cluster)
			}
			for _, m := range s.Cluster.Members {
				if m.Lifecycle != "serving" {
					return fmt.Errorf("%s shows %+v", admin, m)
				}
			}
			held += s.Cluster.Shards.Held
			all = append(all, s)
		}
		if len(admins) == members && held != invitation.Shards {
			return fmt.Errorf("%d shards are held, want %d", held, invitation.Shards)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestTwoNodes starts two nodes with keys and certificates, the second one when users are there. Each shows the
// other, and what moved, in the status and in the metrics; when one ends, the other has all again.
func TestTwoNodes(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	secure := append(certificates(t, "ringfleet-node"), "--gossip-keys-file", file(t, "keys", gossipKey('k', 32)))
	a := start(t, slices.Concat(secure, []string{"--name", "a", "--cluster-name", "two"})...)
	settled(ctx, t, 1, a.admin)
	const users = 20
	for i := range users {
		if _, _, err := a.phone(ctx, invitation.User(fmt.Sprint("user", i)), ""); err != nil {
			t.Fatal(err)
		}
	}
	b := start(t, slices.Concat(secure, []string{"--name", "b", "--cluster-name", "two", "--join", a.gossip, "--client-advertise", "b.example:443"})...)
	gateways := []string{strings.TrimPrefix(a.client, "ws://"), "b.example:443"}
	both := settled(ctx, t, 2, a.admin, b.admin)
	if given, taken := both[0].Cluster.Handoffs.Given, both[1].Cluster.Handoffs.Taken; given == 0 || given != taken ||
		both[0].Sessions+both[1].Sessions != users {
		t.Errorf("a gave %d sessions, b took %d; %d and %d of %d are there", given, taken, both[0].Sessions, both[1].Sessions, users)
	}
	for i, s := range both {
		if s.Cluster.Name != "two" || s.Node != []string{"a", "b"}[i] {
			t.Errorf("node %d shows %s in %s", i, s.Node, s.Cluster.Name)
		}
		for j, p := range []*process{a, b} {
			m := s.Cluster.Members[j]
			if m.Name != []string{"a", "b"}[j] || m.Gossip != p.gossip || m.Peer != p.peer || m.Gateway != gateways[j] || m.Boot == 0 {
				t.Errorf("node %s shows %+v, which gossips on %s with peers on %s", s.Node, m, p.gossip, p.peer)
			}
		}
		if own := s.Cluster.Members[i].Shards; own != s.Cluster.Shards.Held || own < invitation.Shards/4 {
			t.Errorf("node %s owns %d shards and holds %d", s.Node, own, s.Cluster.Shards.Held)
		}
	}
	for _, p := range []*process{a, b} {
		agree(ctx, t, p.admin)
	}
	if code := b.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("b: exit status %d; %s", code, b.stderr.String())
	}
	if s := settled(ctx, t, 1, a.admin)[0]; s.Cluster.Members[0].Shards != invitation.Shards || s.Sessions != users {
		t.Errorf("a is alone, owns %d shards and has %d of %d sessions", s.Cluster.Members[0].Shards, s.Sessions, users)
	}
	if code := a.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("a: exit status %d; %s", code, a.stderr.String())
	}
}

// agree compares the status of a node at rest with its metrics.
func agree(ctx context.Context, t *testing.T, admin string) {
	t.Helper()
	s, err := status(ctx, admin)
	if err != nil {
		t.Fatal(err)
	}
	metrics := "\n" + get(ctx, t, admin+"/metrics")
	c, h := s.Cluster, s.Cluster.Handoffs
	want := map[string]int{
		`ringfleet_cluster_members{lifecycle="joining"}`:  0,
		`ringfleet_cluster_members{lifecycle="serving"}`:  len(c.Members),
		`ringfleet_cluster_members{lifecycle="draining"}`: 0,
		`ringfleet_cluster_view_epoch`:                    int(c.Epoch),
		`ringfleet_shards{place="held"}`:                  c.Shards.Held,
		`ringfleet_shards{place="awaited"}`:               c.Shards.Awaited,
		`ringfleet_handoffs{direction="taking"}`:          h.Taking,
		`ringfleet_handoffs{direction="giving"}`:          h.Giving,
		`ringfleet_handoff_waiting_messages`:              s.Queues.Kept,
		`ringfleet_handoff_kept_messages_total`:           int(h.Kept),
		`ringfleet_handoff_taken_records_total`:           int(h.Taken),
		`ringfleet_handoff_given_records_total`:           int(h.Given),
		`ringfleet_handoff_returned_records_total`:        int(h.Returned),
		`ringfleet_handoff_damaged_records_total`:         int(h.Damaged),
		`ringfleet_peer_connections`:                      len(c.Members) - 1,
		`ringfleet_peer_queued_bytes`:                     s.Queues.PeerBytes,
		`ringfleet_membership_views_total`:                int(c.Epoch),
		`ringfleet_actors{kind="session"}`:                s.Sessions,
		`ringfleet_actors_queued`:                         s.Queues.Actors,
		`ringfleet_gateway_buffered_bytes`:                int(s.Queues.ClientBytes),
	}
	for stage, n := range s.Invitations {
		want[`ringfleet_invitations{stage="`+stage+`"}`] = int(n)
	}
	for name, value := range want {
		if line := "\n" + name + " " + strconv.Itoa(value) + "\n"; !strings.Contains(metrics, line) {
			t.Errorf("the status of %s has %d, the metrics have no %q", s.Node, value, line)
		}
	}
	for _, name := range []string{"ringfleet_peer_sent_bytes_total", "ringfleet_peer_sent_messages_total", "ringfleet_router_messages_total"} {
		if !strings.Contains(metrics, "\n# TYPE "+name+" counter\n") {
			t.Errorf("%s has no %s", s.Node, name)
		}
	}
}

// TestAlone starts a node without gossip: it shows no cluster, and has no metrics of one.
func TestAlone(t *testing.T) {
	p := newProcess(t, slices.Concat(freePorts, []string{"--gossip-address", "off"})...)
	p.begin(1)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := status(ctx, p.admin)
	if err != nil || !s.Ready || s.Cluster != nil {
		t.Errorf("the status is %+v, %v", s, err)
	}
	if metrics := get(ctx, t, p.admin+"/metrics"); strings.Contains(metrics, "ringfleet_shards") || strings.Contains(metrics, "ringfleet_peer") {
		t.Error("it has metrics of a cluster")
	}
	if code := p.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("exit status %d", code)
	}
}

// TestRotateKeys changes the key of a cluster of two while it runs, as docs/cluster.md says. A node with the
// new key alone joins then, and one with the old key does not.
func TestRotateKeys(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	older, newer := gossipKey('o', 32), gossipKey('n', 32)
	keys := filepath.Join(t.TempDir(), "keys")
	give := func(text string) {
		if err := os.WriteFile(keys, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	give(older)
	a := start(t, "--name", "a", "--gossip-keys-file", keys)
	b := start(t, "--name", "b", "--gossip-keys-file", keys, "--join", a.gossip)
	settled(ctx, t, 2, a.admin, b.admin)
	again := func(p *process, says string, times int) {
		t.Helper()
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if err := fleet.Until(ctx, func(context.Context) error {
			if n := strings.Count(p.stderr.String(), says); n != times {
				return fmt.Errorf("it says %q %d times, want %d: %s", says, n, times, p.stderr.String())
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for i, text := range []string{older + newer, newer + older, newer} {
		give(text)
		for _, p := range []*process{a, b} {
			again(p, "gossip keys read again", i+1)
		}
	}
	give("open sesame\n")
	again(a, "the gossip keys stay as they were", 1)
	if strings.Contains(a.stderr.String(), "sesame") {
		t.Errorf("it logs the key: %s", a.stderr.String())
	}
	c := start(t, "--name", "c", "--gossip-keys-file", file(t, "newer", newer), "--join", a.gossip)
	settled(ctx, t, 3, a.admin, b.admin, c.admin)
	d := start(t, "--name", "d", "--gossip-keys-file", file(t, "older", older), "--join", a.gossip, "--join-timeout", "1s")
	settled(ctx, t, 1, d.admin)
	settled(ctx, t, 3, a.admin, b.admin, c.admin)
}

// TestNameInUse starts a second node of a name: it ends, and says what to do.
func TestNameInUse(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	first := start(t, "--name", "a")
	second := newProcess(t, slices.Concat(freePorts, []string{"--name", "a", "--join", first.gossip})...)
	err := second.cmd.Run()
	if code := second.cmd.ProcessState.ExitCode(); err == nil || code != exitError {
		t.Errorf("status %d, %v", code, err)
	}
	said := second.stderr.String()
	if last := said[strings.LastIndex(strings.TrimSpace(said), "\n")+1:]; !strings.HasPrefix(last, "node: ") ||
		!strings.Contains(last, "the name a is in use") || !strings.Contains(last, "another name") {
		t.Errorf("its last line is %q", last)
	}
	settled(ctx, t, 1, first.admin)
}
