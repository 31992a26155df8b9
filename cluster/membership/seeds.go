package membership

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Resolver looks up the addresses of a name; net.DefaultResolver is one.
type Resolver interface {
	LookupHost(ctx context.Context, host string) (addresses []string, err error)
}

// filePrefix marks a seed that is a file.
const filePrefix = "file:"

// The bounds of what seeds may come to.
const (
	maxSeedFile  = 64 << 10 // bytes that are read of a file
	maxAddresses = 256      // addresses of all seeds
)

// checkSeed returns what is wrong with a seed, nil if it may be one.
func checkSeed(seed string) error {
	if path, ok := strings.CutPrefix(seed, filePrefix); ok {
		if path == "" {
			return errors.New("membership: a seed is file: without a path")
		}
		return nil
	}
	host, port, err := splitSeed(seed)
	if err == nil && host == "" {
		err = errors.New("no host")
	}
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("membership: seed %q is not host:port or file:PATH: %w", seed, err)
	}
	return nil
}

// splitSeed returns the host and port of a seed; the port is DefaultPort if it has none.
func splitSeed(seed string) (host, port string, err error) {
	if net.ParseIP(seed) != nil || !strings.Contains(seed, ":") {
		return seed, strconv.Itoa(DefaultPort), nil
	}
	return net.SplitHostPort(seed)
}

// addresses returns the IP:port of all seeds, each once. What could not be looked up is in the error,
// beside what could.
func addresses(ctx context.Context, resolver Resolver, seeds []string) ([]string, error) {
	var found []string
	var errs []error
	for _, seed := range seeds {
		lines := []string{seed}
		path, isFile := strings.CutPrefix(seed, filePrefix)
		if isFile {
			var err error
			if lines, err = readSeeds(path); err != nil {
				errs = append(errs, err)
			}
		}
		for _, line := range lines {
			list, err := resolve(ctx, resolver, line)
			found = append(found, list...)
			if err != nil {
				errs = append(errs, err)
			}
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	return found[:min(len(found), maxAddresses)], errors.Join(errs...)
}

// readSeeds reads a file of seeds: one on each line, empty lines and those that begin with # apart.
func readSeeds(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("membership: read seeds: %w", err)
	}
	defer f.Close()
	var lines []string
	read := 0
	scanner := bufio.NewScanner(f)
	for scanner.Scan() && read < maxSeedFile {
		read += len(scanner.Bytes()) + 1
		line := strings.TrimSpace(scanner.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.HasPrefix(line, filePrefix) {
			return lines, fmt.Errorf("membership: %s names another file", path)
		}
		lines = append(lines, line)
	}
	if err := scanner.Err(); err != nil {
		return lines, fmt.Errorf("membership: read seeds: %w", err)
	}
	return lines, nil
}

// resolve returns the IP:port of each address of a seed.
func resolve(ctx context.Context, resolver Resolver, seed string) ([]string, error) {
	host, port, err := splitSeed(seed)
	if err != nil {
		return nil, fmt.Errorf("membership: seed %q: %w", seed, err)
	}
	if net.ParseIP(host) != nil {
		return []string{net.JoinHostPort(host, port)}, nil
	}
	ips, err := resolver.LookupHost(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("membership: look up seed %q: %w", seed, err)
	}
	list := make([]string, 0, len(ips))
	for _, ip := range ips {
		list = append(list, net.JoinHostPort(ip, port))
	}
	return list, nil
}
