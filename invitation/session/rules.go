package session

import (
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/table"
)

// standing is what an invitation is to the session, and to the device that speaks of it. What an
// arbiter says concerns all devices: there it tells only whether any was shown the invitation.
type standing uint8

const (
	stranger standing = iota // not known
	past                     // ended and dropped, its id remembered
	outgoing                 // sent by this device; what an arbiter says: sent by this user
	parked                   // incoming, or another device's: not shown to this device
	shown                    // incoming, shown to this device, which has not said its last word
	finished                 // incoming, shown to this device, which has said its last word
)

const standings = 6

var standingNames = [standings]string{"STRANGER", "PAST", "OUTGOING", "PARKED", "SHOWN", "FINISHED"}

// topic is what is said about the invitation: the columns of the table.
type topic uint8

const (
	onSend topic = iota
	onCancel
	onAccept
	onRefuse
	onQuery
	onSeen
	onConfirmed
	onDone
	onSent
	onAccepting
	onCallerView  // an arbiter's view, to its caller's session
	onCalleeView  // an arbiter's view, to its callee's session
	onCallerAsked // a recovering arbiter's question, to its caller's session
	onCalleeAsked // a recovering arbiter's question, to its callee's session
	onReply
	onUnknown
)

const topics = 16

var topicNames = [topics]string{
	"SEND", "CANCEL", "ACCEPT", "REFUSE", "QUERY", "SEEN", "CONFIRMED", "DONE", "SENT", "ACCEPTING", "CALLER_VIEW", "CALLEE_VIEW",
	"CALLER_ASKED", "CALLEE_ASKED", "REPLY", "UNKNOWN",
}

// do carries out a cell; e is nil for strangers and past invitations.
type do func(m *Machine, now Time, e *entry, in *Input, out []Effect) []Effect

type rule struct {
	verdict table.Verdict
	do      do
}

func moves(f do) rule   { return rule{table.Move, f} }
func repeats(f do) rule { return rule{table.Repeat, f} }

var ignored = rule{table.Ignore, func(_ *Machine, _ Time, _ *entry, _ *Input, out []Effect) []Effect { return out }}

func rejects(err invitation.CallError) rule {
	return rule{table.Reject, func(m *Machine, now Time, e *entry, in *Input, out []Effect) []Effect {
		return m.answer(now, in, err, e, out)
	}}
}

// rules is what the session does about one invitation.
var rules = [standings][topics]rule{
	stranger: {
		onSend:        moves(send),
		onCancel:      moves(notFound),
		onAccept:      moves(notFound),
		onRefuse:      moves(notFound),
		onQuery:       moves(notFound),
		onSeen:        moves(inquire),
		onConfirmed:   moves(inquire),
		onDone:        moves(relayDone),
		onSent:        moves(inquire),
		onAccepting:   moves(inquire),
		onCallerView:  moves(adopt),
		onCalleeView:  moves(offer),
		onCallerAsked: moves(adoptAsked),
		onCalleeAsked: repeats(testify),
		onReply:       ignored,
		onUnknown:     moves(forgotten),
	},
	past: {
		onSend:        rejects(invitation.AlreadyEnd),
		onCancel:      rejects(invitation.AlreadyEnd),
		onAccept:      rejects(invitation.AlreadyEnd),
		onRefuse:      rejects(invitation.AlreadyEnd),
		onQuery:       rejects(invitation.AlreadyEnd),
		onSeen:        repeats(dismiss),
		onConfirmed:   repeats(dismiss),
		onDone:        repeats(relayLate),
		onSent:        repeats(dismiss),
		onAccepting:   repeats(dismiss),
		onCallerView:  ignored,
		onCalleeView:  repeats(concludedBefore),
		onCallerAsked: repeats(disown),
		onCalleeAsked: repeats(overHere),
		onReply:       ignored,
		onUnknown:     ignored,
	},
	outgoing: {
		onSend:        repeats(sendAgain),
		onCancel:      moves(forward),
		onAccept:      rejects(invitation.NotFound),
		onRefuse:      rejects(invitation.NotFound),
		onQuery:       moves(query),
		onSeen:        ignored,
		onConfirmed:   moves(say),
		onDone:        moves(say),
		onSent:        ignored,
		onAccepting:   ignored,
		onCallerView:  moves(callerView),
		onCalleeView:  ignored,
		onCallerAsked: moves(retell),
		onCalleeAsked: ignored,
		onReply:       moves(reply),
		onUnknown:     moves(lost),
	},
	parked: {
		onSend:        rejects(invitation.InvalidArgument), // another device's invitation has this id
		onCancel:      rejects(invitation.NotFound),
		onAccept:      moves(notShown),
		onRefuse:      moves(notShown),
		onQuery:       moves(query),
		onSeen:        moves(claimSeen),
		onConfirmed:   ignored,
		onDone:        moves(claimDone),
		onSent:        ignored,
		onAccepting:   moves(claimAccept),
		onCallerView:  ignored,
		onCalleeView:  moves(calleeView),
		onCallerAsked: ignored,
		onCalleeAsked: repeats(vouch),
		onReply:       moves(reply),
		onUnknown:     moves(lost),
	},
	shown: {
		onSend:        rejects(invitation.InvalidArgument), // no user invites itself
		onCancel:      rejects(invitation.NotFound),
		onAccept:      moves(forward),
		onRefuse:      moves(forward),
		onQuery:       moves(query),
		onSeen:        moves(say),
		onConfirmed:   ignored,
		onDone:        moves(calleeDone),
		onSent:        ignored,
		onAccepting:   moves(sayAccept),
		onCallerView:  ignored,
		onCalleeView:  moves(calleeView),
		onCallerAsked: ignored,
		onCalleeAsked: repeats(vouch),
		onReply:       moves(reply),
		onUnknown:     moves(lost),
	},
	finished: {
		onSend:        rejects(invitation.InvalidArgument), // no user invites itself
		onCancel:      rejects(invitation.NotFound),
		onAccept:      moves(forward), // the arbiter repeats the answer of a repeated request
		onRefuse:      moves(forward),
		onQuery:       moves(query),
		onSeen:        ignored,
		onConfirmed:   ignored,
		onDone:        repeats(calleeDone),
		onSent:        ignored,
		onAccepting:   ignored,
		onCallerView:  ignored,
		onCalleeView:  moves(calleeView),
		onCallerAsked: ignored,
		onCalleeAsked: ignored,
		onReply:       moves(reply),
		onUnknown:     moves(lost),
	},
}

// Table returns the verdicts of the table, for the documentation.
func Table() table.Table {
	t := table.New(standings, topics,
		func(s int) string { return standingNames[s] },
		func(on int) string { return topicNames[on] })
	for s, row := range rules {
		for on, r := range row {
			t.Verdicts[s][on] = r.verdict
		}
	}
	return t
}

var callTopics = [invitation.Requests]topic{
	invitation.Send: onSend, invitation.Cancel: onCancel, invitation.Accept: onAccept,
	invitation.Refuse: onRefuse, invitation.Query: onQuery,
}

var wordTopics = [...]topic{
	invitation.WordSeen: onSeen, invitation.WordConfirmed: onConfirmed, invitation.WordDone: onDone,
	invitation.WordSent: onSent, invitation.WordAccepting: onAccepting,
}

// about takes an input that concerns one invitation.
func (m *Machine) about(now Time, in *Input, out []Effect) []Effect {
	var on topic
	switch in.Kind {
	case InCall:
		if d := m.device(in.Device); d != nil && d.why != 0 && d.conn == in.Conn {
			return out // its login is over, it is just not told yet
		}
		if !m.hears(in) {
			return append(out, end(in.Conn, invitation.EndInternal))
		}
		if in.Call.Request == invitation.NoRequest || in.Call.Request >= invitation.Requests {
			return m.answer(now, in, invitation.InvalidArgument, nil, out)
		}
		on, in.ID = callTopics[in.Call.Request], in.Call.About(m.user, in.Device)
	case InWord:
		if !m.hears(in) && !m.parting(in) {
			return append(out, end(in.Conn, invitation.EndInternal))
		}
		if in.Word.Kind == invitation.NoWord || int(in.Word.Kind) >= len(wordTopics) {
			return out
		}
		on, in.ID = wordTopics[in.Word.Kind], in.Word.ID
	case InView:
		on, in.ID = viewTopic(in.View, m.user), in.View.Terms.ID
		out = m.witness(now, in.View, out)
		if m.premature(now, in.View) {
			return m.askAnew(now, in.View, out)
		}
	case InReply:
		on, in.ID = onReply, in.Reply.ID
		if m.premature(now, in.Reply.View) {
			return m.askAnew(now, in.Reply.View, out)
		}
	default:
		on = onUnknown
	}
	e := m.entry(in.ID)
	return rules[m.standing(e, in)][on].do(m, now, e, in, out)
}

func viewTopic(v *invitation.View, user invitation.User) topic {
	switch caller := v.Terms.Caller == user; {
	case v.Recovering && caller:
		return onCallerAsked
	case v.Recovering:
		return onCalleeAsked
	case caller:
		return onCallerView
	}
	return onCalleeView
}

// hears reports whether a device's input counts: it does not over a connection that this session does not know, or that
// another one has taken the place of. Which of two is the newer is not known, as a login may have come to a session on
// another node: the device is to come back, and hears then if another program has taken its place.
func (m *Machine) hears(in *Input) bool {
	d := m.device(in.Device)
	return d != nil && d.connected && d.conn == in.Conn
}

// parting reports whether a word is that of a device whose login is over, about the commit it was
// told before.
func (m *Machine) parting(in *Input) bool {
	e := m.entry(in.Word.ID)
	if e == nil || m.device(in.Device) != nil {
		return false
	}
	s := e.showing(in.Device)
	return s != nil && s.told && in.Word.Kind == invitation.WordDone
}

func (m *Machine) standing(e *entry, in *Input) standing {
	fromDevice := in.Kind == InCall || in.Kind == InWord
	switch {
	case e == nil && m.remembers(in.ID):
		return past
	case e == nil:
		return stranger
	case e.side == invitation.Caller && fromDevice && e.view.Terms.Device != in.Device:
		return parked
	case e.side == invitation.Caller:
		return outgoing
	case !fromDevice && len(e.shown) == 0:
		return parked
	case !fromDevice:
		return shown
	}
	switch s := e.showing(in.Device); {
	case s == nil:
		return parked
	case s.done:
		return finished
	}
	return shown
}
