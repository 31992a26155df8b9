package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/ringfleet/ringfleet/internal/fault"
	"github.com/ringfleet/ringfleet/invitation"
)

// typed gives every refusal over HTTP with JSON the form of an error of the API. What is no request, such as one of
// another method, or one that is too large, the library and the mux refuse before the guard sees it, with less.
// So does typedGRPC for gRPC and gRPC-Web. Streams over HTTP pass as they are: their refusals are codes.
func (s *Server) typed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind := r.Header.Get("Content-Type")
		switch {
		case strings.HasPrefix(kind, "application/grpc"):
			s.typedGRPC(next, w, r)
			return
		case strings.HasPrefix(kind, "application/connect+"):
			next.ServeHTTP(w, r)
			return
		}
		began := time.Now()
		held := &refusal{ResponseWriter: w}
		next.ServeHTTP(held, r)
		if held.status == 0 {
			return
		}
		if err := held.write(r); err != nil {
			s.refused(r, err, time.Since(began))
		}
	})
}

// refused counts and logs what the guard has not seen.
func (s *Server) refused(r *http.Request, err *connect.Error, took time.Duration) {
	what := "none"
	if _, known := scopes[r.URL.Path]; known {
		what = r.URL.Path
		s.metrics.observe(what, codeName(err), took)
	}
	s.log(r.Context(), line{procedure: what, from: r.RemoteAddr, took: took, err: err})
}

// refusal keeps a response back whose status is that of an error, to be written anew.
type refusal struct {
	http.ResponseWriter
	status int // of an error; 0: the response is none, and was not kept back
	body   bytes.Buffer
}

// Unwrap is for http.ResponseController.
func (h *refusal) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (h *refusal) WriteHeader(status int) {
	if status < http.StatusBadRequest {
		h.ResponseWriter.WriteHeader(status)
		return
	}
	h.status = status
}

// Write implements http.ResponseWriter. What is kept back are the server's own words, so that it is short.
func (h *refusal) Write(p []byte) (int, error) {
	if h.status == 0 {
		return h.ResponseWriter.Write(p)
	}
	return h.body.Write(p)
}

// write writes what was kept back, and returns the error that it made of what was none; nil: it was one.
func (h *refusal) write(r *http.Request) *connect.Error {
	var answer struct {
		Code    connect.Code      `json:"code"`
		Message string            `json:"message"`
		Details []json.RawMessage `json:"details"`
	}
	if err := json.Unmarshal(h.body.Bytes(), &answer); err == nil && len(answer.Details) > 0 {
		h.ResponseWriter.WriteHeader(h.status)
		_, _ = h.ResponseWriter.Write(h.body.Bytes()) // a client that has gone needs no answer
		return nil
	} else if err != nil {
		answer.Code, answer.Message = 0, ""
	}
	status, made := named(h.status, answer.Code, answer.Message)
	h.Header().Del("Content-Length")
	plain := r.Clone(r.Context())
	plain.Method, plain.Header = http.MethodPost, http.Header{"Content-Type": {"application/json"}}
	_ = connect.NewErrorWriter().Write(withStatus{h.ResponseWriter, status}, plain, made) // a client that has gone needs no answer
	return made
}

// withStatus has a status of its own, whatever it is told.
type withStatus struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w withStatus) WriteHeader(int) { w.ResponseWriter.WriteHeader(w.status) }

// named returns the status and the error of a refusal that has a status and, if code is not 0, a code and a message.
func named(status int, code connect.Code, message string) (int, *connect.Error) {
	switch {
	case status == http.StatusNotFound && code == 0:
		return status, fault.New(connect.CodeUnimplemented, "there is no such procedure, see the schema")
	case status == http.StatusMethodNotAllowed:
		return status, fault.New(connect.CodeUnimplemented, "want a POST; a procedure that changes nothing may be a GET")
	case status == http.StatusUnsupportedMediaType:
		return status, fault.Call(invitation.InvalidArgument,
			"want a body of application/json or application/proto, of a GET none, and of a stream application/connect+json")
	case code == connect.CodeResourceExhausted: // the only one that the library has
		return http.StatusRequestEntityTooLarge, fault.New(code, "the body is larger than %d bytes", MaxRequest)
	case code == connect.CodeUnknown: // the guard makes none: it could not be read
		return http.StatusBadRequest, fault.Call(invitation.InvalidArgument, "%s", message)
	case code != 0:
		made, _ := errors.AsType[*connect.Error](fault.Typed(connect.NewError(code, errors.New(message))))
		return status, made
	}
	return status, fault.New(connect.CodeUnknown, "%s", http.StatusText(status))
}
