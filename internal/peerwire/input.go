package peerwire

import (
	"errors"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

func inputMessage(in *session.Input, now invitation.Time) (*peerpb.SessionInput, error) {
	m := new(peerpb.SessionInput)
	var err error
	switch in.Kind {
	case session.InAttach, session.InDetach, session.InLogout, session.InCall, session.InWord:
		return m, setDeviceInput(m, in)
	case session.InView:
		v := new(peerpb.SessionInput_View)
		v.View, err = viewMessage(in.View, now)
		m.Input = v
	case session.InReply:
		r := new(peerpb.SessionInput_Reply)
		r.Reply, err = replyMessage(in.Reply, now)
		m.Input = r
	case session.InUnknown:
		m.Input = &peerpb.SessionInput_Unknown{Unknown: &peerpb.Unknown{InvitationId: idBytes(in.ID), Over: in.Over}}
	default:
		err = errors.New("an input that is for the session's host only")
	}
	return m, err
}

// setDeviceInput sets what a gateway says about a connection.
func setDeviceInput(m *peerpb.SessionInput, in *session.Input) error {
	if in.Conn.Node == "" {
		return errors.New("a connection without the name of its node: on another node it would be one of that node's")
	}
	conn, device := &peerpb.Conn{Node: in.Conn.Node, Number: in.Conn.Number}, string(in.Device)
	switch {
	case in.Kind == session.InAttach && in.Login != nil:
		login, err := loginMessage(in.Login)
		m.Input = &peerpb.SessionInput_Attach{Attach: &peerpb.Attach{Conn: conn, Login: login}}
		return err
	case in.Kind == session.InDetach:
		m.Input = &peerpb.SessionInput_Detach{Detach: &peerpb.Detach{Conn: conn, Device: device}}
	case in.Kind == session.InLogout:
		m.Input = &peerpb.SessionInput_Logout{Logout: &peerpb.Logout{Conn: conn, Device: device}}
	case in.Kind == session.InCall && in.Call != nil:
		call := &peerpb.CallInput{Conn: conn, Device: device, Call: callMessage(in.Call)}
		m.Input = &peerpb.SessionInput_Call{Call: call}
	case in.Kind == session.InWord && in.Word != nil:
		word, err := wordMessage(in.Word)
		m.Input = &peerpb.SessionInput_Word{Word: &peerpb.WordInput{Conn: conn, Device: device, Word: word}}
		return err
	default:
		return errors.New("an input without what its kind says")
	}
	return nil
}

func input(m *peerpb.SessionInput, now invitation.Time) (*session.Input, error) {
	in := new(session.Input)
	var err error
	switch p := m.GetInput().(type) {
	case *peerpb.SessionInput_Attach:
		in.Kind = session.InAttach
		if in.Login, err = login(p.Attach.GetLogin()); err == nil {
			in.Device = in.Login.Device
			in.Conn, err = conn(p.Attach.GetConn())
		}
	case *peerpb.SessionInput_Detach:
		in.Kind, in.Device = session.InDetach, invitation.Device(p.Detach.GetDevice())
		in.Conn, err = conn(p.Detach.GetConn())
	case *peerpb.SessionInput_Logout:
		in.Kind, in.Device = session.InLogout, invitation.Device(p.Logout.GetDevice())
		in.Conn, err = conn(p.Logout.GetConn())
	case *peerpb.SessionInput_Call:
		in.Kind, in.Device = session.InCall, invitation.Device(p.Call.GetDevice())
		if in.Call, err = call(p.Call.GetCall()); err == nil {
			in.Conn, err = conn(p.Call.GetConn())
		}
	case *peerpb.SessionInput_Word:
		in.Kind, in.Device, in.Word = session.InWord, invitation.Device(p.Word.GetDevice()), new(invitation.Word)
		if err = setWord(in.Word, p.Word.GetWord()); err == nil {
			in.Conn, err = conn(p.Word.GetConn())
		}
	case *peerpb.SessionInput_View:
		in.Kind = session.InView
		in.View, err = view(p.View, now)
	case *peerpb.SessionInput_Reply:
		in.Kind = session.InReply
		in.Reply, err = reply(p.Reply, now)
	case *peerpb.SessionInput_Unknown:
		in.Kind, in.Over = session.InUnknown, p.Unknown.GetOver()
		in.ID, err = parseID(p.Unknown.GetInvitationId())
	default:
		err = unknown("session input")
	}
	if err != nil {
		return nil, err
	}
	return in, nil
}

func conn(p *peerpb.Conn) (session.Conn, error) {
	if p.GetNode() == "" {
		return session.Conn{}, malformed("a connection without a node")
	}
	return session.Conn{Node: p.GetNode(), Number: p.GetNumber()}, nil
}

func loginMessage(l *invitation.Login) (*peerpb.Login, error) {
	m := &peerpb.Login{
		User: string(l.User), Device: string(l.Device), Resume: l.Resume, Stamp: l.Stamp, Reattach: l.Reattach,
		AgeUs: microseconds(l.Age),
	}
	for i := range l.Words {
		word, err := wordMessage(&l.Words[i])
		if err != nil {
			return nil, err
		}
		if l.Words[i].Kind == invitation.WordSent {
			m.MoreWords = append(m.MoreWords, word)
		} else {
			m.Words = append(m.Words, word)
		}
	}
	return m, nil
}

func login(p *peerpb.Login) (*invitation.Login, error) {
	l := &invitation.Login{
		User: invitation.User(p.GetUser()), Device: invitation.Device(p.GetDevice()),
		Resume: p.GetResume(), Stamp: p.GetStamp(), Reattach: p.GetReattach(),
	}
	if !l.User.Valid() || !l.Device.Valid() {
		return nil, malformed("a login without a user and a device")
	}
	var err error
	if l.Age, err = duration(p.GetAgeUs()); err != nil || l.Age < 0 {
		return nil, malformed("a login of %d µs ago", p.GetAgeUs())
	}
	for _, word := range p.GetWords() {
		var w invitation.Word
		if err := setWord(&w, word); err != nil {
			return nil, err
		}
		l.Words = append(l.Words, w)
	}
	for _, word := range p.GetMoreWords() {
		var w invitation.Word
		switch err := setWord(&w, word); {
		case errors.Is(err, cluster.ErrUnknown): // a newer node's: the login counts without it
		case err != nil:
			return nil, err
		default:
			l.Words = append(l.Words, w)
		}
	}
	return l, nil
}

func wordMessage(w *invitation.Word) (*peerpb.Word, error) {
	m := &peerpb.Word{InvitationId: idBytes(w.ID)}
	switch {
	case w.Kind == invitation.WordSeen:
		m.Word = &peerpb.Word_Seen{Seen: &peerpb.Seen{RemainingUs: microseconds(w.Remaining)}}
	case w.Kind == invitation.WordAccepting:
		m.Word = &peerpb.Word_Seen{Seen: &peerpb.Seen{
			Accepting: &peerpb.Accepting{Response: []byte(w.Response)}, RemainingUs: microseconds(w.Remaining),
		}}
	case w.Kind == invitation.WordSent:
		m.Word = &peerpb.Word_Sent{Sent: &peerpb.Sent{RemainingUs: microseconds(w.Remaining)}}
	case w.Kind == invitation.WordConfirmed:
		m.Word = &peerpb.Word_Confirmed{Confirmed: &peerpb.Confirmed{CalleeDevice: string(w.Named)}}
	case w.Kind == invitation.WordDone && w.Side == invitation.Caller:
		m.Word = &peerpb.Word_LocalDone{LocalDone: peerpb.LocalState(w.Local)}
	case w.Kind == invitation.WordDone && w.Side == invitation.Callee:
		m.Word = &peerpb.Word_RemoteDone{RemoteDone: peerpb.RemoteState(w.Remote)}
	default:
		return nil, errors.New("a word of no kind")
	}
	return m, nil
}

// setWord reads p into w.
func setWord(w *invitation.Word, p *peerpb.Word) error {
	var err error
	if w.ID, err = parseID(p.GetInvitationId()); err != nil {
		return err
	}
	switch word := p.GetWord().(type) {
	case *peerpb.Word_Seen:
		w.Side, w.Kind = invitation.Callee, invitation.WordSeen
		if accepting := word.Seen.GetAccepting(); accepting != nil {
			w.Kind, w.Response = invitation.WordAccepting, string(accepting.GetResponse())
		}
		w.Remaining, err = timeLeft(word.Seen.GetRemainingUs())
	case *peerpb.Word_Sent:
		w.Side, w.Kind = invitation.Caller, invitation.WordSent
		w.Remaining, err = timeLeft(word.Sent.GetRemainingUs())
	case *peerpb.Word_Confirmed:
		w.Side, w.Kind = invitation.Caller, invitation.WordConfirmed
		w.Named = invitation.Device(word.Confirmed.GetCalleeDevice())
	case *peerpb.Word_LocalDone:
		w.Side, w.Kind = invitation.Caller, invitation.WordDone
		w.Local, err = enum[invitation.LocalState](word.LocalDone, invitation.LocalStates, "local state")
	case *peerpb.Word_RemoteDone:
		w.Side, w.Kind = invitation.Callee, invitation.WordDone
		w.Remote, err = enum[invitation.RemoteState](word.RemoteDone, invitation.RemoteStates, "remote state")
	default:
		err = unknown("word")
	}
	return err
}

func callMessage(c *invitation.Call) *peerpb.Call {
	return &peerpb.Call{
		Request:      peerpb.Request(c.Request),
		RequestId:    c.RequestID,
		InvitationId: idBytes(c.ID),
		Response:     []byte(c.Response),
		Key:          []byte(c.Key),
		Callee:       []byte(c.Callee),
		Content:      []byte(c.Content),
		ChannelId:    []byte(c.ChannelID),
		Timers:       timersMessage(c.Timers),
		Resumed:      resumedMessage(c.Resumed),
	}
}

func call(p *peerpb.Call) (*invitation.Call, error) {
	c := &invitation.Call{
		RequestID: p.GetRequestId(),
		Response:  string(p.GetResponse()),
		Key:       string(p.GetKey()),
		Callee:    invitation.User(p.GetCallee()),
		Content:   string(p.GetContent()),
		ChannelID: string(p.GetChannelId()),
	}
	var errs [4]error
	c.Request, errs[0] = enum[invitation.Request](p.GetRequest(), invitation.Requests, "request")
	c.ID, errs[1] = parseOptionalID(p.GetInvitationId())
	c.Timers, errs[2] = parseTimers(p.GetTimers())
	c.Resumed, errs[3] = resumed(p.GetResumed())
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	if c.Request == invitation.NoRequest || c.RequestID == 0 {
		return nil, malformed("a call without a request")
	}
	return c, nil
}

func replyMessage(r *invitation.Reply, now invitation.Time) (*peerpb.Reply, error) {
	if r == nil {
		return nil, errors.New("no reply")
	}
	m := &peerpb.Reply{
		InvitationId: idBytes(r.ID),
		Device:       string(r.Device),
		Request:      peerpb.Request(r.Request),
		RequestId:    r.RequestID,
		Error:        uint32(r.Error),
	}
	var err error
	if r.View != nil {
		m.View, err = viewMessage(r.View, now)
	}
	return m, err
}

func reply(p *peerpb.Reply, now invitation.Time) (*invitation.Reply, error) {
	r := &invitation.Reply{Device: invitation.Device(p.GetDevice()), RequestID: p.GetRequestId()}
	var errs [4]error
	r.ID, errs[0] = parseID(p.GetInvitationId())
	r.Request, errs[1] = enum[invitation.Request](p.GetRequest(), invitation.Requests, "request")
	r.Error, errs[2] = code[invitation.CallError](p.GetError(), "error")
	if p.GetView() != nil {
		r.View, errs[3] = view(p.GetView(), now)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return r, nil
}
