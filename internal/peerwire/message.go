package peerwire

import (
	"errors"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

// maxKind is the last kind that a session sends; those after it are between an arbiter and its host.
const maxKind = invitation.MsgCallee

func arbiterMessage(m *invitation.Message) (*peerpb.ArbiterMessage, error) {
	if m.Kind > maxKind {
		return nil, errors.New("kind " + m.Kind.String() + " is for the arbiter's host only")
	}
	return &peerpb.ArbiterMessage{
		Kind:         peerpb.MessageKind(m.Kind) + 1,
		InvitationId: idBytes(m.ID),
		User:         string(m.User),
		Device:       string(m.Device),
		RequestId:    m.RequestID,
		Terms:        termsMessage(m.Terms),
		Response:     []byte(m.Response),
		Named:        string(m.Named),
		Local:        peerpb.LocalState(m.Local),
		Remote:       peerpb.RemoteState(m.Remote),
		Reason:       uint32(m.Reason),
		Online:       m.Online,
		Connected:    m.Connected,
		Chosen:       string(m.Chosen),
		Full:         m.Full,
		Concluded:    m.Concluded,
		Ask:          m.Ask,
		Permit:       m.Permit,
	}, nil
}

func message(p *peerpb.ArbiterMessage) (*invitation.Message, error) {
	kind, err := enum[invitation.MessageKind](p.GetKind()-1, int(maxKind)+1, "kind of arbiter message")
	if err != nil {
		return nil, err
	}
	m := &invitation.Message{
		Kind:      kind,
		User:      invitation.User(p.GetUser()),
		Device:    invitation.Device(p.GetDevice()),
		RequestID: p.GetRequestId(),
		Response:  string(p.GetResponse()),
		Named:     invitation.Device(p.GetNamed()),
		Online:    p.GetOnline(),
		Connected: p.GetConnected(),
		Chosen:    invitation.Device(p.GetChosen()),
		Full:      p.GetFull(),
		Concluded: p.GetConcluded(),
		Ask:       p.GetAsk(),
		Permit:    p.GetPermit(),
	}
	var errs [5]error
	m.ID, errs[0] = parseID(p.GetInvitationId())
	m.Local, errs[1] = enum[invitation.LocalState](p.GetLocal(), invitation.LocalStates, "local state")
	m.Remote, errs[2] = enum[invitation.RemoteState](p.GetRemote(), invitation.RemoteStates, "remote state")
	m.Reason, errs[3] = code[invitation.Reason](p.GetReason(), "reason")
	m.Terms, errs[4] = terms(p.GetTerms())
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	if kind == invitation.MsgStart && (m.Terms == nil || m.Terms.ID != m.ID) {
		return nil, malformed("a start without the terms of its invitation")
	}
	return m, nil
}

// termsMessage returns nil for nil.
func termsMessage(t *invitation.Terms) *peerpb.Terms {
	if t == nil {
		return nil
	}
	return &peerpb.Terms{
		InvitationId: idBytes(t.ID),
		Caller:       string(t.Caller),
		CallerDevice: string(t.Device),
		Callee:       string(t.Callee),
		Content:      t.Content,
		ChannelId:    t.ChannelID,
		Timers:       timersMessage(t.Timers),
	}
}

// terms returns nil for nil.
func terms(p *peerpb.Terms) (*invitation.Terms, error) {
	if p == nil {
		return nil, nil //nolint:nilnil // a message without terms has none, which is no error
	}
	id, err := parseID(p.GetInvitationId())
	if err != nil {
		return nil, err
	}
	timers, err := parseTimers(p.GetTimers())
	if err != nil {
		return nil, err
	}
	return &invitation.Terms{
		ID:        id,
		Caller:    invitation.User(p.GetCaller()),
		Device:    invitation.Device(p.GetCallerDevice()),
		Callee:    invitation.User(p.GetCallee()),
		Content:   p.GetContent(),
		ChannelID: p.GetChannelId(),
		Timers:    timers,
	}, nil
}

// timersMessage returns nil when all are the deployment's.
func timersMessage(t invitation.Timers) *peerpb.Timers {
	if t == (invitation.Timers{}) {
		return nil
	}
	return &peerpb.Timers{
		NoResponseUs:   microseconds(t.NoResponse),
		ExpireUs:       microseconds(t.Expire),
		AcceptWindowUs: microseconds(t.AcceptWindow),
		GraceUs:        microseconds(t.Grace),
		LingerUs:       microseconds(t.Linger),
	}
}

func parseTimers(p *peerpb.Timers) (invitation.Timers, error) {
	var t invitation.Timers
	var errs [5]error
	t.NoResponse, errs[0] = duration(p.GetNoResponseUs())
	t.Expire, errs[1] = duration(p.GetExpireUs())
	t.AcceptWindow, errs[2] = duration(p.GetAcceptWindowUs())
	t.Grace, errs[3] = duration(p.GetGraceUs())
	t.Linger, errs[4] = duration(p.GetLingerUs())
	return t, errors.Join(errs[:]...)
}

func viewMessage(v *invitation.View, now invitation.Time) (*peerpb.View, error) {
	if v == nil || v.Terms == nil {
		return nil, errors.New("a view without terms")
	}
	return &peerpb.View{
		Terms:       termsMessage(v.Terms),
		Version:     v.Version,
		Stage:       peerpb.Stage(v.Stage),
		Chosen:      string(v.Chosen),
		Response:    v.Response,
		Outcome:     peerpb.Outcome(v.Outcome),
		Reason:      uint32(v.Reason),
		Verdict:     v.Verdict,
		Settled:     v.Settled,
		Permit:      v.Permit,
		RemainingUs: remaining(v.Deadline, now),
		Heard:       v.Heard,
	}, nil
}

func view(p *peerpb.View, now invitation.Time) (*invitation.View, error) {
	if p.GetTerms() == nil {
		return nil, malformed("a view without terms")
	}
	v := &invitation.View{
		Version:  p.GetVersion(),
		Chosen:   invitation.Device(p.GetChosen()),
		Response: p.GetResponse(),
		Verdict:  p.GetVerdict(),
		Settled:  p.GetSettled(),
		Permit:   p.GetPermit(),
		Heard:    p.GetHeard(),
	}
	var errs [5]error
	v.Terms, errs[0] = terms(p.GetTerms())
	v.Stage, errs[1] = enum[invitation.Stage](p.GetStage(), invitation.Stages, "stage")
	v.Outcome, errs[2] = enum[invitation.Outcome](p.GetOutcome(), invitation.Outcomes, "outcome")
	v.Reason, errs[3] = code[invitation.Reason](p.GetReason(), "reason")
	v.Deadline, errs[4] = deadline(p.RemainingUs, now)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return v, nil
}
