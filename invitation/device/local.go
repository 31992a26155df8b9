package device

import (
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/table"
)

// LocalInput is an input of a [Local].
type LocalInput uint8

// The inputs of a Local: the columns of its table.
const (
	LocalSend     LocalInput = iota // the application sends
	LocalCancel                     // the application cancels
	LocalNoticed                    // a notice, or the answer to the send, says: sent or received by the peer
	LocalAsked                      // a notice asks to confirm an accept
	LocalToldEnd                    // a notice says that it ended
	LocalRejected                   // the send or the cancel was answered with an error
	LocalForget                     // the linger is over, or the server does not know the invitation
)

// LocalInputs is the number of inputs of a Local.
const LocalInputs = 7

// String returns the input's name in the diagram.
func (i LocalInput) String() string {
	return [...]string{"send", "cancel", "noticed", "asked", "told end", "rejected", "forget"}[i]
}

// Local is an invitation on the caller's sending device, and the register of that device's word:
// it confirms one accept or asks to cancel, never both. The zero value is an invitation in IDLE.
type Local struct {
	id        invitation.ID
	state     invitation.LocalState
	code      invitation.LocalError
	reason    invitation.Reason
	sending   bool // send was called, its answer has not come
	canceling bool // cancel was called: no confirm any more
	settled   bool
	confirmed invitation.Device // the callee's device confirmed: no cancel any more
	answer    string            // what that device responded, when it accepted
	response  string
}

// State returns the state the application sees.
func (l *Local) State() invitation.LocalState { return l.state }

// Code returns the code of a FAILURE.
func (l *Local) Code() invitation.LocalError { return l.code }

// Reason returns the finer cause of an ending.
func (l *Local) Reason() invitation.Reason { return l.reason }

// Response returns what the callee responded; "" before it has.
func (l *Local) Response() string { return l.response }

// ID returns the invitation's id; zero before the server has answered the send.
func (l *Local) ID() invitation.ID { return l.id }

// Settled reports that both sides have concluded: the machine may be dropped.
func (l *Local) Settled() bool { return l.settled }

// Confirmed returns the callee's device whose accept was confirmed, "" for none.
func (l *Local) Confirmed() invitation.Device { return l.confirmed }

// Word returns the last word, to be brought back on a resume.
func (l *Local) Word() invitation.Word {
	w := invitation.Word{ID: l.id, Side: invitation.Caller}
	switch {
	case l.state.Terminal():
		w.Kind, w.Local = invitation.WordDone, l.state
	case l.confirmed != "":
		w.Kind, w.Named = invitation.WordConfirmed, l.confirmed
	}
	return w
}

// Report returns what the device says when it resumes, and when a [invitation.Retell] asks: its word, or that the
// invitation was sent and lives. remaining is the time until its state ends by itself, as it was told last.
func (l *Local) Report(remaining time.Duration) invitation.Word {
	w := l.Word()
	if w.Kind == invitation.NoWord && l.state != invitation.LocalIdle {
		w.Kind, w.Remaining = invitation.WordSent, remaining
	}
	return w
}

// Resumed returns what a repeated send says, for a server that has forgotten the invitation; nil of one that has
// ended. For remaining see [Local.Report].
func (l *Local) Resumed(remaining time.Duration) *invitation.Resumed {
	switch {
	case l.state.Terminal():
		return nil
	case l.state == invitation.LocalIdle:
		return &invitation.Resumed{}
	}
	return &invitation.Resumed{Local: l.state, Remaining: remaining, Confirmed: l.confirmed}
}

// Send is the application's send. AlreadySent and AlreadyEnd are the errors.
func (l *Local) Send() (Output, invitation.CallError) { return l.step(LocalSend, nil, invitation.OK) }

// Cancel is the application's cancel. NotStarted and AlreadyEnd are the errors.
func (l *Local) Cancel() (Output, invitation.CallError) {
	return l.step(LocalCancel, nil, invitation.OK)
}

// Notice takes what the server says of the invitation, be it a notice of its own or the one in the
// answer to the send.
func (l *Local) Notice(n *invitation.Notice) Output {
	in := LocalNoticed
	switch {
	case n.Local.Terminal():
		in = LocalToldEnd
	case n.Confirm != "":
		in = LocalAsked
	}
	out, _ := l.step(in, n, invitation.OK)
	return out
}

// Current reports whether a notice that was taken tells of the state that the invitation is in. One that does not
// was overtaken: the time that it tells is over for this device.
func (l *Local) Current(n *invitation.Notice) bool { return n.Local == l.state }

// Rejected takes the error with which the send or the cancel was answered.
func (l *Local) Rejected(err invitation.CallError) Output {
	out, _ := l.step(LocalRejected, nil, err)
	return out
}

// Forget ends the invitation as OUTCOME_FORGOTTEN, if it has not ended.
func (l *Local) Forget() Output {
	out, _ := l.step(LocalForget, nil, invitation.OK)
	return out
}

// NotLoggedIn ends an invitation in IDLE as NOT_LOGGED_IN: it was sent without a session. In any
// other state it does nothing.
func (l *Local) NotLoggedIn() Output {
	if l.state != invitation.LocalIdle {
		return Output{}
	}
	return l.fail(invitation.LocalNotLoggedIn, invitation.NoReason)
}

func (l *Local) step(in LocalInput, n *invitation.Notice, err invitation.CallError) (Output, invitation.CallError) {
	return localTable[l.state][in].do(l, n, err)
}

type localDo func(l *Local, n *invitation.Notice, err invitation.CallError) (Output, invitation.CallError)

type localRule struct {
	verdict table.Verdict
	to      []invitation.LocalState
	do      localDo
}

var localTable = func() (t [invitation.LocalStates][LocalInputs]localRule) {
	const (
		sent, received = invitation.LocalSentToRemote, invitation.LocalReceivedByRemote
		failure        = invitation.LocalFailure
	)
	ends := []invitation.LocalState{
		invitation.LocalAcceptedByRemote, invitation.LocalRefusedByRemote, invitation.LocalCanceled, failure,
	}
	t[invitation.LocalIdle] = [LocalInputs]localRule{
		LocalSend:     {table.Move, nil, localSend},
		LocalCancel:   {table.Move, nil, localCancelIdle},
		LocalNoticed:  {table.Move, []invitation.LocalState{sent, received}, localNoticed},
		LocalAsked:    {table.Move, []invitation.LocalState{received}, localAsked},
		LocalToldEnd:  {table.Move, ends, localToldEnd},
		LocalRejected: {table.Move, []invitation.LocalState{failure}, localSendRejected},
		LocalForget:   {table.Move, []invitation.LocalState{failure}, localForget},
	}
	t[sent] = [LocalInputs]localRule{
		LocalSend:     {table.Reject, nil, localReject(invitation.AlreadySent)},
		LocalCancel:   {table.Move, nil, localCancel},
		LocalNoticed:  {table.Move, []invitation.LocalState{received}, localNoticed},
		LocalAsked:    {table.Move, []invitation.LocalState{received}, localAsked},
		LocalToldEnd:  {table.Move, ends, localToldEnd},
		LocalRejected: {table.Move, []invitation.LocalState{failure}, localCancelRejected},
		LocalForget:   {table.Move, []invitation.LocalState{failure}, localForget},
	}
	t[received] = t[sent]
	t[received][LocalNoticed] = localRule{table.Ignore, nil, localIgnore}
	t[received][LocalAsked] = localRule{table.Move, nil, localAsked}
	for _, s := range ends {
		t[s] = [LocalInputs]localRule{
			LocalSend:     {table.Reject, nil, localReject(invitation.AlreadyEnd)},
			LocalCancel:   {table.Reject, nil, localReject(invitation.AlreadyEnd)},
			LocalNoticed:  {table.Repeat, nil, localDone},
			LocalAsked:    {table.Repeat, nil, localDone},
			LocalToldEnd:  {table.Repeat, nil, localDone},
			LocalRejected: {table.Ignore, nil, localIgnore},
			LocalForget:   {table.Move, nil, localSettle},
		}
	}
	return t
}()

func localIgnore(*Local, *invitation.Notice, invitation.CallError) (Output, invitation.CallError) {
	return Output{}, invitation.OK
}

func localReject(err invitation.CallError) localDo {
	return func(*Local, *invitation.Notice, invitation.CallError) (Output, invitation.CallError) {
		return Output{}, err
	}
}

func localSend(l *Local, _ *invitation.Notice, _ invitation.CallError) (Output, invitation.CallError) {
	if l.sending {
		return Output{}, invitation.AlreadySent
	}
	l.sending = true
	return Output{Request: invitation.Send}, invitation.OK
}

// localCancelIdle rejects a cancel before the send; one that overtakes the answer to the send is
// kept until that answer tells the id.
func localCancelIdle(l *Local, _ *invitation.Notice, _ invitation.CallError) (Output, invitation.CallError) {
	if !l.sending {
		return Output{}, invitation.NotStarted
	}
	l.canceling = true
	return Output{}, invitation.OK
}

func localCancel(l *Local, _ *invitation.Notice, _ invitation.CallError) (Output, invitation.CallError) {
	if l.confirmed != "" {
		return Output{}, invitation.AlreadyEnd
	}
	l.canceling = true
	return Output{Request: invitation.Cancel}, invitation.OK
}

func localNoticed(l *Local, n *invitation.Notice, _ invitation.CallError) (Output, invitation.CallError) {
	var out Output
	if l.state == invitation.LocalIdle && l.canceling {
		out.Request = invitation.Cancel
	}
	l.id, l.sending = n.ID, false
	if n.Local > l.state {
		l.state = n.Local
		if n.Local == invitation.LocalReceivedByRemote {
			out.Event = ReceivedByPeer
		}
	}
	return out, invitation.OK
}

func localAsked(l *Local, n *invitation.Notice, err invitation.CallError) (Output, invitation.CallError) {
	out, _ := localNoticed(l, n, err)
	if l.canceling {
		return out, invitation.OK
	}
	if l.confirmed == "" {
		l.confirmed, l.answer = n.Confirm, n.Response
	}
	out.Word = l.Word()
	return out, invitation.OK
}

func localToldEnd(l *Local, n *invitation.Notice, _ invitation.CallError) (Output, invitation.CallError) {
	l.id, l.sending = n.ID, false
	if l.confirmed != "" && !n.Verdict {
		return Output{Word: l.Word()}, invitation.OK
	}
	l.state, l.code, l.reason = n.Local, invitation.LocalError(n.Code), n.Reason
	l.response, l.settled = n.Response, n.Settled
	if l.state == invitation.LocalAcceptedByRemote && l.response == "" {
		l.response = l.answer // of an arbiter that was lost; the one that ends it may know that it was accepted only
	}
	return Output{Event: localEvents[l.state], Word: l.Word()}, invitation.OK
}

var localEvents = [invitation.LocalStates]Event{
	invitation.LocalAcceptedByRemote: Accepted,
	invitation.LocalRefusedByRemote:  Refused,
	invitation.LocalCanceled:         Canceled,
	invitation.LocalFailure:          Failed,
}

// localSendRejected takes the error of the send. The invitation is as if it had not been sent, but
// for ALREADY_END: then it was, and its outcome is no longer known.
func localSendRejected(l *Local, _ *invitation.Notice, err invitation.CallError) (Output, invitation.CallError) {
	if err == invitation.AlreadyEnd {
		return l.fail(invitation.LocalExpire, invitation.OutcomeForgotten), invitation.OK
	}
	l.sending, l.canceling = false, false
	return Output{}, invitation.OK
}

// localCancelRejected takes the error of a cancel. ALREADY_END is followed by the ending; of an
// invitation that the server does not know there is nothing to wait for.
func localCancelRejected(l *Local, _ *invitation.Notice, err invitation.CallError) (Output, invitation.CallError) {
	if err == invitation.NotFound {
		return l.fail(invitation.LocalExpire, invitation.OutcomeForgotten), invitation.OK
	}
	return Output{}, invitation.OK
}

func localForget(l *Local, _ *invitation.Notice, _ invitation.CallError) (Output, invitation.CallError) {
	return l.fail(invitation.LocalExpire, invitation.OutcomeForgotten), invitation.OK
}

func localDone(l *Local, n *invitation.Notice, _ invitation.CallError) (Output, invitation.CallError) {
	l.settled = l.settled || n.Settled
	if l.settled {
		return Output{}, invitation.OK
	}
	return Output{Word: l.Word()}, invitation.OK
}

func localSettle(l *Local, _ *invitation.Notice, _ invitation.CallError) (Output, invitation.CallError) {
	l.settled = true
	return Output{}, invitation.OK
}

func (l *Local) fail(code invitation.LocalError, reason invitation.Reason) Output {
	l.state, l.code, l.reason = invitation.LocalFailure, code, reason
	l.sending, l.settled = false, true
	return Output{Event: Failed}
}

// LocalTable returns the verdicts of the table, for the documentation.
func LocalTable() table.Table {
	t := table.New(invitation.LocalStates, LocalInputs,
		func(s int) string { return invitation.LocalState(s).String() },
		func(in int) string { return LocalInput(in).String() })
	for s, row := range localTable {
		for in, rule := range row {
			t.Verdicts[s][in] = rule.verdict
		}
	}
	return t
}

// LocalEdges returns the moves of the table, for the state diagram.
func LocalEdges() []table.Edge {
	var edges []table.Edge
	for from, row := range localTable {
		for in, rule := range row {
			for _, to := range rule.to {
				edges = append(edges, table.Edge{
					From: invitation.LocalState(from).String(), To: to.String(), On: LocalInput(in).String(),
				})
			}
		}
	}
	return edges
}
