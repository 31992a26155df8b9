package scrape

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
)

// The ports that a node has by default, and that nodes on the same machine count up from together.
const (
	clientPort = 8080
	adminPort  = 9090
)

// DiscoverError says that no admin address was found.
type DiscoverError struct {
	Target string
	Tried  []string
	Cause  error
}

// Error implements error.
func (e *DiscoverError) Error() string {
	return fmt.Sprintf("no metrics found of %s: none at %q (%v); give --metrics URL", e.Target, e.Tried, e.Cause)
}

// Unwrap returns the cause.
func (e *DiscoverError) Unwrap() error { return e.Cause }

// Discover returns the URL of the metrics of the node that serves clients at target: on the same host, at the port that
// is as far from 9090 as the clients' is from 8080, or at 9090. Where the node there tells on which address it serves clients,
// it must be the target. The error is a [*DiscoverError].
func Discover(ctx context.Context, target, tokenFile string) (string, error) {
	u, err := url.Parse(target)
	if err != nil {
		return "", &DiscoverError{Target: target, Cause: err}
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return "", &DiscoverError{Target: target, Cause: fmt.Errorf("it has no port")}
	}
	failure := &DiscoverError{Target: target}
	tried := map[int]bool{}
	for _, candidate := range []int{port - clientPort + adminPort, adminPort} {
		if tried[candidate] || candidate < 1 || candidate > 65_535 {
			continue
		}
		tried[candidate] = true
		base := "http://" + net.JoinHostPort(u.Hostname(), strconv.Itoa(candidate))
		failure.Tried = append(failure.Tried, base)
		err := isAdminOf(ctx, base, u.Host, tokenFile)
		if err == nil {
			return base + "/metrics", nil
		}
		failure.Cause = errors.Join(failure.Cause, err)
	}
	return "", failure
}

// isAdminOf returns why an address is not the admin address of the node that serves clients at another.
func isAdminOf(ctx context.Context, base, host, tokenFile string) error {
	r, err := Read(ctx, base+"/metrics", tokenFile)
	if err != nil {
		return err
	}
	if r.Get(Connections) == nil {
		return fmt.Errorf("%s/metrics is not of a node", base)
	}
	body, err := get(ctx, base+"/status", tokenFile)
	if err != nil {
		return nil // the token may be one for metrics only: then the address has to do
	}
	var status struct {
		Node    string
		Cluster *struct {
			Members []struct{ Name, Gateway string }
		}
	}
	if err := json.NewDecoder(body).Decode(&status); err != nil {
		return fmt.Errorf("%s/status: %w", base, err)
	}
	if status.Cluster == nil {
		return nil
	}
	for _, m := range status.Cluster.Members {
		if m.Name == status.Node && m.Gateway != "" && portOf(m.Gateway) != portOf(host) {
			return fmt.Errorf("%s is the admin address of %s, which serves clients at %s", base, m.Name, m.Gateway)
		}
	}
	return nil
}

// portOf returns the port of an address: its host may be any of the node's.
func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}
