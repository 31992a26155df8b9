// Package fault makes the errors of the API: each has a code of gRPC, a text for people, and an apipb.ErrorDetail with
// the contract's code and when to try again. They travel between nodes and to back ends as they are.
package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/cluster/ask"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/apipb"
	"github.com/ringfleet/ringfleet/messages/clientpb"
)

// soon is when to try again what failed as a node was dying, busy or moving.
const soon = 500 * time.Millisecond

// codes are the codes of gRPC of the contract's codes, as in invitation.Codes.
var codes = map[invitation.CallError]connect.Code{
	invitation.InvalidArgument: connect.CodeInvalidArgument,
	invitation.NotStarted:      connect.CodeFailedPrecondition,
	invitation.AlreadyEnd:      connect.CodeFailedPrecondition,
	invitation.AlreadyAccept:   connect.CodeFailedPrecondition,
	invitation.AlreadySent:     connect.CodeFailedPrecondition,
	invitation.LimitExceeded:   connect.CodeResourceExhausted,
	invitation.NotFound:        connect.CodeNotFound,
	invitation.Forbidden:       connect.CodePermissionDenied,
	invitation.Unavailable:     connect.CodeUnavailable,
}

// New returns an error that has none of the contract's codes.
func New(code connect.Code, format string, args ...any) *connect.Error {
	return detailed(code, &apipb.ErrorDetail{}, fmt.Sprintf(format, args...))
}

// Call returns an error with one of the contract's codes.
func Call(code invitation.CallError, format string, args ...any) *connect.Error {
	return CallAfter(code, 0, format, args...)
}

// CallAfter is [Call] with the time after which to try again.
func CallAfter(code invitation.CallError, after time.Duration, format string, args ...any) *connect.Error {
	return detailed(codeOf(code), &apipb.ErrorDetail{
		Code: clientpb.InvitationApiCallError(code), Retryable: code.Row().Retryable, RetryAfterMs: milliseconds(after),
	}, fmt.Sprintf(format, args...))
}

// Unavailable returns the error of what may succeed soon, with the same request.
func Unavailable(format string, args ...any) *connect.Error {
	return CallAfter(invitation.Unavailable, soon, format, args...)
}

// Limited returns the error of what is over a rate of the API's own.
func Limited(after time.Duration, format string, args ...any) *connect.Error {
	return detailed(connect.CodeResourceExhausted, &apipb.ErrorDetail{Retryable: true, RetryAfterMs: milliseconds(after)},
		fmt.Sprintf(format, args...))
}

func codeOf(code invitation.CallError) connect.Code {
	if c, ok := codes[code]; ok {
		return c
	}
	return connect.CodeInternal
}

func milliseconds(d time.Duration) uint32 {
	return uint32((max(d, 0) + time.Millisecond - 1) / time.Millisecond)
}

func detailed(code connect.Code, detail *apipb.ErrorDetail, text string) *connect.Error {
	err := connect.NewError(code, errors.New(strings.ToValidUTF8(text, "�")))
	if d, failed := connect.NewErrorDetail(detail); failed == nil { // it never fails for a message of ours
		err.AddDetail(d)
	}
	return err
}

// Detail returns the detail of an error; false: it has none.
func Detail(err error) (*apipb.ErrorDetail, bool) {
	e, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return nil, false
	}
	for _, d := range e.Details() {
		if value, err := d.Value(); err == nil {
			if detail, ok := value.(*apipb.ErrorDetail); ok {
				return detail, true
			}
		}
	}
	return nil, false
}

// Typed returns err as an error of the API, whatever it is: it is what every answer passes.
func Typed(err error) error {
	switch e, ok := errors.AsType[*connect.Error](err); {
	case err == nil:
		return nil
	case ok:
		if _, ok := Detail(e); !ok { // of the library: a body that is not a request, and the like
			return relabeled(e)
		}
		return e
	case errors.Is(err, context.Canceled):
		return New(connect.CodeCanceled, "the request was canceled")
	case errors.Is(err, context.DeadlineExceeded):
		return Unavailable("it took too long: try again")
	}
	if code, ok := errors.AsType[invitation.CallError](err); ok {
		return Call(code, "%s: %s", code.Row().When, code.Row().Do)
	}
	return New(connect.CodeInternal, "a fault of the node")
}

func relabeled(e *connect.Error) *connect.Error {
	detail := &apipb.ErrorDetail{}
	switch e.Code() {
	case connect.CodeInvalidArgument:
		detail.Code = clientpb.InvitationApiCallError(invitation.InvalidArgument)
	case connect.CodeUnavailable:
		detail.Code, detail.Retryable = clientpb.InvitationApiCallError(invitation.Unavailable), true
	case connect.CodeDeadlineExceeded:
		detail.Retryable = true
	default:
	}
	return detailed(e.Code(), detail, e.Message())
}

// ToNode returns err as it travels to the node that asked.
func ToNode(err error) *ask.Error {
	e, _ := errors.AsType[*connect.Error](Typed(err))
	out := &ask.Error{Code: uint32(e.Code()), Message: e.Message()}
	if detail, ok := Detail(e); ok {
		out.Detail, _ = proto.Marshal(detail) // a message of ours can be encoded
	}
	return out
}

// FromNode returns what another node answered, or that it did not.
func FromNode(err error) error {
	e, ok := errors.AsType[*ask.Error](err)
	switch {
	case err == nil:
		return nil
	case ok && e.Code == ask.Unavailable && len(e.Detail) == 0:
		return Unavailable("%s", e.Message)
	case ok && e.Code == ask.Unimplemented:
		return New(connect.CodeUnimplemented, "%s", e.Message)
	case ok:
		detail := &apipb.ErrorDetail{}
		if proto.Unmarshal(e.Detail, detail) != nil || e.Code > uint32(connect.CodeUnauthenticated) {
			return New(connect.CodeInternal, "%s", e.Message)
		}
		return detailed(connect.Code(e.Code), detail, e.Message)
	case errors.Is(err, context.Canceled):
		return New(connect.CodeCanceled, "the request was canceled")
	}
	return Unavailable("the node that knows cannot be reached, as it may be dying: try again")
}
