package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/gateway"
)

// edgeSettings are the settings about what lies between a client and the node.
type edgeSettings struct {
	cert, key   string
	minVersion  string
	proxies     string
	proxyHeader string
	origins     string
}

func (s *edgeSettings) register(f *flag.FlagSet) {
	f.StringVar(&s.cert, "client-tls-cert-file", "", "PEM `file` with the certificate that clients are shown, and its chain; read again when it changes; default: no TLS, it ends in front")
	f.StringVar(&s.key, "client-tls-key-file", "", "PEM `file` with its key")
	f.StringVar(&s.minVersion, "client-tls-min-version", "1.2", "lowest version of TLS for clients: 1.2 or 1.3")
	f.StringVar(&s.proxies, "trusted-proxies", "", "comma-separated `addresses` of proxies in front, as 10.0.0.0/8, that are believed where a client comes from")
	f.StringVar(&s.proxyHeader, "proxy-header", gateway.XForwardedFor, "header that they say it with: X-Forwarded-For or Forwarded")
	f.StringVar(&s.origins, "origins", "", "comma-separated `origins` from which browsers may connect, as https://app.example.com; *: all; default: the host they came from")
}

// resolve sets what the settings are about, or says all that is wrong with them.
func (s *edgeSettings) resolve(node *ringfleet.Config) error {
	var errs []error
	versions := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
	lowest, ok := versions[s.minVersion]
	if !ok {
		errs = append(errs, fmt.Errorf("client-tls-min-version %q: want 1.2 or 1.3", s.minVersion))
	}
	switch {
	case s.cert == "" && s.key == "":
	case s.cert == "" || s.key == "":
		errs = append(errs, errors.New("client-tls-cert-file and client-tls-key-file: want both, or none"))
	default:
		node.ClientTLS = &ringfleet.ClientTLS{Cert: s.cert, Key: s.key, MinVersion: lowest}
	}
	if s.proxies != "" {
		trusted, err := prefixes(s.proxies)
		if err == nil {
			node.Gateway.ClientAddress, err = gateway.BehindProxies(trusted, s.proxyHeader)
		}
		errs = append(errs, err)
	} else if s.proxyHeader != gateway.XForwardedFor {
		errs = append(errs, errors.New("proxy-header is of no use without trusted-proxies"))
	}
	for origin := range strings.SplitSeq(s.origins, ",") {
		if origin = strings.TrimSpace(origin); origin != "" {
			node.Gateway.Origins = append(node.Gateway.Origins, origin)
		}
	}
	return errors.Join(errs...)
}

// prefixes reads addresses, each with or without the length of a prefix.
func prefixes(text string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for entry := range strings.SplitSeq(text, ",") {
		entry = strings.TrimSpace(entry)
		p, err := netip.ParsePrefix(entry)
		if a, addrErr := netip.ParseAddr(entry); addrErr == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("trusted-proxies: %q: want addresses like 10.0.0.0/8, 192.0.2.1 or fd00::/8", entry)
		}
		if p.Bits() == 0 {
			return nil, fmt.Errorf("trusted-proxies: %s is everybody, so that every client could say it comes from anywhere", entry)
		}
		list = append(list, p.Masked())
	}
	return list, nil
}
