// Package phone is a client without sockets, clocks or goroutines: one device with its invitations,
// as package client runs it, for the explorer and the simulator. It runs the same machines
// (invitation/device) and does what a host of theirs has to do: it makes calls, repeats those that
// are unanswered, says words, brings them back when it reconnects, and remembers the words of
// settled invitations.
//
// A [Phone] is plain data. Not safe for concurrent use.
package phone

import (
	"slices"

	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
)

// Remembered is how many settled invitations a phone remembers.
const Remembered = 32

// Phone is one device.
type Phone struct {
	User   invitation.User
	Device invitation.Device
	Conn   uint64          // the connection it has now; 0: none
	Over   bool            // its login is over: it does not come back by itself
	Stamp  uint64          // of its login; 0: it never logged in
	Now    invitation.Time // of what is to happen next; without it, times are not kept

	requests uint64
	calls    []pending
	lines    []*Line
	past     []invitation.Word
}

// New returns a phone that has never been logged in. It numbers its requests from the one after requests.
func New(user invitation.User, name invitation.Device, requests uint64) *Phone {
	return &Phone{User: user, Device: name, requests: requests}
}

// pending is a call that is unanswered.
type pending struct {
	call invitation.Call
	key  string // send: the key of its line
}

// Line is one invitation on a phone: Local or Remote is set.
type Line struct {
	ID     invitation.ID   // zero until the send is answered
	Key    string          // the caller's send key
	Send   invitation.Call // the caller's send
	Until  invitation.Time // when its state ends by itself, as told last; 0: not told
	Reply  string          // what the callee's application responded
	Local  *device.Local
	Remote *device.Remote
}

// Event is what the application is told.
type Event struct {
	ID  invitation.ID
	Key string // on the caller's side
	judge.Event
}

// Result is how a call was answered.
type Result struct {
	ID      invitation.ID
	Key     string // of a send
	Request invitation.Request
	Error   invitation.CallError
}

// Output is what a phone does when something happens to it.
type Output struct {
	Ups     []invitation.Up // to say, in order, if it is connected
	Events  []Event
	Results []Result
	Ending  *invitation.Ending // the server ended the connection: the host drops it
}

// Lines returns the invitations that the phone keeps. The caller must not change them.
func (p *Phone) Lines() []*Line { return p.lines }

// Unanswered returns how many calls are.
func (p *Phone) Unanswered() int { return len(p.calls) }

// Awaits reports whether a call about an invitation is unanswered.
func (p *Phone) Awaits(request invitation.Request, id invitation.ID) bool {
	return slices.ContainsFunc(p.calls, func(c pending) bool { return c.call.Request == request && c.call.ID == id })
}

// Line returns the invitation with an id, or with a send key while it has none; nil if there is
// none.
func (p *Phone) Line(id invitation.ID, side invitation.Side) *Line {
	for _, l := range p.lines {
		if l.ID == id && (l.Local != nil) == (side == invitation.Caller) {
			return l
		}
	}
	return nil
}

// Keyed returns the outgoing invitation with a send key, nil if there is none.
func (p *Phone) Keyed(key string) *Line {
	for _, l := range p.lines {
		if l.Local != nil && l.Key == key {
			return l
		}
	}
	return nil
}

// Login connects and returns what to say first. The calls that are unanswered follow it: see
// Repeat.
func (p *Phone) Login(conn uint64) *invitation.Login {
	p.Conn = conn
	login := &invitation.Login{User: p.User, Device: p.Device, Resume: p.Stamp != 0, Stamp: p.Stamp}
	for _, l := range p.lines {
		if w := l.report(p.Now); w.Kind != invitation.NoWord && !w.ID.IsZero() {
			login.Words = append(login.Words, w)
		}
	}
	return login
}

// Lose loses the connection.
func (p *Phone) Lose() { p.Conn = 0 }

// Repeat returns the calls that are unanswered, to be said again. The send of what has ended is not: it would begin anew.
func (p *Phone) Repeat() []invitation.Up {
	p.calls = slices.DeleteFunc(slices.Clone(p.calls), func(c pending) bool {
		l := p.Keyed(c.key)
		return c.call.Request == invitation.Send && l != nil && l.Local.State().Terminal()
	})
	ups := make([]invitation.Up, len(p.calls))
	for i := range p.calls {
		c := p.again(&p.calls[i])
		ups[i].Call = &c
	}
	return ups
}

// GiveUp forgets everything: the phone was away for longer than the linger.
func (p *Phone) GiveUp() Output {
	var out Output
	p.calls = nil
	for _, l := range slices.Clone(p.lines) {
		if l.Local != nil {
			p.act(l, l.Local.Forget(), &out)
		} else {
			p.act(l, l.Remote.Forget(), &out)
		}
	}
	return out
}

// Logout ends the login.
func (p *Phone) Logout() Output {
	p.Over = true
	return Output{Ups: []invitation.Up{{Logout: true}}}
}

// Send sends an invitation; the call needs Key and Callee.
func (p *Phone) Send(call invitation.Call) (Output, invitation.CallError) {
	l := &Line{Key: call.Key, Local: new(device.Local)}
	p.lines = append(p.lines, l)
	out, err := l.Local.Send()
	var o Output
	call.Request = out.Request
	l.Send = call
	p.call(l, call, &o)
	return o, err
}

// Cancel cancels an outgoing invitation.
func (p *Phone) Cancel(l *Line) (Output, invitation.CallError) {
	out, err := l.Local.Cancel()
	var o Output
	p.act(l, out, &o)
	return o, err
}

// Accept accepts an incoming invitation.
func (p *Phone) Accept(l *Line, response string) (Output, invitation.CallError) {
	out, err := l.Remote.Accept()
	if err == invitation.OK {
		l.Until = 0 // of what it was
	}
	return p.reply(l, out.Request, response), err
}

// Refuse refuses an incoming invitation.
func (p *Phone) Refuse(l *Line, response string) (Output, invitation.CallError) {
	out, err := l.Remote.Refuse()
	return p.reply(l, out.Request, response), err
}

func (p *Phone) reply(l *Line, request invitation.Request, response string) Output {
	var o Output
	if request != invitation.NoRequest {
		l.Reply = response
		p.call(l, invitation.Call{Request: request, Response: response}, &o)
	}
	return o
}

func (p *Phone) call(l *Line, call invitation.Call, o *Output) {
	p.requests++
	call.RequestID, call.ID = p.requests, l.ID
	p.calls = append(p.calls, pending{call, l.Key})
	o.Ups = append(o.Ups, invitation.Up{Call: &call})
}

// Take takes one thing that the server says.
func (p *Phone) Take(d *invitation.Down) Output {
	var out Output
	switch {
	case d.Welcome != nil:
		p.Stamp = d.Welcome.Stamp
		if d.Welcome.Tell {
			p.tell(&out)
		}
	case d.Retell != nil:
		p.retell(d.Retell, &out)
	case d.Ending != nil:
		p.Conn, out.Ending = 0, d.Ending
		p.Over = p.Over || !d.Ending.End.Reconnect() && d.Ending.End != invitation.EndReplaced
	case d.Answer != nil:
		p.answered(d.Answer, &out)
	case d.Notice != nil:
		p.noticed(d.Notice, &out)
	}
	return out
}

func (p *Phone) answered(a *invitation.Answer, out *Output) {
	i := slices.IndexFunc(p.calls, func(c pending) bool { return c.call.RequestID == a.RequestID })
	if i < 0 || a.Error == invitation.Unavailable && a.Request != invitation.Send { // it is repeated
		return
	}
	c := p.calls[i]
	p.calls = slices.Delete(slices.Clone(p.calls), i, i+1)
	l := p.Line(c.call.ID, side(c.call.Request))
	if c.call.Request == invitation.Send {
		l = p.Keyed(c.key)
	}
	out.Results = append(out.Results, Result{a.ID, c.key, a.Request, a.Error})
	if l == nil {
		return
	}
	if n := a.Notice; n != nil && (l.ID.IsZero() || l.ID == n.ID) && n.Side == side(c.call.Request) {
		p.step(l, n, out)
	}
	if a.Error != invitation.OK {
		p.rejected(l, a.Error, out)
	}
}

func side(r invitation.Request) invitation.Side {
	if r == invitation.Send || r == invitation.Cancel {
		return invitation.Caller
	}
	return invitation.Callee
}

func (p *Phone) rejected(l *Line, err invitation.CallError, out *Output) {
	if l.Remote != nil {
		p.act(l, l.Remote.Rejected(err), out)
		return
	}
	p.act(l, l.Local.Rejected(err), out)
	if l.Local.State() == invitation.LocalIdle {
		p.drop(l)
	}
}

func (p *Phone) noticed(n *invitation.Notice, out *Output) {
	l := p.Line(n.ID, n.Side)
	if l != nil {
		p.step(l, n, out)
		return
	}
	if w, ok := p.remembered(n.ID, n.Side); ok {
		if !n.Settled {
			out.Ups = append(out.Ups, invitation.Up{Word: &w})
		}
		return
	}
	if n.Side == invitation.Callee {
		l = &Line{Remote: new(device.Remote)}
		p.lines = append(p.lines, l)
		p.step(l, n, out)
		if !l.Remote.Shown() {
			p.drop(l)
		}
	}
}

// Remembers reports whether the phone remembers the end of an invitation that it keeps no more.
func (p *Phone) Remembers(id invitation.ID, side invitation.Side) bool {
	_, ok := p.remembered(id, side)
	return ok
}

func (p *Phone) remembered(id invitation.ID, side invitation.Side) (invitation.Word, bool) {
	for _, w := range p.past {
		if w.ID == id && w.Side == side {
			return w, true
		}
	}
	return invitation.Word{}, false
}

func (p *Phone) step(l *Line, n *invitation.Notice, out *Output) {
	l.ID = n.ID
	var does device.Output
	current := false
	if l.Local != nil {
		does = l.Local.Notice(n)
		current = l.Local.Current(n)
	} else {
		does = l.Remote.Notice(n)
		current = l.Remote.Current(n)
	}
	if current && p.Now != 0 && n.Remaining != 0 {
		l.Until = p.Now.Add(n.Remaining)
	}
	p.act(l, does, out)
}

// act does what a machine wants done.
func (p *Phone) act(l *Line, m device.Output, out *Output) {
	if m.Word.Kind != invitation.NoWord {
		w := m.Word
		out.Ups = append(out.Ups, invitation.Up{Word: &w})
	}
	if m.Request != invitation.NoRequest {
		p.call(l, invitation.Call{Request: m.Request}, out)
	}
	if m.Event != device.NoEvent {
		out.Events = append(out.Events, Event{ID: l.ID, Key: l.Key, Event: l.told(m.Event)})
	}
	if l.settled() {
		if w := l.word(); w.Kind == invitation.WordDone && !w.ID.IsZero() {
			if len(p.past) >= Remembered {
				p.past = slices.Clone(p.past[1:])
			}
			p.past = append(p.past, w)
		}
		p.drop(l)
	}
}

func (p *Phone) drop(l *Line) {
	p.lines = slices.DeleteFunc(slices.Clone(p.lines), func(o *Line) bool { return o == l })
}

func (l *Line) settled() bool {
	return l.Local != nil && l.Local.Settled() || l.Remote != nil && l.Remote.Settled()
}

func (l *Line) word() invitation.Word {
	if l.Local != nil {
		return l.Local.Word()
	}
	return l.Remote.Word()
}

func (l *Line) told(e device.Event) judge.Event {
	if l.Local != nil {
		return judge.Event{
			Side: invitation.Caller, Event: e, State: uint8(l.Local.State()), Code: uint8(l.Local.Code()), Reason: l.Local.Reason(),
		}
	}
	return judge.Event{
		Side: invitation.Callee, Event: e, State: uint8(l.Remote.State()), Code: uint8(l.Remote.Code()), Reason: l.Remote.Reason(),
	}
}
