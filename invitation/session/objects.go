package session

import "github.com/ringfleet/ringfleet/invitation"

// What lives equally long is made as one object: each call makes these.

// newOutgoing returns an entry and the terms of what it is about.
func newOutgoing() (*entry, *invitation.Terms) {
	both := new(struct {
		entry entry
		terms invitation.Terms
	})
	return &both.entry, &both.terms
}

// newIncoming returns the entry of a view that came to the callee's side, with room for the one device that most users
// have.
func newIncoming(v *invitation.View) *entry {
	both := new(struct {
		entry entry
		first [1]showing
	})
	both.entry = entry{view: v, side: invitation.Callee, shown: both.first[:0]}
	return &both.entry
}

// answerWith returns an answer with a notice, both in one object.
func answerWith(a invitation.Answer, n invitation.Notice) *invitation.Answer {
	both := &struct {
		answer invitation.Answer
		notice invitation.Notice
	}{a, n}
	both.answer.Notice = &both.notice
	return &both.answer
}
