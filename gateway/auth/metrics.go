package auth

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	keysAge = prometheus.NewDesc("ringfleet_token_keys_age_seconds",
		"Time since the keys of the tokens' issuer were fetched; they are fetched when tokens come.", nil, nil)
	keyFetches = prometheus.NewDesc("ringfleet_token_key_fetches_total",
		"Fetches of the keys of the tokens' issuer, by result.", []string{"result"}, nil)
)

// Collector returns the metrics of the key set, nil for an authenticator without one.
func (j *JWT) Collector() prometheus.Collector {
	if j.jwks == nil {
		return nil
	}
	return keysCollector{j.jwks}
}

type keysCollector struct{ set *JWKS }

// Describe implements prometheus.Collector.
func (keysCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- keysAge
	ch <- keyFetches
}

// Collect implements prometheus.Collector. The age is missing while there are no keys.
func (c keysCollector) Collect(ch chan<- prometheus.Metric) {
	c.set.mu.Lock()
	fetched, fetches := c.set.fetched, c.set.fetches
	c.set.mu.Unlock()
	if !fetched.IsZero() {
		ch <- prometheus.MustNewConstMetric(keysAge, prometheus.GaugeValue, time.Since(fetched).Seconds())
	}
	for i, result := range []string{"ok", "failed"} {
		ch <- prometheus.MustNewConstMetric(keyFetches, prometheus.CounterValue, float64(fetches[i]), result)
	}
}
