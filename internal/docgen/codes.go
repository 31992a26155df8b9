package main

import (
	"bytes"
	"fmt"

	"github.com/ringfleet/ringfleet/invitation"
)

// meanings says of each reason what it tells the application.
var meanings = [invitation.Reasons]string{
	invitation.NoReason:           "accepted and refused need no further cause",
	invitation.CallerCanceled:     "the caller withdrew",
	invitation.CallerLoggedOut:    "the caller's sending device logged out, or logged in anew",
	invitation.CallerGone:         "the caller's sending device was lost and not back inside the grace, or gave up",
	invitation.CalleeOffline:      "no device of the callee was connected when the no-response time was over",
	invitation.NoResponse:         "the callee was online but no device acknowledged inside the no-response time",
	invitation.Expired:            "nobody canceled, accepted or refused inside the expire time",
	invitation.CallerOffline:      "accepted while the caller was away, and it was not back inside the accept window",
	invitation.AcceptNotConfirmed: "accepted, but the caller's device did not confirm inside the accept window",
	invitation.CalleeLost:         "confirmed, but the callee's device stayed away longer than the grace",
	invitation.AnsweredElsewhere:  "another device of the callee accepted",
	invitation.RejectedElsewhere:  "another device of the callee refused",
	invitation.OutcomeForgotten:   "the server no longer knows how it ended",
}

const intro = `<!-- Generated from package invitation by internal/docgen. Do not edit: run "go generate ./internal/docgen". -->

# Codes

All numbers of the protocol. They never change; new ones may be added, and a client treats one that it does not
know by its range or kind. What each state and code means for the application is in [spec.md](spec.md), how they
travel in [protocol.md](protocol.md).
`

// codesPage returns the page, from the sources of package invitation in folder.
func codesPage(folder string) ([]byte, error) {
	named, err := constants(folder)
	if err != nil {
		return nil, err
	}
	p := &page{named: named}
	p.WriteString(intro)
	p.callErrors()
	p.ends()
	p.states()
	p.failures()
	p.reasons()
	return p.Bytes(), p.err
}

// page is the page as far as it is written.
type page struct {
	bytes.Buffer

	named map[string]map[int]constant
	err   error // the first constant that was not found
}

func (p *page) printf(format string, args ...any) { fmt.Fprintf(&p.Buffer, format, args...) }

// constant returns a constant of the sources.
func (p *page) constant(kind string, number int) constant {
	c, ok := p.named[kind][number]
	if !ok && p.err == nil {
		p.err = fmt.Errorf("no constant of type %s with number %d", kind, number)
	}
	return c
}

func (p *page) callErrors() {
	p.printf(`
## Answers to requests

InvitationApiCallError, in Answer.error. A request that was answered with an error changed nothing. "Again" says
whether the same request, repeated with the same request id, may succeed later. The Go SDK returns the constant as
an error, to be tested with errors.Is.

| n | name | when | what the client does | again | HTTP | gRPC | Go |
|---|---|---|---|---|---|---|---|
`)
	for _, c := range invitation.Codes {
		name := p.constant("CallError", int(c.Error)).name
		p.printf("| %d | %s | %s | %s | %s | %d | %s | `invitation.%s` |\n",
			c.Error, c.Name, c.When, c.Do, yesNo(c.Retryable), c.HTTP, c.GRPC, name)
	}
}

func (p *page) ends() {
	p.printf(`
## Ends of a connection

In Ending.code, and the WebSocket close code of the close frame that follows. 4000 to 4499: reconnect, with
back-off, and resume. 4500 to 4999: do not reconnect by itself. The one exception is REPLACED.

| n | name | when | what the client does | reconnects | Go |
|---|---|---|---|---|---|
`)
	for _, c := range invitation.Ends {
		name := p.constant("End", int(c.End)).name
		p.printf("| %d | %s | %s | %s | %s | `invitation.%s` |\n",
			c.End, c.Name, c.When, c.Do, yesNo(c.End.Reconnect()), name)
	}
}

func (p *page) states() {
	p.printf(`
## States

∎ ends the lifecycle. 3 and 4 are swapped between the sides.

| n | LocalInvitationState | Go | RemoteInvitationState | Go |
|---|---|---|---|---|
`)
	for n := range invitation.LocalStates {
		local, remote := invitation.LocalState(n), invitation.RemoteState(n)
		p.printf("| %d | %s%s | `invitation.%s` | %s%s | `invitation.%s` |\n", n,
			local, terminal(local.Terminal()), p.constant("LocalState", n).name,
			remote, terminal(remote.Terminal()), p.constant("RemoteState", n).name)
	}
}

func (p *page) failures() {
	p.printf(`
## Codes of a failure

LocalInvitationError, in LocalView.code, with FAILURE:

| n | name | when | Go |
|---|---|---|---|
`)
	for n := range invitation.LocalErrors {
		p.failure("LocalError", n, invitation.LocalError(n).String())
	}
	p.printf(`
RemoteInvitationError, in RemoteView.code, with FAILURE:

| n | name | when | Go |
|---|---|---|---|
`)
	for n := range invitation.RemoteErrors {
		p.failure("RemoteError", n, invitation.RemoteError(n).String())
	}
}

func (p *page) failure(kind string, n int, name string) {
	c := p.constant(kind, n)
	when := c.comment
	if n == 0 {
		when = "no failure"
	}
	p.printf("| %d | %s | %s | `invitation.%s` |\n", n, name, when, c.name)
}

func (p *page) reasons() {
	p.printf(`
## Reasons

In LocalView.reason and RemoteView.reason, with CANCELED and FAILURE: the finer cause, which never replaces state
and code.

| n | name | what happened | Go |
|---|---|---|---|
`)
	for n, meaning := range meanings {
		name := invitation.Reason(n).String()
		if name == "" {
			name = "–"
		}
		p.printf("| %d | %s | %s | `invitation.%s` |\n", n, name, meaning, p.constant("Reason", n).name)
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func terminal(b bool) string {
	if b {
		return " ∎"
	}
	return ""
}
