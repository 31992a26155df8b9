package client

import (
	"context"
	"slices"
	"sync"

	"github.com/ringfleet/ringfleet/invitation"
)

// script is a carrier that a test plays by hand: it keeps what the client says, and the test says
// what the node says.
type script struct {
	mu     sync.Mutex
	logins []invitation.Login
	links  []*scriptLink
	refuse []error // what the next Dials return
	mute   bool    // no Welcome
	stamp  uint64
}

type scriptLink struct {
	s        *script
	receiver Receiver
	mu       sync.Mutex
	said     []invitation.Up
	broken   error
	closed   bool
}

func (s *script) Dial(_ context.Context, login invitation.Login, receiver Receiver) (Link, error) {
	s.mu.Lock()
	s.logins = append(s.logins, login)
	if len(s.refuse) > 0 {
		err := s.refuse[0]
		s.refuse = s.refuse[1:]
		s.mu.Unlock()
		return nil, err
	}
	l := &scriptLink{s: s, receiver: receiver}
	s.links = append(s.links, l)
	s.stamp++
	stamp, mute := s.stamp, s.mute
	s.mu.Unlock()
	if !mute {
		receiver.Receive(invitation.Down{Welcome: &invitation.Welcome{Stamp: stamp}})
	}
	return l, nil
}

func (s *script) last() *scriptLink {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.links[len(s.links)-1]
}

func (s *script) dials() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.logins)
}

func (l *scriptLink) Say(up invitation.Up) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, up)
	return l.broken
}

func (l *scriptLink) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return nil
}

// take returns what was said since the last take.
func (l *scriptLink) take() []invitation.Up {
	l.mu.Lock()
	defer l.mu.Unlock()
	said := l.said
	l.said = nil
	return said
}

// calls returns the requests among what was said since the last take.
func (l *scriptLink) calls() []*invitation.Call {
	var calls []*invitation.Call
	for _, up := range l.take() {
		if up.Call != nil {
			calls = append(calls, up.Call)
		}
	}
	return calls
}

// words returns the words among what was said since the last take.
func (l *scriptLink) words() []invitation.Word {
	var words []invitation.Word
	for _, up := range l.take() {
		if up.Word != nil {
			words = append(words, *up.Word)
		}
	}
	return words
}

func (l *scriptLink) notice(n invitation.Notice) {
	l.receiver.Receive(invitation.Down{Notice: &n})
}

func (l *scriptLink) answer(a invitation.Answer) {
	l.receiver.Receive(invitation.Down{Answer: &a})
}

func (l *scriptLink) end(end invitation.End) {
	l.receiver.Receive(invitation.Down{Ending: &invitation.Ending{End: end}})
}

// events collects what a client fires.
type events struct {
	mu  sync.Mutex
	all []Event
}

func (e *events) add(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev)
}

// kinds returns the kinds of the events of invitations since the last call.
func (e *events) kinds() []EventKind {
	e.mu.Lock()
	defer e.mu.Unlock()
	var kinds []EventKind
	for _, ev := range e.all {
		kinds = append(kinds, ev.Kind)
	}
	e.all = nil
	return slices.DeleteFunc(kinds, func(k EventKind) bool { return k >= SessionConnected })
}

// session returns the events of the session since the last call.
func (e *events) session() []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := e.all
	e.all = nil
	return slices.DeleteFunc(all, func(ev Event) bool { return ev.Kind < SessionConnected })
}
