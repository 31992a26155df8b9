package main

import (
	"slices"
	"strings"

	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// phone is a device that follows the duties of docs/protocol.md with the machines of package device:
// the smallest client there can be.
type phone struct {
	w        *world
	user     invitation.User
	device   invitation.Device
	conn     uint64 // 0: not connected
	deaf     bool   // nothing reaches it
	stamp    uint64
	requests uint64

	unanswered []*invitation.Call

	local  *device.Local // at most one of each in a story
	remote *device.Remote
}

func (w *world) phone(user invitation.User, name invitation.Device) *phone {
	return &phone{w: w, user: user, device: name}
}

// say puts a frame on its way.
func (p *phone) say(frame wire.ClientFrame) {
	conn := p.conn
	p.w.later(func() {
		if p.w.phones[conn] != nil {
			p.w.up(p, conn, frame)
		}
	})
}

func (p *phone) login() {
	p.w.conns++
	p.conn = p.w.conns
	p.w.phones[p.conn] = p
	login := &wire.Login{
		Login:      invitation.Login{User: p.user, Device: p.device, Resume: p.stamp != 0, Stamp: p.stamp},
		MinVersion: wire.ProtocolVersion, MaxVersion: wire.ProtocolVersion,
	}
	for _, w := range p.words() {
		if w.Kind != invitation.NoWord {
			login.Words = append(login.Words, w)
		}
	}
	p.say(wire.ClientFrame{Login: login})
	p.w.settle()
}

func (p *phone) words() []invitation.Word {
	var words []invitation.Word
	if p.local != nil {
		words = append(words, p.local.Word())
	}
	if p.remote != nil {
		words = append(words, p.remote.Word())
	}
	return words
}

// loseUnheard breaks the connection when what the device has said is at the node, and nothing that
// the node says reaches the device any more.
func (p *phone) loseUnheard() {
	p.deaf = true
	p.lose()
	p.deaf = false
}

// lose breaks the connection.
func (p *phone) lose() {
	p.w.settle()
	p.w.heard(scene{by: p, note: "connection lost"})
	conn := p.conn
	delete(p.w.phones, conn)
	p.conn = 0
	p.w.session(p.user, &session.Input{Kind: session.InDetach, Conn: session.Conn{Number: conn}, Device: p.device})
	p.w.settle()
}

// sendToBob sends the one invitation of a story.
func (p *phone) sendToBob() {
	p.local = new(device.Local)
	out, _ := p.local.Send()
	p.act(out, &invitation.Call{Key: "k1", Callee: "bob", Content: "dinner?"})
}

func (p *phone) cancel() {
	out, err := p.local.Cancel()
	p.rejected("cancel", err)
	p.act(out, nil)
}

func (p *phone) accept() {
	out, err := p.remote.Accept()
	p.rejected("accept", err)
	p.act(out, &invitation.Call{Response: "yes"})
}

func (p *phone) refuse() {
	out, err := p.remote.Refuse()
	p.rejected("refuse", err)
	p.act(out, &invitation.Call{Response: "busy"})
}

// rejected notes a call that the device's own machine answers.
func (p *phone) rejected(call string, err invitation.CallError) {
	if err != invitation.OK {
		p.w.heard(scene{by: p, note: call + " is answered " + err.String()})
	}
}

// act does what a machine asks for. call has what a request needs beside its kind and its id.
func (p *phone) act(out device.Output, call *invitation.Call) {
	if out.Event != device.NoEvent {
		p.w.heard(scene{by: p, note: p.event(out.Event)})
	}
	if out.Word.Kind != invitation.NoWord {
		p.say(wire.ClientFrame{Up: invitation.Up{Word: &out.Word}})
	}
	if out.Request == invitation.NoRequest {
		return
	}
	if call == nil {
		call = new(invitation.Call)
	}
	p.requests++
	call.Request, call.RequestID = out.Request, p.requests
	switch out.Request {
	case invitation.Cancel:
		call.ID = p.local.ID()
	case invitation.Accept, invitation.Refuse:
		call.ID = p.remote.ID()
	default: // a send has no id
	}
	p.unanswered = append(p.unanswered, call)
	p.say(wire.ClientFrame{Up: invitation.Up{Call: call}})
}

// event returns the callback as the contract writes it.
func (p *phone) event(e device.Event) string {
	name := "RemoteInvitation" + e.String()
	var details []string
	if p.local != nil {
		name = "LocalInvitation" + e.String()
		switch e {
		case device.Accepted, device.Refused:
			details = append(details, p.local.Response())
		case device.Failed:
			details = append(details, p.local.Code().String())
		default: // carries no more than the reason
		}
		details = append(details, p.local.Reason().String())
	} else {
		if e == device.Failed {
			details = append(details, p.remote.Code().String())
		}
		details = append(details, p.remote.Reason().String())
	}
	details = slices.DeleteFunc(details, func(s string) bool { return s == "" })
	if len(details) > 0 {
		name += "(" + strings.Join(details, ", ") + ")"
	}
	if e.Terminal() {
		name += " ∎"
	}
	return name
}

// told takes what the node says.
func (p *phone) told(down invitation.Down) {
	switch {
	case down.Welcome != nil:
		p.stamp = down.Welcome.Stamp
		for _, call := range p.unanswered {
			p.say(wire.ClientFrame{Up: invitation.Up{Call: call}})
		}
	case down.Answer != nil && down.Answer.Notice != nil:
		p.notice(down.Answer.Notice)
	case down.Notice != nil && p.knows(down.Notice):
		p.notice(down.Notice)
	case down.Ending != nil:
		delete(p.w.phones, p.conn)
		p.conn = 0
	}
	a := down.Answer
	if a == nil {
		return
	}
	p.unanswered = slices.DeleteFunc(p.unanswered, func(c *invitation.Call) bool { return c.RequestID == a.RequestID })
	if a.Error != invitation.OK {
		if p.local != nil {
			p.act(p.local.Rejected(a.Error), nil)
		} else {
			p.act(p.remote.Rejected(a.Error), nil)
		}
	}
}

// knows reports whether a view of the node's own is of an invitation that the device knows, or can
// get to know by it. The id of one that it sent it learns by the answer.
func (p *phone) knows(n *invitation.Notice) bool {
	return n.Side == invitation.Callee || p.local != nil && p.local.ID() == n.ID
}

// notice gives a view to the machine it is for.
func (p *phone) notice(n *invitation.Notice) {
	if n.Side == invitation.Caller {
		p.act(quiet(n, p.local.Notice(n)), nil)
		return
	}
	if p.remote == nil {
		p.remote = new(device.Remote)
	}
	p.act(quiet(n, p.remote.Notice(n)), nil)
}

// quiet leaves a view unanswered that wants no word.
func quiet(n *invitation.Notice, out device.Output) device.Output {
	if n.Settled {
		out.Word = invitation.Word{}
	}
	return out
}

// participants returns the devices of a story in the order in which they are drawn.
func participants(scenes []scene) []*phone {
	var found []*phone
	for _, s := range scenes {
		if s.by != nil && !slices.Contains(found, s.by) {
			found = append(found, s.by)
		}
	}
	return found
}
