package ringfleet_test

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/messages/apipb"
	"github.com/ringfleet/ringfleet/messages/clientpb"
)

func send(t *testing.T, node *ringfleet.Node, r *apipb.SendInvitationRequest) (*apipb.Invitation, failure) {
	t.Helper()
	out := new(apipb.SendInvitationResponse)
	f := call(t, node, "InvitationService/SendInvitation", r, out)
	return out.GetInvitation(), f
}

func lookUp(t *testing.T, node *ringfleet.Node, id string) *apipb.Invitation {
	t.Helper()
	out := new(apipb.GetInvitationResponse)
	must(t, node, "InvitationService/GetInvitation", &apipb.GetInvitationRequest{InvitationId: id}, out)
	return out.GetInvitation()
}

func userNow(t *testing.T, node *ringfleet.Node, user invitation.User) *apipb.User {
	t.Helper()
	out := new(apipb.GetUserResponse)
	must(t, node, "UserService/GetUser", &apipb.GetUserRequest{User: string(user)}, out)
	return out.GetUser()
}

// TestAPISends sends on behalf of a user from a node that has neither of the two: the callee accepts, the device of the
// server confirms, and goes.
func TestAPISends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := threeNodes(t, session.Config{})
		a := nodes[0]
		alice, bob := userOn(t, a, "b"), userOn(t, a, "c")
		ringing := make(chan *client.RemoteInvitation, 10)
		dial(t, a, client.Options{User: bob, Device: "desk", OnRemoteInvitation: func(r *client.RemoteInvitation) { ringing <- r }})
		request := &apipb.SendInvitationRequest{
			Caller: string(alice), Key: "order-17", Callee: string(bob), Content: "your taxi", ChannelId: "room",
			Timers: &clientpb.Timers{ExpireMs: 20_000},
		}
		sent, f := send(t, a, request)
		if f.Code != "" {
			t.Fatal(f)
		}
		id := invitation.NewID(alice, "api", "order-17").String()
		if sent.GetId() != id || sent.GetCallerDevice() != "api" || sent.GetContent() != "your taxi" {
			t.Errorf("sent %v, want the id %s", sent, id)
		}
		remote := <-ringing
		if remote.Content() != "your taxi" || remote.ChannelID() != "room" || remote.ID().String() != id {
			t.Errorf("the callee is shown %q in %q", remote.Content(), remote.ChannelID())
		}
		synctest.Wait()
		for _, node := range nodes { // again, elsewhere too: the same
			if again, f := send(t, node, request); f.Code != "" || again.GetId() != id || again.GetStage() != apipb.Stage_STAGE_RINGING {
				t.Errorf("sent again at %s: %v, %+v", node.Name(), again, f)
			}
		}
		other := proto.CloneOf(request)
		other.Callee = "somebody"
		if _, f := send(t, a, other); f.Code != "failed_precondition" || f.Details[0].Debug.Code != "INVITATION_API_CALL_ERROR_ALREADY_SENT" {
			t.Errorf("the key again for another callee: %+v", f)
		}
		if err := remote.Accept(t.Context(), "coming"); err != nil {
			t.Fatal(err)
		}
		<-remote.Done()
		synctest.Wait()
		if remote.State() != invitation.RemoteAccepted {
			t.Errorf("the callee's side ended as %v", remote.State())
		}
		if got := lookUp(t, a, id); got.GetOutcome() != apipb.Outcome_OUTCOME_ACCEPTED || got.GetCalleeDevice() != "desk" {
			t.Errorf("it ended as %v", got)
		}
		if again, f := send(t, nodes[2], request); f.Code != "" || again.GetOutcome() != apipb.Outcome_OUTCOME_ACCEPTED {
			t.Errorf("sent again after its end: %v, %+v", again, f)
		}
		time.Sleep(time.Second)
		if user := userNow(t, a, alice); len(user.GetDevices()) != 0 {
			t.Errorf("the device of the server is still there: %v", user)
		}
		if len(ringing) != 0 {
			t.Error("it rang twice")
		}
		time.Sleep(invitation.DefaultTimers.Linger)
		if again, f := send(t, a, request); f.Details[0].Debug.Code != "INVITATION_API_CALL_ERROR_ALREADY_END" {
			t.Errorf("sent again when its end was forgotten: %v, %+v", again, f)
		}
	})
}

// TestAPICancels cancels what the API sent, and nothing else.
func TestAPICancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := threeNodes(t, session.Config{Policy: session.Multi})
		a := nodes[0]
		alice, bob := userOn(t, a, "b"), userOn(t, a, "c")
		dial(t, a, client.Options{User: bob, Device: "desk", OnRemoteInvitation: func(*client.RemoteInvitation) {}})
		phone := dial(t, nodes[1], client.Options{User: alice, Device: "cell"})
		sent, f := send(t, a, &apipb.SendInvitationRequest{Caller: string(alice), Key: "k", Callee: string(bob)})
		if f.Code != "" {
			t.Fatal(f)
		}
		cancel := func(node *ringfleet.Node, id string) failure {
			return call(t, node, "InvitationService/CancelInvitation", &apipb.CancelInvitationRequest{InvitationId: id}, new(apipb.CancelInvitationResponse))
		}
		for range 2 { // the second time it is no error
			if f := cancel(nodes[2], sent.GetId()); f.Code != "" {
				t.Errorf("cancel: %+v", f)
			}
			synctest.Wait()
		}
		got := lookUp(t, a, sent.GetId())
		if got.GetOutcome() != apipb.Outcome_OUTCOME_CANCELED || got.GetReason() != clientpb.Reason_REASON_CALLER_CANCELED {
			t.Errorf("it ended as %v", got)
		}
		local := phone.NewLocalInvitation(bob)
		if err := local.Send(t.Context()); err != nil {
			t.Fatal(err)
		}
		if f := cancel(a, local.ID().String()); f.Code != "permission_denied" || f.Details[0].Debug.Code != "INVITATION_API_CALL_ERROR_FORBIDDEN" {
			t.Errorf("canceled what a phone sent: %+v", f)
		}
		must(t, a, "UserService/EndDevice", &apipb.EndDeviceRequest{User: string(alice), Device: "cell"}, new(apipb.EndDeviceResponse))
		_ = local.Wait(t.Context())
		if local.State() != invitation.LocalCanceled || local.Reason() != invitation.CallerLoggedOut {
			t.Errorf("with its device it ended as %v, %v", local.State(), local.Reason())
		}
		if f := call(t, a, "UserService/EndDevice", &apipb.EndDeviceRequest{User: string(alice), Device: "cell"}, new(apipb.EndDeviceResponse)); f.Code != "not_found" {
			t.Errorf("ended a device that is not logged in: %+v", f)
		}
		if f := cancel(a, local.ID().String()); f.Code == "" {
			t.Error("canceled what has ended")
		}
		ended := new(apipb.EndSessionResponse)
		must(t, a, "UserService/EndSession", &apipb.EndSessionRequest{User: string(bob)}, ended)
		synctest.Wait()
		if len(ended.GetDevices()) != 1 || ended.GetDevices()[0] != "desk" || len(userNow(t, a, bob).GetDevices()) != 0 {
			t.Errorf("ended %v, and now there is %v", ended, userNow(t, a, bob))
		}
	})
}

// TestAPISendsBesideThePhone: the device that sends on behalf of a user is none of the user's own. With one device a
// user, and with as many as there may be, it logs no other out and none logs it out; it is in no list.
func TestAPISendsBesideThePhone(t *testing.T) {
	for name, config := range map[string]session.Config{"single": {}, "multi": {Policy: session.Multi, MaxDevices: 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes := threeNodes(t, config)
				a := nodes[0]
				alice, bob := userOn(t, a, "b"), userOn(t, a, "c")
				ringing := make(chan *client.RemoteInvitation, 10)
				dial(t, a, client.Options{User: bob, Device: "desk", OnRemoteInvitation: func(r *client.RemoteInvitation) { ringing <- r }})
				phone := dial(t, nodes[1], client.Options{User: alice, Device: "cell"})
				sent, f := send(t, a, &apipb.SendInvitationRequest{Caller: string(alice), Key: "k", Callee: string(bob)})
				if f.Code != "" {
					t.Fatal(f)
				}
				<-ringing
				if user := userNow(t, a, alice); !phone.Connected() || len(user.GetDevices()) != 1 || user.GetDevices()[0].GetDevice() != "cell" || user.GetAgentNode() != "b" {
					t.Errorf("beside the call the phone is connected: %v; the user is told as %v", phone.Connected(), user)
				}
				_ = phone.Close()
				synctest.Wait()
				dial(t, nodes[1], client.Options{User: alice, Device: "cell"})
				synctest.Wait()
				if got := lookUp(t, a, sent.GetId()); got.GetStage() != apipb.Stage_STAGE_RINGING {
					t.Errorf("after the caller's own login it stands as %v", got)
				}
				ended := new(apipb.EndSessionResponse)
				must(t, a, "UserService/EndSession", &apipb.EndSessionRequest{User: string(alice)}, ended)
				synctest.Wait()
				if got := lookUp(t, a, sent.GetId()); got.GetReason() != clientpb.Reason_REASON_CALLER_LOGGED_OUT || len(ended.GetDevices()) != 2 {
					t.Errorf("after the session was ended, with %v, it stands as %v", ended.GetDevices(), got)
				}
				if user := userNow(t, a, alice); len(user.GetDevices()) != 0 || user.GetAgentNode() != "" {
					t.Errorf("the user is told as %v", user)
				}
			})
		})
	}
}

// TestNobodyIsOnlineByTheAPI calls a user for whom the API makes a call, and who has no device connected: the back-end is
// told at once that there is nobody to ring, and the caller in the end. A device that comes meanwhile rings.
func TestNobodyIsOnlineByTheAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backEnd{}
		node := start(t, ringfleet.Config{Events: b.config(), API: &ringfleet.APIConfig{}})
		carol := dial(t, node, client.Options{User: "carol", OnRemoteInvitation: func(*client.RemoteInvitation) {}})
		if _, f := send(t, node, &apipb.SendInvitationRequest{Caller: "alice", Key: "k", Callee: "carol"}); f.Code != "" {
			t.Fatal(f)
		}
		bob := dial(t, node, client.Options{User: "bob"})
		for _, woken := range []bool{false, true} {
			local := bob.NewLocalInvitation("alice")
			began := time.Now()
			if err := local.Send(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(200 * time.Millisecond)
			m := b.last(t, invitation.EventCalleeOffline)
			if m.Subject != local.ID().String() || m.Time.Sub(began) > 200*time.Millisecond {
				t.Errorf("the event is %+v", m)
			}
			rang := make(chan bool, 1)
			if woken {
				dial(t, node, client.Options{User: "alice", Device: "cell", OnRemoteInvitation: func(r *client.RemoteInvitation) {
					rang <- r.Accept(t.Context(), "") == nil
				}})
				if !<-rang {
					t.Error("the accept failed")
				}
			}
			_ = local.Wait(t.Context())
			if !woken && (local.State() != invitation.LocalFailure || local.Code() != invitation.LocalRemoteOffline) || woken && local.State() != invitation.LocalAcceptedByRemote {
				t.Errorf("it ended as %v, %v", local.State(), local.Code())
			}
		}
		_ = carol.Close()
	})
}

// TestAPIOutcomesOfSends goes through the other ends of what the API sent.
func TestAPIOutcomesOfSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := threeNodes(t, session.Config{})
		a := nodes[0]
		alice, bob := userOn(t, a, "b"), userOn(t, a, "c")
		sent, _ := send(t, a, &apipb.SendInvitationRequest{Caller: string(alice), Key: "offline", Callee: string(bob)})
		time.Sleep(invitation.DefaultTimers.NoResponse + time.Second)
		if got := lookUp(t, a, sent.GetId()); got.GetReason() != clientpb.Reason_REASON_CALLEE_OFFLINE ||
			got.GetLocalError() != clientpb.LocalInvitationError_LOCAL_INVITATION_ERROR_REMOTE_OFFLINE {
			t.Errorf("to an offline callee it ended as %v", got)
		}
		dial(t, nodes[1], client.Options{User: bob, Device: "desk", OnRemoteInvitation: func(r *client.RemoteInvitation) { _ = r.Refuse(t.Context(), "no") }})
		sent, _ = send(t, a, &apipb.SendInvitationRequest{Caller: string(alice), Key: "refused", Callee: string(bob)})
		time.Sleep(time.Second)
		if got := lookUp(t, a, sent.GetId()); got.GetOutcome() != apipb.Outcome_OUTCOME_REFUSED {
			t.Errorf("refused, it ended as %v", got)
		}
	})
}
