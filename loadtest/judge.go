package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
)

// moment is one thing that a client did or was told about a call.
type moment struct {
	at   time.Time
	side invitation.Side
	text string
}

// history is all that both sides' clients saw of one call, and what is broken so far.
type history struct {
	scenario *scenario
	timers   invitation.Timers // those that hold for the call
	content  string
	moments  []moment
	caller   judge.Part
	callee   judge.Part
	broken   []string

	sent     time.Time // when the caller's client said the send
	taken    time.Time // when that was answered
	shown    time.Time // when the callee's device was shown it
	rung     time.Time // when the caller was told so
	accepted time.Time // when the callee accepted
	recorded time.Time // when that was answered
	settled  time.Time // when a refuse or a cancel was answered, which has won then
	ended    [3]time.Time
	slowest  time.Duration // of what is timed of its set-up
	survival survival

	failed  string // why it is a failed call; "": it is none
	excused string // what excuses an outcome that the scenario rules out; "": it has no such outcome
	allowed string // what a fault of the nodes allows; "": nothing of it was needed
	kept    string // what the client kept from its application; "": nothing
}

// slack is how late an event may be told (docs/spec.md §7, P2).
const slack = time.Second

func (h *history) breaks(promise judge.Promise, format string, args ...any) {
	h.broken = append(h.broken, string(promise)+": "+fmt.Sprintf(format, args...))
}

// begin notes that the send was said.
func (h *history) begin(at time.Time) {
	h.sent = at
	h.caller.Sent()
}

// machineEvents are the events of invitations, as the protocol's machines name them.
var machineEvents = map[client.EventKind]device.Event{
	client.LocalInvitationReceivedByPeer: device.ReceivedByPeer,
	client.LocalInvitationAccepted:       device.Accepted,
	client.LocalInvitationRefused:        device.Refused,
	client.LocalInvitationCanceled:       device.Canceled,
	client.LocalInvitationFailure:        device.Failed,
	client.RemoteInvitationReceived:      device.Received,
	client.RemoteInvitationAccepted:      device.Accepted,
	client.RemoteInvitationRefused:       device.Refused,
	client.RemoteInvitationCanceled:      device.Canceled,
	client.RemoteInvitationFailure:       device.Failed,
}

// take notes an observation of one side's client, and judges it (P3, P4, and the tables of codes).
func (h *history) take(side invitation.Side, o client.Observation) {
	h.moments = append(h.moments, moment{at: o.At, side: side, text: describe(o)})
	h.surviving(side, o)
	switch o.Step {
	case client.StepViolation:
		h.violated(o.Violation)
	case client.StepRequested:
		if o.Request == invitation.Accept {
			h.accepted = o.At
		}
	case client.StepAnswered:
		switch {
		case o.Err != nil:
		case o.Request == invitation.Send:
			h.taken = o.At
		case o.Request == invitation.Accept:
			h.recorded = o.At
		case (o.Request == invitation.Refuse || o.Request == invitation.Cancel) && h.settled.IsZero():
			h.settled = o.At
		}
	case client.StepEvent:
		if e := machineEvents[o.Event]; e != device.NoEvent {
			h.event(side, e, o)
		}
	case client.StepRepeated, client.StepNoticed, client.StepWord, client.StepIgnored:
	}
}

func (h *history) event(side invitation.Side, e device.Event, o client.Observation) {
	ev, part := judge.Event{Side: side, Event: e, Reason: o.Reason}, &h.caller
	if side == invitation.Caller {
		ev.State, ev.Code = uint8(o.LocalState), uint8(o.LocalCode)
	} else {
		ev.State, ev.Code, part = uint8(o.RemoteState), uint8(o.RemoteCode), &h.callee
	}
	if v := part.Take(ev); v != nil {
		h.broken = append(h.broken, v.Error())
		return
	}
	switch {
	case e == device.Received:
		h.shown = o.At
	case e == device.ReceivedByPeer:
		h.rung = o.At
	case e.Terminal():
		h.ended[side] = o.At
		h.judgeTime(side, part.Reason, o.At)
	}
}

// judgeTime checks P2 where a timer decided: never early. How late is for finish to say.
func (h *history) judgeTime(side invitation.Side, reason invitation.Reason, at time.Time) {
	if from, _, limit := h.timer(reason); !from.IsZero() && at.Before(from.Add(limit)) {
		h.breaks(judge.P2, "the %v's end by %v came %v early", side, reason, limit-at.Sub(from))
	}
}

// timer returns which timer an ending by reason is due to, and between when and when it was started: it
// starts when the node records what a client said, which is after the client said it and before the
// client knows. from is the zero time for an ending that is no timer's.
func (h *history) timer(reason invitation.Reason) (from, until time.Time, limit time.Duration) {
	switch reason {
	case invitation.CalleeOffline, invitation.NoResponse:
		return h.sent, later(h.sent, h.taken), h.timers.NoResponse
	case invitation.Expired:
		return h.shown, later(h.shown, h.rung), h.timers.Expire
	case invitation.CallerOffline, invitation.AcceptNotConfirmed:
		return h.accepted, later(h.accepted, h.recorded), h.timers.AcceptWindow
	default:
		return time.Time{}, time.Time{}, 0
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// due returns by when the call must have ended, as far as it has come. Until a client knows that the
// node has recorded its word, the deadline before that may hold as well.
func (h *history) due() time.Time {
	due := later(h.sent, h.taken).Add(h.timers.NoResponse)
	if !h.shown.IsZero() {
		expire := later(h.shown, h.rung).Add(h.timers.Expire)
		if due = later(due, expire); !h.rung.IsZero() {
			due = expire
		}
	}
	if !h.accepted.IsZero() {
		window := later(h.accepted, h.recorded).Add(h.timers.AcceptWindow + h.timers.Grace)
		if due = later(due, window); !h.recorded.IsZero() {
			due = window
		}
	}
	return due.Add(slack)
}

// over reports whether every side that takes part has its terminal event.
func (h *history) over() bool { return h.caller.Ended() && !h.callee.Open() }

// finish judges a call that is over, or overdue, under the circumstances that it met.
func (h *history) finish(now time.Time, met circumstances) invitation.Outcome {
	h.judgeEnd(invitation.Caller, &h.caller, now, met)
	h.judgeEnd(invitation.Callee, &h.callee, now, met)
	h.judgeSurvival(met)
	h.judgeKept(met)
	excuse := judge.Excuse{
		VerdictLate: met.callee.longest > 0 && atLeast(met.callee.longest, h.timers.Grace), Apart: met.separated(h.decided(now)),
	}
	if v := judge.Agree(&h.caller, []*judge.Part{&h.callee}, excuse); v != nil {
		h.broken = append(h.broken, v.Error())
		h.failed = "the sides disagree"
	} else if excuse.Apart && h.caller.Ended() && h.callee.Ended() && h.caller.End != h.callee.End {
		h.allowed = "it ended in two kinds, as a fault separated the sides"
	}
	if h.callee.Engaged && h.scenario.callee == absent {
		h.breaks(judge.P4, "a user who is not there was shown it")
	}
	outcome := outcomeOf(&h.caller)
	if h.caller.Ended() && !slices.Contains(h.scenario.outcomes, outcome) {
		h.excused = h.excuse(h.caller.Reason, met)
		switch {
		case h.excused != "":
		case h.ranOut(h.caller.Reason, met), h.rangOut(met):
			h.allowed = "its time was over before a fault was taken over"
		default:
			h.breaks(judge.P5, "it ended as %v %v, which the scenario %q rules out", outcome, h.caller.Reason, h.scenario.about)
			h.failed = fmt.Sprintf("ended as %v %v", outcome, h.caller.Reason)
		}
	}
	return outcome
}

// decided returns between what times the endings were decided, as far as the clients can tell.
func (h *history) decided(now time.Time) (from, until time.Time) {
	from, until = now, h.sent
	for _, at := range h.ended {
		if at.IsZero() {
			continue
		}
		until = later(until, at)
		if at.Before(from) {
			from = at
		}
	}
	return from.Add(-slack), until
}

// judgeEnd judges when a side ended, and that its end was not forgotten.
func (h *history) judgeEnd(side invitation.Side, part *judge.Part, now time.Time, met circumstances) {
	from, until, limit := h.timer(part.Reason)
	switch {
	case part.Open():
		h.breaks(judge.P2, "the %v has no terminal event, %v after it was due", side, now.Sub(h.due()))
		h.failed = fmt.Sprintf("the %v has no end", side)
	case part.Ended() && !from.IsZero() && h.ended[side].After(met.allow(until.Add(limit+slack))):
		h.breaks(judge.P2, "the %v's end by %v came %v late", side, part.Reason, h.ended[side].Sub(until)-limit)
	case side == invitation.Callee && part.Reason == invitation.OutcomeForgotten && h.excuse(part.Reason, met) == "":
		h.breaks(judge.P1, "the outcome was forgotten before the callee was told")
		h.failed = "forgotten on the callee's side"
	}
}

// outcomeOf returns the outcome that the caller was told of.
func outcomeOf(p *judge.Part) invitation.Outcome {
	switch p.End {
	case device.NoEvent, device.Received, device.ReceivedByPeer:
		return invitation.NoOutcome
	case device.Accepted:
		return invitation.Accepted
	case device.Refused:
		return invitation.Refused
	case device.Canceled:
		return invitation.Canceled
	case device.Failed:
	}
	switch p.Reason {
	case invitation.CalleeOffline, invitation.NoResponse:
		return invitation.Undelivered
	case invitation.Expired:
		return invitation.Unanswered
	case invitation.CallerOffline, invitation.AcceptNotConfirmed:
		return invitation.Unconfirmed
	case invitation.CalleeLost:
		return invitation.Lost
	default:
		return invitation.Forgotten
	}
}

// describe tells an observation in a line.
func describe(o client.Observation) string {
	state := o.LocalState.String()
	if o.Side == invitation.Callee {
		state = o.RemoteState.String()
	}
	switch o.Step {
	case client.StepRequested, client.StepRepeated:
		return fmt.Sprintf("%v: %v [%s]", o.Step, o.Request, state)
	case client.StepAnswered:
		return fmt.Sprintf("answered: %v, %v [%s]", o.Request, o.Err, state)
	case client.StepWord:
		return fmt.Sprintf("word: %v %s [%s]", o.Word.Kind, o.Word.Named, state)
	case client.StepEvent:
		return fmt.Sprintf("event: %v %v [%s]", o.Event, o.Reason, state)
	case client.StepViolation:
		return fmt.Sprintf("violation: %v [%s]", o.Violation, state)
	case client.StepNoticed:
		if n := o.Notice; n != nil && n.Side == invitation.Callee {
			return fmt.Sprintf("told: %v %v settled=%v [%s]", n.Remote, n.Reason, n.Settled, state)
		} else if n != nil {
			return fmt.Sprintf("told: %v %v confirm=%q settled=%v [%s]", n.Local, n.Reason, n.Confirm, n.Settled, state)
		}
	case client.StepIgnored:
	}
	return o.Step.String()
}

// span returns the times of the first and the last moment.
func (h *history) span() (from, to time.Time) {
	from, to = h.sent, h.sent
	for _, m := range h.moments {
		if m.at.Before(from) {
			from = m.at
		}
		to = later(to, m.at)
	}
	return from, to
}

// String tells the whole history, a line a moment, in the order of time.
func (h *history) String() string {
	slices.SortStableFunc(h.moments, func(a, b moment) int { return a.at.Compare(b.at) })
	var b strings.Builder
	for _, m := range h.moments {
		fmt.Fprintf(&b, "  %10.3f ms  %-6v  %s\n", float64(m.at.Sub(h.sent).Microseconds())/1000, m.side, m.text)
	}
	return b.String()
}
