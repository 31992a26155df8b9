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
	last  map[traced]string
}

// traced is an invitation on one side, whose last state is known.
type traced struct {
	user invitation.User
	id   invitation.ID
}

func newTrace(out io.Writer) *trace {
	return &trace{out: out, start: time.Now(), last: map[traced]string{}}
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
		text := t.describe(user, o)
		if text == "" {
			return
		}
		fmt.Fprintf(t.out, "%8.1f ms  %-8s %s\n", float64(o.At.Sub(t.start).Microseconds())/1000, user, text)
	}
}

// describe returns the line for an observation, "" for one that a person need not see.
func (t *trace) describe(user invitation.User, o client.Observation) string {
	state := t.state(user, o)
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
func (t *trace) state(user invitation.User, o client.Observation) string {
	var text string
	switch {
	case o.Local != nil:
		text = o.LocalState.String()
		if o.LocalState == invitation.LocalFailure {
			text += " " + o.LocalCode.String()
		}
	case o.Remote != nil:
		text = o.RemoteState.String()
		if o.RemoteState == invitation.RemoteFailure {
			text += " " + o.RemoteCode.String()
		}
	default:
		return ""
	}
	if o.Reason != invitation.NoReason {
		text += " " + o.Reason.String()
	}
	key := traced{user, o.ID}
	if t.last[key] == text {
		return ""
	}
	t.last[key] = text
	return "   [" + text + "]"
}
