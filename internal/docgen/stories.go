package main

import (
	"time"

	"github.com/ringfleet/ringfleet/invitation/session"
)

// story is one way that an invitation can go.
type story struct {
	name   string
	policy session.Policy
	play   func(w *world)
}

// cast are the devices that most stories have.
type cast struct{ alice, bob *phone }

func meet(w *world) cast {
	c := cast{w.phone("alice", "phone"), w.phone("bob", "tablet")}
	c.alice.login()
	c.bob.login()
	return c
}

// ring plays the begin of most stories.
func ring(w *world) cast {
	c := meet(w)
	c.alice.sendToBob()
	w.settle()
	return c
}

var stories = []story{
	{"accept", session.Single, func(w *world) {
		c := ring(w)
		c.bob.accept()
		w.settle()
	}},
	{"refuse", session.Single, func(w *world) {
		c := ring(w)
		c.bob.refuse()
		w.settle()
	}},
	{"cancel-before", session.Single, func(w *world) {
		alice := w.phone("alice", "phone")
		alice.login()
		alice.sendToBob()
		w.pass(5 * time.Second)
		alice.cancel()
		w.settle()
		w.phone("bob", "tablet").login()
	}},
	{"cancel-after", session.Single, func(w *world) {
		c := ring(w)
		c.alice.cancel()
		w.settle()
	}},
	{"expire", session.Single, func(w *world) {
		ring(w)
		w.pass(time.Minute)
	}},
	{"late", session.Single, func(w *world) {
		alice := w.phone("alice", "phone")
		alice.login()
		alice.sendToBob()
		w.pass(12 * time.Second)
		w.phone("bob", "tablet").login()
	}},
	{"offline", session.Single, func(w *world) {
		alice := w.phone("alice", "phone")
		alice.login()
		alice.sendToBob()
		w.pass(30 * time.Second)
	}},
	{"resume", session.Single, func(w *world) {
		c := ring(w)
		c.bob.accept()
		c.bob.loseUnheard()
		w.pass(3 * time.Second)
		c.bob.login()
	}},
	{"resend", session.Single, func(w *world) {
		c := meet(w)
		c.alice.sendToBob()
		c.alice.loseUnheard()
		w.pass(2 * time.Second)
		c.alice.login()
	}},
	{"multi", session.Multi, func(w *world) {
		c := meet(w)
		watch := w.phone("bob", "watch")
		watch.login()
		c.alice.sendToBob()
		w.settle()
		c.bob.accept()
		w.settle()
	}},
	{"race-cancel", session.Single, func(w *world) {
		c := ring(w)
		c.bob.accept()
		c.alice.cancel()
		w.settle()
	}},
	{"race-accept", session.Single, func(w *world) {
		c := ring(w)
		c.bob.accept()
		w.settleUntil(func() bool { return c.alice.local.Confirmed() != "" })
		c.alice.cancel()
		w.settle()
	}},
	{"caller-gone", session.Single, func(w *world) {
		c := ring(w)
		c.alice.lose()
		w.pass(30 * time.Second)
		w.pass(10 * time.Second)
		c.alice.login()
	}},
	{"caller-offline", session.Single, func(w *world) {
		c := ring(w)
		c.alice.lose()
		w.pass(10 * time.Second)
		c.bob.accept()
		w.pass(15 * time.Second)
		c.alice.login()
	}},
}
