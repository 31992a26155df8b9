package api

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of gRPC that tell how a request ended: trailers or, of a response of gRPC-Web without a body, headers.
const (
	grpcStatus  = "Grpc-Status"
	grpcMessage = "Grpc-Message"
	grpcDetails = "Grpc-Status-Details-Bin"
)

// typedGRPC gives the refusals of gRPC and gRPC-Web that the library makes before the guard sees the request the code, the
// text and the details that the same have over HTTP.
func (s *Server) typedGRPC(next http.Handler, w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	held := &grpcRefusal{ResponseWriter: w}
	next.ServeHTTP(held, r)
	held.amend(http.TrailerPrefix)
	if held.made != nil {
		s.refused(r, held.made, time.Since(began))
	}
}

// grpcRefusal amends the end of a response.
type grpcRefusal struct {
	http.ResponseWriter
	made *connect.Error // what it made of an error without details
}

// Unwrap is for http.ResponseController.
func (g *grpcRefusal) Unwrap() http.ResponseWriter { return g.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (g *grpcRefusal) WriteHeader(status int) {
	g.amend("")
	g.ResponseWriter.WriteHeader(status)
}

// Flush implements http.Flusher: it may write the headers.
func (g *grpcRefusal) Flush() {
	g.amend("")
	_ = http.NewResponseController(g.ResponseWriter).Flush() // a client that has gone needs no answer
}

func (g *grpcRefusal) amend(prefix string) {
	h := g.Header()
	code, err := strconv.ParseUint(h.Get(prefix+grpcStatus), 10, 32)
	if err != nil || code == 0 || len(h[prefix+grpcDetails]) > 0 {
		return
	}
	message, err := url.PathUnescape(h.Get(prefix + grpcMessage))
	if err != nil {
		message = ""
	}
	_, g.made = named(0, connect.Code(code), message)
	h[prefix+grpcStatus] = []string{strconv.Itoa(int(g.made.Code()))}
	h[prefix+grpcMessage] = []string{url.PathEscape(g.made.Message())}
	h[prefix+grpcDetails] = []string{connect.EncodeBinaryHeader(statusOf(g.made))}
}

// statusOf returns an error as the message google.rpc.Status: code = 1, message = 2, and details = 3, each an Any.
func statusOf(err *connect.Error) []byte {
	b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(err.Code()))
	b = protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), err.Message())
	for _, d := range err.Details() {
		detail := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "type.googleapis.com/"+d.Type())
		detail = protowire.AppendBytes(protowire.AppendTag(detail, 2, protowire.BytesType), d.Bytes())
		b = protowire.AppendBytes(protowire.AppendTag(b, 3, protowire.BytesType), detail)
	}
	return b
}
