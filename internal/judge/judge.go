// Package judge says whether what devices were told keeps the contract's promises P1 to P6
// (docs/spec.md §7). It knows nothing of how the product works: it sees the events of each device,
// as an application sees them. The explorer, the simulator and the load generator share it.
//
// [Part] is one device's record of one invitation: whoever runs devices keeps one for each, gives it every
// event, and compares the two sides with [Agree]. Not safe for concurrent use.
package judge

import (
	"fmt"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
)

// Promise is one of the contract's.
type Promise string

// The promises that are judged.
const (
	P1 Promise = "P1 one outcome"
	P2 Promise = "P2 no limbo"
	P3 Promise = "P3 order"
	P4 Promise = "P4 no ghost ring"
	P5 Promise = "P5 fair race"
	P6 Promise = "P6 survival"
)

// Violation is a broken promise.
type Violation struct {
	Promise Promise
	What    string
}

// Error returns the promise and what broke it.
func (v *Violation) Error() string { return string(v.Promise) + ": " + v.What }

// Excuse names what docs/spec.md §7 does not promise about one invitation.
type Excuse struct {
	Apart       bool // a failure separated the sides while it was decided: endings may differ in kind
	VerdictLate bool // the callee's device was away longer than the grace while its verdict was awaited
}

// Agree checks P1 between the caller's device and the callee's, at any time: nil if they agree so
// far.
func Agree(caller *Part, callees []*Part, excuse Excuse) *Violation {
	accepted := 0
	for _, p := range callees {
		if p.End == device.Accepted {
			accepted++
		}
	}
	switch {
	case accepted > 1:
		return &Violation{P1, fmt.Sprintf("accepted on %d devices of the callee", accepted)}
	case caller.End == device.Accepted && accepted == 0:
		return &Violation{P1, "accepted on the caller's side, on no device of the callee"}
	case accepted == 1 && caller.Ended() && caller.End != device.Accepted &&
		!(excuse.VerdictLate && (excuse.Apart || caller.Reason == invitation.CalleeLost)) && caller.Reason != invitation.OutcomeForgotten:
		return &Violation{P1, fmt.Sprintf("accepted on the callee's side, %v %v on the caller's", caller.End, caller.Reason)}
	}
	if !caller.Ended() || caller.Reason == invitation.OutcomeForgotten {
		return nil
	}
	for _, p := range callees {
		if v := sameKind(caller, p, excuse); v != nil {
			return v
		}
	}
	return nil
}

// sameKind checks that two sides which have ended were told endings of the same kind, as far as
// every outcome has one kind (docs/spec.md §5, the table of outcomes).
func sameKind(caller, callee *Part, excuse Excuse) *Violation {
	if !callee.Ended() || callee.End == caller.End {
		return nil
	}
	switch callee.Reason {
	case invitation.OutcomeForgotten:
		return nil
	case invitation.AnsweredElsewhere, invitation.RejectedElsewhere:
		if caller.End == device.Canceled && callee.Reason == invitation.RejectedElsewhere {
			break
		}
		return nil
	default:
	}
	if excuse.VerdictLate && caller.Reason == invitation.CalleeLost {
		return nil
	}
	if excuse.Apart {
		return nil
	}
	return &Violation{P1, fmt.Sprintf("%v %v on the caller's side, %v %v on the callee's",
		caller.End, caller.Reason, callee.End, callee.Reason)}
}
