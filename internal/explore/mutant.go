package explore

import (
	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/internal/phone"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// A Mutant is a deliberately wrong machine: the real one with something put before, behind or in
// place of its Step. Exploration has to find the promise that it breaks.
type Mutant struct {
	Name   string
	Breaks judge.Promise
	Why    string // what is wrong with it

	Unfenced bool // what a paused arbiter says reaches the caller

	Arbiter func(m *arbiter.Machine, msg *invitation.Message, step func(*invitation.Message) []arbiter.Effect) []arbiter.Effect
	Session func(m *session.Machine, in *session.Input, step func(*session.Input) []session.Effect) []session.Effect
	Phone   func(p *phone.Phone, d *invitation.Down, take func(*invitation.Down) phone.Output) phone.Output
	Cancel  func(p *phone.Phone, l *phone.Line) (phone.Output, invitation.CallError)
	Answer  func(p *phone.Phone, l *phone.Line, r invitation.Request) (phone.Output, invitation.CallError)
}
