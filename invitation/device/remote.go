package device

import (
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/table"
)

// RemoteInput is an input of a [Remote].
type RemoteInput uint8

// The inputs of a Remote: the columns of its table.
const (
	RemoteAccept        RemoteInput = iota // the application accepts
	RemoteRefuse                           // the application refuses
	RemoteOffered                          // a notice says: received
	RemoteToldAccepting                    // a notice says: this device's accept is recorded
	RemoteCommitted                        // a notice says: accepted; the caller's device has confirmed
	RemoteToldEnd                          // a notice says that it ended otherwise
	RemoteRejected                         // the accept or the refuse was answered with an error
	RemoteForget                           // the linger is over, or the server does not know the invitation
)

// RemoteInputs is the number of inputs of a Remote.
const RemoteInputs = 8

// String returns the input's name in the diagram.
func (i RemoteInput) String() string {
	return [...]string{
		"accept", "refuse", "offered", "told accepting", "committed", "told end", "rejected", "forget",
	}[i]
}

// Remote is an invitation on one device of the callee, and the register of that device's word: it
// says "accepted" (on a commit, having asked to accept) or "failed", never both. The zero value is
// an invitation of which nothing is known, in IDLE.
type Remote struct {
	id       invitation.ID
	state    invitation.RemoteState
	code     invitation.RemoteError
	reason   invitation.Reason
	refusing bool // refuse was called
	settled  bool
}

// State returns the state the application sees.
func (r *Remote) State() invitation.RemoteState { return r.state }

// Code returns the code of a FAILURE.
func (r *Remote) Code() invitation.RemoteError { return r.code }

// Reason returns the finer cause of an ending.
func (r *Remote) Reason() invitation.Reason { return r.reason }

// ID returns the invitation's id.
func (r *Remote) ID() invitation.ID { return r.id }

// Settled reports that both sides have concluded: the machine may be dropped.
func (r *Remote) Settled() bool { return r.settled }

// Shown reports whether the application was shown the invitation. A machine that was not shown has
// no application object and may be dropped after its word was said.
func (r *Remote) Shown() bool { return r.state != invitation.RemoteIdle }

// Word returns the last word, to be brought back on a resume.
func (r *Remote) Word() invitation.Word {
	w := invitation.Word{ID: r.id, Side: invitation.Callee}
	switch {
	case r.state.Terminal():
		w.Kind, w.Remote = invitation.WordDone, r.state
	case r.state != invitation.RemoteIdle:
		w.Kind = invitation.WordSeen
	}
	return w
}

// Report returns what the device says when it resumes, and when it is asked by a [invitation.Retell] or a Welcome:
// its word, or that it has asked to accept, with the response. remaining is the time until its state ends by
// itself, as it was told last, response what the application responded.
func (r *Remote) Report(remaining time.Duration, response string) invitation.Word {
	w := r.Word()
	switch {
	case r.state == invitation.RemoteAcceptSentToLocal:
		w.Kind, w.Response, w.Remaining = invitation.WordAccepting, response, remaining
	case w.Kind == invitation.WordSeen:
		w.Remaining = remaining
	}
	return w
}

// Accept is the application's accept. AlreadyAccept and AlreadyEnd are the errors.
func (r *Remote) Accept() (Output, invitation.CallError) {
	return r.step(RemoteAccept, nil, invitation.OK)
}

// Refuse is the application's refuse. AlreadyAccept and AlreadyEnd are the errors.
func (r *Remote) Refuse() (Output, invitation.CallError) {
	return r.step(RemoteRefuse, nil, invitation.OK)
}

// Notice takes what the server says of the invitation.
func (r *Remote) Notice(n *invitation.Notice) Output {
	in := RemoteToldEnd
	switch n.Remote {
	case invitation.RemoteIdle, invitation.RemoteInvitationReceived:
		in = RemoteOffered
	case invitation.RemoteAcceptSentToLocal:
		in = RemoteToldAccepting
	case invitation.RemoteAccepted:
		in = RemoteCommitted
	case invitation.RemoteRefused, invitation.RemoteCanceled, invitation.RemoteFailure:
	}
	r.id = n.ID
	out, _ := r.step(in, n, invitation.OK)
	return out
}

// Current reports whether a notice that was taken tells of the state that the invitation is in. One that does not
// was overtaken: the time that it tells is over for this device.
func (r *Remote) Current(n *invitation.Notice) bool { return n.Remote == r.state }

// Rejected takes the error with which the accept or the refuse was answered.
func (r *Remote) Rejected(err invitation.CallError) Output {
	out, _ := r.step(RemoteRejected, nil, err)
	return out
}

// Forget ends the invitation as OUTCOME_FORGOTTEN, if it was shown and has not ended.
func (r *Remote) Forget() Output {
	out, _ := r.step(RemoteForget, nil, invitation.OK)
	return out
}

func (r *Remote) step(in RemoteInput, n *invitation.Notice, err invitation.CallError) (Output, invitation.CallError) {
	return remoteTable[r.state][in].do(r, n, err)
}

type remoteDo func(r *Remote, n *invitation.Notice, err invitation.CallError) (Output, invitation.CallError)

type remoteRule struct {
	verdict table.Verdict
	to      []invitation.RemoteState
	do      remoteDo
}

var remoteTable = func() (t [invitation.RemoteStates][RemoteInputs]remoteRule) {
	const (
		idle, received = invitation.RemoteIdle, invitation.RemoteInvitationReceived
		accepting      = invitation.RemoteAcceptSentToLocal
		accepted       = invitation.RemoteAccepted
		refused        = invitation.RemoteRefused
		canceled       = invitation.RemoteCanceled
		failure        = invitation.RemoteFailure
	)
	type states = []invitation.RemoteState
	t[idle] = [RemoteInputs]remoteRule{
		RemoteAccept:        {table.Reject, nil, remoteReject(invitation.NotFound)},
		RemoteRefuse:        {table.Reject, nil, remoteReject(invitation.NotFound)},
		RemoteOffered:       {table.Move, states{received}, remoteOffered},
		RemoteToldAccepting: {table.Repeat, nil, remoteNeverShown},
		RemoteCommitted:     {table.Repeat, nil, remoteNeverShown},
		RemoteToldEnd:       {table.Repeat, nil, remoteNeverShown},
		RemoteRejected:      {table.Ignore, nil, remoteIgnore},
		RemoteForget:        {table.Ignore, nil, remoteIgnore},
	}
	t[received] = [RemoteInputs]remoteRule{
		RemoteAccept:        {table.Move, states{accepting}, remoteAccept},
		RemoteRefuse:        {table.Move, nil, remoteRefuse},
		RemoteOffered:       {table.Repeat, nil, remoteWord},
		RemoteToldAccepting: {table.Ignore, nil, remoteIgnore},
		RemoteCommitted:     {table.Repeat, nil, remoteWord}, // not asked for: the word stays "seen"
		RemoteToldEnd:       {table.Move, states{refused, canceled, failure}, remoteEnd},
		RemoteRejected:      {table.Move, states{failure}, remoteRejected},
		RemoteForget:        {table.Move, states{failure}, remoteForget},
	}
	t[accepting] = [RemoteInputs]remoteRule{
		RemoteAccept:        {table.Reject, nil, remoteReject(invitation.AlreadyAccept)},
		RemoteRefuse:        {table.Reject, nil, remoteReject(invitation.AlreadyAccept)},
		RemoteOffered:       {table.Repeat, nil, remoteWord},
		RemoteToldAccepting: {table.Ignore, nil, remoteIgnore},
		RemoteCommitted:     {table.Move, states{accepted}, remoteEnd},
		RemoteToldEnd:       {table.Move, states{canceled, failure}, remoteEnd},
		RemoteRejected:      {table.Move, states{failure}, remoteRejected},
		RemoteForget:        {table.Move, states{failure}, remoteForget},
	}
	for _, s := range []invitation.RemoteState{refused, accepted, canceled, failure} {
		t[s] = [RemoteInputs]remoteRule{
			RemoteAccept:        {table.Reject, nil, remoteReject(invitation.AlreadyEnd)},
			RemoteRefuse:        {table.Reject, nil, remoteReject(invitation.AlreadyEnd)},
			RemoteOffered:       {table.Repeat, nil, remoteDone},
			RemoteToldAccepting: {table.Repeat, nil, remoteDone},
			RemoteCommitted:     {table.Repeat, nil, remoteDone},
			RemoteToldEnd:       {table.Repeat, nil, remoteDone},
			RemoteRejected:      {table.Ignore, nil, remoteIgnore},
			RemoteForget:        {table.Move, nil, remoteSettle},
		}
	}
	return t
}()

func remoteIgnore(*Remote, *invitation.Notice, invitation.CallError) (Output, invitation.CallError) {
	return Output{}, invitation.OK
}

func remoteReject(err invitation.CallError) remoteDo {
	return func(*Remote, *invitation.Notice, invitation.CallError) (Output, invitation.CallError) {
		return Output{}, err
	}
}

func remoteWord(r *Remote, _ *invitation.Notice, _ invitation.CallError) (Output, invitation.CallError) {
	return Output{Word: r.Word()}, invitation.OK
}

func remoteOffered(r *Remote, _ *invitation.Notice, _ invitation.CallError) (Output, invitation.CallError) {
	r.state = invitation.RemoteInvitationReceived
	return Output{Event: Received, Word: r.Word()}, invitation.OK
}

// remoteNeverShown answers for an invitation that this process was never shown: one that ended
// before, or one that an earlier process with the same device id accepted. That one's word is lost,
// so this device can only say that it failed.
func remoteNeverShown(r *Remote, n *invitation.Notice, _ invitation.CallError) (Output, invitation.CallError) {
	r.settled = n.Settled
	if r.settled {
		return Output{}, invitation.OK
	}
	said := n.Remote
	if said == invitation.RemoteAcceptSentToLocal || said == invitation.RemoteAccepted {
		said = invitation.RemoteFailure
	}
	return Output{Word: invitation.Word{
		ID: n.ID, Side: invitation.Callee, Kind: invitation.WordDone, Remote: said,
	}}, invitation.OK
}

func remoteAccept(r *Remote, _ *invitation.Notice, _ invitation.CallError) (Output, invitation.CallError) {
	if r.refusing {
		return Output{}, invitation.AlreadyEnd
	}
	r.state = invitation.RemoteAcceptSentToLocal
	return Output{Request: invitation.Accept}, invitation.OK
}

// remoteRefuse asks to refuse. The state moves when the server says that the refuse won.
func remoteRefuse(r *Remote, _ *invitation.Notice, _ invitation.CallError) (Output, invitation.CallError) {
	if r.refusing {
		return Output{}, invitation.AlreadyEnd
	}
	r.refusing = true
	return Output{Request: invitation.Refuse}, invitation.OK
}

func remoteEnd(r *Remote, n *invitation.Notice, _ invitation.CallError) (Output, invitation.CallError) {
	r.state, r.code, r.reason = n.Remote, invitation.RemoteError(n.Code), n.Reason
	r.settled = n.Settled
	return Output{Event: remoteEvents[r.state], Word: r.Word()}, invitation.OK
}

var remoteEvents = [invitation.RemoteStates]Event{
	invitation.RemoteRefused:  Refused,
	invitation.RemoteAccepted: Accepted,
	invitation.RemoteCanceled: Canceled,
	invitation.RemoteFailure:  Failed,
}

// remoteRejected takes the error of the accept or the refuse. ALREADY_END is followed by the
// ending; of an invitation that the server does not know there is nothing to wait for.
func remoteRejected(r *Remote, _ *invitation.Notice, err invitation.CallError) (Output, invitation.CallError) {
	if err == invitation.NotFound {
		return r.fail(), invitation.OK
	}
	return Output{}, invitation.OK
}

func remoteForget(r *Remote, _ *invitation.Notice, _ invitation.CallError) (Output, invitation.CallError) {
	return r.fail(), invitation.OK
}

func remoteDone(r *Remote, n *invitation.Notice, _ invitation.CallError) (Output, invitation.CallError) {
	r.settled = r.settled || n.Settled
	if r.settled {
		return Output{}, invitation.OK
	}
	return Output{Word: r.Word()}, invitation.OK
}

func remoteSettle(r *Remote, _ *invitation.Notice, _ invitation.CallError) (Output, invitation.CallError) {
	r.settled = true
	return Output{}, invitation.OK
}

func (r *Remote) fail() Output {
	r.state, r.code, r.reason = invitation.RemoteFailure, invitation.RemoteExpire, invitation.OutcomeForgotten
	r.settled = true
	return Output{Event: Failed}
}

// RemoteTable returns the verdicts of the table, for the documentation.
func RemoteTable() table.Table {
	t := table.New(invitation.RemoteStates, RemoteInputs,
		func(s int) string { return invitation.RemoteState(s).String() },
		func(in int) string { return RemoteInput(in).String() })
	for s, row := range remoteTable {
		for in, rule := range row {
			t.Verdicts[s][in] = rule.verdict
		}
	}
	return t
}

// RemoteEdges returns the moves of the table, for the state diagram.
func RemoteEdges() []table.Edge {
	var edges []table.Edge
	for from, row := range remoteTable {
		for in, rule := range row {
			for _, to := range rule.to {
				edges = append(edges, table.Edge{
					From: invitation.RemoteState(from).String(), To: to.String(), On: RemoteInput(in).String(),
				})
			}
		}
	}
	return edges
}
