package invitation_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// A phone is a client: the host of the device machines, with the duties of their documentation.
type phone struct {
	w         *world
	name      string
	user      invitation.User
	device    invitation.Device
	conn      session.Conn
	connected bool
	loggedIn  bool
	stamp     uint64
	request   uint64
	sends     int
	locals    map[string]*local
	remotes   map[invitation.ID]*remote
	forgetAt  map[string]invitation.Time // by the invitation's name
	pending   []invitation.Call          // calls that are not answered
	unheard   map[invitation.ID]bool     // nothing was told of it since the reconnect
	auditAt   invitation.Time
	last      invitation.Call // the last call made
}

type local struct {
	device.Local
	name   string
	call   invitation.Call // the send
	until  invitation.Time // when its state ends by itself
	events []device.Event
}

type remote struct {
	device.Remote
	until    invitation.Time // when its state ends by itself
	response string
	events   []device.Event
}

// clear starts the process anew: nothing is remembered but the device's id and that send keys and
// request ids are used once.
func (p *phone) clear() {
	p.locals, p.remotes = map[string]*local{}, map[invitation.ID]*remote{}
	p.forgetAt, p.pending = map[string]invitation.Time{}, nil
	p.unheard, p.auditAt = nil, 0
}

func (p *phone) login(resume bool) {
	p.w.conns++
	p.conn, p.connected, p.loggedIn = session.Conn{Number: p.w.conns}, true, true
	l := &invitation.Login{User: p.user, Device: p.device, Resume: resume, Stamp: uint64(p.w.now)}
	if resume {
		l.Stamp = p.stamp
		for _, name := range slices.Sorted(maps.Keys(p.locals)) {
			if word := p.locals[name].report(p.w.now); !p.locals[name].Settled() && word.Kind != invitation.NoWord {
				l.Words = append(l.Words, word)
			}
		}
		for _, id := range p.remoteIDs() {
			if word := p.remotes[id].report(p.w.now); !p.remotes[id].Settled() && word.Kind != invitation.NoWord {
				l.Words = append(l.Words, word)
			}
		}
	}
	what := "log in"
	if resume {
		what = "resume"
	}
	for _, word := range l.Words {
		what += ", " + p.w.word(word)
	}
	p.w.print("%s > %s", p.name, what)
	in := session.Input{Kind: session.InAttach, Device: p.device, Conn: p.conn, Login: l}
	p.w.put(p.name, "login", func() { p.w.sessionStep(p.user, in) })
}

func (p *phone) remoteIDs() []invitation.ID {
	return slices.SortedFunc(maps.Keys(p.remotes), func(a, b invitation.ID) int {
		return strings.Compare(p.w.names[a], p.w.names[b])
	})
}

// drop loses the connection.
func (p *phone) drop() {
	p.connected = false
	p.w.print("%s: connection lost", p.name)
	in := session.Input{Kind: session.InDetach, Device: p.device, Conn: p.conn}
	p.w.put(p.name, "detach", func() { p.w.sessionStep(p.user, in) })
}

func (p *phone) logout() {
	p.w.print("%s > log out", p.name)
	in := session.Input{Kind: session.InLogout, Device: p.device, Conn: p.conn}
	p.w.put(p.name, "logout", func() { p.w.sessionStep(p.user, in) })
}

// send makes a local invitation and sends it.
func (p *phone) send(call invitation.Call, name string) {
	p.sends++
	if call.Key == "" {
		call.Key = fmt.Sprintf("key-%d", p.sends)
	}
	l := p.locals[name]
	if l == nil {
		l = &local{name: name, call: call}
		p.locals[name] = l
		id := invitation.NewID(p.user, p.device, call.Key)
		if p.w.names[id] == "" {
			p.w.names[id], p.w.callers[id] = name, p
		}
	}
	if !p.loggedIn {
		p.performLocal(l, l.NotLoggedIn(), invitation.OK, "send")
		return
	}
	out, err := l.Send()
	p.performLocal(l, out, err, "send")
}

func (p *phone) cancel(name string) {
	l := p.locals[name]
	if l == nil {
		l = &local{name: name}
		p.locals[name] = l
	}
	out, err := l.Cancel()
	p.performLocal(l, out, err, "cancel")
}

func (p *phone) answer(request invitation.Request, id invitation.ID, response string) {
	r := p.remotes[id]
	if r == nil { // the application has no object to call; a hostile client asks anyway
		p.call(invitation.Call{Request: request, ID: id, Response: response})
		return
	}
	ask := r.Accept
	if request == invitation.Refuse {
		ask = r.Refuse
	}
	o, err := ask()
	if err != invitation.OK {
		p.w.print("%s = %s %s: %s", p.name, request, p.w.names[id], err.String())
		return
	}
	if o.Request != invitation.NoRequest {
		r.response = response
		p.call(invitation.Call{Request: o.Request, ID: id, Response: response})
	}
}

// call makes a request with a fresh request id.
func (p *phone) call(c invitation.Call) {
	p.request++
	c.RequestID = p.request
	p.pending, p.last = append(p.pending, c), c
	p.say(c)
}

func (p *phone) say(c invitation.Call) {
	if l := p.sent(&c); l != nil && c.RequestID != p.request { // it is said again
		c.Resumed = l.Resumed(left(l.until, p.w.now))
	}
	name := p.w.names[c.ID]
	if c.Request == invitation.Send {
		name = p.w.names[invitation.NewID(p.user, p.device, c.Key)] + " to " + string(c.Callee)
	}
	if !p.connected {
		p.w.print("%s: %s %s has to wait", p.name, c.Request, name)
		return
	}
	p.w.print("%s > #%d %s %s%s", p.name, c.RequestID, c.Request, name, quoted(c.Content+c.Response))
	conn := p.conn
	p.w.put(p.name, c.Request.String(), func() {
		p.w.sessionStep(p.user, session.Input{Kind: session.InCall, Device: p.device, Conn: conn, Call: &c})
	})
}

func quoted(s string) string {
	switch {
	case s == "":
		return ""
	case len(s) > 40:
		return fmt.Sprintf(" (%d bytes)", len(s))
	}
	return fmt.Sprintf(" %q", s)
}

func (p *phone) sayWord(word invitation.Word) {
	if word.Kind == invitation.NoWord || !p.connected {
		return
	}
	p.w.print("%s > %s", p.name, p.w.word(word))
	conn := p.conn
	p.w.put(p.name, strings.ToLower(word.Kind.String()), func() {
		p.w.sessionStep(p.user, session.Input{Kind: session.InWord, Device: p.device, Conn: conn, Word: &word})
	})
}

func (w *world) word(word invitation.Word) string {
	s := w.names[word.ID] + " " + word.Kind.String()
	switch {
	case word.Kind == invitation.WordConfirmed:
		s += " " + string(word.Named)
	case word.Kind == invitation.WordDone && word.Side == invitation.Caller:
		s += " " + word.Local.String()
	case word.Kind == invitation.WordDone:
		s += " " + word.Remote.String()
	}
	return s
}

func (p *phone) performLocal(l *local, out device.Output, err invitation.CallError, what string) {
	if err != invitation.OK {
		p.w.print("%s = %s %s: %s", p.name, what, l.name, err.String())
		return
	}
	if out.Event != device.NoEvent {
		p.fired(l.name, &l.events, out.Event)
		p.w.print("%s ! LocalInvitation%s %s%s", p.name, out.Event, l.name, ending(l.Response(), l.State().Terminal(), uint8(l.Code()), l.Code().String(), l.Reason()))
	}
	switch out.Request {
	case invitation.Send:
		p.call(l.call)
	case invitation.Cancel:
		p.call(invitation.Call{Request: invitation.Cancel, ID: l.ID()})
	}
	p.sayWord(out.Word)
}

func (p *phone) performRemote(r *remote, n *invitation.Notice, out device.Output) {
	name := p.w.names[r.ID()]
	if out.Event != device.NoEvent {
		p.fired(name, &r.events, out.Event)
		text := ""
		if out.Event == device.Received {
			text = " from " + string(n.Peer) + quoted(n.Content)
			if n.ChannelID != "" {
				text += " channel" + quoted(n.ChannelID)
			}
		}
		p.w.print("%s ! RemoteInvitation%s %s%s%s", p.name, out.Event, name, text, ending("", r.State().Terminal(), uint8(r.Code()), r.Code().String(), r.Reason()))
	}
	p.sayWord(out.Word)
}

func ending(response string, ended bool, code uint8, codeName string, reason invitation.Reason) string {
	if !ended {
		return ""
	}
	s := quoted(response)
	if code != 0 {
		s += fmt.Sprintf(" %d %s", code, codeName)
	}
	if reason != invitation.NoReason {
		s += " (" + reason.String() + ")"
	}
	return s
}

// fired checks promise P3 on every event: none twice, none after the terminal one.
func (p *phone) fired(name string, events *[]device.Event, e device.Event) {
	if n := len(*events); n > 0 && (*events)[n-1].Terminal() || slices.Contains(*events, e) {
		p.w.t.Errorf("%s: %s: event %s of %s after %v", p.w.clock(), p.name, e, name, *events)
	}
	*events = append(*events, e)
	if e.Terminal() {
		p.forgetAt[name] = p.w.now.Add(invitation.DefaultTimers.Linger)
	}
}

// auditAfter is how long after a resume a phone asks about what it has heard nothing of.
const auditAfter = 2 * time.Second

// resumed notes which invitations are live, to ask about those that nothing will have been told of.
func (p *phone) resumed() {
	p.unheard = map[invitation.ID]bool{}
	for _, l := range p.locals {
		if !l.State().Terminal() && !l.ID().IsZero() {
			p.unheard[l.ID()] = true
		}
	}
	for id, r := range p.remotes {
		if !r.State().Terminal() {
			p.unheard[id] = true
		}
	}
	if len(p.unheard) > 0 {
		p.auditAt = p.w.now.Add(auditAfter)
	}
}

func (p *phone) audit() {
	if p.auditAt == 0 || p.auditAt > p.w.now {
		return
	}
	p.auditAt = 0
	for _, id := range slices.SortedFunc(maps.Keys(p.unheard), func(a, b invitation.ID) int {
		return strings.Compare(p.w.names[a], p.w.names[b])
	}) {
		p.call(invitation.Call{Request: invitation.Query, ID: id})
	}
}

// forgetDue forgets the words of what ended a linger ago.
func (p *phone) forgetDue() {
	for _, name := range slices.Sorted(maps.Keys(p.forgetAt)) {
		if p.forgetAt[name] > p.w.now {
			continue
		}
		delete(p.forgetAt, name)
		if l := p.locals[name]; l != nil {
			p.performLocal(l, l.Forget(), invitation.OK, "forget")
		}
		if r := p.remotes[p.w.id(name)]; r != nil {
			p.performRemote(r, nil, r.Forget())
		}
	}
}
