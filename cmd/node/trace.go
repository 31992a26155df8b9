package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"

	"github.com/ringfleet/ringfleet"
)

// traceSettings are the settings about traces.
type traceSettings struct {
	endpoint string
	ratio    float64
}

func (s *traceSettings) register(f *flag.FlagSet) {
	f.StringVar(&s.endpoint, "trace-endpoint", "", "`URL` of an OpenTelemetry collector that takes OTLP over HTTP, as http://127.0.0.1:4318; without a path: /v1/traces; default: no traces")
	f.Float64Var(&s.ratio, "trace-ratio", 0.01, "part of the invitations that are traced, up to 1; the same on all nodes")
}

// resolve sets what the settings are about, or says what is wrong with them.
func (s *traceSettings) resolve(node *ringfleet.Config) error {
	if s.endpoint == "" {
		return nil
	}
	u, err := url.Parse(s.endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return errors.New("trace-endpoint: want http:// or https://, a host, and maybe a port and a path; " +
			"headers are of OTEL_EXPORTER_OTLP_TRACES_HEADERS")
	}
	if !(s.ratio > 0 && s.ratio <= 1) { // not a number is neither
		return fmt.Errorf("trace-ratio is %v: want more than 0, at most 1", s.ratio)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces" // versions of the exporter differ in what they make of none
	}
	exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(u.String()))
	if err != nil {
		return fmt.Errorf("trace-endpoint: %w", err)
	}
	node.Trace = ringfleet.TraceConfig{Exporter: exporter, Ratio: s.ratio}
	return nil
}
