package ringfleet

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringfleet/ringfleet/internal/reread"
)

// ClientTLS has the node speak TLS with devices. The files are read again when they have changed: connections that
// stand are not affected. What cannot be read then is logged, and the certificate stays as it was.
type ClientTLS struct {
	// Cert and Key are the certificate, with the chain to its authority, and its key. PEM files.
	Cert, Key string
	// MinVersion is the lowest version, tls.VersionTLS12 or tls.VersionTLS13. The default, 0, is TLS 1.2.
	MinVersion uint16
}

// Check returns what is wrong with the settings or the files, nil if they can be used.
func (t *ClientTLS) Check() error {
	_, err := t.open(nil)
	return err
}

// clientCert is a certificate that is read again when it has changed.
type clientCert struct {
	source *reread.Source[*tls.Certificate]
	lowest uint16
}

func (t *ClientTLS) open(logger *slog.Logger) (*clientCert, error) {
	return t.openAs("clients' certificate", logger)
}

// openAs is open, with the name that the log and errors have for the certificate.
func (t *ClientTLS) openAs(what string, logger *slog.Logger) (*clientCert, error) {
	lowest := t.MinVersion
	switch lowest {
	case 0:
		lowest = tls.VersionTLS12
	case tls.VersionTLS12, tls.VersionTLS13:
	default:
		return nil, fmt.Errorf("ringfleet: ClientTLS.MinVersion is %#x: want TLS 1.2 or 1.3", lowest)
	}
	if t.Cert == "" || t.Key == "" {
		return nil, errors.New("ringfleet: ClientTLS: want both Cert and Key")
	}
	source, err := reread.New(what, logger, func() (*tls.Certificate, error) {
		cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("ringfleet: %s: read %s and %s: %w", what, t.Cert, t.Key, err)
		}
		if now := time.Now(); now.After(cert.Leaf.NotAfter) {
			return nil, fmt.Errorf("ringfleet: %s: that in %s expired on %s", what, t.Cert, cert.Leaf.NotAfter.Format(time.DateOnly))
		}
		return &cert, nil
	}, t.Cert, t.Key)
	if err != nil {
		return nil, err
	}
	return &clientCert{source, lowest}, nil
}

// config returns the configuration of the server. HTTP/2, which cannot be upgraded to a WebSocket, is not offered.
func (c *clientCert) config() *tls.Config {
	return &tls.Config{
		MinVersion: c.lowest, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.source.Get(), nil },
	}
}

// collector tells the end of the certificate.
func (c *clientCert) collector() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ringfleet_client_certificate_not_after_seconds",
		Help: "End of the certificate that clients are shown, in seconds since 1970.",
	}, func() float64 { return float64(c.source.Get().Leaf.NotAfter.Unix()) })
}
