package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// wants reports whether the history of an invitation is written.
func (w *world) wants(id invitation.ID) bool { return !w.tracing.IsZero() && id == w.tracing }

// wantsUser reports whether a history is written of an invitation that a user takes part in.
func (w *world) wantsUser(u int32) bool {
	if w.tracing.IsZero() {
		return false
	}
	r := w.records[w.tracing]
	return r != nil && (r.caller == u || r.callee == u)
}

// note writes a line into the history.
func (w *world) note(format string, args ...any) {
	at := w.now.Sub(origin).Round(time.Microsecond)
	w.history = append(w.history, fmt.Sprintf("%14v ", at)+fmt.Sprintf(format, args...))
}

// noteDown writes what a device hears, if it is about the invitation, or the connection.
func (w *world) noteDown(d *Device, down *invitation.Down) {
	switch {
	case down.Welcome != nil:
		w.note("%s: welcome on %d", d.name, d.conn)
	case down.Ending != nil:
		w.note("%s: ending %v on %d", d.name, down.Ending.End.String(), d.conn)
	case down.Notice != nil && down.Notice.ID == w.tracing:
		w.note("%s: %s", d.name, noticeText(down.Notice))
	case down.Answer != nil && down.Answer.ID == w.tracing:
		s := ""
		if down.Answer.Notice != nil {
			s = ", " + noticeText(down.Answer.Notice)
		}
		w.note("%s: answer to %v %d: %s%s", d.name, down.Answer.Request, down.Answer.RequestID, down.Answer.Error.String(), s)
	}
}

// fields joins what is set.
func fields(s string, of ...any) string {
	for i := 0; i < len(of); i += 2 {
		if set, _ := of[i].(bool); set {
			s += " " + fmt.Sprint(of[i+1])
		}
	}
	return s
}

func messageText(m *invitation.Message) string {
	return fields(m.Kind.String(),
		m.Device != "", "by "+m.Device, m.RequestID != 0, fmt.Sprintf("request %d", m.RequestID),
		m.Named != "", "naming "+m.Named, m.Reason != 0, m.Reason, m.Online, "online", m.Connected, "connected",
		m.Chosen != "", "chosen "+m.Chosen, m.Concluded, "concluded", m.Full, "full",
		m.Ask, "asks", m.Permit != 0, fmt.Sprintf("(%d)", m.Permit), m.Remote != 0, m.Remote, m.Local != 0, m.Local,
		m.Remaining != 0, m.Remaining, m.Resumed != nil, resumedText(m.Resumed), m.Kind == invitation.MsgRecover, recoverText(m))
}

func resumedText(r *invitation.Resumed) string {
	if r == nil {
		return ""
	}
	return fmt.Sprintf("resumed in %v, %v left, confirmed %q", r.Local, r.Remaining, r.Confirmed)
}

func recoverText(m *invitation.Message) string {
	if m.View == nil {
		return ""
	}
	return fields("of "+viewText(m.View), m.Fresh, "fresh")
}

func viewText(v *invitation.View) string {
	return fields(fmt.Sprintf("view %d %v", v.Version, v.Stage),
		v.Stage == invitation.Ended, v.Outcome, v.Reason != 0, v.Reason, v.Chosen != "", "chosen "+v.Chosen,
		v.Verdict, "verdict", v.Settled, "settled", v.Permit != 0, fmt.Sprintf("permit %d", v.Permit),
		v.Heard != 0, fmt.Sprintf("heard %d", v.Heard))
}

func noticeText(n *invitation.Notice) string {
	state := n.Remote.String()
	if n.Side == invitation.Caller {
		state = n.Local.String()
	}
	return fields("notice "+state, n.Reason != 0, n.Reason, n.Confirm != "", "confirm "+n.Confirm+"?",
		n.Verdict, "verdict", n.Settled, "settled")
}

func wordText(word *invitation.Word) string {
	return fields(word.Kind.String(), word.Named != "", word.Named, word.Local != 0, word.Local, word.Remote != 0, word.Remote,
		word.Remaining != 0, word.Remaining)
}

// wordsText is what a login says of the invitation whose history is written.
func (w *world) wordsText(words []invitation.Word) string {
	var s []string
	for i := range words {
		if words[i].ID == w.tracing {
			s = append(s, wordText(&words[i]))
		}
	}
	return "[" + strings.Join(s, ", ") + "]"
}
