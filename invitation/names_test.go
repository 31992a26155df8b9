package invitation_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ringfleet/ringfleet/invitation"
)

// names returns the names of the numbers below n.
func names[T interface {
	~uint8
	fmt.Stringer
}](n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("%d %s", i, T(i)))
	}
	return strings.Join(list, ", ")
}

// TestNumbersAndNames holds the enumerations of docs/spec.md §3 and §5 against the contract.
func TestNumbersAndNames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{
			names[invitation.LocalState](invitation.LocalStates + 1),
			"0 IDLE, 1 SENT_TO_REMOTE, 2 RECEIVED_BY_REMOTE, 3 ACCEPTED_BY_REMOTE, 4 REFUSED_BY_REMOTE, 5 CANCELED, 6 FAILURE, 7 UNKNOWN",
		},
		{
			names[invitation.RemoteState](invitation.RemoteStates + 1),
			"0 IDLE, 1 INVITATION_RECEIVED, 2 ACCEPT_SENT_TO_LOCAL, 3 REFUSED, 4 ACCEPTED, 5 CANCELED, 6 FAILURE, 7 UNKNOWN",
		},
		{
			names[invitation.LocalError](invitation.LocalErrors + 1),
			"0 OK, 1 REMOTE_OFFLINE, 2 REMOTE_NO_RESPONSE, 3 EXPIRE, 4 NOT_LOGGED_IN, 5 UNKNOWN",
		},
		{names[invitation.RemoteError](invitation.RemoteErrors + 1), "0 OK, 1 LOCAL_OFFLINE, 2 ACCEPT_FAILURE, 3 EXPIRE, 4 UNKNOWN"},
		{
			names[invitation.Reason](invitation.Reasons + 1),
			"0 , 1 CALLER_CANCELED, 2 CALLER_LOGGED_OUT, 3 CALLER_GONE, 4 CALLEE_OFFLINE, 5 NO_RESPONSE, 6 EXPIRED, 7 CALLER_OFFLINE, " +
				"8 ACCEPT_NOT_CONFIRMED, 9 CALLEE_LOST, 10 ANSWERED_ELSEWHERE, 11 REJECTED_ELSEWHERE, 12 OUTCOME_FORGOTTEN, 13 UNKNOWN",
		},
		{names[invitation.Request](invitation.Requests + 1), "0 none, 1 send, 2 cancel, 3 accept, 4 refuse, 5 query, 6 UNKNOWN"},
		{names[invitation.WordKind](7), "0 NONE, 1 SEEN, 2 CONFIRMED, 3 DONE, 4 SENT, 5 ACCEPTING, 6 UNKNOWN"},
		{names[invitation.Stage](invitation.Stages + 1), "0 OFFERING, 1 RINGING, 2 ACCEPTING, 3 CONFIRMED, 4 ENDED, 5 UNKNOWN"},
		{names[invitation.Side](4), "0 none, 1 caller, 2 callee, 3 UNKNOWN"},
		{
			names[invitation.Outcome](invitation.Outcomes + 1),
			"0 none, 1 accepted, 2 refused, 3 canceled, 4 undelivered, 5 expired, 6 unconfirmed, 7 callee_lost, 8 forgotten, 9 UNKNOWN",
		},
		{
			names[invitation.MessageKind](invitation.MessageKinds + 1),
			"0 START, 1 CANCEL, 2 CONFIRM, 3 CALLER_DONE, 4 CALLER, 5 SEEN, 6 ACCEPT, 7 REFUSE, 8 CALLEE_DONE, 9 CALLEE, 10 ABORT, " +
				"11 TICK, 12 RESEND, 13 RECOVER, 14 CALLEE_LOST, 15 UNKNOWN",
		},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
	}
}

// TestConstants holds the constants against their numbers: 3 and 4 are swapped between the sides.
func TestConstants(t *testing.T) {
	local := []invitation.LocalState{
		invitation.LocalIdle, invitation.LocalSentToRemote, invitation.LocalReceivedByRemote, invitation.LocalAcceptedByRemote,
		invitation.LocalRefusedByRemote, invitation.LocalCanceled, invitation.LocalFailure,
	}
	remote := []invitation.RemoteState{
		invitation.RemoteIdle, invitation.RemoteInvitationReceived, invitation.RemoteAcceptSentToLocal, invitation.RemoteRefused,
		invitation.RemoteAccepted, invitation.RemoteCanceled, invitation.RemoteFailure,
	}
	for i := range 7 {
		if int(local[i]) != i || int(remote[i]) != i {
			t.Errorf("state %d: local %d, remote %d", i, local[i], remote[i])
		}
		if ended := i >= 3; local[i].Terminal() != ended || remote[i].Terminal() != ended {
			t.Errorf("state %d ends: local %v, remote %v, want %v", i, local[i].Terminal(), remote[i].Terminal(), ended)
		}
	}
}

var callErrors = map[invitation.CallError]struct {
	number    int
	name      string
	retryable bool
}{
	invitation.OK:              {0, "OK", false},
	invitation.InvalidArgument: {1, "INVALID_ARGUMENT", false},
	invitation.NotStarted:      {2, "NOT_STARTED", false},
	invitation.AlreadyEnd:      {3, "ALREADY_END", false},
	invitation.AlreadyAccept:   {4, "ALREADY_ACCEPT", false},
	invitation.AlreadySent:     {5, "ALREADY_SENT", false},
	invitation.LimitExceeded:   {100, "LIMIT_EXCEEDED", true},
	invitation.NotFound:        {101, "NOT_FOUND", false},
	invitation.Forbidden:       {102, "FORBIDDEN", false},
	invitation.Unavailable:     {103, "UNAVAILABLE", true},
}

func TestCallErrors(t *testing.T) {
	if len(invitation.Codes) != len(callErrors) {
		t.Errorf("the public table has %d rows, the contract %d", len(invitation.Codes), len(callErrors))
	}
	for e, want := range callErrors {
		row := e.Row()
		if int(e) != want.number || e.String() != want.name || row.Error != e || row.Retryable != want.retryable {
			t.Errorf("%d is %+v, want %+v", e, row, want)
		}
		if row.When == "" || row.Do == "" || row.HTTP < 200 || row.GRPC == "" {
			t.Errorf("%s: the row has gaps: %+v", e, row)
		}
		if !strings.Contains(e.Error(), want.name) {
			t.Errorf("the error does not name its code: %s", e.Error())
		}
	}
	if !slices.IsSortedFunc(invitation.Codes, func(a, b invitation.Code) int { return int(a.Error) - int(b.Error) }) {
		t.Error("the public table is not in order of the numbers")
	}
	if invitation.OK.Err() != nil {
		t.Error("OK is an error")
	}
	err := fmt.Errorf("accept: %w", invitation.AlreadyEnd.Err())
	if code := invitation.OK; !errors.Is(err, invitation.AlreadyEnd) || !errors.As(err, &code) || code != invitation.AlreadyEnd {
		t.Error("a wrapped call error cannot be told")
	}
	if unknown := invitation.CallError(99).Row(); unknown.Name != "UNKNOWN" || unknown.Error != 99 {
		t.Errorf("the row of an unknown number: %+v", unknown)
	}
}

var upperName = regexp.MustCompile(`^[A-Z]+(_[A-Z]+)*$`)

// TestEnds holds the close codes against their ranges: 4000–4499 reconnect, 4500–4999 do not.
func TestEnds(t *testing.T) {
	seen := map[string]bool{}
	for i, row := range invitation.Ends {
		if i > 0 && invitation.Ends[i-1].End >= row.End {
			t.Errorf("%s is out of order", row.Name)
		}
		if !upperName.MatchString(row.Name) || seen[row.Name] || row.When == "" || row.Do == "" {
			t.Errorf("a bad row: %+v", row)
		}
		seen[row.Name] = true
		// The device of a replaced connection has a newer one.
		if want := row.End < 4500 && row.End != invitation.EndReplaced; row.End < 4000 || row.End > 4999 || row.End.Reconnect() != want {
			t.Errorf("%s (%d) reconnects: %v", row.Name, row.End, row.End.Reconnect())
		}
		if strings.Contains(row.Do, "reconnect and") != row.End.Reconnect() && row.End != invitation.EndShutdown && row.End != invitation.EndOverloaded {
			t.Errorf("%s: the advice %q and Reconnect() = %v disagree", row.Name, row.Do, row.End.Reconnect())
		}
		if row.End.String() != row.Name || !strings.Contains(row.End.Error(), row.Name) {
			t.Errorf("%d prints as %s and %s", row.End, row.End.String(), row.End.Error())
		}
	}
	if got := invitation.EndRemoteLogin; got != 4500 || got.String() != "REMOTE_LOGIN" {
		t.Errorf("REMOTE_LOGIN is %d", got)
	}
	if invitation.End(4999).String() != "UNKNOWN" {
		t.Error("an unknown end has a name")
	}
}
