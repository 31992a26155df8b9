package invitation

// LocalError is the code of LocalInvitationFailure (docs/spec.md §5).
type LocalError uint8

// The local codes.
const (
	LocalOK               LocalError = 0
	LocalRemoteOffline    LocalError = 1 // callee was offline at the end of the no-response time
	LocalRemoteNoResponse LocalError = 2 // callee was online, but no device acknowledged
	LocalExpire           LocalError = 3 // ended without an answer; the reason says how
	LocalNotLoggedIn      LocalError = 4 // send without a session
)

// LocalErrors is the number of local codes.
const LocalErrors = 5

// String returns the contract's name.
func (e LocalError) String() string {
	return name([]string{"OK", "REMOTE_OFFLINE", "REMOTE_NO_RESPONSE", "EXPIRE", "NOT_LOGGED_IN"}, int(e))
}

// RemoteError is the code of RemoteInvitationFailure (docs/spec.md §5).
type RemoteError uint8

// The remote codes.
const (
	RemoteOK            RemoteError = 0
	RemoteLocalOffline  RemoteError = 1 // the caller was away when the accept was recorded and stayed away
	RemoteAcceptFailure RemoteError = 2 // the caller was online but did not confirm
	RemoteExpire        RemoteError = 3 // ended without an answer; the reason says how
)

// RemoteErrors is the number of remote codes.
const RemoteErrors = 4

// String returns the contract's name.
func (e RemoteError) String() string {
	return name([]string{"OK", "LOCAL_OFFLINE", "ACCEPT_FAILURE", "EXPIRE"}, int(e))
}

// CallError answers a request that breaks a rule (InvitationApiCallError, docs/spec.md §5). The
// request changed nothing; the invitation goes on. The zero value, OK, is not an error: a function
// that returns error returns nil for it (see [CallError.Err]).
type CallError uint8

// The call errors. The vendor's end at 5; ours start at 100.
const (
	OK              CallError = 0
	InvalidArgument CallError = 1
	NotStarted      CallError = 2
	AlreadyEnd      CallError = 3
	AlreadyAccept   CallError = 4
	AlreadySent     CallError = 5
	LimitExceeded   CallError = 100
	NotFound        CallError = 101
	Forbidden       CallError = 102
	Unavailable     CallError = 103
)

// Code is a row of the public table of call errors.
type Code struct {
	Error     CallError
	Name      string
	Retryable bool   // the same request may succeed later, with the same request id
	HTTP      int    // the HTTP status that an HTTP carrier uses
	GRPC      string // the gRPC code that a gRPC carrier uses
	When      string // when it is raised
	Do        string // what the client does next
}

// Codes is the public table from which docs/codes.md is generated, in order of their numbers.
var Codes = []Code{
	{OK, "OK", false, 200, "OK", "the request was carried out", "nothing"},
	{
		InvalidArgument, "INVALID_ARGUMENT", false, 400, "INVALID_ARGUMENT",
		"over a length limit, not UTF-8, bad user id, inviting oneself, a timer outside 1 s to 10 min", "correct the request",
	},
	{
		NotStarted, "NOT_STARTED", false, 409, "FAILED_PRECONDITION",
		"cancel before send; raised by the SDK", "send first",
	},
	{
		AlreadyEnd, "ALREADY_END", false, 409, "FAILED_PRECONDITION",
		"send, cancel, accept or refuse after the end, or cancel after the device confirmed the accept",
		"wait for the terminal event, which is on its way or has come",
	},
	{
		AlreadyAccept, "ALREADY_ACCEPT", false, 409, "FAILED_PRECONDITION",
		"accept or refuse while the accept awaits the caller", "wait for the terminal event",
	},
	{
		AlreadySent, "ALREADY_SENT", false, 409, "FAILED_PRECONDITION",
		"second send of one local invitation", "make a new invitation to call again",
	},
	{
		LimitExceeded, "LIMIT_EXCEEDED", true, 429, "RESOURCE_EXHAUSTED",
		"over a per-user bound or rate", "retry after the given time, or end another invitation first; a send with a new key",
	},
	{
		NotFound, "NOT_FOUND", false, 404, "NOT_FOUND",
		"no such invitation, or not yours: the two are not told apart", "forget the invitation",
	},
	{
		Forbidden, "FORBIDDEN", false, 403, "PERMISSION_DENIED",
		"the deployment does not let this caller invite this callee", "do not retry",
	},
	{
		Unavailable, "UNAVAILABLE", true, 503, "UNAVAILABLE",
		"overloaded or draining, or what a lost node knew is not known yet", "retry after the given time with the same request id and send key",
	},
}

// Row returns the table's row of e; an unknown number gives a row named UNKNOWN.
func (e CallError) Row() Code {
	for _, c := range Codes {
		if c.Error == e {
			return c
		}
	}
	return Code{Error: e, Name: "UNKNOWN", HTTP: 500, GRPC: "UNKNOWN"}
}

// String returns the contract's name.
func (e CallError) String() string { return e.Row().Name }

// Error says what happened and what to do next.
func (e CallError) Error() string {
	row := e.Row()
	return "ringfleet: " + row.Name + ": " + row.When + " (" + row.Do + ")"
}

// Err returns e as an error, nil for OK.
func (e CallError) Err() error {
	if e == OK {
		return nil
	}
	return e
}

// Reason is the finer cause of an ending, beside the code (docs/spec.md §5).
type Reason uint8

// The reasons.
const (
	NoReason           Reason = 0
	CallerCanceled     Reason = 1
	CallerLoggedOut    Reason = 2
	CallerGone         Reason = 3
	CalleeOffline      Reason = 4
	NoResponse         Reason = 5
	Expired            Reason = 6
	CallerOffline      Reason = 7
	AcceptNotConfirmed Reason = 8
	CalleeLost         Reason = 9
	AnsweredElsewhere  Reason = 10
	RejectedElsewhere  Reason = 11
	OutcomeForgotten   Reason = 12
)

// Reasons is the number of reasons.
const Reasons = 13

// String returns the contract's name; "" for NoReason.
func (r Reason) String() string {
	return name([]string{
		"", "CALLER_CANCELED", "CALLER_LOGGED_OUT", "CALLER_GONE", "CALLEE_OFFLINE", "NO_RESPONSE", "EXPIRED",
		"CALLER_OFFLINE", "ACCEPT_NOT_CONFIRMED", "CALLEE_LOST", "ANSWERED_ELSEWHERE", "REJECTED_ELSEWHERE", "OUTCOME_FORGOTTEN",
	}, int(r))
}
