package ringfleet_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	peers "github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/messages/apipb"
	"github.com/ringfleet/ringfleet/messages/clientpb"
)

// failure is an error of the API as JSON.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Details []struct {
		Type  string `json:"type"`
		Debug struct {
			Code      string `json:"code"`
			Retryable bool   `json:"retryable"`
		} `json:"debug"`
	} `json:"details"`
}

// call asks a node's API, as curl does: "InvitationService/GetInvitation". The failure's code is "" where there is none.
func call(t *testing.T, node *ringfleet.Node, procedure string, request, response proto.Message) failure {
	t.Helper()
	body, err := protojson.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/ringfleet.api.v1."+procedure, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	node.APIHandler().ServeHTTP(w, r)
	var f failure
	if w.Code == http.StatusOK {
		if err := protojson.Unmarshal(w.Body.Bytes(), response); err != nil {
			t.Fatalf("%s: %v in %s", procedure, err, w.Body)
		}
		return f
	}
	if err := json.Unmarshal(w.Body.Bytes(), &f); err != nil || f.Code == "" || len(f.Details) != 1 {
		t.Fatalf("%s: status %d with an error that is not typed: %s", procedure, w.Code, w.Body)
	}
	return f
}

func must(t *testing.T, node *ringfleet.Node, procedure string, request, response proto.Message) {
	t.Helper()
	if f := call(t, node, procedure, request, response); f.Code != "" {
		t.Fatalf("%s %v: %+v", procedure, request, f)
	}
}

// threeNodes starts nodes a, b and c with an API, in one process.
func threeNodes(t *testing.T, sessions session.Config) []*ringfleet.Node {
	t.Helper()
	network := peers.NewNetwork(peers.NetworkOptions{})
	members := []string{"a", "b", "c"}
	var nodes []*ringfleet.Node
	for _, name := range members {
		memory, err := network.Join(name)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, start(t, ringfleet.Config{
			Name: name, Session: sessions, API: &ringfleet.APIConfig{},
			Cluster: &ringfleet.ClusterConfig{Link: memory, Members: members},
		}))
	}
	return nodes
}

// userOn returns a user whose session a node has.
func userOn(t *testing.T, asked *ringfleet.Node, node string, not ...invitation.User) invitation.User {
	t.Helper()
next:
	for i := range 1_000 {
		name := fmt.Sprint("user", i)
		for _, other := range not {
			if string(other) == name {
				continue next
			}
		}
		out := new(apipb.GetUserResponse)
		must(t, asked, "UserService/GetUser", &apipb.GetUserRequest{User: name}, out)
		if out.GetUser().GetNode() == node {
			return invitation.User(name)
		}
	}
	t.Fatalf("no user is on %s", node)
	return ""
}

// TestAPIAnswersForTheCluster asks one node about what lives on the two others.
func TestAPIAnswersForTheCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := threeNodes(t, session.Config{})
		a := nodes[0]
		alice, bob := userOn(t, a, "b"), userOn(t, a, "c")
		ringing := make(chan *client.RemoteInvitation, 1)
		dial(t, nodes[1], client.Options{User: bob, Device: "desk", OnRemoteInvitation: func(r *client.RemoteInvitation) { ringing <- r }})
		caller := dial(t, nodes[2], client.Options{User: alice, Device: "cell"})
		local := caller.NewLocalInvitation(bob)
		_ = local.SetContent("dinner?")
		if err := local.Send(t.Context()); err != nil {
			t.Fatal(err)
		}
		remote := <-ringing
		synctest.Wait()

		one := new(apipb.GetInvitationResponse)
		ask := &apipb.GetInvitationRequest{InvitationId: local.ID().String()}
		must(t, a, "InvitationService/GetInvitation", ask, one)
		got := one.GetInvitation()
		if got.GetStage() != apipb.Stage_STAGE_RINGING || got.GetCaller() != string(alice) || got.GetCallee() != string(bob) ||
			got.GetContent() != "dinner?" || got.GetSentTimeMs() == 0 || got.GetRemainingMs() == 0 {
			t.Errorf("the ringing invitation is told as %v", got)
		}
		user := new(apipb.GetUserResponse)
		must(t, a, "UserService/GetUser", &apipb.GetUserRequest{User: string(bob)}, user)
		want := &apipb.User{User: string(bob), Node: "c", Incoming: 1, Devices: []*apipb.Device{{Device: "desk", Connected: true, Node: "b"}}}
		if !proto.Equal(user.GetUser(), want) {
			t.Errorf("the callee is told as %v, want %v", user.GetUser(), want)
		}
		for who, side := range map[invitation.User]clientpb.Side{alice: clientpb.Side_SIDE_CALLER, bob: clientpb.Side_SIDE_CALLEE} {
			list := new(apipb.ListUserInvitationsResponse)
			must(t, a, "UserService/ListUserInvitations", &apipb.ListUserInvitationsRequest{User: string(who)}, list)
			if len(list.GetInvitations()) != 1 || list.GetInvitations()[0].GetSide() != side || list.GetInvitations()[0].GetInvitation().GetId() != local.ID().String() {
				t.Errorf("the invitations of %s are %v", who, list)
			}
		}

		if err := remote.Accept(t.Context(), "yes"); err != nil {
			t.Fatal(err)
		}
		_ = local.Wait(t.Context())
		synctest.Wait()
		must(t, a, "InvitationService/GetInvitation", ask, one)
		if got := one.GetInvitation(); got.GetOutcome() != apipb.Outcome_OUTCOME_ACCEPTED || got.GetCalleeDevice() != "desk" || got.GetEndedTimeMs() == 0 {
			t.Errorf("the accepted invitation is told as %v", got)
		}
		for _, who := range []invitation.User{alice, bob} {
			list := new(apipb.ListUserOutcomesResponse)
			must(t, a, "UserService/ListUserOutcomes", &apipb.ListUserOutcomesRequest{User: string(who)}, list)
			if len(list.GetOutcomes()) != 1 || list.GetOutcomes()[0].GetInvitation().GetOutcome() != apipb.Outcome_OUTCOME_ACCEPTED {
				t.Errorf("the outcomes of %s are %v", who, list)
			}
		}
		time.Sleep(invitation.DefaultTimers.Linger + time.Second)
		if f := call(t, a, "InvitationService/GetInvitation", ask, one); f.Code != "not_found" || f.Details[0].Debug.Code != "INVITATION_API_CALL_ERROR_NOT_FOUND" {
			t.Errorf("after the linger: %+v, want not_found", f)
		}
	})
}

// TestAPIPages goes through many outcomes and live invitations page by page.
func TestAPIPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := threeNodes(t, session.Config{MaxPerCaller: 64})
		alice, bob := userOn(t, nodes[0], "b"), userOn(t, nodes[0], "c")
		dial(t, nodes[0], client.Options{User: bob, Device: "d", OnRemoteInvitation: func(*client.RemoteInvitation) {}})
		caller := dial(t, nodes[0], client.Options{User: alice, Device: "d"})
		const calls = 17
		var sent []*client.LocalInvitation
		for range calls {
			local := caller.NewLocalInvitation(bob)
			if err := local.Send(t.Context()); err != nil {
				t.Fatal(err)
			}
			sent = append(sent, local)
			time.Sleep(time.Second)
		}
		seen := map[string]int{}
		for token, pages := "", 0; pages == 0 || token != ""; pages++ {
			out := new(apipb.ListUserInvitationsResponse)
			must(t, nodes[0], "UserService/ListUserInvitations", &apipb.ListUserInvitationsRequest{User: string(alice), PageSize: 5, PageToken: token}, out)
			for _, i := range out.GetInvitations() {
				seen[i.GetInvitation().GetId()]++
			}
			if token = out.GetNextPageToken(); pages > calls || token != "" && len(out.GetInvitations()) != 5 {
				t.Fatalf("page %d has %d", pages, len(out.GetInvitations()))
			}
		}
		if len(seen) != calls {
			t.Errorf("the pages have %d live invitations, want %d", len(seen), calls)
		}
		for _, local := range sent {
			_ = local.Cancel(t.Context())
			synctest.Wait()
			time.Sleep(time.Millisecond)
		}
		var order []string
		for token, pages := "", 0; pages == 0 || token != ""; pages++ {
			out := new(apipb.ListUserOutcomesResponse)
			must(t, nodes[0], "UserService/ListUserOutcomes", &apipb.ListUserOutcomesRequest{User: string(bob), PageSize: 5, PageToken: token}, out)
			for _, i := range out.GetOutcomes() {
				order = append(order, i.GetInvitation().GetId())
			}
			token = out.GetNextPageToken()
		}
		if len(order) != calls {
			t.Fatalf("the pages have %d outcomes, want %d", len(order), calls)
		}
		for i, local := range sent {
			if order[calls-1-i] != local.ID().String() {
				t.Errorf("outcome %d from the oldest is not the one that ended then", i)
			}
		}
		f := call(t, nodes[0], "UserService/ListUserOutcomes", &apipb.ListUserOutcomesRequest{User: string(bob), PageToken: "AAAA"}, new(apipb.ListUserOutcomesResponse))
		if f.Code != "invalid_argument" {
			t.Errorf("a token of nobody's: %+v", f)
		}
	})
}
