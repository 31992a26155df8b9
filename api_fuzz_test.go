package ringfleet_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/messages/apipb/apipbconnect"
)

// jsonProcedures are those that answer once.
var jsonProcedures = []string{
	apipbconnect.InvitationServiceGetInvitationProcedure,
	apipbconnect.InvitationServiceSendInvitationProcedure,
	apipbconnect.InvitationServiceCancelInvitationProcedure,
	apipbconnect.UserServiceGetUserProcedure,
	apipbconnect.UserServiceListUserInvitationsProcedure,
	apipbconnect.UserServiceListUserOutcomesProcedure,
	apipbconnect.UserServiceEndSessionProcedure,
	apipbconnect.UserServiceEndDeviceProcedure,
	apipbconnect.ClusterServiceGetClusterProcedure,
	apipbconnect.ClusterServiceGetNodeProcedure,
	apipbconnect.ClusterServiceDrainNodeProcedure,
}

// FuzzAPI posts whatever JSON to a node. No answer has a status of 5xx, but for the 503 of UNAVAILABLE, and every error
// is typed.
func FuzzAPI(f *testing.F) {
	node, err := ringfleet.Start(ringfleet.Config{
		API: &ringfleet.APIConfig{Rate: 1e9}, Gateway: gateway.Config{Authenticator: auth.Development{}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = node.Shutdown(ctx)
	})
	handler := node.APIHandler()
	for i, body := range []string{
		`{"invitationId":"0000000000000000000000000g"}`,
		`{"caller":"alice","key":"k","callee":"bob","content":"c","channelId":"ch","timers":{"expireMs":1000},"endOtherDevice":true}`,
		`{"invitation_id":"00000000000000000000000000"}`,
		`{"user":"alice"}`,
		`{"user":"alice","pageSize":5,"pageToken":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`,
		`{"user":"alice","pageSize":100,"pageToken":"AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`,
		`{"user":"\u0000"}`,
		`{"user":"alice","device":"api"}`,
		``,
		`{"node":"node"}`,
		`[1,{"a":`,
		`encoding=json&message={"user":"alice"}`,
		`encoding=json&base64=1&message=%25`,
		`encoding=proto&compression=gzip&connect=v2&message=x`,
	} {
		f.Add(uint8(i), body)
	}
	f.Fuzz(func(t *testing.T, procedure uint8, body string) {
		path := jsonProcedures[int(procedure)%len(jsonProcedures)]
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		typed(t, handler, r, body)
		r = httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
		r.URL.RawQuery = body // what is no query, too
		typed(t, handler, r, body)
	})
}

// typed fails unless the answer to a request is no fault of the node and, if it is an error, has its form.
func typed(t *testing.T, handler http.Handler, r *http.Request, input string) {
	t.Helper()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if w.Code >= 500 && w.Code != http.StatusServiceUnavailable && w.Code != http.StatusNotImplemented {
		t.Errorf("%s %s %q: status %d, %s", r.Method, r.URL.Path, input, w.Code, w.Body)
	}
	if w.Code == http.StatusOK {
		return
	}
	var fail failure
	if err := json.Unmarshal(w.Body.Bytes(), &fail); err != nil || fail.Code == "" || len(fail.Details) != 1 {
		t.Errorf("%s %s %q: an error that is not typed: %d, %s", r.Method, r.URL.Path, input, w.Code, w.Body)
	}
}
