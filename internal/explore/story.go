package explore

import (
	"fmt"
	"strings"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// tell runs actions from a state again and writes down what happens.
func (m *model) tell(s state, actions []action) []string {
	var lines []string
	m.story = func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	defer func() { m.story = nil }()
	for i, a := range actions {
		m.told("%3d  %s", i+1, m.describe(&s, a))
		s, _ = m.apply(s, a)
	}
	m.told("     then:")
	for d, device := range m.Devices {
		seat := m.seats.get(s.seat[d])
		for c := range m.Calls {
			if p := seat.parts[c]; p.Engaged {
				m.told("     %s, call %d: ended %v %v", device.Name, c, p.End, p.Reason)
			}
		}
	}
	return lines
}

// describe says what an action is.
func (m *model) describe(s *state, a action) string {
	name := func() invitation.Device { return m.Devices[a.a].Name }
	switch a.kind {
	case appAct:
		return fmt.Sprintf("%s: the application does %s (call %d)", name(),
			[...]string{"send", "cancel", "accept", "refuse"}[a.b&15], a.b>>4)
	case sayUp:
		item, _ := m.queues.pop(s.up[a.a])
		return fmt.Sprintf("%s -> its session: %s", name(), inputText(m.inputs.get(item)))
	case sayDown:
		item, _ := m.queues.pop(s.down[a.a])
		return fmt.Sprintf("%s is told: %s", name(), downText(m.downs.get(item)))
	case deliver:
		return m.packetText(s.net[a.a])
	case deliverCut:
		return m.packetText(s.net[a.a]) + "; the connection BREAKS before an answer"
	case lose:
		return "LOST: " + m.packetText(s.net[a.a])
	case double:
		return "DOUBLED: " + m.packetText(s.net[a.a])
	case cut:
		return fmt.Sprintf("BROKEN: the connection of %s", name())
	case comeBack:
		return fmt.Sprintf("%s connects", name())
	case logOut:
		return fmt.Sprintf("%s logs out", name())
	case tickCall:
		return fmt.Sprintf("the timer of call %d fires", a.a)
	case tickUser:
		return fmt.Sprintf("the timer of the session of %s fires", m.users[a.a])
	case advance:
		return fmt.Sprintf("%v pass", m.span(s))
	case repeat:
		return "nothing is under way: what is unanswered is repeated"
	case crash:
		return "CRASHED: " + m.crashText(a.a, a.b)
	case tickGhost:
		return fmt.Sprintf("the timer of the paused arbiter of call %d fires", a.a)
	case endGhost:
		return fmt.Sprintf("the paused arbiter of call %d is gone", a.a)
	case overdue:
		return fmt.Sprintf("the session of %s asks about call %d", m.users[a.a], a.b)
	}
	return "?"
}

func (m *model) packetText(p packet) string {
	if p.to() < maxUsers {
		return fmt.Sprintf("arbiter -> session of %s: %s", m.users[p.to()], inputText(m.inputs.get(p.item())))
	}
	msg := m.messages.get(p.item())
	s := fmt.Sprintf("session of %s -> arbiter of call %d: %v", msg.User, p.to()-maxUsers, msg.Kind)
	if msg.Device != "" {
		s += " by " + string(msg.Device)
	}
	for _, f := range []struct {
		set  bool
		text string
	}{
		{msg.Named != "", "naming " + string(msg.Named)},
		{msg.Reason != 0, msg.Reason.String()},
		{msg.Online, "online"},
		{msg.Connected, "connected"},
		{msg.Concluded, "concluded"},
		{msg.Full, "full"},
		{msg.Ask, fmt.Sprintf("asks(%d)", msg.Permit)},
		{msg.Remote != 0, msg.Remote.String()},
		{msg.Local != 0, msg.Local.String()},
	} {
		if f.set {
			s += " " + f.text
		}
	}
	return s
}

func inputText(in *session.Input) string {
	switch in.Kind {
	case session.InAttach:
		words := make([]string, 0, len(in.Login.Words))
		for i := range in.Login.Words {
			words = append(words, wordText(&in.Login.Words[i]))
		}
		return fmt.Sprintf("login (resume %v) with words [%s]", in.Login.Resume, strings.Join(words, ", "))
	case session.InDetach:
		return fmt.Sprintf("connection of %s lost", in.Device)
	case session.InLogout:
		return "logout"
	case session.InCall:
		return fmt.Sprintf("%v (request %d)", in.Call.Request, in.Call.RequestID)
	case session.InWord:
		return wordText(in.Word)
	case session.InView:
		return viewText(in.View)
	case session.InReply:
		return fmt.Sprintf("reply to %v of %s: %v", in.Reply.Request, in.Reply.Device, in.Reply.Error)
	case session.InUnknown:
		return "no such invitation"
	case session.InLost:
		return "what lived on other shards is lost"
	case session.InNodeGone:
		return "a gateway is gone"
	case session.InTick, session.InResend:
	}
	return "?"
}

func wordText(w *invitation.Word) string {
	s := fmt.Sprintf("word %v", w.Kind)
	switch {
	case w.Kind == invitation.WordConfirmed:
		s += " " + string(w.Named)
	case w.Local != 0:
		s += " " + w.Local.String()
	case w.Remote != 0:
		s += " " + w.Remote.String()
	}
	return s
}

func viewText(v *invitation.View) string {
	s := fmt.Sprintf("view %d %v", v.Version, v.Stage)
	if v.Stage == invitation.Ended {
		s += fmt.Sprintf(" %v %v", v.Outcome, v.Reason)
	}
	for _, f := range []struct {
		set  bool
		text string
	}{
		{v.Chosen != "", "chosen " + string(v.Chosen)},
		{v.Verdict, "verdict"},
		{v.Settled, "settled"},
		{v.Permit != 0, fmt.Sprintf("permit %d", v.Permit)},
	} {
		if f.set {
			s += " " + f.text
		}
	}
	return s
}

func downText(d *invitation.Down) string {
	switch {
	case d.Welcome != nil:
		return "welcome"
	case d.Retell != nil:
		return "retell"
	case d.Ending != nil:
		return "ending " + d.Ending.End.String()
	case d.Answer != nil:
		s := fmt.Sprintf("answer to %v: %v", d.Answer.Request, d.Answer.Error)
		if d.Answer.Notice != nil {
			s += ", " + noticeText(d.Answer.Notice)
		}
		return s
	}
	return noticeText(d.Notice)
}

func noticeText(n *invitation.Notice) string {
	s := "notice "
	if n.Side == invitation.Caller {
		s += n.Local.String()
	} else {
		s += n.Remote.String()
	}
	for _, f := range []struct {
		set  bool
		text string
	}{
		{n.Reason != 0, n.Reason.String()},
		{n.Confirm != "", "confirm " + string(n.Confirm) + "?"},
		{n.Verdict, "verdict"},
		{n.Settled, "settled"},
	} {
		if f.set {
			s += " " + f.text
		}
	}
	return s
}
