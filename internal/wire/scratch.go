package wire

import (
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/clientpb"
)

// scratch holds the messages of the frames that a node sends most, for reuse.
type scratch struct {
	frame clientpb.ServerFrame

	answerFrame clientpb.ServerFrame_Answer
	localFrame  clientpb.ServerFrame_Local
	remoteFrame clientpb.ServerFrame_Remote

	answer clientpb.Answer
	local  clientpb.LocalView
	remote clientpb.RemoteView
}

var scratches = sync.Pool{New: func() any {
	s := new(scratch)
	s.answerFrame.Answer, s.localFrame.Local, s.remoteFrame.Remote = &s.answer, &s.local, &s.remote
	return s
}}

// release gives s back. It keeps no text of a user.
func (s *scratch) release() {
	s.frame.Frame = nil
	s.answer.Reset()
	s.local.Reset()
	s.remote.Reset()
	scratches.Put(s)
}

func (s *scratch) setNotice(n *invitation.Notice, now time.Time) {
	if n.Side == invitation.Caller {
		s.setLocal(n, now)
		s.frame.Frame = &s.localFrame
		return
	}
	s.setRemote(n, now)
	s.frame.Frame = &s.remoteFrame
}

func (s *scratch) setAnswer(a *invitation.Answer, now time.Time) {
	m := &s.answer
	m.RequestId = a.RequestID
	m.Error = clientpb.InvitationApiCallError(a.Error)
	m.RetryAfterMs = milliseconds(a.RetryAfter)
	if !a.ID.IsZero() {
		m.InvitationId = a.ID.String()
	}
	if n := a.Notice; n != nil && n.Side == invitation.Caller {
		s.setLocal(n, now)
		m.Local = &s.local
	} else if n != nil {
		s.setRemote(n, now)
		m.Remote = &s.remote
	}
	s.frame.Frame = &s.answerFrame
}

func (s *scratch) setLocal(n *invitation.Notice, now time.Time) {
	m := &s.local
	m.InvitationId = n.ID.String()
	m.State = clientpb.LocalInvitationState(n.Local)
	m.Code = clientpb.LocalInvitationError(n.Code)
	m.Reason = clientpb.Reason(n.Reason)
	m.Callee = string(n.Peer)
	m.Response = n.Response
	m.ConfirmDevice = string(n.Confirm)
	m.Verdict = n.Verdict
	m.Settled = n.Settled
	m.RemainingMs = milliseconds(n.Remaining)
	m.ServerTimeMs = unixMilliseconds(now)
}

func (s *scratch) setRemote(n *invitation.Notice, now time.Time) {
	m := &s.remote
	m.InvitationId = n.ID.String()
	m.State = clientpb.RemoteInvitationState(n.Remote)
	m.Code = clientpb.RemoteInvitationError(n.Code)
	m.Reason = clientpb.Reason(n.Reason)
	m.Caller = string(n.Peer)
	m.Content = n.Content
	m.ChannelId = n.ChannelID
	m.Response = n.Response
	m.Settled = n.Settled
	m.RemainingMs = milliseconds(n.Remaining)
	m.ServerTimeMs = unixMilliseconds(now)
}
