package scrape

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// The metrics that are read.
const (
	CPU         = "process_cpu_seconds_total"
	RSS         = "process_resident_memory_bytes"
	Start       = "process_start_time_seconds"
	Heap        = "go_memstats_heap_alloc_bytes"
	Goroutines  = "go_goroutines"
	GCs         = "go_gc_duration_seconds_count"
	Pauses      = "go_gc_duration_seconds_sum"
	Connections = "ringfleet_gateway_connections"
	PeerBytes   = "ringfleet_peer_sent_bytes_total"
	PeerSent    = "ringfleet_peer_sent_messages_total"
)

var wanted = map[string]bool{
	CPU: true, RSS: true, Start: true, Heap: true, Goroutines: true, GCs: true, Pauses: true, Connections: true, PeerBytes: true, PeerSent: true,
}

// Reading is what a node's metrics told at one time, by name, summed over the labels.
type Reading map[string]float64

// Get returns a value, nil if it was not told.
func (r Reading) Get(name string) *float64 {
	value, there := r[name]
	if !there {
		return nil
	}
	return &value
}

// Bounds of a reading.
const (
	Timeout  = 5 * time.Second
	maxBytes = 16 << 20
)

var scraper = &http.Client{Timeout: Timeout}

// Read reads the metrics at url, with the token in a file if one is needed ("" for none).
func Read(ctx context.Context, url, tokenFile string) (Reading, error) {
	body, err := get(ctx, url, tokenFile)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return Parse(body)
}

// Parse reads metrics in Prometheus' text format.
func Parse(r io.Reader) (Reading, error) {
	found := Reading{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		found.line(lines.Text())
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return found, nil
}

// line takes one line, if it is of a metric that is read.
func (r Reading) line(text string) {
	name := text
	if end := strings.IndexAny(text, "{ "); end >= 0 {
		name = text[:end]
	}
	if !wanted[name] {
		return
	}
	value, err := strconv.ParseFloat(text[strings.LastIndexByte(text, ' ')+1:], 64)
	if err == nil {
		r[name] += value
	}
}

func get(ctx context.Context, url, tokenFile string) (io.Reader, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	if tokenFile != "" {
		token, err := ReadToken(tokenFile)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := scraper.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s says %s", url, response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxBytes))
	if err != nil {
		return nil, err
	}
	return bytes.NewReader(text), nil
}

// ReadToken returns the bearer token in a file.
func ReadToken(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return "", fmt.Errorf("%s has no token", file)
	}
	return string(text), nil
}
