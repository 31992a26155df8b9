package wire

import (
	"errors"
	"fmt"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/clientpb"
)

// DecodeUp reads one frame of a device. Its error wraps [ErrBadFrame].
func DecodeUp(codec Codec, data []byte) (ClientFrame, error) {
	var f clientpb.ClientFrame
	if err := codec.unmarshal(data, &f); err != nil {
		if codec == Binary {
			if call, ok := salvage(data); ok {
				return callFrame(call)
			}
		}
		return ClientFrame{}, badFrame("%s", plain(err))
	}
	switch m := f.GetFrame().(type) {
	case *clientpb.ClientFrame_Login:
		return loginFrame(m.Login)
	case *clientpb.ClientFrame_Send:
		return callFrame(sendCall(m.Send))
	case *clientpb.ClientFrame_Cancel:
		return callFrame(&invitation.Call{
			Request: invitation.Cancel, RequestID: m.Cancel.GetRequestId(), ID: callID(m.Cancel.GetInvitationId()),
		})
	case *clientpb.ClientFrame_Accept:
		return callFrame(&invitation.Call{
			Request: invitation.Accept, RequestID: m.Accept.GetRequestId(), ID: callID(m.Accept.GetInvitationId()),
			Response: m.Accept.GetResponse(),
		})
	case *clientpb.ClientFrame_Refuse:
		return callFrame(&invitation.Call{
			Request: invitation.Refuse, RequestID: m.Refuse.GetRequestId(), ID: callID(m.Refuse.GetInvitationId()),
			Response: m.Refuse.GetResponse(),
		})
	case *clientpb.ClientFrame_Query:
		return callFrame(&invitation.Call{
			Request: invitation.Query, RequestID: m.Query.GetRequestId(), ID: callID(m.Query.GetInvitationId()),
		})
	case *clientpb.ClientFrame_Word:
		word := new(invitation.Word)
		if err := parseWord(m.Word, word); err != nil {
			return ClientFrame{}, err
		}
		return ClientFrame{Up: invitation.Up{Word: word}}, nil
	case *clientpb.ClientFrame_Logout:
		return ClientFrame{Up: invitation.Up{Logout: true}}, nil
	case *clientpb.ClientFrame_Ping:
		number := m.Ping.GetNumber()
		return ClientFrame{Ping: &number}, nil
	case *clientpb.ClientFrame_Renew:
		token := m.Renew.GetToken()
		return ClientFrame{Renew: &token}, nil
	}
	return ClientFrame{}, badFrame("no frame of protocol version %d is set", ProtocolVersion)
}

func callFrame(c *invitation.Call) (ClientFrame, error) {
	if c.RequestID == 0 {
		return ClientFrame{}, badFrame("%s without a request id", c.Request)
	}
	return ClientFrame{Up: invitation.Up{Call: c}}, nil
}

// callID returns the zero ID, which names no invitation, for a malformed id.
func callID(text string) invitation.ID {
	id, _ := invitation.ParseID(text) // the zero ID stands for the error
	return id
}

func sendCall(m *clientpb.Send) *invitation.Call {
	return &invitation.Call{
		Request:   invitation.Send,
		RequestID: m.GetRequestId(),
		Key:       m.GetKey(),
		Callee:    invitation.User(m.GetCallee()),
		Content:   m.GetContent(),
		ChannelID: m.GetChannelId(),
		Timers:    parseTimers(m.GetTimers()),
		Resumed:   parseResumed(m.GetResumed()),
	}
}

// parseResumed returns nil for nil.
func parseResumed(m *clientpb.Resumed) *invitation.Resumed {
	if m == nil {
		return nil
	}
	r := &invitation.Resumed{
		Local: noState, Remaining: duration(m.GetRemainingMs()), Confirmed: invitation.Device(m.GetConfirmedDevice()),
	}
	if state := m.GetState(); state >= 0 && state < invitation.LocalStates {
		r.Local = invitation.LocalState(state)
	}
	return r
}

// noState stands for any state that a resumed send must not have.
const noState = invitation.LocalFailure

func parseTimers(m *clientpb.Timers) invitation.Timers {
	if m == nil {
		return invitation.Timers{}
	}
	return invitation.Timers{
		NoResponse:   duration(m.GetNoResponseMs()),
		Expire:       duration(m.GetExpireMs()),
		AcceptWindow: duration(m.GetAcceptWindowMs()),
		Grace:        duration(m.GetGraceMs()),
		Linger:       duration(m.GetLingerMs()),
	}
}

func loginFrame(m *clientpb.Login) (ClientFrame, error) {
	if len(m.GetWords()) > MaxLoginWords {
		return ClientFrame{}, badFrame("login with %d words; at most %d", len(m.GetWords()), MaxLoginWords)
	}
	login := &Login{
		Login: invitation.Login{
			User:   invitation.User(m.GetUser()),
			Device: invitation.Device(m.GetDevice()),
			Resume: m.GetResume(),
			Stamp:  m.GetStamp(),
		},
		Token:      m.GetToken(),
		MinVersion: m.GetMinVersion(),
		MaxVersion: m.GetMaxVersion(),
	}
	for _, w := range m.GetWords() {
		if w.GetWord() == nil {
			continue // of a version that is yet to be negotiated down
		}
		var word invitation.Word
		if err := parseWord(w, &word); err != nil {
			return ClientFrame{}, err
		}
		login.Words = append(login.Words, word)
	}
	return ClientFrame{Login: login}, nil
}

// parseWord reads m into w. Its error wraps [ErrBadFrame].
func parseWord(m *clientpb.Word, w *invitation.Word) error {
	id, err := invitation.ParseID(m.GetInvitationId())
	if err != nil {
		return badFrame("word about a malformed invitation id")
	}
	w.ID = id
	switch word := m.GetWord().(type) {
	case *clientpb.Word_Seen:
		w.Side, w.Kind, w.Remaining = invitation.Callee, invitation.WordSeen, duration(word.Seen.GetRemainingMs())
		if accepting := word.Seen.GetAccepting(); accepting != nil {
			w.Kind, w.Response = invitation.WordAccepting, accepting.GetResponse()
			if len(w.Response) > invitation.MaxResponse {
				return badFrame("word accepting with a response of %d bytes", len(w.Response))
			}
		}
		return checkRemaining(w)
	case *clientpb.Word_Sent:
		w.Side, w.Kind, w.Remaining = invitation.Caller, invitation.WordSent, duration(word.Sent.GetRemainingMs())
		return checkRemaining(w)
	case *clientpb.Word_Confirmed:
		w.Side, w.Kind = invitation.Caller, invitation.WordConfirmed
		w.Named = invitation.Device(word.Confirmed.GetCalleeDevice())
		if !w.Named.Valid() {
			return badFrame("word confirmed with a malformed device id")
		}
		return nil
	case *clientpb.Word_LocalDone:
		state := word.LocalDone.GetState()
		w.Side, w.Kind, w.Local = invitation.Caller, invitation.WordDone, invitation.LocalState(state)
		if state < 0 || state >= invitation.LocalStates || !w.Local.Terminal() {
			return badFrame("word local done with state %d, which is not terminal", state)
		}
		return nil
	case *clientpb.Word_RemoteDone:
		state := word.RemoteDone.GetState()
		w.Side, w.Kind, w.Remote = invitation.Callee, invitation.WordDone, invitation.RemoteState(state)
		if state < 0 || state >= invitation.RemoteStates || !w.Remote.Terminal() {
			return badFrame("word remote done with state %d, which is not terminal", state)
		}
		return nil
	}
	return badFrame("word of no kind of protocol version %d", ProtocolVersion)
}

// checkRemaining refuses a time that no timer can have left.
func checkRemaining(w *invitation.Word) error {
	if w.Remaining > invitation.MaxTimer {
		return badFrame("word %s with %d ms that remain", w.Kind, w.Remaining.Milliseconds())
	}
	return nil
}

// EncodeUp appends one frame of a device to buf. A call with a text that is not UTF-8 gives an error
// that wraps [invitation.InvalidArgument]; any other error is a mistake of the program.
func EncodeUp(buf []byte, codec Codec, f ClientFrame) ([]byte, error) {
	var m clientpb.ClientFrame
	switch {
	case f.Login != nil:
		login, err := loginMessage(f.Login)
		if err != nil {
			return buf, err
		}
		m.Frame = &clientpb.ClientFrame_Login{Login: login}
	case f.Up.Call != nil:
		if err := setCall(&m, f.Up.Call); err != nil {
			return buf, err
		}
	case f.Up.Word != nil:
		word, err := wordMessage(*f.Up.Word)
		if err != nil {
			return buf, err
		}
		m.Frame = &clientpb.ClientFrame_Word{Word: word}
	case f.Up.Logout:
		m.Frame = &clientpb.ClientFrame_Logout{Logout: &clientpb.Logout{}}
	case f.Ping != nil:
		m.Frame = &clientpb.ClientFrame_Ping{Ping: &clientpb.Ping{Number: *f.Ping}}
	case f.Renew != nil:
		m.Frame = &clientpb.ClientFrame_Renew{Renew: &clientpb.Renew{Token: *f.Renew}}
	default:
		return buf, errors.New("wire: encode an empty client frame")
	}
	out, err := codec.append(buf, &m)
	if err != nil { // the one cause that is left
		return buf, fmt.Errorf("wire: encode a text that is not UTF-8: %w", invitation.InvalidArgument)
	}
	return out, nil
}

func loginMessage(l *Login) (*clientpb.Login, error) {
	if len(l.Words) > MaxLoginWords {
		return nil, fmt.Errorf("wire: encode a login with %d words; at most %d", len(l.Words), MaxLoginWords)
	}
	m := &clientpb.Login{
		MinVersion: l.MinVersion,
		MaxVersion: l.MaxVersion,
		User:       string(l.User),
		Device:     string(l.Device),
		Token:      l.Token,
		Resume:     l.Resume,
		Stamp:      l.Stamp,
	}
	for _, w := range l.Words {
		word, err := wordMessage(w)
		if err != nil {
			return nil, err
		}
		m.Words = append(m.Words, word)
	}
	return m, nil
}

func setCall(m *clientpb.ClientFrame, c *invitation.Call) error {
	switch c.Request {
	case invitation.Send:
		m.Frame = &clientpb.ClientFrame_Send{Send: &clientpb.Send{
			RequestId: c.RequestID,
			Key:       c.Key,
			Callee:    string(c.Callee),
			Content:   c.Content,
			ChannelId: c.ChannelID,
			Timers:    requestTimers(c.Timers),
			Resumed:   resumedMessage(c.Resumed),
		}}
	case invitation.Cancel:
		m.Frame = &clientpb.ClientFrame_Cancel{Cancel: &clientpb.Cancel{
			RequestId: c.RequestID, InvitationId: c.ID.String(),
		}}
	case invitation.Accept:
		m.Frame = &clientpb.ClientFrame_Accept{Accept: &clientpb.Accept{
			RequestId: c.RequestID, InvitationId: c.ID.String(), Response: c.Response,
		}}
	case invitation.Refuse:
		m.Frame = &clientpb.ClientFrame_Refuse{Refuse: &clientpb.Refuse{
			RequestId: c.RequestID, InvitationId: c.ID.String(), Response: c.Response,
		}}
	case invitation.Query:
		m.Frame = &clientpb.ClientFrame_Query{Query: &clientpb.Query{
			RequestId: c.RequestID, InvitationId: c.ID.String(),
		}}
	default:
		return fmt.Errorf("wire: encode a call of unknown request %d", c.Request)
	}
	return nil
}

func resumedMessage(r *invitation.Resumed) *clientpb.Resumed {
	if r == nil {
		return nil
	}
	return &clientpb.Resumed{
		State: clientpb.LocalInvitationState(r.Local), RemainingMs: milliseconds(r.Remaining),
		ConfirmedDevice: string(r.Confirmed),
	}
}

// requestTimers gives nil for the deployment's timers. A negative timer becomes 1 ms, which is as
// much out of bounds, and not 0, which would stand for the deployment's.
func requestTimers(t invitation.Timers) *clientpb.Timers {
	if t == (invitation.Timers{}) {
		return nil
	}
	ms := func(d time.Duration) uint32 {
		if d < 0 {
			return 1
		}
		return milliseconds(d)
	}
	return &clientpb.Timers{
		NoResponseMs:   ms(t.NoResponse),
		ExpireMs:       ms(t.Expire),
		AcceptWindowMs: ms(t.AcceptWindow),
		GraceMs:        ms(t.Grace),
		LingerMs:       ms(t.Linger),
	}
}

func wordMessage(w invitation.Word) (*clientpb.Word, error) {
	m := &clientpb.Word{InvitationId: w.ID.String()}
	switch {
	case w.Kind == invitation.WordSeen:
		m.Word = &clientpb.Word_Seen{Seen: &clientpb.Seen{RemainingMs: milliseconds(w.Remaining)}}
	case w.Kind == invitation.WordAccepting:
		m.Word = &clientpb.Word_Seen{Seen: &clientpb.Seen{
			Accepting: &clientpb.Accepting{Response: w.Response}, RemainingMs: milliseconds(w.Remaining),
		}}
	case w.Kind == invitation.WordSent:
		m.Word = &clientpb.Word_Sent{Sent: &clientpb.Sent{RemainingMs: milliseconds(w.Remaining)}}
	case w.Kind == invitation.WordConfirmed:
		m.Word = &clientpb.Word_Confirmed{Confirmed: &clientpb.Confirmed{CalleeDevice: string(w.Named)}}
	case w.Kind == invitation.WordDone && w.Side == invitation.Caller:
		m.Word = &clientpb.Word_LocalDone{LocalDone: &clientpb.LocalDone{State: clientpb.LocalInvitationState(w.Local)}}
	case w.Kind == invitation.WordDone && w.Side == invitation.Callee:
		m.Word = &clientpb.Word_RemoteDone{RemoteDone: &clientpb.RemoteDone{State: clientpb.RemoteInvitationState(w.Remote)}}
	default:
		return nil, fmt.Errorf("wire: encode a word of kind %s of side %s", w.Kind, w.Side)
	}
	return m, nil
}
