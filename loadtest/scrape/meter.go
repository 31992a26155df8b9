package scrape

import (
	"context"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/figures"
)

// counters are the metrics of which the growth counts.
var counters = []string{CPU, PeerBytes, PeerSent}

// Meter follows one node's metrics. A node that was restarted meanwhile counts from zero again, and the meter goes on;
// what a process did after the last reading before its end is lost. Safe for concurrent use.
type Meter struct {
	URL       string // as http://127.0.0.1:9090/metrics
	TokenFile string // "": none is needed

	mu       sync.Mutex
	begin    time.Time // of the run; zero: no samples are kept
	before   Reading   // of the first reading; nil: none yet
	last     Reading
	at       time.Time // of last
	used     Reading   // how much the counters have grown
	most     float64   // resident memory
	restarts int
	missed   int // readings that came to nothing
	samples  []figures.Sample
	thin     int // of so many samples one is kept
	skipped  int
}

// maxSamples bounds what is kept; of more, every second one is dropped.
const maxSamples = 4_096

// Begin keeps samples from now on; at is the begin of the run.
func (m *Meter) Begin(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.begin, m.thin = at, 1
}

// Read reads the metrics once.
func (m *Meter) Read(ctx context.Context) error {
	r, err := Read(ctx, m.URL, m.TokenFile)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.missed++
		return err
	}
	m.take(time.Now(), r)
	return nil
}

// take adds a reading.
func (m *Meter) take(at time.Time, r Reading) {
	m.most = max(m.most, r[RSS])
	if m.before == nil {
		m.before, m.last, m.at, m.used = r, r, at, Reading{}
		for _, name := range counters {
			if _, there := r[name]; there {
				m.used[name] = 0
			}
		}
		return
	}
	restarted := r[Start] != m.last[Start]
	if restarted {
		m.restarts++
	}
	for _, name := range counters {
		if _, there := r[name]; there {
			m.used[name] += m.grown(r, name)
		}
	}
	m.sample(at, r)
	m.last, m.at = r, at
}

// grown returns by how much a counter has grown since the last reading.
func (m *Meter) grown(r Reading, name string) float64 {
	if r[Start] != m.last[Start] || r[name] < m.last[name] {
		return r[name]
	}
	return r[name] - m.last[name]
}

// sample keeps a reading for the time line.
func (m *Meter) sample(at time.Time, r Reading) {
	seconds := at.Sub(m.at).Seconds()
	if m.begin.IsZero() || at.Before(m.begin) || seconds <= 0 {
		return
	}
	if m.skipped++; m.skipped < m.thin {
		return
	}
	m.skipped = 0
	m.samples = append(m.samples, figures.Sample{
		T: at.Sub(m.begin).Seconds(), CPU: m.grown(r, CPU) / seconds, RSS: r[RSS], Heap: r[Heap], Goroutines: r[Goroutines],
		GCs: m.grown(r, GCs) / seconds, Pause: 1000 * m.grown(r, Pauses) / seconds, Sessions: r[Connections],
	})
	if len(m.samples) == maxSamples {
		for i := range maxSamples / 2 {
			m.samples[i] = m.samples[2*i+1]
		}
		m.samples = m.samples[:maxSamples/2]
		m.thin *= 2
	}
}

// Report adds what was read to a node's result.
func (m *Meter) Report(n *figures.Node) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n.Metrics, n.Restarts, n.Missed, n.Samples = m.URL, m.restarts, m.missed, m.samples
	n.CPU, n.Bytes, n.Messages = m.used.Get(CPU), m.used.Get(PeerBytes), m.used.Get(PeerSent)
	n.RSSBefore, n.RSSAfter = m.before.Get(RSS), m.last.Get(RSS)
	if m.most > 0 {
		most := m.most
		n.RSSMost = &most
	}
}
