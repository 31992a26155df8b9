package desk

import (
	"encoding/base64"
	"testing"

	"connectrpc.com/connect"

	"github.com/ringfleet/ringfleet/internal/fault"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/apipb"
)

func TestPageSizes(t *testing.T) {
	for asked, want := range map[uint32]int{0: defaultPage, 1: 1, MaxPage: MaxPage, MaxPage + 1: MaxPage, 1<<32 - 1: MaxPage} {
		if got := pageSize(asked); got != want {
			t.Errorf("of a page of %d are told %d, want %d", asked, got, want)
		}
	}
}

// TestPageTokens has a token say where a list goes on, and no list take that of another one, or what is none.
func TestPageTokens(t *testing.T) {
	id := invitation.NewID("alice", Device, "k")
	text := outcomeToken.make(id, 1234567890123)
	if p, err := outcomeToken.point(text); err != nil || p.ID != id || p.Ended != 1234567890123 {
		t.Errorf("the token is of %+v, %v", p, err)
	}
	if p, err := outcomeToken.point(""); err != nil || !p.ID.IsZero() || p.Ended != 0 {
		t.Errorf("the first page begins at %+v, %v", p, err)
	}
	for name, wrong := range map[string]string{
		"another list's": invitationToken.make(id, 0), "cut": text[:len(text)-4], "longer": text + "AAAA",
		"no base64": "%" + text[1:], "padded": base64.URLEncoding.EncodeToString([]byte{byte(outcomeToken)}),
	} {
		if _, err := outcomeToken.point(wrong); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("a token that is %s: %v, want invalid_argument", name, err)
		}
	}
}

// TestTerms has the id follow from caller and key alone, and refuses what nobody may send.
func TestTerms(t *testing.T) {
	request := func(change func(*apipb.SendInvitationRequest)) *apipb.SendInvitationRequest {
		r := &apipb.SendInvitationRequest{Caller: "alice", Callee: "bob", Key: "k", Content: "c"}
		change(r)
		return r
	}
	first, code := Terms(request(func(*apipb.SendInvitationRequest) {}))
	if code != invitation.OK || first.ID != invitation.NewID("alice", Device, "k") || first.Device != Device {
		t.Fatalf("%+v, %v", first, code)
	}
	again, _ := Terms(request(func(r *apipb.SendInvitationRequest) { r.Callee, r.Content = "carol", "other" }))
	if again.ID != first.ID {
		t.Error("the same key is another invitation")
	}
	for name, change := range map[string]func(*apipb.SendInvitationRequest){
		"no caller": func(r *apipb.SendInvitationRequest) { r.Caller = "" },
		"no callee": func(r *apipb.SendInvitationRequest) { r.Callee = "" },
		"no key":    func(r *apipb.SendInvitationRequest) { r.Key = "" },
		"oneself":   func(r *apipb.SendInvitationRequest) { r.Callee = "alice" },
	} {
		if _, code := Terms(request(change)); code != invitation.InvalidArgument {
			t.Errorf("%s: %v, want %v", name, code, invitation.InvalidArgument)
		}
	}
}

// TestRefusals has every reason for which a send failed told as what it is.
func TestRefusals(t *testing.T) {
	for err, want := range map[error]connect.Code{
		errBusy: connect.CodeResourceExhausted, invitation.EndTooMany: connect.CodeResourceExhausted,
		invitation.Forbidden: connect.CodePermissionDenied, invitation.AlreadySent: connect.CodeFailedPrecondition,
		invitation.EndShutdown: connect.CodeUnavailable, connect.NewError(connect.CodeUnknown, nil): connect.CodeUnavailable,
	} {
		got := refused(err)
		detail, ok := fault.Detail(got)
		if connect.CodeOf(got) != want || !ok || detail.GetRetryable() != (want == connect.CodeUnavailable || want == connect.CodeResourceExhausted) {
			t.Errorf("%v is told as %v, %v, want %v", err, got, detail, want)
		}
	}
}
