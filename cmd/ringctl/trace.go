package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
)

// trace prints what the clients of one terminal do, a line each, in the order of happening.
type trace struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
	last  map[any]string // by invitation, the state printed last
}

func newTrace(out io.Writer) *trace {
	return &trace{out: out, start: time.Now(), last: map[any]string{}}
}

// restart makes the next line's time 0.
func (t *trace) restart() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.start = time.Now()
}

// note prints a line that is no client's.
func (t *trace) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, format+"\n", args...)
}

// observer returns the observer of a user's client.
func (t *trace) observer(user invitation.User) func(client.Observation) {
	return func(o client.Observation) {
		t.mu.Lock()
		defer t.mu.Unlock()
		text := t.describe(after(o))
		if text == "" {
			return
		}
		fmt.Fprintf(t.out, "%8.1f ms  %-8s %s\n", float64(o.At.Sub(t.start).Microseconds())/1000, user, text)
	}
}

// after returns o with the state that the answer to a send leads to; the client tells the one before.
func after(o client.Observation) client.Observation {
	if o.Step == client.StepAnswered && o.Request == invitation.Send && o.Err == nil && o.LocalState == invitation.LocalIdle {
		o.LocalState = invitation.LocalSentToRemote
		if o.Notice != nil {
			o.LocalState, o.LocalCode, o.Reason = o.Notice.Local, invitation.LocalError(o.Notice.Code), o.Notice.Reason
		}
	}
	return o
}

// describe returns the line for an observation, "" for one that a person need not see.
func (t *trace) describe(o client.Observation) string {
	state := t.state(o)
	switch o.Step {
	case client.StepRequested:
		return fmt.Sprintf("→ %v%s", o.Request, state)
	case client.StepRepeated:
		return fmt.Sprintf("→ %v, again", o.Request)
	case client.StepAnswered:
		if o.Err != nil {
			return fmt.Sprintf("← answer: %v%s", o.Err, state)
		}
		return fmt.Sprintf("← answer: %v taken%s", o.Request, state)
	case client.StepWord:
		switch o.Word.Kind {
		case invitation.WordSeen:
			return "→ word: seen" + state
		case invitation.WordConfirmed:
			return fmt.Sprintf("→ word: confirmed, the accept of device %s", o.Word.Named)
		case invitation.WordDone:
			return "→ word: done" + state
		case invitation.WordSent, invitation.WordAccepting:
			return fmt.Sprintf("→ word: %v, to a node that has forgotten", o.Word.Kind)
		case invitation.NoWord:
		}
	case client.StepEvent:
		text := "★ " + o.Event.String()
		if o.Err != nil {
			text += fmt.Sprintf(" (%v)", o.Err)
		}
		return text + state
	case client.StepViolation:
		return fmt.Sprintf("!! the node broke the contract: %v", o.Violation)
	case client.StepIgnored:
		return "  (an offer was not taken)"
	case client.StepNoticed:
	}
	return ""
}

// state returns the state of the invitation, when it is not the one printed last.
func (t *trace) state(o client.Observation) string {
	var call any
	var text string
	switch {
	case o.Local != nil:
		call, text = o.Local, o.LocalState.String()
		if o.LocalState == invitation.LocalFailure {
			text += " " + o.LocalCode.String()
		}
	case o.Remote != nil:
		call, text = o.Remote, o.RemoteState.String()
		if o.RemoteState == invitation.RemoteFailure {
			text += " " + o.RemoteCode.String()
		}
	default:
		return ""
	}
	if o.Reason != invitation.NoReason {
		text += " " + o.Reason.String()
	}
	if t.last[call] == text {
		return ""
	}
	t.last[call] = text
	return "   [" + text + "]"
}
