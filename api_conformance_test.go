package ringfleet_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/api"
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/apipb"
	"github.com/ringfleet/ringfleet/messages/apipb/apipbconnect"
	"github.com/ringfleet/ringfleet/messages/clientpb"
)

const (
	readToken  = "read-0123456789abcdef0123456789abcdef"
	callToken  = "call-0123456789abcdef0123456789abcdef"
	adminToken = "admin-0123456789abcdef0123456789abcde"
)

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// apiNode starts a node with an API on loopback, for which tokens are needed.
func apiNode(t *testing.T, log io.Writer) *ringfleet.Node {
	t.Helper()
	hash := sha256.Sum256([]byte(adminToken))
	file := filepath.Join(t.TempDir(), "tokens")
	text := "dashboard read " + readToken + "\nbackend read,call " + callToken + "\noncall * sha256:" + hex.EncodeToString(hash[:]) + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, ringfleet.Config{
		API:    &ringfleet.APIConfig{Address: "127.0.0.1:0", TokensFile: file, Rate: 10_000},
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
}

// protocols are the ways to ask.
var protocols = map[string][]connect.ClientOption{
	"gRPC":         {connect.WithGRPC()},
	"gRPC, JSON":   {connect.WithGRPC(), connect.WithProtoJSON()},
	"gRPC-Web":     {connect.WithGRPCWeb()},
	"Connect":      {},
	"Connect, GET": {connect.WithHTTPGet()},
	"JSON":         {connect.WithProtoJSON()},
	"JSON, GET":    {connect.WithProtoJSON(), connect.WithHTTPGet()},
}

func httpClient(t *testing.T) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// said is an answer: a response, or an error.
type said struct {
	response proto.Message
	code     connect.Code
	message  string
	detail   *apipb.ErrorDetail
}

// ask asks for a procedure over a protocol.
func ask[In, Out any](t *testing.T, base, procedure, token string, options []connect.ClientOption, request *In) said {
	t.Helper()
	c := connect.NewClient[In, Out](httpClient(t), base+procedure, append([]connect.ClientOption{connect.WithIdempotency(connect.IdempotencyNoSideEffects)}, options...)...)
	r := connect.NewRequest(request)
	if token != "" {
		r.Header().Set("Authorization", "Bearer "+token)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	response, err := c.CallUnary(ctx, r)
	if err == nil {
		return said{response: any(response.Msg).(proto.Message)}
	}
	s := said{code: connect.CodeOf(err)}
	e := new(connect.Error)
	if ok := asConnect(err, &e); !ok || len(e.Details()) != 1 {
		t.Errorf("%s: the error %v is not typed", procedure, err)
		return s
	}
	s.message = e.Message()
	value, err := e.Details()[0].Value()
	if err != nil {
		t.Fatal(err)
	}
	s.detail = value.(*apipb.ErrorDetail)
	s.detail.RetryAfterMs = 0 // it is a time
	return s
}

func asConnect(err error, e **connect.Error) bool {
	found, ok := err.(*connect.Error) //nolint:errorlint // what a client of connect returns
	*e = found
	return ok
}

// TestAPIConformance asks the same over gRPC, gRPC-Web, and HTTP with JSON, and by hand as curl does: the answers are the
// same, and every error is typed.
func TestAPIConformance(t *testing.T) {
	log := new(lines)
	node := apiNode(t, log)
	base := "http://" + node.APIAddress().String()
	bob := dial(t, node, client.Options{User: "bob", Device: "desk", OnRemoteInvitation: func(*client.RemoteInvitation) {}})
	alice := dial(t, node, client.Options{User: "alice", Device: "cell"})
	ended := alice.NewLocalInvitation(bob.User())
	_ = ended.SetContent("secret words")
	if err := ended.Send(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := ended.Cancel(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = ended.Wait(t.Context())
	id := ended.ID().String()
	none := invitation.NewID("nobody", "d", "k").String()
	for name, c := range map[string]struct {
		ask  func(options []connect.ClientOption) said
		hand string // the procedure, for a request by hand
		body string
		tok  string
		code connect.Code
		call invitation.CallError
	}{
		"an invitation that has ended": {
			ask: func(o []connect.ClientOption) said {
				return ask[apipb.GetInvitationRequest, apipb.GetInvitationResponse](t, base,
					apipbconnect.InvitationServiceGetInvitationProcedure, readToken, o, &apipb.GetInvitationRequest{InvitationId: id})
			},
			hand: apipbconnect.InvitationServiceGetInvitationProcedure, body: `{"invitationId":"` + id + `"}`, tok: readToken,
		},
		"an invitation that is none": {
			ask: func(o []connect.ClientOption) said {
				return ask[apipb.GetInvitationRequest, apipb.GetInvitationResponse](t, base,
					apipbconnect.InvitationServiceGetInvitationProcedure, readToken, o, &apipb.GetInvitationRequest{InvitationId: none})
			},
			hand: apipbconnect.InvitationServiceGetInvitationProcedure, body: `{"invitation_id":"` + none + `"}`, tok: readToken,
			code: connect.CodeNotFound, call: invitation.NotFound,
		},
		"an id that is none": {
			ask: func(o []connect.ClientOption) said {
				return ask[apipb.GetInvitationRequest, apipb.GetInvitationResponse](t, base,
					apipbconnect.InvitationServiceGetInvitationProcedure, readToken, o, &apipb.GetInvitationRequest{InvitationId: "X"})
			},
			hand: apipbconnect.InvitationServiceGetInvitationProcedure, body: `{"invitationId":"X"}`, tok: readToken,
			code: connect.CodeInvalidArgument, call: invitation.InvalidArgument,
		},
		"a user": {
			ask: func(o []connect.ClientOption) said {
				return ask[apipb.GetUserRequest, apipb.GetUserResponse](t, base, apipbconnect.UserServiceGetUserProcedure, readToken, o,
					&apipb.GetUserRequest{User: "bob"})
			},
			hand: apipbconnect.UserServiceGetUserProcedure, body: `{"user":"bob"}`, tok: readToken,
		},
		"a page of outcomes": {
			ask: func(o []connect.ClientOption) said {
				return ask[apipb.ListUserOutcomesRequest, apipb.ListUserOutcomesResponse](t, base,
					apipbconnect.UserServiceListUserOutcomesProcedure, readToken, o, &apipb.ListUserOutcomesRequest{User: "alice", PageSize: 3})
			},
			hand: apipbconnect.UserServiceListUserOutcomesProcedure, body: `{"user":"alice","pageSize":3}`, tok: readToken,
		},
		"a page that is too large": {
			ask: func(o []connect.ClientOption) said {
				return ask[apipb.ListUserOutcomesRequest, apipb.ListUserOutcomesResponse](t, base,
					apipbconnect.UserServiceListUserOutcomesProcedure, readToken, o, &apipb.ListUserOutcomesRequest{User: "alice", PageSize: 101})
			},
			hand: apipbconnect.UserServiceListUserOutcomesProcedure, body: `{"user":"alice","pageSize":101}`, tok: readToken,
			code: connect.CodeInvalidArgument, call: invitation.InvalidArgument,
		},
		"the cluster": {
			ask: func(o []connect.ClientOption) said {
				return ask[apipb.GetClusterRequest, apipb.GetClusterResponse](t, base, apipbconnect.ClusterServiceGetClusterProcedure, readToken, o,
					&apipb.GetClusterRequest{})
			},
			hand: apipbconnect.ClusterServiceGetClusterProcedure, body: ``, tok: readToken,
		},
		"a node that is not there": {
			ask: func(o []connect.ClientOption) said {
				return ask[apipb.GetNodeRequest, apipb.GetNodeResponse](t, base, apipbconnect.ClusterServiceGetNodeProcedure, readToken, o,
					&apipb.GetNodeRequest{Node: "other"})
			},
			hand: apipbconnect.ClusterServiceGetNodeProcedure, body: `{"node":"other"}`, tok: readToken,
			code: connect.CodeNotFound, call: invitation.NotFound,
		},
		"without a token": {
			ask: func(o []connect.ClientOption) said {
				return ask[apipb.GetUserRequest, apipb.GetUserResponse](t, base, apipbconnect.UserServiceGetUserProcedure, "", o, &apipb.GetUserRequest{User: "bob"})
			},
			hand: apipbconnect.UserServiceGetUserProcedure, body: `{"user":"bob"}`, code: connect.CodeUnauthenticated,
		},
		"without the scope": {
			ask: func(o []connect.ClientOption) said {
				return ask[apipb.EndSessionRequest, apipb.EndSessionResponse](t, base, apipbconnect.UserServiceEndSessionProcedure, callToken, withoutGet(o), &apipb.EndSessionRequest{User: "bob"})
			},
			hand: apipbconnect.UserServiceEndSessionProcedure, body: `{"user":"bob"}`, tok: callToken, code: connect.CodePermissionDenied,
		},
		"a cancel of what a phone sent": {
			ask: func(o []connect.ClientOption) said {
				return ask[apipb.CancelInvitationRequest, apipb.CancelInvitationResponse](t, base,
					apipbconnect.InvitationServiceCancelInvitationProcedure, callToken, withoutGet(o), &apipb.CancelInvitationRequest{InvitationId: id})
			},
			hand: apipbconnect.InvitationServiceCancelInvitationProcedure, body: `{"invitationId":"` + id + `"}`, tok: callToken,
			code: connect.CodePermissionDenied, call: invitation.Forbidden,
		},
		"a send to oneself": {
			ask: func(o []connect.ClientOption) said {
				return ask[apipb.SendInvitationRequest, apipb.SendInvitationResponse](t, base,
					apipbconnect.InvitationServiceSendInvitationProcedure, adminToken, withoutGet(o), &apipb.SendInvitationRequest{Caller: "eve", Callee: "eve", Key: "k"})
			},
			hand: apipbconnect.InvitationServiceSendInvitationProcedure, body: `{"caller":"eve","callee":"eve","key":"k"}`, tok: adminToken,
			code: connect.CodeInvalidArgument, call: invitation.InvalidArgument,
		},
		"a body that is too large": {
			ask: func(o []connect.ClientOption) said {
				return ask[apipb.SendInvitationRequest, apipb.SendInvitationResponse](t, base,
					apipbconnect.InvitationServiceSendInvitationProcedure, callToken, withoutGet(o), &apipb.SendInvitationRequest{
						Caller: "eve", Callee: "bob", Key: "k", Content: strings.Repeat("x", api.MaxRequest),
					})
			},
			hand: apipbconnect.InvitationServiceSendInvitationProcedure, body: `{"caller":"` + strings.Repeat("x", api.MaxRequest) + `"}`, tok: callToken,
			code: connect.CodeResourceExhausted,
		},
		"a send that was sent before": {
			ask: func(o []connect.ClientOption) said {
				s := ask[apipb.SendInvitationRequest, apipb.SendInvitationResponse](t, base,
					apipbconnect.InvitationServiceSendInvitationProcedure, callToken, withoutGet(o), &apipb.SendInvitationRequest{Caller: "carol", Callee: "bob", Key: "k"})
				if out, ok := s.response.(*apipb.SendInvitationResponse); ok {
					out.Invitation = &apipb.Invitation{Id: out.GetInvitation().GetId()} // the rest is a matter of time
				}
				return s
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var first *said
			for protocol, options := range protocols {
				got := c.ask(options)
				if got.code != c.code || c.code != 0 && got.detail.GetCode() != clientpb.InvitationApiCallError(c.call) {
					t.Errorf("%s: %v %q %v, want %v and %v", protocol, got.code, got.message, got.detail, c.code, c.call)
				}
				if first == nil {
					first = &got
				}
				if !proto.Equal(got.response, first.response) || got.message != first.message || !proto.Equal(got.detail, first.detail) {
					t.Errorf("%s: %+v; another protocol: %+v", protocol, got, *first)
				}
			}
			if c.hand != "" {
				byHand(t, base+c.hand, c.body, c.tok, first)
			}
		})
	}
	if text := log.String(); strings.Contains(text, "secret words") || strings.Contains(text, adminToken) ||
		!strings.Contains(text, "msg=api who=dashboard what=UserService/GetUser target=bob result=ok") ||
		!strings.Contains(text, "who=backend what=UserService/EndSession target=\"\" result=permission_denied") {
		t.Errorf("the log:\n%s", text)
	}
}

// withoutGet returns options for a procedure that has effects.
func withoutGet(options []connect.ClientOption) []connect.ClientOption {
	return append(append([]connect.ClientOption{}, options...), connect.WithIdempotency(connect.IdempotencyIdempotent))
}

// byHand posts JSON, and compares the answer with what another protocol got.
func byHand(t *testing.T, url, body, token string, want *said) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if want.response == nil {
		if answer.StatusCode == http.StatusOK || !strings.Contains(string(text), `"code":"`+want.code.String()+`"`) ||
			!strings.Contains(string(text), "ringfleet.api.v1.ErrorDetail") {
			t.Errorf("by hand: %d %s, want %v", answer.StatusCode, text, want.code)
		}
		return
	}
	got := proto.Clone(want.response)
	proto.Reset(got)
	if err := protojson.Unmarshal(text, got); err != nil || answer.StatusCode != http.StatusOK || !proto.Equal(got, want.response) {
		t.Errorf("by hand: %d %s, want %v", answer.StatusCode, text, want.response)
	}
}

// TestAPIWithoutTokensIsForThisMachine: a web page that was made to lead here by its name is refused.
func TestAPIWithoutTokensIsForThisMachine(t *testing.T) {
	node := start(t, ringfleet.Config{API: &ringfleet.APIConfig{Address: "127.0.0.1:0"}})
	for host, want := range map[string]int{
		"": http.StatusOK, "localhost:9190": http.StatusOK, "[::1]": http.StatusOK, "example.com": http.StatusForbidden,
		"127.0.0.1.example.com:9190": http.StatusForbidden,
	} {
		url := "http://" + node.APIAddress().String() + apipbconnect.ClusterServiceGetClusterProcedure
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		r.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("for %q: %d, want %d", host, answer.StatusCode, want)
		}
	}
	if _, err := ringfleet.Start(ringfleet.Config{
		API: &ringfleet.APIConfig{Address: ":0"}, Gateway: gateway.Config{Authenticator: auth.Development{}},
	}); err == nil {
		t.Error("without tokens it listens everywhere")
	}
}
