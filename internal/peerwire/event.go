package peerwire

import (
	"errors"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/snapshot"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

// What a message about events may hold.
const (
	MaxEventIDs = 4_096
	maxSinks    = 64
)

// Events is what two nodes say to each other about events. Exactly one field is set.
type Events struct {
	Copy      *snapshot.Event
	Held      []invitation.ID // at most MaxEventIDs
	Delivered []invitation.ID // likewise
}

func eventsMessage(e *Events) (*peerpb.Events, error) {
	m := new(peerpb.Events)
	switch {
	case e.Copy != nil:
		m.Message = &peerpb.Events_Copy{Copy: eventMessage(e.Copy)}
	case e.Held != nil:
		m.Message = &peerpb.Events_Held{Held: idsMessage(e.Held)}
	case e.Delivered != nil:
		m.Message = &peerpb.Events_Delivered{Delivered: idsMessage(e.Delivered)}
	default:
		return nil, errors.New("nothing is said of events")
	}
	return m, nil
}

func idsMessage(ids []invitation.ID) *peerpb.InvitationIds {
	m := &peerpb.InvitationIds{Ids: make([][]byte, len(ids))}
	for i := range ids {
		m.Ids[i] = ids[i][:]
	}
	return m
}

func idsOf(p *peerpb.InvitationIds) ([]invitation.ID, error) {
	if n := len(p.GetIds()); n == 0 || n > MaxEventIDs {
		return nil, malformed("the ids of %d events", n)
	}
	ids := make([]invitation.ID, len(p.GetIds()))
	for i, b := range p.GetIds() {
		var err error
		if ids[i], err = parseID(b); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

func eventsOf(m *peerpb.Events) (*Events, error) {
	e := new(Events)
	var err error
	switch p := m.GetMessage().(type) {
	case *peerpb.Events_Copy:
		e.Copy, err = event(p.Copy)
	case *peerpb.Events_Held:
		e.Held, err = idsOf(p.Held)
	case *peerpb.Events_Delivered:
		e.Delivered, err = idsOf(p.Delivered)
	default:
		err = unknown("message about events")
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

func eventMessage(e *snapshot.Event) *peerpb.Event {
	return &peerpb.Event{
		Kind:         peerpb.EventKind(e.Kind),
		InvitationId: idBytes(e.ID),
		AtUs:         e.At,
		Caller:       string(e.Caller),
		CallerDevice: string(e.CallerDevice),
		Callee:       string(e.Callee),
		CalleeDevice: string(e.CalleeDevice),
		ChannelId:    e.ChannelID,
		Content:      e.Content,
		Response:     e.Response,
		RemainingUs:  microseconds(e.Remaining),
		Remote:       peerpb.RemoteState(e.Remote),
		Outcome:      peerpb.Outcome(e.Outcome),
		Local:        peerpb.LocalState(e.Local),
		Code:         uint32(e.Code),
		Reason:       uint32(e.Reason),
		SetUpUs:      microseconds(e.SetUp),
		RingUs:       microseconds(e.Ring),
		TotalUs:      microseconds(e.Total),
		Recovered:    e.Recovered,
		AgeUs:        microseconds(e.Age),
		Sinks:        e.Sinks,
	}
}

func event(p *peerpb.Event) (*snapshot.Event, error) {
	e := &snapshot.Event{Sinks: p.GetSinks()}
	e.At, e.Recovered = p.GetAtUs(), p.GetRecovered()
	e.Caller, e.CallerDevice = invitation.User(p.GetCaller()), invitation.Device(p.GetCallerDevice())
	e.Callee, e.CalleeDevice = invitation.User(p.GetCallee()), invitation.Device(p.GetCalleeDevice())
	e.ChannelID, e.Content, e.Response = p.GetChannelId(), p.GetContent(), p.GetResponse()
	var errs [12]error
	e.Kind, errs[0] = enum[invitation.EventKind](p.GetKind(), invitation.EventKinds, "event")
	e.ID, errs[1] = parseID(p.GetInvitationId())
	e.Remaining, errs[2] = duration(p.GetRemainingUs())
	e.Remote, errs[3] = enum[invitation.RemoteState](p.GetRemote(), invitation.RemoteStates, "remote state")
	e.Outcome, errs[4] = enum[invitation.Outcome](p.GetOutcome(), invitation.Outcomes, "outcome")
	e.Local, errs[5] = enum[invitation.LocalState](p.GetLocal(), invitation.LocalStates, "local state")
	e.Code, errs[6] = code[invitation.LocalError](p.GetCode(), "code")
	e.Reason, errs[7] = code[invitation.Reason](p.GetReason(), "reason")
	e.SetUp, errs[8] = duration(p.GetSetUpUs())
	e.Ring, errs[9] = duration(p.GetRingUs())
	e.Total, errs[10] = duration(p.GetTotalUs())
	e.Age, errs[11] = duration(p.GetAgeUs())
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	if e.Kind == 0 || e.Age < 0 || len(e.Sinks) > maxSinks {
		return nil, malformed("an event of kind %d, %v old, to %d sinks", e.Kind, e.Age, len(e.Sinks))
	}
	return e, nil
}
