package gateway

import (
	"net/http"
	"time"
)

// The limits of the servers that [NewServer] returns.
const (
	HeaderTimeout  = 5 * time.Second  // for the whole request header, and a TLS handshake
	RequestTimeout = 10 * time.Second // for the whole of a request that is not upgraded
	KeepAlive      = 30 * time.Second // for the next request on the same connection
	MaxHeader      = 16 << 10         // bytes; net/http adds 4 KiB
)

// NewServer returns an HTTP server for handler with limits that a client cannot stretch by being
// slow. They do not apply to upgraded connections, which have limits of their own. Its ErrorLog is
// the default one.
func NewServer(address string, handler http.Handler) *http.Server {
	return &http.Server{
		Addr:              address,
		Handler:           handler,
		ReadHeaderTimeout: HeaderTimeout,
		ReadTimeout:       RequestTimeout,
		WriteTimeout:      RequestTimeout,
		IdleTimeout:       KeepAlive,
		MaxHeaderBytes:    MaxHeader,
	}
}
