package judge

import (
	"fmt"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
)

// Event is one thing that an application was told about an invitation.
type Event struct {
	Side   invitation.Side
	Event  device.Event
	State  uint8 // the state it was told, a LocalState or a RemoteState by Side
	Code   uint8 // a LocalError or a RemoteError by Side
	Reason invitation.Reason
}

// String returns the event as the contract writes it.
func (e Event) String() string {
	side := "Local"
	if e.Side == invitation.Callee {
		side = "Remote"
	}
	s := side + "Invitation" + e.Event.String()
	if e.Event == device.Failed {
		if e.Side == invitation.Caller {
			s += "(" + invitation.LocalError(e.Code).String() + ")"
		} else {
			s += "(" + invitation.RemoteError(e.Code).String() + ")"
		}
	}
	if e.Reason != invitation.NoReason {
		s += " " + e.Reason.String()
	}
	return s
}

// Part is what one device was told about one invitation so far. The zero value is a device that
// was told nothing and sent nothing. It is comparable.
type Part struct {
	Side     invitation.Side
	Engaged  bool // the device sent it, or was shown it: it is owed one ∎
	Received bool // caller: ReceivedByPeer has fired
	End      device.Event
	Code     uint8
	Reason   invitation.Reason
}

// Sent notes that the device's application sent the invitation.
func (p *Part) Sent() { p.Side, p.Engaged = invitation.Caller, true }

// Withdrawn notes that the send was answered with an error: there is no invitation.
func (p *Part) Withdrawn() { *p = Part{} }

// Ended reports whether the ∎ event has fired.
func (p *Part) Ended() bool { return p.End != device.NoEvent }

// Open reports whether the device is still owed its ∎ event.
func (p *Part) Open() bool { return p.Engaged && !p.Ended() }

// Take checks that e may follow what the device was told before (P3), and notes it. It returns nil
// if it may.
func (p *Part) Take(e Event) *Violation {
	switch {
	case p.Ended():
		return &Violation{P3, fmt.Sprintf("%v after the end, which was %v", e, p.End)}
	case p.Engaged && p.Side != e.Side:
		return &Violation{P3, fmt.Sprintf("%v on the %v's side", e, p.Side)}
	case e.Event == device.Received && p.Engaged:
		return &Violation{P3, "shown twice"}
	case e.Event == device.ReceivedByPeer && p.Received:
		return &Violation{P3, "ReceivedByPeer twice"}
	case e.Event != device.Received && !p.Engaged && e.Side == invitation.Callee:
		return &Violation{P4, fmt.Sprintf("%v to a device that was never shown it", e)}
	case !p.Engaged && e.Side == invitation.Caller:
		return &Violation{P4, fmt.Sprintf("%v to a device that never sent it", e)}
	}
	if v := e.check(); v != nil {
		return v
	}
	p.Side = e.Side
	switch e.Event {
	case device.Received:
		p.Engaged = true
	case device.ReceivedByPeer:
		p.Received = true
	default:
		p.End, p.Code, p.Reason = e.Event, e.Code, e.Reason
	}
	return nil
}

// meaning is a row of the tables of docs/spec.md §5, as one side is told it.
type meaning struct {
	event  device.Event
	code   uint8
	reason invitation.Reason
}

var localMeanings = map[meaning]bool{
	{device.ReceivedByPeer, 0, invitation.NoReason}:                                 true,
	{device.Accepted, 0, invitation.NoReason}:                                       true,
	{device.Refused, 0, invitation.NoReason}:                                        true,
	{device.Canceled, 0, invitation.CallerCanceled}:                                 true,
	{device.Canceled, 0, invitation.CallerLoggedOut}:                                true,
	{device.Canceled, 0, invitation.CallerGone}:                                     true,
	{device.Failed, uint8(invitation.LocalRemoteOffline), invitation.CalleeOffline}: true,
	{device.Failed, uint8(invitation.LocalRemoteNoResponse), invitation.NoResponse}: true,
	{device.Failed, uint8(invitation.LocalExpire), invitation.Expired}:              true,
	{device.Failed, uint8(invitation.LocalExpire), invitation.CallerOffline}:        true,
	{device.Failed, uint8(invitation.LocalExpire), invitation.AcceptNotConfirmed}:   true,
	{device.Failed, uint8(invitation.LocalExpire), invitation.CalleeLost}:           true,
	{device.Failed, uint8(invitation.LocalExpire), invitation.OutcomeForgotten}:     true,
	{device.Failed, uint8(invitation.LocalNotLoggedIn), invitation.NoReason}:        true,
}

var remoteMeanings = map[meaning]bool{
	{device.Received, 0, invitation.NoReason}:                                             true,
	{device.Accepted, 0, invitation.NoReason}:                                             true,
	{device.Refused, 0, invitation.NoReason}:                                              true,
	{device.Canceled, 0, invitation.CallerCanceled}:                                       true,
	{device.Canceled, 0, invitation.CallerLoggedOut}:                                      true,
	{device.Canceled, 0, invitation.CallerGone}:                                           true,
	{device.Canceled, 0, invitation.AnsweredElsewhere}:                                    true,
	{device.Canceled, 0, invitation.RejectedElsewhere}:                                    true,
	{device.Failed, uint8(invitation.RemoteExpire), invitation.CalleeOffline}:             true,
	{device.Failed, uint8(invitation.RemoteExpire), invitation.NoResponse}:                true,
	{device.Failed, uint8(invitation.RemoteExpire), invitation.Expired}:                   true,
	{device.Failed, uint8(invitation.RemoteLocalOffline), invitation.CallerOffline}:       true,
	{device.Failed, uint8(invitation.RemoteAcceptFailure), invitation.AcceptNotConfirmed}: true,
	{device.Failed, uint8(invitation.RemoteExpire), invitation.CalleeLost}:                true,
	{device.Failed, uint8(invitation.RemoteExpire), invitation.OutcomeForgotten}:          true,
}

var localStates = map[device.Event]invitation.LocalState{
	device.ReceivedByPeer: invitation.LocalReceivedByRemote,
	device.Accepted:       invitation.LocalAcceptedByRemote,
	device.Refused:        invitation.LocalRefusedByRemote,
	device.Canceled:       invitation.LocalCanceled,
	device.Failed:         invitation.LocalFailure,
}

var remoteStates = map[device.Event]invitation.RemoteState{
	device.Received: invitation.RemoteInvitationReceived,
	device.Accepted: invitation.RemoteAccepted,
	device.Refused:  invitation.RemoteRefused,
	device.Canceled: invitation.RemoteCanceled,
	device.Failed:   invitation.RemoteFailure,
}

// check compares an event with the tables of the contract.
func (e Event) check() *Violation {
	m := meaning{e.Event, e.Code, e.Reason}
	known, state := localMeanings[m], uint8(localStates[e.Event])
	if e.Side == invitation.Callee {
		known, state = remoteMeanings[m], uint8(remoteStates[e.Event])
	}
	switch {
	case !known:
		return &Violation{P3, fmt.Sprintf("%v with code %d is no row of the contract's table", e, e.Code)}
	case state != e.State:
		return &Violation{P3, fmt.Sprintf("%v in state %d", e, e.State)}
	}
	return nil
}
