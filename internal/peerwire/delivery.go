package peerwire

import (
	"errors"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

func deliveryMessage(d *Delivery) (*peerpb.DeviceMessage, error) {
	m := &peerpb.DeviceMessage{Conn: d.Conn, User: string(d.User), Device: string(d.Device)}
	switch down := d.Down; {
	case down.Welcome != nil:
		m.Down = &peerpb.DeviceMessage_Welcome{Welcome: &peerpb.Welcome{Stamp: down.Welcome.Stamp, Tell: down.Welcome.Tell}}
	case down.Answer != nil:
		m.Down = &peerpb.DeviceMessage_Answer{Answer: answerMessage(down.Answer)}
	case down.Notice != nil:
		m.Down = &peerpb.DeviceMessage_Notice{Notice: noticeMessage(down.Notice)}
	case down.Retell != nil:
		m.Down = &peerpb.DeviceMessage_Retell{Retell: &peerpb.Retell{
			InvitationId: idBytes(down.Retell.ID), Side: peerpb.Side(down.Retell.Side),
		}}
	case down.Ending != nil:
		m.Down = &peerpb.DeviceMessage_Ending{Ending: &peerpb.Ending{
			End: uint32(down.Ending.End), RetryAfterUs: microseconds(down.Ending.RetryAfter),
		}}
	default:
		return nil, errors.New("nothing to deliver")
	}
	return m, nil
}

func delivery(m *peerpb.DeviceMessage) (*Delivery, error) {
	d := &Delivery{Conn: m.GetConn(), User: invitation.User(m.GetUser()), Device: invitation.Device(m.GetDevice())}
	var err error
	switch p := m.GetDown().(type) {
	case *peerpb.DeviceMessage_Welcome:
		d.Down.Welcome = &invitation.Welcome{Stamp: p.Welcome.GetStamp(), Tell: p.Welcome.GetTell()}
	case *peerpb.DeviceMessage_Answer:
		d.Down.Answer, err = answer(p.Answer)
	case *peerpb.DeviceMessage_Notice:
		d.Down.Notice, err = notice(p.Notice)
	case *peerpb.DeviceMessage_Retell:
		d.Down.Retell, err = retell(p.Retell)
	case *peerpb.DeviceMessage_Ending:
		d.Down.Ending, err = ending(p.Ending)
	default:
		err = unknown("device message")
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

func retell(p *peerpb.Retell) (*invitation.Retell, error) {
	r := new(invitation.Retell)
	var errs [2]error
	r.ID, errs[0] = parseID(p.GetInvitationId())
	r.Side, errs[1] = enum[invitation.Side](p.GetSide(), int(invitation.Callee)+1, "side")
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	if r.Side == 0 {
		return nil, malformed("a question to no side")
	}
	return r, nil
}

func ending(p *peerpb.Ending) (*invitation.Ending, error) {
	end, err := code[invitation.End](p.GetEnd(), "end")
	if err != nil {
		return nil, err
	}
	after, err := duration(p.GetRetryAfterUs())
	return &invitation.Ending{End: end, RetryAfter: after}, err
}

func answerMessage(a *invitation.Answer) *peerpb.Answer {
	m := &peerpb.Answer{
		Request:      peerpb.Request(a.Request),
		RequestId:    a.RequestID,
		Error:        uint32(a.Error),
		InvitationId: idBytes(a.ID),
		RetryAfterUs: microseconds(a.RetryAfter),
	}
	if a.Notice != nil {
		m.Notice = noticeMessage(a.Notice)
	}
	return m
}

func answer(p *peerpb.Answer) (*invitation.Answer, error) {
	a := &invitation.Answer{RequestID: p.GetRequestId()}
	var errs [5]error
	a.Request, errs[0] = enum[invitation.Request](p.GetRequest(), invitation.Requests, "request")
	a.Error, errs[1] = code[invitation.CallError](p.GetError(), "error")
	a.ID, errs[2] = parseOptionalID(p.GetInvitationId())
	a.RetryAfter, errs[3] = duration(p.GetRetryAfterUs())
	if p.GetNotice() != nil {
		a.Notice, errs[4] = notice(p.GetNotice())
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return a, nil
}

func noticeMessage(n *invitation.Notice) *peerpb.Notice {
	return &peerpb.Notice{
		InvitationId: idBytes(n.ID),
		Side:         peerpb.Side(n.Side),
		Peer:         string(n.Peer),
		Content:      n.Content,
		ChannelId:    n.ChannelID,
		Response:     n.Response,
		Local:        peerpb.LocalState(n.Local),
		Remote:       peerpb.RemoteState(n.Remote),
		Code:         uint32(n.Code),
		Reason:       uint32(n.Reason),
		Confirm:      string(n.Confirm),
		Verdict:      n.Verdict,
		Settled:      n.Settled,
		RemainingUs:  microseconds(n.Remaining),
	}
}

func notice(p *peerpb.Notice) (*invitation.Notice, error) {
	n := &invitation.Notice{
		Peer:      invitation.User(p.GetPeer()),
		Content:   p.GetContent(),
		ChannelID: p.GetChannelId(),
		Response:  p.GetResponse(),
		Confirm:   invitation.Device(p.GetConfirm()),
		Verdict:   p.GetVerdict(),
		Settled:   p.GetSettled(),
	}
	var errs [7]error
	n.ID, errs[0] = parseID(p.GetInvitationId())
	n.Side, errs[1] = enum[invitation.Side](p.GetSide(), int(invitation.Callee)+1, "side")
	n.Local, errs[2] = enum[invitation.LocalState](p.GetLocal(), invitation.LocalStates, "local state")
	n.Remote, errs[3] = enum[invitation.RemoteState](p.GetRemote(), invitation.RemoteStates, "remote state")
	n.Code, errs[4] = code[uint8](p.GetCode(), "code")
	n.Reason, errs[5] = code[invitation.Reason](p.GetReason(), "reason")
	n.Remaining, errs[6] = duration(p.GetRemainingUs())
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	if n.Side == 0 {
		return nil, malformed("a notice to no side")
	}
	return n, nil
}
