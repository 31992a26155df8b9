package peerwire

import (
	"errors"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/snapshot"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

// OutcomesMessage returns the message that tells another node of outcomes, at most [snapshot.MaxOutcomes].
func OutcomesMessage(list []snapshot.Outcome) *peerpb.Outcomes {
	m := &peerpb.Outcomes{Outcomes: make([]*peerpb.RememberedOutcome, len(list))}
	for i := range list {
		o := &list[i]
		m.Outcomes[i] = &peerpb.RememberedOutcome{
			InvitationId: idBytes(o.ID), Side: peerpb.Side(o.Side), Caller: string(o.Caller), CallerDevice: string(o.CallerDevice),
			Callee: string(o.Callee), CalleeDevice: string(o.CalleeDevice), ChannelId: o.ChannelID, Outcome: peerpb.Outcome(o.Outcome),
			Local: peerpb.LocalState(o.Local), Code: uint32(o.Code), Reason: uint32(o.Reason), EndedUs: o.Ended,
		}
		if o.Sent != 0 {
			m.Outcomes[i].SentUs = new(o.Sent)
		}
	}
	return m
}

// Outcomes reads what [OutcomesMessage] makes. What only a newer version can have written is left out, so that the others
// of a list arrive. The error wraps [ErrMalformed].
func Outcomes(m *peerpb.Outcomes) ([]snapshot.Outcome, error) {
	if n := len(m.GetOutcomes()); n == 0 || n > snapshot.MaxOutcomes {
		return nil, malformed("a list of %d outcomes", n)
	}
	list := make([]snapshot.Outcome, 0, len(m.GetOutcomes()))
	for _, p := range m.GetOutcomes() {
		o, err := outcome(p)
		switch {
		case errors.Is(err, ErrMalformed):
			return nil, err
		case err == nil:
			list = append(list, o)
		}
	}
	return list, nil
}

func outcome(p *peerpb.RememberedOutcome) (snapshot.Outcome, error) {
	o := snapshot.Outcome{
		Caller: invitation.User(p.GetCaller()), CallerDevice: invitation.Device(p.GetCallerDevice()),
		Callee: invitation.User(p.GetCallee()), CalleeDevice: invitation.Device(p.GetCalleeDevice()),
		ChannelID: p.GetChannelId(), Sent: p.GetSentUs(), Ended: p.GetEndedUs(),
	}
	var errs [5]error
	o.ID, errs[0] = parseID(p.GetInvitationId())
	o.Outcome, errs[1] = enum[invitation.Outcome](p.GetOutcome(), invitation.Outcomes, "outcome")
	o.Local, errs[2] = enum[invitation.LocalState](p.GetLocal(), invitation.LocalStates, "local state")
	o.Code, errs[3] = code[invitation.LocalError](p.GetCode(), "code")
	o.Reason, errs[4] = code[invitation.Reason](p.GetReason(), "reason")
	switch o.Side = invitation.Side(p.GetSide()); {
	case o.Side != invitation.Caller && o.Side != invitation.Callee:
		return o, malformed("an outcome of side %d", p.GetSide())
	case !o.Caller.Valid() || !o.Callee.Valid():
		return o, malformed("an outcome of nobody's")
	}
	return o, errors.Join(errs[:]...)
}
