package ringfleet_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	peers "github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/apipb"
	"github.com/ringfleet/ringfleet/messages/apipb/apipbconnect"
)

// inMemory is an http.RoundTripper to a handler of this process; what the handler has written can be read at once.
type inMemory struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	read, write := io.Pipe()
	w := &pipeWriter{header: http.Header{}, body: write, began: make(chan struct{})}
	go func() {
		m.handler.ServeHTTP(w, r)
		w.WriteHeader(http.StatusOK)
		_ = write.Close()
	}()
	context.AfterFunc(r.Context(), func() { _ = read.Close() }) // what is written then is lost
	<-w.began
	return &http.Response{StatusCode: w.status, Header: w.header, Body: read, Request: r, Proto: "HTTP/2.0", ProtoMajor: 2}, nil
}

type pipeWriter struct {
	header http.Header
	body   io.Writer
	status int
	began  chan struct{}
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.header = status, w.header.Clone()
		close(w.began)
	}
}

func (w *pipeWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

func (w *pipeWriter) Flush() { w.WriteHeader(http.StatusOK) }

// clusterClient returns a client of a node's API.
func clusterClient(node *ringfleet.Node) apipbconnect.ClusterServiceClient {
	return apipbconnect.NewClusterServiceClient(&http.Client{Transport: inMemory{node.APIHandler()}}, "http://node")
}

// TestAPIWhileANodeDies asks for what lives on a node that is killed: until the others have taken over the answer is
// UNAVAILABLE, retryable, and then it is right. No answer is wrong.
func TestAPIWhileANodeDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, peers.NetworkOptions{})
		a := f.start("a")
		for _, name := range []string{"b", "c"} {
			f.start(name)
		}
		time.Sleep(10 * time.Second) // until each has learned all that there was before it
		alice, bob := userOn(t, a, "b"), userOn(t, a, "c")
		ringing := make(chan *client.RemoteInvitation, 1)
		callee := dial(t, a, client.Options{User: bob, Device: "desk", OnRemoteInvitation: func(r *client.RemoteInvitation) { ringing <- r }})
		caller := dial(t, a, client.Options{User: alice, Device: "cell"})
		local := caller.NewLocalInvitation(bob)
		if err := local.Send(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-ringing
		f.kill("b")
		unavailable := 0
		for range 60 {
			out, user := new(apipb.GetInvitationResponse), new(apipb.GetUserResponse)
			fail := call(t, a, "InvitationService/GetInvitation", &apipb.GetInvitationRequest{InvitationId: local.ID().String()}, out)
			switch {
			case fail.Code == "unavailable" && fail.Details[0].Debug.Retryable:
				unavailable++
			case fail.Code != "" || out.GetInvitation().GetStage() != apipb.Stage_STAGE_RINGING:
				t.Errorf("the ringing invitation is told as %v, %+v", out, fail)
			}
			fail = call(t, a, "UserService/GetUser", &apipb.GetUserRequest{User: string(alice)}, user)
			if fail.Code == "" && len(user.GetUser().GetDevices()) != 1 || fail.Code != "" && fail.Code != "unavailable" {
				t.Errorf("the caller, who is logged in, is told as %v, %+v", user, fail)
			}
			time.Sleep(250 * time.Millisecond)
		}
		if got := lookUp(t, a, local.ID().String()); got.GetStage() != apipb.Stage_STAGE_RINGING {
			t.Errorf("in the end it is told as %v", got)
		}
		if unavailable == 0 {
			t.Error("it was never unavailable: the test kills nobody")
		}
		t.Logf("unavailable: %d of 60 answers", unavailable)
		_, _ = caller.Close(), callee.Close()
		f.end()
	})
}

// TestAPIWhileAnInvitationIsRecovered kills the node of the caller, with the caller's device: until it is known what that
// device may have confirmed, the arbiter that was made anew tells nobody how the invitation stands, nor does the API,
// nor the question of a phone that was woken.
func TestAPIWhileAnInvitationIsRecovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, peers.NetworkOptions{})
		a, b := f.start("a"), f.start("b")
		f.start("c")
		time.Sleep(10 * time.Second)
		alice, bob := userOn(t, a, "b"), userOn(t, a, "c")
		ringing := make(chan *client.RemoteInvitation, 1)
		callee := dial(t, a, client.Options{User: bob, Device: "desk", OnRemoteInvitation: func(r *client.RemoteInvitation) { ringing <- r }})
		local := dial(t, b, client.Options{User: alice, Device: "cell"}).NewLocalInvitation(bob)
		if err := local.Send(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-ringing
		f.kill("b")
		time.Sleep(10 * time.Second) // all have taken over what was b's, and the API says so
		ask := &apipb.GetInvitationRequest{InvitationId: local.ID().String()}
		if fail := call(t, a, "InvitationService/GetInvitation", ask, new(apipb.GetInvitationResponse)); fail.Code != "unavailable" {
			t.Errorf("an invitation that is being recovered is told: %+v", fail)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if v, err := a.Standing(ctx, local.ID()); !errors.Is(err, ringfleet.ErrStandingUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it stands as %+v, %v", v, err)
		}
		refused := 0 // a flood of questions has a bound, and leaves room for others
		answers := make(chan error)
		for range 1_500 {
			go func() {
				limited, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				_, err := a.Standing(limited, local.ID())
				answers <- err
			}()
		}
		for range 1_500 {
			switch err := <-answers; {
			case !errors.Is(err, ringfleet.ErrStandingUnknown):
				t.Fatalf("one of many questions: %v", err)
			case !errors.Is(err, context.DeadlineExceeded):
				refused++
			}
		}
		if refused != 1_500-1_024 {
			t.Errorf("%d of 1,500 questions at once were refused at once, want those above 1,024", refused)
		}
		time.Sleep(invitation.DefaultTimers.Grace)
		if got := lookUp(t, a, local.ID().String()); got.GetStage() != apipb.Stage_STAGE_ENDED || got.GetReason() == 0 {
			t.Errorf("in the end it is told as %v", got)
		}
		if v, err := a.Standing(t.Context(), local.ID()); err != nil || v.Valid || v.State != "ENDED" {
			t.Errorf("in the end it stands as %+v, %v", v, err)
		}
		_ = callee.Close()
		f.end()
	})
}

// outcomesOf returns the ids of a user's last invitations, the newest first.
func outcomesOf(t *testing.T, node *ringfleet.Node, user invitation.User) []string {
	t.Helper()
	out := new(apipb.ListUserOutcomesResponse)
	must(t, node, "UserService/ListUserOutcomes", &apipb.ListUserOutcomesRequest{User: string(user), PageSize: 100}, out)
	var ids []string
	for _, o := range out.GetOutcomes() {
		ids = append(ids, o.GetInvitation().GetId())
	}
	return ids
}

// TestHistoryMoves: the last outcomes of users are there after a node has joined, after each has been drained, and
// after one was killed, as far as the other side of these calls was on another one.
func TestHistoryMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, peers.NetworkOptions{})
		a := f.start("a")
		f.start("b")
		time.Sleep(10 * time.Second)
		users := []invitation.User{"u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8"}
		clients := map[invitation.User]*client.Client{}
		for _, user := range users {
			clients[user] = dial(t, f, client.Options{User: user, Device: "d", OnRemoteInvitation: func(r *client.RemoteInvitation) {
				go func() { _ = r.Refuse(context.Background(), "") }()
			}})
		}
		for _, caller := range users {
			for _, callee := range users {
				if caller == callee {
					continue
				}
				c := clients[caller].NewLocalInvitation(callee)
				if err := c.Send(t.Context()); err != nil {
					t.Fatal(err)
				}
				_ = c.Wait(t.Context())
				time.Sleep(10 * time.Millisecond)
			}
		}
		time.Sleep(time.Second)
		want := map[invitation.User][]string{}
		for _, user := range users {
			if want[user] = outcomesOf(t, a, user); len(want[user]) != 2*(len(users)-1) {
				t.Fatalf("%s has %d outcomes", user, len(want[user]))
			}
		}
		check := func(when string) {
			t.Helper()
			for _, user := range users {
				if got := outcomesOf(t, f.nodes[0], user); !slices.Equal(got, want[user]) {
					t.Errorf("%s: %s has %d outcomes, or another order", when, user, len(got))
				}
				if got := lookUp(t, f.nodes[0], want[user][0]); got.GetOutcome() != apipb.Outcome_OUTCOME_REFUSED || got.GetEndedTimeMs() == 0 {
					t.Errorf("%s: the last of %s is %v", when, user, got)
				}
			}
		}
		f.start("c")
		time.Sleep(10 * time.Second)
		check("after c has joined")
		for _, name := range []string{"a", "b"} {
			f.stop(name)
			time.Sleep(10 * time.Second)
			check("after " + name + " was drained")
			f.start(name)
			time.Sleep(10 * time.Second)
		}
		check("after they have come back")
		lost := map[string]bool{} // whose sides both were on the node that is killed
		on := map[string]bool{}
		for _, user := range users {
			on[string(user)] = userNow(t, f.nodes[0], user).GetNode() == "c"
		}
		for _, user := range users {
			for _, id := range want[user] {
				i := lookUp(t, f.nodes[0], id)
				lost[id] = on[i.GetCaller()] && on[i.GetCallee()]
			}
		}
		f.kill("c")
		time.Sleep(20 * time.Second)
		moved := 0
		for _, user := range users {
			want := slices.DeleteFunc(slices.Clone(want[user]), func(id string) bool { return lost[id] })
			if on[string(user)] {
				moved += len(want)
			}
			if got := outcomesOf(t, f.nodes[0], user); !slices.Equal(got, want) {
				t.Errorf("after c was lost %s, who was there: %v, has %d outcomes, want %d", user, on[string(user)], len(got), len(want))
			}
		}
		if moved == 0 {
			t.Error("nobody of whom anything could be known was on the node that was killed")
		}
		for _, c := range clients {
			_ = c.Close()
		}
		f.end()
	})
}

// TestAPIDrains drains a node over the API of another one, while it makes a call on behalf of a user: the watch shows it,
// the call is accepted, and devices go on elsewhere.
func TestAPIDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, peers.NetworkOptions{})
		a := f.start("a")
		for _, name := range []string{"b", "c"} {
			f.start(name)
		}
		time.Sleep(10 * time.Second)
		alice, bob := userOn(t, a, "b"), userOn(t, a, "c")
		ringing := make(chan *client.RemoteInvitation, 1)
		callee := dial(t, f, client.Options{User: bob, Device: "desk", OnRemoteInvitation: func(r *client.RemoteInvitation) { ringing <- r }})
		sent, fail := send(t, a, &apipb.SendInvitationRequest{Caller: string(alice), Key: "k", Callee: string(bob)})
		if fail.Code != "" {
			t.Fatal(fail)
		}
		remote := <-ringing
		ctx, cancel := context.WithCancel(t.Context())
		watch, err := clusterClient(a).WatchCluster(ctx, connect.NewRequest(&apipb.WatchClusterRequest{}))
		if err != nil {
			t.Fatal(err)
		}
		must(t, a, "ClusterService/DrainNode", &apipb.DrainNodeRequest{Node: "b"}, new(apipb.DrainNodeResponse))
		for {
			if !watch.Receive() {
				t.Fatal(watch.Err())
			}
			if m := watch.Msg().GetCluster().GetMembers()[1]; m.GetLifecycle() == apipb.Lifecycle_LIFECYCLE_DRAINING {
				if m.GetName() != "b" || m.GetShards() != 0 {
					t.Errorf("the drained node is told as %v", m)
				}
				break
			}
		}
		cancel()
		time.Sleep(5 * time.Second)
		must(t, a, "ClusterService/DrainNode", &apipb.DrainNodeRequest{Node: "b"}, new(apipb.DrainNodeResponse)) // no error
		node := new(apipb.GetNodeResponse)
		must(t, a, "ClusterService/GetNode", &apipb.GetNodeRequest{Node: "b"}, node)
		if n := node.GetNode(); n.GetReady() || n.GetShardsHeld() != 0 || n.GetSessions() != 0 {
			t.Errorf("the drained node says %v", n)
		}
		if got := lookUp(t, a, sent.GetId()); got.GetStage() != apipb.Stage_STAGE_RINGING {
			t.Errorf("the call goes on as %v", got)
		}
		again, fail := send(t, a, &apipb.SendInvitationRequest{Caller: string(alice), Key: "k2", Callee: string(bob)})
		if fail.Code != "unavailable" {
			t.Errorf("a second call, of a device on a node that goes: %v, %+v", again, fail)
		}
		if err := remote.Accept(t.Context(), "yes"); err != nil {
			t.Fatal(err)
		}
		<-remote.Done()
		time.Sleep(time.Second)
		if got := lookUp(t, a, sent.GetId()); remote.State() != invitation.RemoteAccepted || got.GetOutcome() != apipb.Outcome_OUTCOME_ACCEPTED {
			t.Errorf("it ended as %v for the callee, and is told as %v", remote.State(), got)
		}
		if fail := call(t, a, "ClusterService/DrainNode", &apipb.DrainNodeRequest{Node: "nobody"}, new(apipb.DrainNodeResponse)); fail.Code != "not_found" {
			t.Errorf("drained a node that is not there: %+v", fail)
		}
		must(t, a, "ClusterService/DrainNode", &apipb.DrainNodeRequest{Node: "a"}, new(apipb.DrainNodeResponse))
		time.Sleep(5 * time.Second)
		if fail := call(t, a, "ClusterService/DrainNode", &apipb.DrainNodeRequest{Node: "c"}, new(apipb.DrainNodeResponse)); fail.Code != "failed_precondition" {
			t.Errorf("drained the last node: %+v", fail)
		}
		_ = callee.Close()
		f.end()
	})
}

// TestAPISendsFromANodeThatDies kills the node that makes a call for a user. The same key again, at another node, is the
// same invitation and rings nobody twice; it ends within the grace, for the callee as for who looks it up; and the user
// can be called for again.
func TestAPISendsFromANodeThatDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, peers.NetworkOptions{})
		a := f.start("a")
		for _, name := range []string{"b", "c"} {
			f.start(name)
		}
		time.Sleep(10 * time.Second)
		alice, bob := userOn(t, a, "b"), userOn(t, a, "c")
		ringing := make(chan *client.RemoteInvitation, 10)
		callee := dial(t, a, client.Options{User: bob, Device: "desk", OnRemoteInvitation: func(r *client.RemoteInvitation) { ringing <- r }})
		request := &apipb.SendInvitationRequest{Caller: string(alice), Key: "k", Callee: string(bob)}
		sent, fail := send(t, a, request)
		if fail.Code != "" {
			t.Fatal(fail)
		}
		remote := <-ringing
		f.kill("b")
		var again *apipb.Invitation
		for {
			if again, fail = send(t, a, request); fail.Code == "" {
				break
			}
			if fail.Code != "unavailable" {
				t.Fatalf("sent again: %+v", fail)
			}
			time.Sleep(time.Second)
		}
		if again.GetId() != sent.GetId() {
			t.Errorf("sent again it is %s, was %s", again.GetId(), sent.GetId())
		}
		began := time.Now()
		<-remote.Done()
		if took := time.Since(began); took > 2*invitation.DefaultTimers.Grace {
			t.Errorf("it went on for %v", took)
		}
		time.Sleep(time.Second)
		got := lookUp(t, a, sent.GetId())
		if got.GetStage() != apipb.Stage_STAGE_ENDED || got.GetOutcome() == apipb.Outcome_OUTCOME_ACCEPTED || remote.State() == invitation.RemoteAccepted {
			t.Errorf("it ended as %v, for the callee as %v", got, remote.State())
		}
		if len(ringing) != 0 {
			t.Error("it rang twice")
		}
		request.Key = "k2"
		for range 60 { // the caller's session may be told a little after the callee's
			if _, fail = send(t, a, request); fail.Code != "unavailable" {
				break
			}
			time.Sleep(time.Second)
		}
		if fail.Code != "" {
			t.Fatalf("another call: %+v", fail)
		}
		next := <-ringing
		if err := next.Accept(t.Context(), "yes"); err != nil {
			t.Error(err)
		}
		<-next.Done()
		if next.State() != invitation.RemoteAccepted {
			t.Errorf("another call ended as %v", next.State())
		}
		_ = callee.Close()
		f.end()
	})
}
