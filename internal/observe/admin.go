package observe

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Admin is what the admin address serves.
type Admin struct {
	Gatherer prometheus.Gatherer
	Ready    func() error // why the node does not serve; nil when it does
	Status   func() any   // the node's state, for /status: encoded as JSON
	Agree    func() error // counts the members that are seen as all there are
	Events   http.Handler // serves what is below /events/
}

// Handler returns the handler of the admin address:
//
//	/healthz  200 while the process runs
//	/readyz   200 while the node serves, else 503 with the reason
//	/metrics  Prometheus
//	/status   the node's state as JSON
//	/cluster/agree, POST: count with the members that are seen now, and no others
//	/events/: Events
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
	mux.HandleFunc("POST /cluster/agree", func(w http.ResponseWriter, _ *http.Request) {
		if err := a.Agree(); err != nil {
			answer(w, http.StatusConflict, err.Error())
			return
		}
		answer(w, http.StatusOK, "ok")
	})
	if a.Events != nil {
		mux.Handle("/events/", a.Events)
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.Gatherer, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		if err := e.Encode(a.Status()); err != nil {
			answer(w, http.StatusInternalServerError, err.Error())
		}
	})
	return mux
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}
