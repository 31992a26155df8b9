package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sample is what a node's metrics told at one time, by name, summed over the labels.
type sample map[string]float64

// The metrics that are read.
const (
	metricCPU      = "process_cpu_seconds_total"
	metricRSS      = "process_resident_memory_bytes"
	metricStart    = "process_start_time_seconds"
	metricBytes    = "ringfleet_peer_sent_bytes_total"
	metricMessages = "ringfleet_peer_sent_messages_total"
)

var counters = []string{metricCPU, metricBytes, metricMessages}

// meter follows one node's metrics. A node that was restarted meanwhile counts from zero again, and the
// meter goes on; what a process did after the last reading before its end is lost.
type meter struct {
	url       string
	tokenFile string // "": none is needed

	mu       sync.Mutex
	before   sample // of the first reading; nil: none yet
	last     sample
	used     sample // how much the counters have grown
	restarts int
	missed   int // readings that came to nothing
}

// Bounds of a reading.
const (
	scrapeTimeout  = 5 * time.Second
	scrapeInterval = 2 * time.Second
)

var scraper = &http.Client{Timeout: scrapeTimeout}

// read reads the metrics.
func (m *meter) read(ctx context.Context) error {
	s, err := scrape(ctx, m.url, m.tokenFile)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.missed++
		return err
	}
	m.take(s)
	return nil
}

// take adds a reading.
func (m *meter) take(s sample) {
	if m.before == nil {
		m.before, m.last, m.used = s, s, sample{}
		for _, name := range counters {
			if _, there := s[name]; there {
				m.used[name] = 0
			}
		}
		return
	}
	restarted := s[metricStart] != m.last[metricStart]
	if restarted {
		m.restarts++
	}
	for _, name := range counters {
		value, there := s[name]
		switch {
		case !there:
		case restarted || value < m.last[name]:
			m.used[name] += value
		default:
			m.used[name] += value - m.last[name]
		}
	}
	m.last = s
}

// meterAll reads the metrics of all nodes now and then, until ctx is done.
func (r *run) meterAll(ctx context.Context) {
	for pause(ctx, scrapeInterval) {
		_ = r.readMeters(ctx) // counted; what was missed shows at the next reading
	}
}

// readMeters reads the metrics of all nodes once. It returns the first error of a node that users
// connect to.
func (r *run) readMeters(ctx context.Context) error {
	var first error
	for _, n := range r.all {
		if n.meter == nil {
			continue
		}
		if err := n.meter.read(ctx); err != nil && n.target != "" && first == nil {
			first = err
		}
	}
	return first
}

// scrape reads the metrics at url, with the token in a file if one is needed.
func scrape(ctx context.Context, url, tokenFile string) (sample, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if tokenFile != "" {
		token, err := readToken(tokenFile)
		if err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := scraper.Do(request)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics: %s says %s", url, response.Status)
	}
	s := sample{}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		s.line(lines.Text())
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return s, nil
}

// line takes one line of the text format, if it is of a metric that is read.
func (s sample) line(text string) {
	name := text
	if end := strings.IndexAny(text, "{ "); end >= 0 {
		name = text[:end]
	}
	switch name {
	case metricCPU, metricRSS, metricStart, metricBytes, metricMessages:
		value, err := strconv.ParseFloat(text[strings.LastIndexByte(text, ' ')+1:], 64)
		if err == nil {
			s[name] += value
		}
	}
}
