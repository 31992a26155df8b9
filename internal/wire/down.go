package wire

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/clientpb"
)

// EncodeDown appends one frame of a node to buf. It allocates nothing but what buf needs to grow.
// Its error is a mistake of the program: an empty frame, or a text that no session would have let
// through.
func EncodeDown(buf []byte, codec Codec, f ServerFrame) ([]byte, error) {
	s := scratches.Get().(*scratch)
	defer s.release()
	switch {
	case f.Down.Notice != nil:
		s.setNotice(f.Down.Notice, f.Time)
	case f.Down.Answer != nil:
		s.setAnswer(f.Down.Answer, f.Time)
	case f.Down.Welcome != nil:
		s.frame.Frame = &clientpb.ServerFrame_Welcome{Welcome: welcomeMessage(f)}
	case f.Down.Retell != nil:
		s.frame.Frame = &clientpb.ServerFrame_Retell{Retell: &clientpb.Retell{
			InvitationId: f.Down.Retell.ID.String(), Side: clientpb.Side(f.Down.Retell.Side),
		}}
	case f.Down.Ending != nil:
		s.frame.Frame = &clientpb.ServerFrame_Ending{Ending: endingMessage(f)}
	case f.Pong != nil:
		s.frame.Frame = &clientpb.ServerFrame_Pong{Pong: &clientpb.Pong{Number: *f.Pong}}
	case f.Token != nil:
		s.frame.Frame = &clientpb.ServerFrame_Token{Token: &clientpb.TokenState{
			RemainingMs: milliseconds(f.Token.Remaining), Refused: f.Token.Refused, RetryAfterMs: milliseconds(f.Token.RetryAfter),
		}}
	default:
		return buf, errors.New("wire: encode an empty server frame")
	}
	out, err := codec.append(buf, &s.frame)
	if err != nil {
		return buf, fmt.Errorf("wire: encode a server frame: %w", err)
	}
	return out, nil
}

func welcomeMessage(f ServerFrame) *clientpb.Welcome {
	m := &clientpb.Welcome{
		Stamp: f.Down.Welcome.Stamp, Tell: f.Down.Welcome.Tell, ServerTimeMs: unixMilliseconds(f.Time),
	}
	if f.Info == nil {
		return m
	}
	m.Version = f.Info.Version
	m.User = string(f.Info.User)
	m.PingIntervalMs = milliseconds(f.Info.PingInterval)
	m.IdleTimeoutMs = milliseconds(f.Info.IdleTimeout)
	m.MaxFrameBytes = f.Info.MaxFrame
	m.Timers = requestTimers(f.Info.Timers)
	m.Node = f.Info.Node
	m.TokenRemainingMs = milliseconds(f.Info.TokenRemaining)
	return m
}

func endingMessage(f ServerFrame) *clientpb.Ending {
	end := f.Down.Ending
	text := f.Text
	if text == "" {
		row := end.End.Row()
		text = row.Name + ": " + row.When + "; " + row.Do
	}
	return &clientpb.Ending{Code: uint32(end.End), RetryAfterMs: milliseconds(end.RetryAfter), Message: text}
}

// DecodeDown reads one frame of a node. Its error wraps [ErrBadFrame], or is [ErrUnknownFrame] for
// one to be ignored. An answer does not say to which request it is; the caller knows by the request
// id.
func DecodeDown(codec Codec, data []byte) (ServerFrame, error) {
	var f clientpb.ServerFrame
	if err := codec.unmarshal(data, &f); err != nil {
		return ServerFrame{}, badFrame("%s", plain(err))
	}
	switch m := f.GetFrame().(type) {
	case *clientpb.ServerFrame_Welcome:
		return welcomeFrame(m.Welcome), nil
	case *clientpb.ServerFrame_Answer:
		return answerFrame(m.Answer)
	case *clientpb.ServerFrame_Local:
		n, err := localNotice(m.Local)
		return noticeFrame(n, m.Local.GetServerTimeMs(), err)
	case *clientpb.ServerFrame_Remote:
		n, err := remoteNotice(m.Remote)
		return noticeFrame(n, m.Remote.GetServerTimeMs(), err)
	case *clientpb.ServerFrame_Ending:
		if m.Ending.GetCode() > math.MaxUint16 {
			return ServerFrame{}, badFrame("ending with code %d", m.Ending.GetCode())
		}
		return ServerFrame{
			Down: invitation.Down{Ending: &invitation.Ending{
				End: invitation.End(m.Ending.GetCode()), RetryAfter: duration(m.Ending.GetRetryAfterMs()),
			}},
			Text: m.Ending.GetMessage(),
		}, nil
	case *clientpb.ServerFrame_Retell:
		return retellFrame(m.Retell)
	case *clientpb.ServerFrame_Pong:
		number := m.Pong.GetNumber()
		return ServerFrame{Pong: &number}, nil
	case *clientpb.ServerFrame_Token:
		return ServerFrame{Token: &TokenState{
			Remaining: duration(m.Token.GetRemainingMs()), Refused: m.Token.GetRefused(), RetryAfter: duration(m.Token.GetRetryAfterMs()),
		}}, nil
	}
	return ServerFrame{}, ErrUnknownFrame
}

func welcomeFrame(m *clientpb.Welcome) ServerFrame {
	return ServerFrame{
		Down: invitation.Down{Welcome: &invitation.Welcome{Stamp: m.GetStamp(), Tell: m.GetTell()}},
		Info: &Info{
			Version:      m.GetVersion(),
			User:         invitation.User(m.GetUser()),
			PingInterval: duration(m.GetPingIntervalMs()),
			IdleTimeout:  duration(m.GetIdleTimeoutMs()),
			MaxFrame:     m.GetMaxFrameBytes(),
			Timers:       parseTimers(m.GetTimers()),
			Node:         m.GetNode(),

			TokenRemaining: duration(m.GetTokenRemainingMs()),
		},
		Time: wallClock(m.GetServerTimeMs()),
	}
}

func retellFrame(m *clientpb.Retell) (ServerFrame, error) {
	id, err := invitation.ParseID(m.GetInvitationId())
	if err != nil {
		return ServerFrame{}, badFrame("retell of a malformed invitation id")
	}
	side := m.GetSide()
	if side != clientpb.Side_SIDE_CALLER && side != clientpb.Side_SIDE_CALLEE {
		return ServerFrame{}, badFrame("retell of unknown side %d", side)
	}
	return ServerFrame{Down: invitation.Down{Retell: &invitation.Retell{ID: id, Side: invitation.Side(side)}}}, nil
}

func noticeFrame(n *invitation.Notice, serverTime uint64, err error) (ServerFrame, error) {
	if err != nil {
		return ServerFrame{}, err
	}
	return ServerFrame{Down: invitation.Down{Notice: n}, Time: wallClock(serverTime)}, nil
}

func answerFrame(m *clientpb.Answer) (ServerFrame, error) {
	if code := m.GetError(); code < 0 || code > math.MaxUint8 {
		return ServerFrame{}, badFrame("answer with error %d", code)
	}
	a := &invitation.Answer{
		RequestID:  m.GetRequestId(),
		Error:      invitation.CallError(m.GetError()),
		RetryAfter: duration(m.GetRetryAfterMs()),
	}
	var serverTime time.Time
	var err error
	if m.GetInvitationId() != "" {
		if a.ID, err = invitation.ParseID(m.GetInvitationId()); err != nil {
			return ServerFrame{}, badFrame("answer with a malformed invitation id")
		}
	}
	switch {
	case m.GetLocal() != nil:
		a.Notice, err = localNotice(m.GetLocal())
		serverTime = wallClock(m.GetLocal().GetServerTimeMs())
	case m.GetRemote() != nil:
		a.Notice, err = remoteNotice(m.GetRemote())
		serverTime = wallClock(m.GetRemote().GetServerTimeMs())
	}
	if err != nil {
		return ServerFrame{}, err
	}
	return ServerFrame{Down: invitation.Down{Answer: a}, Time: serverTime}, nil
}

func localNotice(m *clientpb.LocalView) (*invitation.Notice, error) {
	id, err := invitation.ParseID(m.GetInvitationId())
	if err != nil {
		return nil, badFrame("view of a malformed invitation id")
	}
	if state := m.GetState(); state < 0 || state >= invitation.LocalStates {
		return nil, badFrame("local view of unknown state %d", state)
	}
	code, reason, err := ending(int32(m.GetCode()), m.GetReason())
	if err != nil {
		return nil, err
	}
	return &invitation.Notice{
		ID:        id,
		Side:      invitation.Caller,
		Peer:      invitation.User(m.GetCallee()),
		Response:  m.GetResponse(),
		Local:     invitation.LocalState(m.GetState()),
		Code:      code,
		Reason:    reason,
		Confirm:   invitation.Device(m.GetConfirmDevice()),
		Verdict:   m.GetVerdict(),
		Settled:   m.GetSettled(),
		Remaining: duration(m.GetRemainingMs()),
	}, nil
}

func remoteNotice(m *clientpb.RemoteView) (*invitation.Notice, error) {
	id, err := invitation.ParseID(m.GetInvitationId())
	if err != nil {
		return nil, badFrame("view of a malformed invitation id")
	}
	if state := m.GetState(); state < 0 || state >= invitation.RemoteStates {
		return nil, badFrame("remote view of unknown state %d", state)
	}
	code, reason, err := ending(int32(m.GetCode()), m.GetReason())
	if err != nil {
		return nil, err
	}
	return &invitation.Notice{
		ID:        id,
		Side:      invitation.Callee,
		Peer:      invitation.User(m.GetCaller()),
		Content:   m.GetContent(),
		ChannelID: m.GetChannelId(),
		Response:  m.GetResponse(),
		Remote:    invitation.RemoteState(m.GetState()),
		Code:      code,
		Reason:    reason,
		Settled:   m.GetSettled(),
		Remaining: duration(m.GetRemainingMs()),
	}, nil
}

// ending checks a view's code and reason. Numbers that this version does not name are kept.
func ending(code int32, reason clientpb.Reason) (uint8, invitation.Reason, error) {
	if code < 0 || code > math.MaxUint8 || reason < 0 || reason > math.MaxUint8 {
		return 0, 0, badFrame("view with code %d and reason %d", code, reason)
	}
	return uint8(code), invitation.Reason(reason), nil
}
