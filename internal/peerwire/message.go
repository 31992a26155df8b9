package peerwire

import (
	"errors"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

// travels reports whether a kind is one that a session sends; the others are between an arbiter and its
// host.
func travels(kind invitation.MessageKind) bool {
	return kind <= invitation.MsgCallee || kind == invitation.MsgRecover
}

func arbiterMessage(m *invitation.Message, now invitation.Time) (*peerpb.ArbiterMessage, error) {
	if !travels(m.Kind) {
		return nil, errors.New("kind " + m.Kind.String() + " is for the arbiter's host only")
	}
	var v *peerpb.View
	if m.View != nil {
		var err error
		if v, err = viewMessage(m.View, now); err != nil {
			return nil, err
		}
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
		Resumed:      resumedMessage(m.Resumed),
		View:         v,
		Fresh:        m.Fresh,
		RemainingUs:  microseconds(m.Remaining),
	}, nil
}

func message(p *peerpb.ArbiterMessage, now invitation.Time) (*invitation.Message, error) {
	kind, err := enum[invitation.MessageKind](p.GetKind()-1, invitation.MessageKinds, "kind of arbiter message")
	if err != nil {
		return nil, err
	}
	if !travels(kind) {
		return nil, unknown("kind of arbiter message")
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
		Fresh:     p.GetFresh(),
	}
	var errs [8]error
	m.ID, errs[0] = parseID(p.GetInvitationId())
	m.Local, errs[1] = enum[invitation.LocalState](p.GetLocal(), invitation.LocalStates, "local state")
	m.Remote, errs[2] = enum[invitation.RemoteState](p.GetRemote(), invitation.RemoteStates, "remote state")
	m.Reason, errs[3] = code[invitation.Reason](p.GetReason(), "reason")
	m.Terms, errs[4] = terms(p.GetTerms())
	m.Resumed, errs[5] = resumed(p.GetResumed())
	m.Remaining, errs[6] = timeLeft(p.GetRemainingUs())
	if p.GetView() != nil {
		m.View, errs[7] = view(p.GetView(), now)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	switch {
	case kind == invitation.MsgStart && (m.Terms == nil || m.Terms.ID != m.ID):
		return nil, malformed("a start without the terms of its invitation")
	case m.View != nil && m.View.Terms.ID != m.ID, m.View == nil && kind == invitation.MsgRecover:
		return nil, malformed("a recovery without the view of its invitation")
	}
	return m, nil
}

// resumedMessage returns nil for nil.
func resumedMessage(r *invitation.Resumed) *peerpb.Resumed {
	if r == nil {
		return nil
	}
	return &peerpb.Resumed{
		Local: peerpb.LocalState(r.Local), RemainingUs: microseconds(r.Remaining), Confirmed: string(r.Confirmed),
	}
}

// resumed returns nil for nil.
func resumed(p *peerpb.Resumed) (*invitation.Resumed, error) {
	if p == nil {
		return nil, nil //nolint:nilnil // a send that is no repetition has none, which is no error
	}
	r := &invitation.Resumed{Confirmed: invitation.Device(p.GetConfirmed())}
	var errs [2]error
	r.Local, errs[0] = enum[invitation.LocalState](p.GetLocal(), int(invitation.LocalReceivedByRemote)+1, "state of a resumed send")
	r.Remaining, errs[1] = timeLeft(p.GetRemainingUs())
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	if !optional(r.Confirmed) {
		return nil, malformed("a resumed send that confirmed no device")
	}
	return r, nil
}

// timeLeft reads what a device says that remains of a timer.
func timeLeft(us int64) (time.Duration, error) {
	if us < 0 || us > microseconds(invitation.MaxTimer) {
		return 0, malformed("%d µs that remain", us)
	}
	return time.Duration(us) * time.Microsecond, nil
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
		HeardCallee: v.HeardCallee,
		Recovering:  v.Recovering,
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

		HeardCallee: p.GetHeardCallee(),
		Recovering:  p.GetRecovering(),
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
