package fault_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/cluster/ask"
	"github.com/ringfleet/ringfleet/internal/fault"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/clientpb"
)

// TestCodesAreTheContracts compares the codes with the public table.
func TestCodesAreTheContracts(t *testing.T) {
	for _, row := range invitation.Codes {
		if row.Error == invitation.OK {
			continue
		}
		err := fault.CallAfter(row.Error, 1_500*time.Microsecond, "no")
		var code connect.Code
		if failed := code.UnmarshalText([]byte(lower(row.GRPC))); failed != nil {
			t.Fatal(failed)
		}
		detail, ok := fault.Detail(err)
		if err.Code() != code || !ok || detail.GetCode() != clientpb.InvitationApiCallError(row.Error) ||
			detail.GetRetryable() != row.Retryable || detail.GetRetryAfterMs() != 2 {
			t.Errorf("%s: %v with %v, want %v", row.Name, err, detail, code)
		}
	}
}

func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// TestErrorsTravel: what one node answers another, a back end is told.
func TestErrorsTravel(t *testing.T) {
	for name, err := range map[string]error{
		"of the contract": fault.CallAfter(invitation.LimitExceeded, time.Second, "slow down"),
		"other":           fault.New(connect.CodeFailedPrecondition, "not \xff so"),
		"wrapped":         fmt.Errorf("ask: %w", fault.Unavailable("later")),
		"of a call":       invitation.Forbidden,
		"too slow":        context.DeadlineExceeded,
		"of no type":      errors.New("path"),
	} {
		typed := fault.Typed(err)
		arrived := fault.FromNode(fmt.Errorf("asked: %w", fault.ToNode(err)))
		one, _ := fault.Detail(typed)
		other, ok := fault.Detail(arrived)
		if connect.CodeOf(arrived) != connect.CodeOf(typed) || arrived.Error() != typed.Error() || !ok || !proto.Equal(one, other) {
			t.Errorf("%s: %v %v arrives as %v %v", name, typed, one, arrived, other)
		}
	}
}

// TestSilence: a node that does not answer shows as one that may be asked again.
func TestSilence(t *testing.T) {
	for _, err := range []error{
		ask.ErrNoAnswer, ask.ErrNotSent, ask.ErrTooMany, fmt.Errorf("%w: %w", ask.ErrNoAnswer, context.DeadlineExceeded),
		&ask.Error{Code: ask.Unavailable, Message: "busy"},
	} {
		got := fault.FromNode(err)
		if detail, _ := fault.Detail(got); connect.CodeOf(got) != connect.CodeUnavailable || !detail.GetRetryable() {
			t.Errorf("%v is told as %v", err, got)
		}
	}
	if got := fault.FromNode(fmt.Errorf("%w: %w", ask.ErrNoAnswer, context.Canceled)); connect.CodeOf(got) != connect.CodeCanceled {
		t.Errorf("a canceled request is told as %v", got)
	}
	if got := fault.FromNode(&ask.Error{Code: 99, Message: "of another version"}); connect.CodeOf(got) != connect.CodeInternal {
		t.Errorf("a code that is none is told as %v", got)
	}
	if fault.Typed(nil) != nil || fault.FromNode(nil) != nil {
		t.Error("no error is told as one")
	}
}
