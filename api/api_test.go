package api_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/api"
	"github.com/ringfleet/ringfleet/internal/bearer"
	"github.com/ringfleet/ringfleet/internal/fault"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/apipb"
	"github.com/ringfleet/ringfleet/messages/apipb/apipbconnect"
)

// backend answers GetUser by a function, and nothing else.
type backend struct {
	do      func(ctx context.Context, user string) error
	stopped chan struct{}
	changed chan struct{}

	mu sync.Mutex
	to []api.Target
}

func (b *backend) Do(ctx context.Context, to api.Target, _ string, request proto.Message) (proto.Message, error) {
	b.mu.Lock()
	b.to = append(b.to, to)
	b.mu.Unlock()
	user := request.(*apipb.GetUserRequest).GetUser()
	if b.do != nil {
		if err := b.do(ctx, user); err != nil {
			return nil, err
		}
	}
	return &apipb.GetUserResponse{User: &apipb.User{User: user}}, nil
}

func (b *backend) Cluster() (*apipb.Cluster, <-chan struct{}) {
	return &apipb.Cluster{Name: "c"}, b.changed
}

func (b *backend) Stopped() <-chan struct{} { return b.stopped }

const goodToken = "0123456789abcdef0123456789abcdef"

// world is a server, and what it has logged.
type world struct {
	t       *testing.T
	server  *api.Server
	backend *backend
	http    *httptest.Server
	mu      sync.Mutex
	log     bytes.Buffer
}

func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func newWorld(t *testing.T, tokens string, configure func(*api.Config)) *world {
	t.Helper()
	w := &world{t: t, backend: &backend{stopped: make(chan struct{})}}
	config := api.Config{Backend: w.backend, Logger: slog.New(slog.NewTextHandler(w, nil))}
	if tokens != "" {
		file := filepath.Join(t.TempDir(), "tokens")
		if err := os.WriteFile(file, []byte(tokens), 0o600); err != nil {
			t.Fatal(err)
		}
		var err error
		if config.Tokens, err = bearer.Open(bearer.Config{File: file, Scopes: api.Scopes}); err != nil {
			t.Fatal(err)
		}
	}
	if configure != nil {
		configure(&config)
	}
	server, err := api.New(config)
	if err != nil {
		t.Fatal(err)
	}
	w.server = server
	w.http = httptest.NewUnstartedServer(nil)
	w.http.Config = api.NewHTTPServer(server.Handler())
	w.http.Start()
	t.Cleanup(w.http.Close)
	return w
}

// h2c is a transport that speaks HTTP/2 without TLS.
func (w *world) h2c() *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (w *world) getUser(user string, header http.Header) error {
	c := apipbconnect.NewUserServiceClient(w.h2c(), w.http.URL, connect.WithGRPC())
	r := connect.NewRequest(&apipb.GetUserRequest{User: user})
	for name, values := range header {
		r.Header()[name] = values
	}
	_, err := c.GetUser(w.t.Context(), r)
	return err
}

func TestTargets(t *testing.T) {
	w := newWorld(t, "", nil)
	if err := w.getUser("alice", nil); err != nil {
		t.Fatal(err)
	}
	if want := (api.Target{Shard: invitation.ShardOf("alice")}); len(w.backend.to) != 1 || w.backend.to[0] != want {
		t.Errorf("asked %+v, want %+v", w.backend.to, want)
	}
	if err := w.getUser("no\x00body", nil); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("a user that is none: %v", err)
	}
}

func TestErrorsAreTyped(t *testing.T) {
	w := newWorld(t, "", func(c *api.Config) { c.Timeout = 50 * time.Millisecond })
	for name, c := range map[string]struct {
		do   func(ctx context.Context, user string) error
		want connect.Code
		text string
	}{
		"of the backend": {func(context.Context, string) error { return fault.Call(invitation.AlreadyEnd, "it has ended") }, connect.CodeFailedPrecondition, "it has ended"},
		"of no type":     {func(context.Context, string) error { return errors.New("secret /path") }, connect.CodeInternal, "a fault of the node"},
		"a panic":        {func(context.Context, string) error { panic("oh") }, connect.CodeInternal, "a fault of the node"},
		"too slow": {func(ctx context.Context, _ string) error {
			<-ctx.Done()
			return ctx.Err()
		}, connect.CodeUnavailable, "it took too long"},
	} {
		w.backend.do = c.do
		err := w.getUser("alice", nil)
		e, ok := errors.AsType[*connect.Error](err)
		if !ok || e.Code() != c.want || !strings.Contains(e.Message(), c.text) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, ok := fault.Detail(err); !ok {
			t.Errorf("%s: %v has no detail", name, err)
		}
	}
	if log := w.logged(); !strings.Contains(log, "panic while a request of the API was handled") || !strings.Contains(log, "level=ERROR") {
		t.Errorf("the log:\n%s", log)
	}
}

// TestDeadlineOfTheCaller: a deadline that a request brings shows as one.
func TestDeadlineOfTheCaller(t *testing.T) {
	w := newWorld(t, "", nil)
	w.backend.do = func(ctx context.Context, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.http.URL+apipbconnect.UserServiceGetUserProcedure, strings.NewReader(`{"user":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Connect-Timeout-Ms", "20")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusGatewayTimeout || !strings.Contains(string(text), "deadline_exceeded") {
		t.Errorf("%d %s", answer.StatusCode, text)
	}
}

func TestBodiesThatAreNone(t *testing.T) {
	w := newWorld(t, "", nil)
	for contentType, body := range map[string]string{
		"application/json": `{"user":`, "application/json; charset=utf-8": `[]`, "application/proto": "\xff\xff\xff",
	} {
		answer, err := http.Post(w.http.URL+apipbconnect.UserServiceGetUserProcedure, contentType, strings.NewReader(body)) //nolint:noctx // this server
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "ErrorDetail") {
			t.Errorf("%s %q: %d %s", contentType, body, answer.StatusCode, text)
		}
	}
	if len(w.backend.to) != 0 {
		t.Error("the backend was asked")
	}
}

// TestRefusals has every refusal over HTTP typed, also those of what is no request.
func TestRefusals(t *testing.T) {
	w := newWorld(t, "", nil)
	getUser := apipbconnect.UserServiceGetUserProcedure
	for name, c := range map[string]struct {
		method, path, kind, encoding, body string
		status                             int
		code                               string
	}{
		"no procedure":    {http.MethodPost, "/ringfleet.api.v1.UserService/Nothing", "application/json", "", "{}", 404, "unimplemented"},
		"no path":         {http.MethodGet, "/", "", "", "", 404, "unimplemented"},
		"another method":  {http.MethodPut, getUser, "application/json", "", "{}", 405, "unimplemented"},
		"another kind":    {http.MethodPost, getUser, "text/plain", "", "{}", 415, "invalid_argument"},
		"a stream":        {http.MethodPost, apipbconnect.ClusterServiceWatchClusterProcedure, "application/json", "", "{}", 415, "invalid_argument"},
		"too large":       {http.MethodPost, getUser, "application/json", "", `{"user":"` + strings.Repeat("a", api.MaxRequest) + `"}`, 413, "resource_exhausted"},
		"not compressed":  {http.MethodPost, getUser, "application/json", "gzip", "{}", 400, "invalid_argument"},
		"no compression":  {http.MethodPost, getUser, "application/json", "rot13", "{}", 501, "unimplemented"},
		"a wrong GET":     {http.MethodGet, getUser + "?encoding=json&base64=1&message=%25", "", "", "", 400, "invalid_argument"},
		"a GET of a POST": {http.MethodGet, apipbconnect.UserServiceEndSessionProcedure + "?encoding=json&message={}", "", "", "", 405, "unimplemented"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, w.http.URL+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", c.kind)
		r.Header.Set("Content-Encoding", c.encoding)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != c.status || answer.Header.Get("Content-Type") != "application/json" ||
			!strings.Contains(string(text), `{"code":"`+c.code+`","message":"`) || strings.Count(string(text), "ringfleet.api.v1.ErrorDetail") != 1 {
			t.Errorf("%s: %d %s %s, want %d and %s", name, answer.StatusCode, answer.Header.Get("Content-Type"), text, c.status, c.code)
		}
	}
	if len(w.backend.to) != 0 {
		t.Error("the backend was asked")
	}
	w.http.Close() // what is logged after an answer is logged
	if got := strings.Count(w.logged(), "msg=api "); got != 10 {
		t.Errorf("%d of 10 refusals are logged: %s", got, w.logged())
	}
}

func TestScopes(t *testing.T) {
	w := newWorld(t, "reader read "+goodToken+"\ncaller call "+strings.ToUpper(goodToken)+"\n", nil)
	bring := func(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }
	for token, want := range map[string]connect.Code{
		goodToken: 0, strings.ToUpper(goodToken): connect.CodePermissionDenied, goodToken + "x": connect.CodeUnauthenticated, "": connect.CodeUnauthenticated,
	} {
		err := w.getUser("alice", bring(token))
		if err == nil && want != 0 || err != nil && connect.CodeOf(err) != want {
			t.Errorf("with %q: %v, want %v", token, err, want)
		}
	}
	log := w.logged()
	for _, line := range []string{
		"msg=api who=reader what=UserService/GetUser target=alice result=ok",
		"msg=api who=caller what=UserService/GetUser target=\"\" result=permission_denied",
		"msg=api who=\"\" what=UserService/GetUser target=\"\" result=unauthenticated",
	} {
		if !strings.Contains(log, line) {
			t.Errorf("no %q in the log:\n%s", line, log)
		}
	}
	if strings.Contains(strings.ToLower(log), goodToken) {
		t.Error("the log has a token")
	}
}

// TestProceduresHaveScopes: what the schema has can be asked for with a token.
func TestProceduresHaveScopes(t *testing.T) {
	w := newWorld(t, "all * "+goodToken+"\n", nil)
	services := apipb.File_ringfleet_api_v1_api_proto.Services()
	for i := range services.Len() {
		methods := services.Get(i).Methods()
		for j := range methods.Len() {
			if methods.Get(j).IsStreamingServer() {
				continue
			}
			url := w.http.URL + "/" + string(services.Get(i).FullName()) + "/" + string(methods.Get(j).Name())
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{"))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+goodToken)
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusBadRequest { // it was let through, and then it could not be read
				t.Errorf("%s: %d", url, answer.StatusCode)
			}
		}
	}
}

func TestRate(t *testing.T) {
	w := newWorld(t, "one * "+goodToken+"\nother * "+strings.ToUpper(goodToken)+"\n", func(c *api.Config) { c.Rate = 0.001 })
	bring := func(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }
	if err := w.getUser("alice", bring(goodToken)); err != nil {
		t.Fatal(err)
	}
	err := w.getUser("alice", bring(goodToken))
	detail, _ := fault.Detail(err)
	if connect.CodeOf(err) != connect.CodeResourceExhausted || !detail.GetRetryable() || detail.GetRetryAfterMs() == 0 {
		t.Errorf("over the rate: %v, %v", err, detail)
	}
	if err := w.getUser("alice", bring(strings.ToUpper(goodToken))); err != nil {
		t.Errorf("another token: %v", err)
	}
}

func TestStreams(t *testing.T) {
	w := newWorld(t, "", nil)
	c := apipbconnect.NewClusterServiceClient(w.h2c(), w.http.URL, connect.WithGRPC())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var streams []*connect.ServerStreamForClient[apipb.WatchClusterResponse]
	for range api.MaxStreams {
		s, err := c.WatchCluster(ctx, connect.NewRequest(&apipb.WatchClusterRequest{}))
		if err != nil || !s.Receive() || s.Msg().GetCluster().GetName() != "c" {
			t.Fatal(err, s.Err())
		}
		streams = append(streams, s)
	}
	over, err := c.WatchCluster(ctx, connect.NewRequest(&apipb.WatchClusterRequest{}))
	if err != nil || over.Receive() || connect.CodeOf(over.Err()) != connect.CodeResourceExhausted {
		t.Errorf("one stream too many: %v, %v", err, over.Err())
	}
	close(w.backend.stopped)
	for _, s := range streams {
		if s.Receive() || connect.CodeOf(s.Err()) != connect.CodeUnavailable {
			t.Errorf("a stream of a node that shuts down: %v", s.Err())
		}
	}
}

// TestStreamsLast: a stream goes on when the times for a request to come, and for its answer to be read, are over.
func TestStreamsLast(t *testing.T) {
	b := &backend{stopped: make(chan struct{}), changed: make(chan struct{})}
	server, err := api.New(api.Config{Backend: b})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewUnstartedServer(nil)
	h.Config = api.NewHTTPServer(server.Handler())
	h.Config.ReadTimeout = 50 * time.Millisecond
	h.Start()
	defer h.Close()
	c := apipbconnect.NewClusterServiceClient(http.DefaultClient, h.URL)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := c.WatchCluster(ctx, connect.NewRequest(&apipb.WatchClusterRequest{}))
	if err != nil || !s.Receive() {
		t.Fatal(err, s.Err())
	}
	time.AfterFunc(4*h.Config.ReadTimeout, func() { b.changed <- struct{}{} })
	if !s.Receive() {
		t.Errorf("the stream has ended: %v", s.Err())
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t, "", nil)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(w.server.Collector())
	_, _ = w.getUser("alice", nil), w.getUser("", nil)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			counted[family.GetName()+" "+m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			if family.GetName() == "ringfleet_api_request_seconds" && m.GetHistogram().GetSampleCount() != 2 {
				t.Errorf("timed %d", m.GetHistogram().GetSampleCount())
			}
		}
	}
	if counted["ringfleet_api_requests_total ok"] != 1 || counted["ringfleet_api_requests_total invalid_argument"] != 1 {
		t.Errorf("counted %v", counted)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]api.Config{
		"no backend": {}, "a rate": {Backend: &backend{}, Rate: -1}, "a time": {Backend: &backend{}, Timeout: 2 * api.MaxTimeout},
	} {
		if _, err := api.New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
