package observe

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"strings"
	"time"
)

// How long a profile of the CPU or a trace takes.
const (
	profileTime    = 30 * time.Second
	maxProfileTime = time.Minute
	profileWrite   = time.Minute // for sending it
)

// profiles serves what net/http/pprof does, for the same tools. That package would also serve it on the
// http.DefaultServeMux of every program that embeds a node, where nothing protects it.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "" && r.URL.Path != "/" {
			snapshot(w, r)
			return
		}
		var list strings.Builder
		list.WriteString("go tool pprof understands these, with seconds=N or debug=1 where it makes sense:\n\nprofile\ntrace\n")
		for _, p := range pprof.Profiles() {
			fmt.Fprintf(&list, "%s\t%d\n", p.Name(), p.Count())
		}
		answer(w, http.StatusOK, list.String())
	})
	mux.HandleFunc("GET /profile", over(pprof.StartCPUProfile, pprof.StopCPUProfile))
	mux.HandleFunc("GET /trace", over(trace.Start, trace.Stop))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "" || r.URL.Path[0] != '/' {
			r = r.Clone(r.Context())
			r.URL.Path = "/" + r.URL.Path
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

// over serves what is recorded for some time. Two at once are refused by the runtime.
func over(start func(io.Writer) error, stop func()) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		length := profileTime
		if text := r.FormValue("seconds"); text != "" {
			n, err := strconv.ParseFloat(text, 64)
			length = time.Duration(n * float64(time.Second))
			if err != nil || length <= 0 || length > maxProfileTime {
				answer(w, http.StatusBadRequest, fmt.Sprintf("seconds=%s: want more than 0, at most %v", text, maxProfileTime.Seconds()))
				return
			}
		}
		extend(w, length)
		w.Header().Set("Content-Type", "application/octet-stream")
		if err := start(w); err != nil {
			answer(w, http.StatusConflict, err.Error())
			return
		}
		defer stop()
		ctx, cancel := context.WithTimeout(r.Context(), length)
		defer cancel()
		<-ctx.Done()
	}
}

// snapshot serves one of the runtime's profiles as it is now.
func snapshot(w http.ResponseWriter, r *http.Request) {
	p := pprof.Lookup(r.URL.Path[1:])
	if p == nil {
		answer(w, http.StatusNotFound, "there is no such profile")
		return
	}
	debug, _ := strconv.Atoi(r.FormValue("debug"))
	kind := "application/octet-stream"
	if debug > 0 {
		kind = "text/plain; charset=utf-8"
	}
	w.Header().Set("Content-Type", kind)
	extend(w, 0)
	_ = p.WriteTo(w, debug) // to a client that may have gone
}

// extend gives an answer more time than the server does.
func extend(w http.ResponseWriter, by time.Duration) {
	// A server that cannot do it has no such limit.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(by + profileWrite))
}
