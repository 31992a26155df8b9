package invitation

// LocalState is the caller's view of an invitation. Numbers and names are part of the wire and SDK
// contract (docs/spec.md §3).
type LocalState uint8

// The local states. 3 and 4 are swapped against the remote states; that is how the contract has it.
const (
	LocalIdle             LocalState = 0
	LocalSentToRemote     LocalState = 1
	LocalReceivedByRemote LocalState = 2
	LocalAcceptedByRemote LocalState = 3
	LocalRefusedByRemote  LocalState = 4
	LocalCanceled         LocalState = 5
	LocalFailure          LocalState = 6
)

// LocalStates is the number of local states.
const LocalStates = 7

var localStateNames = [LocalStates]string{
	"IDLE", "SENT_TO_REMOTE", "RECEIVED_BY_REMOTE", "ACCEPTED_BY_REMOTE", "REFUSED_BY_REMOTE", "CANCELED", "FAILURE",
}

// String returns the contract's name.
func (s LocalState) String() string { return name(localStateNames[:], int(s)) }

// Terminal reports whether the state ends the lifecycle.
func (s LocalState) Terminal() bool { return s >= LocalAcceptedByRemote }

// RemoteState is the callee's view of an invitation. Numbers and names are part of the wire and SDK
// contract (docs/spec.md §3).
type RemoteState uint8

// The remote states.
const (
	RemoteIdle               RemoteState = 0
	RemoteInvitationReceived RemoteState = 1
	RemoteAcceptSentToLocal  RemoteState = 2
	RemoteRefused            RemoteState = 3
	RemoteAccepted           RemoteState = 4
	RemoteCanceled           RemoteState = 5
	RemoteFailure            RemoteState = 6
)

// RemoteStates is the number of remote states.
const RemoteStates = 7

var remoteStateNames = [RemoteStates]string{
	"IDLE", "INVITATION_RECEIVED", "ACCEPT_SENT_TO_LOCAL", "REFUSED", "ACCEPTED", "CANCELED", "FAILURE",
}

// String returns the contract's name.
func (s RemoteState) String() string { return name(remoteStateNames[:], int(s)) }

// Terminal reports whether the state ends the lifecycle.
func (s RemoteState) Terminal() bool { return s >= RemoteRefused }

// Side tells the two views of an invitation apart.
type Side uint8

// The sides.
const (
	Caller Side = 1
	Callee Side = 2
)

// String returns "caller" or "callee".
func (s Side) String() string { return name([]string{"none", "caller", "callee"}, int(s)) }

func name(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return "UNKNOWN"
}
