package observe

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ringfleet/ringfleet/internal/bearer"
)

// The scopes of tokens for the admin address.
const (
	ScopeMetrics = "metrics" // /metrics
	ScopeStatus  = "status"  // /status
	ScopeOperate = "operate" // what changes something: /cluster/agree
	ScopeDebug   = "debug"   // /debug/pprof
)

// Scopes are all of them.
var Scopes = []string{ScopeMetrics, ScopeStatus, ScopeOperate, ScopeDebug}

// Admin is what the admin address serves.
type Admin struct {
	Gatherer prometheus.Gatherer
	Ready    func() error // why the node does not serve; nil when it does
	Status   func() any   // the node's state, for /status: encoded as JSON
	Agree    func() error // counts the members that are seen as all there are
	Events   http.Handler // serves what is below /events/
	// Tokens are needed for everything but /healthz and /readyz. nil: for nothing but the profiles, which there are
	// none of then.
	Tokens *bearer.Tokens
	// OpenMetrics shows /metrics without a token.
	OpenMetrics bool
}

// Handler returns the handler of the admin address:
//
//	/healthz  200 while the process runs
//	/readyz   200 while the node serves, else 503 with the reason
//	/metrics  Prometheus (scope metrics)
//	/status   the node's state as JSON (scope status)
//	/cluster/agree, POST: count with the members that are seen now, and no others (scope operate)
//	/events/  Events (scope operate)
//	/debug/pprof/  profiles (scope debug)
//
// A request from a web page of another origin that would change something is refused.
func (a Admin) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := a.Ready(); err != nil {
			answer(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		answer(w, http.StatusOK, "ready")
	})
	mux.Handle("POST /cluster/agree", a.require(ScopeOperate, func(w http.ResponseWriter, _ *http.Request) {
		if err := a.Agree(); err != nil {
			answer(w, http.StatusConflict, err.Error())
			return
		}
		answer(w, http.StatusOK, "ok")
	}))
	if a.Events != nil {
		mux.Handle("/events/", a.require(ScopeOperate, a.Events.ServeHTTP))
	}
	metrics := promhttp.HandlerFor(a.Gatherer, promhttp.HandlerOpts{})
	if !a.OpenMetrics {
		metrics = a.require(ScopeMetrics, metrics.ServeHTTP)
	}
	mux.Handle("GET /metrics", metrics)
	mux.Handle("GET /status", a.require(ScopeStatus, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		if err := e.Encode(a.Status()); err != nil {
			answer(w, http.StatusInternalServerError, err.Error())
		}
	}))
	mux.Handle("GET /debug/pprof/", a.Tokens.Require(ScopeDebug, http.StripPrefix("/debug/pprof/", profiles())))
	return http.NewCrossOriginProtection().Handler(mux)
}

// require asks for a token, if there are any.
func (a Admin) require(scope string, next http.HandlerFunc) http.Handler {
	if a.Tokens == nil {
		return next
	}
	return a.Tokens.Require(scope, next)
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}
