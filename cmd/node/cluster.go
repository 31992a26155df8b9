package main

import (
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/cluster/membership"
)

// clusterSettings are the settings about other nodes.
type clusterSettings struct {
	name            string
	gossip          string
	gossipAdvertise string
	keysFile        string
	join            string
	joinTimeout     time.Duration
	peer            string
	peerAdvertise   string
	cert, key, ca   string
	clientAdvertise string
	insecure        bool
}

// off is a gossip address for a node that is alone; so is none.
const off = "off"

func (c *clusterSettings) register(f *flag.FlagSet) {
	f.StringVar(&c.name, "cluster-name", "ringfleet", "`name` of the cluster; nodes of another one are refused")
	f.StringVar(&c.gossip, "gossip-address", "127.0.0.1:7946", "`IP:port` where nodes find each other (UDP and TCP); off: this node is alone")
	f.StringVar(&c.gossipAdvertise, "gossip-advertise", "", "`IP:port` at which others reach gossip-address; default: that one, or the machine's first private address")
	f.StringVar(&c.keysFile, "gossip-keys-file", "", "`file` of base64 keys of 16, 24 or 32 bytes, one a line: the first encrypts the gossip, all decrypt; read again on SIGHUP")
	f.StringVar(&c.join, "join", "", "comma-separated `places` to find other nodes: IP:port, name:port, file:PATH with one a line")
	f.DurationVar(&c.joinTimeout, "join-timeout", 5*time.Second, "time to wait for one of them, then serve alone and go on looking")
	f.StringVar(&c.peer, "peer-address", "127.0.0.1:7947", "`host:port` for the messages of other nodes")
	f.StringVar(&c.peerAdvertise, "peer-advertise", "", "`host:port` at which others reach peer-address; default: that one")
	f.StringVar(&c.cert, "peer-cert-file", "", "PEM `file` with this node's certificate, for the DNS name ringfleet-node, as client and server")
	f.StringVar(&c.key, "peer-key-file", "", "PEM `file` with its key")
	f.StringVar(&c.ca, "peer-ca-file", "", "PEM `file` with the authorities of all nodes' certificates")
	f.StringVar(&c.clientAdvertise, "client-advertise", "", "`address` for clients that other nodes and operators are told; default: client-address")
	f.BoolVar(&c.insecure, "insecure-cluster", false, "listen for nodes beyond this machine without gossip keys or without peer certificates")
}

// resolve returns the cluster's configuration, nil for a node that is alone, or all that is wrong with the
// settings. The node is called node.
func (c *clusterSettings) resolve(node string) (*ringfleet.ClusterConfig, error) {
	if c.gossip == "" || c.gossip == off {
		return nil, c.resolveAlone()
	}
	keys, err := c.keys()
	errs := []error{err, c.addresses()}
	if c.joinTimeout <= 0 {
		errs = append(errs, fmt.Errorf("join-timeout is %v: want more than 0", c.joinTimeout))
	}
	tls, err := c.tls()
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	config := &ringfleet.ClusterConfig{
		Name: c.name, PeerAddress: c.peer, PeerAdvertise: c.peerAdvertise, PeerTLS: tls,
		ClientAdvertise: c.clientAdvertise, JoinTimeout: c.joinTimeout, Build: build(),
		Gossip: ringfleet.GossipConfig{Address: c.gossip, Advertise: c.gossipAdvertise, Join: c.places(), Keys: keys},
	}
	if err := (membership.Config{
		Cluster: config.Name, Name: node, Bind: c.gossip, Advertise: c.gossipAdvertise, Peer: c.peerAdvertise,
		Gateway: c.clientAdvertise, Build: config.Build, Seeds: config.Gossip.Join, Keys: keys,
	}).Check(); err != nil {
		return nil, err
	}
	return config, nil
}

// resolveAlone refuses settings that are of no use to a node that is alone.
func (c *clusterSettings) resolveAlone() error {
	var errs []error
	for _, s := range []struct{ name, value string }{
		{"join", c.join},
		{"gossip-advertise", c.gossipAdvertise},
		{"gossip-keys-file", c.keysFile},
		{"peer-advertise", c.peerAdvertise},
		{"peer-cert-file", c.cert},
		{"peer-key-file", c.key},
		{"peer-ca-file", c.ca},
		{"client-advertise", c.clientAdvertise},
	} {
		if s.value != "" {
			errs = append(errs, fmt.Errorf("%s is for nodes of a cluster, but gossip-address is off", s.name))
		}
	}
	return errors.Join(errs...)
}

// places returns what to join.
func (c *clusterSettings) places() []string {
	var places []string
	for place := range strings.SplitSeq(c.join, ",") {
		if place = strings.TrimSpace(place); place != "" {
			places = append(places, place)
		}
	}
	return places
}

// addresses checks that what others can reach is protected, like the clients' address.
func (c *clusterSettings) addresses() error {
	var errs []error
	if _, err := netip.ParseAddrPort(c.gossip); err != nil {
		errs = append(errs, fmt.Errorf("gossip-address %q: want IP:port, as 0.0.0.0:7946 or [::]:7946, or off", c.gossip))
	} else if !isLoopback(c.gossip) && c.keysFile == "" && !c.insecure {
		errs = append(errs, fmt.Errorf("gossip-address %q can be reached by others, and without keys whoever does can join: give all nodes "+
			"the same --gossip-keys-file (a key: openssl rand -base64 32), or, on a network of their own, --insecure-cluster", c.gossip))
	}
	if _, err := netip.ParseAddrPort(c.gossipAdvertise); err != nil && c.gossipAdvertise != "" {
		errs = append(errs, fmt.Errorf("gossip-advertise %q: want IP:port", c.gossipAdvertise))
	}
	if _, _, err := net.SplitHostPort(c.peerAdvertise); err != nil && c.peerAdvertise != "" {
		errs = append(errs, fmt.Errorf("peer-advertise: %w", err))
	}
	if _, _, err := net.SplitHostPort(c.peer); err != nil {
		errs = append(errs, fmt.Errorf("peer-address: %w", err))
	} else if !isLoopback(c.peer) && c.cert == "" && !c.insecure {
		errs = append(errs, fmt.Errorf("peer-address %q can be reached by others, and without certificates whoever does can read or forge messages: "+
			"give each node --peer-cert-file, --peer-key-file and --peer-ca-file (docs/cluster.md), or, on a network of their own, "+
			"--insecure-cluster", c.peer))
	}
	return errors.Join(errs...)
}

// isLoopback reports whether a host:port can be reached from this machine only. It resolves no names: of
// those, localhost alone is taken.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// tls returns what peers prove themselves with, nil for nothing.
func (c *clusterSettings) tls() (*link.TLS, error) {
	if c.cert == "" && c.key == "" && c.ca == "" {
		return nil, nil //nolint:nilnil // nothing is an answer
	}
	for _, s := range []struct{ name, value string }{
		{"peer-cert-file", c.cert}, {"peer-key-file", c.key}, {"peer-ca-file", c.ca},
	} {
		if s.value == "" {
			return nil, fmt.Errorf("%s is missing: want all of peer-cert-file, peer-key-file and peer-ca-file, or none", s.name)
		}
	}
	tls := &link.TLS{Cert: c.cert, Key: c.key, CA: c.ca}
	if err := tls.Check(); err != nil {
		return nil, fmt.Errorf("peer certificates: %w", err)
	}
	return tls, nil
}

// maxKeysFile bounds what is read of the file of gossip keys.
const maxKeysFile = 64 << 10

// keys reads the gossip's keys: none if no file is set. Its errors show nothing of a key.
func (c *clusterSettings) keys() ([][]byte, error) {
	if c.keysFile == "" {
		return nil, nil
	}
	f, err := os.Open(c.keysFile)
	if err != nil {
		return nil, fmt.Errorf("gossip-keys-file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeysFile))
	if err != nil {
		return nil, fmt.Errorf("gossip-keys-file: %w", err)
	}
	var keys [][]byte
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return nil, fmt.Errorf("gossip-keys-file %s: line %d is not base64 (a key: openssl rand -base64 32)", c.keysFile, number)
		}
		if n := len(key); n != 16 && n != 24 && n != 32 {
			return nil, fmt.Errorf("gossip-keys-file %s: the key in line %d has %d bytes: want 16, 24 or 32 (openssl rand -base64 32)",
				c.keysFile, number, n)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("gossip-keys-file %s has no key: want base64, one a line (openssl rand -base64 32)", c.keysFile)
	}
	return keys, nil
}

// revision is how much of a commit's name is told to others.
const revision = 12

// build names what this binary was built from; "" if it does not know, as with go run.
func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	values := map[string]string{}
	for _, s := range info.Settings {
		values[s.Key] = s.Value
	}
	name := values["vcs.revision"]
	name = name[:min(len(name), revision)]
	if name != "" && values["vcs.modified"] == "true" {
		name += "+modified"
	}
	return name
}
