package auth

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Development believes every connection from this machine to be whom it claims to be; tokens are
// ignored. Whoever can reach the port can ring as anybody, so the host calls [CheckLoopback] with
// every address it listens on. As a second line, it refuses connections from elsewhere, those that
// came through a proxy, and those whose request was for another host (a page whose name was made to
// point at this machine). A proxy on this machine that tells nothing of itself is not noticed.
type Development struct{}

// Authenticate returns the claimed user.
func (Development) Authenticate(_ context.Context, r Request) (Identity, error) {
	if !r.Address.IsValid() {
		return Identity{User: r.User}, nil // a pipe of this process
	}
	if r.Forwarded || !r.Address.Unmap().IsLoopback() || r.Host != "" && !isLoopback(hostOf(r.Host)) {
		return Identity{}, ErrNotLocal
	}
	return Identity{User: r.User}, nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// hostOf takes the port off the host of a request.
func hostOf(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// CheckLoopback returns an error that says what to do unless address, as given to net.Listen or
// returned by a listener, can be reached from this machine only. It resolves no names: of those,
// "localhost" alone is taken. An address without a host is every interface, and refused.
func CheckLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("auth: listen address %q: %w", address, err)
	}
	if isLoopback(host) {
		return nil
	}
	return fmt.Errorf("auth: development authentication believes everybody and would listen on %q, which others can reach: "+
		"listen on 127.0.0.1, or configure token keys", address)
}
