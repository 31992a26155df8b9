package auth

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// Development believes every connection from this machine to be whom it claims to be; tokens are
// ignored. Whoever can reach the port can ring as anybody, so the host calls [CheckLoopback] with
// every address it listens on. As a second line, connections from elsewhere and those that came
// through a proxy are refused. A proxy on this machine that adds no forwarding header is not noticed.
type Development struct{}

// Authenticate returns the claimed user.
func (Development) Authenticate(_ context.Context, r Request) (Identity, error) {
	if r.Forwarded || r.Address.IsValid() && !r.Address.Unmap().IsLoopback() {
		return Identity{}, ErrNotLocal
	}
	return Identity{User: r.User}, nil
}

// CheckLoopback returns an error that says what to do unless address, as given to net.Listen or
// returned by a listener, can be reached from this machine only. It resolves no names: of those,
// "localhost" alone is taken. An address without a host is every interface, and refused.
func CheckLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("auth: listen address %q: %w", address, err)
	}
	if host == "localhost" {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().IsLoopback() {
		return nil
	}
	return fmt.Errorf("auth: development authentication believes everybody and would listen on %q, which others can reach: "+
		"listen on 127.0.0.1, or configure token keys", address)
}
