package main

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// usage of a node's process, as its metrics tell it.
type processUsage struct {
	cpu float64 // seconds
	rss float64 // bytes
}

var scraper = &http.Client{Timeout: 5 * time.Second}

// scrape sums the usage of the processes whose metrics are at urls.
func scrape(urls []string) (processUsage, error) {
	var sum processUsage
	for _, url := range urls {
		response, err := scraper.Get(url)
		if err != nil {
			return sum, fmt.Errorf("metrics: %w", err)
		}
		for s := bufio.NewScanner(response.Body); s.Scan(); {
			name, value, _ := strings.Cut(s.Text(), " ")
			number, _ := strconv.ParseFloat(value, 64) // of the two below, always one
			switch name {
			case "process_cpu_seconds_total":
				sum.cpu += number
			case "process_resident_memory_bytes":
				sum.rss += number
			}
		}
		if err := response.Body.Close(); err != nil {
			return sum, fmt.Errorf("metrics: %w", err)
		}
	}
	return sum, nil
}
