package fleet

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strconv"
)

// addresses are where a node listens.
type addresses struct{ client, admin, gossip, peer string }

// loopback returns an address of this machine that nobody else uses, where there are many.
func loopback() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	return netip.AddrFrom4([4]byte{127, byte(1 + rand.N(254)), byte(rand.N(256)), byte(1 + rand.N(254))}).String()
}

// attempts to find ports before a reason is given.
const attempts = 20

// newAddresses returns free ports on an address of the node's own.
func newAddresses() (addresses, error) {
	var a addresses
	var err error
	for range attempts {
		ip := loopback()
		if a, err = portsOn(ip); err == nil {
			return a, nil
		}
	}
	return a, fmt.Errorf("fleet: no free ports: %w", err)
}

// portsOn finds ports that are free for both TCP and UDP; all are held until all are found.
func portsOn(ip string) (addresses, error) {
	var found [4]string
	for i := range found {
		tcp, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
		if err != nil {
			return addresses{}, err
		}
		defer tcp.Close()
		found[i] = tcp.Addr().String()
		udp, err := net.ListenPacket("udp", found[i])
		if err != nil {
			return addresses{}, err
		}
		defer udp.Close()
	}
	return addresses{client: found[0], admin: found[1], gossip: found[2], peer: found[3]}, nil
}

// sameHost returns a free port on the host of an address.
func sameHost(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(0))
}
