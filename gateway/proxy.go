package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// The headers that proxies tell the address of their client with.
const (
	XForwardedFor = "X-Forwarded-For"
	Forwarded     = "Forwarded" // RFC 7239
)

// BehindProxies returns a [Config.ClientAddress] for a node behind proxies whose addresses are in trusted: of a
// connection from one of them, the address is what it says in header, which is one of those two. It may name several,
// the client first, if there are proxies behind proxies; they are read from the last one on, as long as the one that
// tells is trusted, since a client can write what it likes in front. What is no address ends the reading there. Other
// connections have their own address, whatever they say. Choose the header that your proxies set: the other one they
// may let through from clients.
func BehindProxies(trusted []netip.Prefix, header string) (func(*http.Request) netip.Addr, error) {
	if len(trusted) == 0 {
		return nil, errors.New("gateway: no trusted proxies: want their addresses")
	}
	var list func(*http.Request) []string
	switch http.CanonicalHeaderKey(header) {
	case XForwardedFor:
		list = forwardedFor
	case Forwarded:
		list = forwarded
	default:
		return nil, fmt.Errorf("gateway: proxies' header %q: want %s or %s", header, XForwardedFor, Forwarded)
	}
	trusted = slices.Clone(trusted)
	trusts := func(a netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return func(r *http.Request) netip.Addr {
		address := remoteAddress(r)
		if !address.IsValid() || !trusts(address) {
			return address
		}
		for _, text := range slices.Backward(list(r)) {
			next, ok := parseAddress(text)
			if !ok {
				break
			}
			if address = next; !trusts(address) {
				break
			}
		}
		return address
	}, nil
}

// forwardedFor returns the entries of X-Forwarded-For.
func forwardedFor(r *http.Request) []string {
	values := r.Header.Values(XForwardedFor)
	if len(values) == 0 {
		return nil
	}
	return strings.Split(strings.Join(values, ","), ",")
}

// forwarded returns the for= of each element of Forwarded; "" for one that has none.
func forwarded(r *http.Request) []string {
	values := r.Header.Values(Forwarded)
	if len(values) == 0 {
		return nil
	}
	var list []string
	for _, element := range splitQuoted(strings.Join(values, ","), ',') {
		origin := ""
		for _, pair := range splitQuoted(element, ';') {
			name, value, _ := strings.Cut(pair, "=")
			if strings.EqualFold(strings.TrimSpace(name), "for") {
				origin = strings.Trim(strings.TrimSpace(value), `"`)
			}
		}
		list = append(list, origin)
	}
	return list
}

// splitQuoted splits at a separator outside of quotes. A quote that is not closed goes to the end.
func splitQuoted(s string, separator byte) []string {
	var parts []string
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == separator && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// parseAddress reads an IP address, with or without brackets and port.
func parseAddress(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if p, err := netip.ParseAddrPort(text); err == nil {
		return p.Addr().Unmap().WithZone(""), true
	}
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		text = text[1 : len(text)-1]
	}
	a, err := netip.ParseAddr(text)
	return a.Unmap().WithZone(""), err == nil
}
