package arbiter

import (
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/table"
)

type effects = []Effect

// do carries out a cell. It returns OK, or the error that the message's request is answered with.
type do func(m *Machine, now Time, msg *invitation.Message, out effects) (effects, invitation.CallError)

type rule struct {
	verdict table.Verdict
	to      []invitation.Stage
	do      do
}

func moves(f do, to ...invitation.Stage) rule { return rule{table.Move, to, f} }
func stays(f do) rule                         { return rule{table.Move, nil, f} }
func repeats(f do) rule                       { return rule{table.Repeat, nil, f} }

var ignored = rule{verdict: table.Ignore, do: func(_ *Machine, _ Time, _ *invitation.Message, out effects) (effects, invitation.CallError) {
	return out, invitation.OK
}}

func rejects(err invitation.CallError) rule {
	return rule{verdict: table.Reject, do: func(_ *Machine, _ Time, _ *invitation.Message, out effects) (effects, invitation.CallError) {
		return out, err
	}}
}

// rules is the machine: what each stage does with each kind of message.
var rules = [invitation.Stages][invitation.MessageKinds]rule{
	invitation.Offering: {
		invitation.MsgStart:      stays(start),
		invitation.MsgCancel:     moves(cancel, invitation.Ended),
		invitation.MsgConfirm:    moves(confirm, invitation.Confirmed, invitation.Ended), // another arbiter asked for it
		invitation.MsgCallerDone: moves(callerQuit, invitation.Ended),
		invitation.MsgCaller:     stays(callerPresence),
		invitation.MsgSeen:       moves(seen, invitation.Ringing),
		invitation.MsgAccept:     moves(accept, invitation.Accepting),
		invitation.MsgRefuse:     moves(refuse, invitation.Ended),
		invitation.MsgCalleeDone: moves(calleeQuit, invitation.Ended),
		invitation.MsgCallee:     moves(offerTaken, invitation.Ended),
		invitation.MsgAbort:      moves(abort, invitation.Ended),
		invitation.MsgTick:       moves(tick, invitation.Ended),
		invitation.MsgResend:     stays(resend),
		invitation.MsgRecover:    moves(told, invitation.Ringing, invitation.Accepting, invitation.Ended),
		invitation.MsgCalleeLost: stays(calleeLost),
	},
	invitation.Ringing: {
		invitation.MsgStart:      repeats(startAgain),
		invitation.MsgCancel:     moves(cancel, invitation.Ended),
		invitation.MsgConfirm:    moves(confirm, invitation.Confirmed, invitation.Ended), // another arbiter asked for it
		invitation.MsgCallerDone: moves(callerQuit, invitation.Ended),
		invitation.MsgCaller:     stays(callerPresence),
		invitation.MsgSeen:       repeats(seenAgain),
		invitation.MsgAccept:     moves(accept, invitation.Accepting),
		invitation.MsgRefuse:     moves(refuse, invitation.Ended),
		invitation.MsgCalleeDone: moves(calleeQuit, invitation.Ended),
		invitation.MsgCallee:     stays(calleePresence),
		invitation.MsgAbort:      moves(abort, invitation.Ended),
		invitation.MsgTick:       moves(tick, invitation.Ended),
		invitation.MsgResend:     stays(resend),
		invitation.MsgRecover:    moves(told, invitation.Accepting, invitation.Ended),
		invitation.MsgCalleeLost: stays(calleeLost),
	},
	invitation.Accepting: {
		invitation.MsgStart:      repeats(startAgain),
		invitation.MsgCancel:     moves(cancel, invitation.Ended),
		invitation.MsgConfirm:    moves(confirm, invitation.Confirmed, invitation.Ended),
		invitation.MsgCallerDone: moves(callerQuit, invitation.Ended),
		invitation.MsgCaller:     stays(callerPresence),
		invitation.MsgSeen:       repeats(seenAgain),
		invitation.MsgAccept:     repeats(answerAgain),
		invitation.MsgRefuse:     repeats(answerAgain),
		invitation.MsgCalleeDone: moves(chosenQuit, invitation.Ended),
		invitation.MsgCallee:     stays(calleePresence),
		invitation.MsgAbort:      moves(abort, invitation.Ended),
		invitation.MsgTick:       moves(tick, invitation.Ended),
		invitation.MsgResend:     stays(resend),
		invitation.MsgRecover:    moves(told, invitation.Ended),
		invitation.MsgCalleeLost: stays(calleeLost),
	},
	invitation.Confirmed: {
		invitation.MsgStart:      repeats(startAgain),
		invitation.MsgCancel:     rejects(invitation.AlreadyEnd),
		invitation.MsgConfirm:    ignored,
		invitation.MsgCallerDone: ignored, // it ends by the callee's device's word only
		invitation.MsgCaller:     stays(callerPresence),
		invitation.MsgSeen:       repeats(seenAgain),
		invitation.MsgAccept:     repeats(answerAgain),
		invitation.MsgRefuse:     repeats(answerAgain),
		invitation.MsgCalleeDone: moves(verdict, invitation.Ended),
		invitation.MsgCallee:     stays(calleePresence),
		invitation.MsgAbort:      moves(abort, invitation.Ended),
		invitation.MsgTick:       moves(tick, invitation.Ended),
		invitation.MsgResend:     stays(resend),
		invitation.MsgRecover:    stays(told),
		invitation.MsgCalleeLost: stays(calleeLost),
	},
	invitation.Ended: {
		invitation.MsgStart:      repeats(startAgain),
		invitation.MsgCancel:     repeats(cancelAgain),
		invitation.MsgConfirm:    stays(confirmLate),
		invitation.MsgCallerDone: stays(callerDone),
		invitation.MsgCaller:     stays(callerPresence),
		invitation.MsgSeen:       repeats(seenAgain),
		invitation.MsgAccept:     repeats(answerAgain),
		invitation.MsgRefuse:     repeats(answerAgain),
		invitation.MsgCalleeDone: stays(calleeDone),
		invitation.MsgCallee:     stays(calleePresence),
		invitation.MsgAbort:      ignored,
		invitation.MsgTick:       stays(tick),
		invitation.MsgResend:     stays(resend),
		invitation.MsgRecover:    stays(told),
		invitation.MsgCalleeLost: stays(calleeLost),
	},
}

// Table returns the verdicts of the table, for the documentation.
func Table() table.Table {
	t := table.New(invitation.Stages, invitation.MessageKinds,
		func(s int) string { return invitation.Stage(s).String() },
		func(k int) string { return invitation.MessageKind(k).String() })
	for s, row := range rules {
		for k, r := range row {
			t.Verdicts[s][k] = r.verdict
		}
	}
	return t
}

// Edges returns the moves of the table, for the state diagram.
func Edges() []table.Edge {
	var edges []table.Edge
	for from, row := range rules {
		for kind, r := range row {
			for _, to := range r.to {
				edges = append(edges, table.Edge{
					From: invitation.Stage(from).String(), To: to.String(), On: invitation.MessageKind(kind).String(),
				})
			}
		}
	}
	return edges
}
