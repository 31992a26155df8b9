package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// lateWorld is a shedder whose probes come back when the test says so.
type lateWorld struct {
	shedder
	now  invitation.Time
	sent int
}

func newLateWorld() *lateWorld {
	w := &lateWorld{now: invitation.Time(time.Second)}
	w.limit = 100 * time.Millisecond
	w.send = func() { w.sent++ }
	return w
}

// after lets time pass, in which sends come, and probes come back after delay; it returns how many sends were refused.
func (w *lateWorld) after(d, delay time.Duration) (refused int) {
	for end := w.now.Add(d); w.now < end; w.now = w.now.Add(time.Millisecond) {
		if w.taken.Load() && w.now >= invitation.Time(w.began.Load()).Add(delay) {
			w.back(w.now)
		}
		if w.refuses(w.now) {
			refused++
		}
	}
	return refused
}

func TestShedding(t *testing.T) {
	w := newLateWorld()
	if n := w.after(10*time.Second, 90*time.Millisecond); n > 0 {
		t.Errorf("%d sends were refused by a node that is not late", n)
	}
	if n := w.after(150*time.Millisecond, 160*time.Millisecond); n > 0 || w.sent == 0 {
		t.Errorf("%d sends were refused for a moment in which it was; %d probes", n, w.sent)
	}
	if n := w.after(20*time.Second, 5*time.Millisecond); n > 100 {
		t.Errorf("%d sends were refused after it", n)
	}
	if n := w.after(10*time.Second, 300*time.Millisecond); n < 9_500 || w.refused.Load() < uint64(n) {
		t.Errorf("%d sends of 10,000 were refused by a node that is late", n)
	}
	if n := w.after(time.Second, time.Millisecond); n > 310 {
		t.Errorf("%d sends were refused by a node that is not late any more", n)
	}
	w.after(20*time.Millisecond, time.Hour)
	if n := w.after(200*time.Millisecond, time.Hour); n < 100 || n > 130 {
		t.Errorf("%d sends were refused while a probe did not come back for 220 ms, a moment after the last refusal", n)
	}
	w = newLateWorld()
	w.limit = -1
	if n := w.after(time.Second, time.Hour); n > 0 || w.sent > 0 {
		t.Errorf("without a bound, %d sends were refused and %d probes sent", n, w.sent)
	}
}

// TestSheddingProbes counts the probes: hardly any, and none without sends.
func TestSheddingProbes(t *testing.T) {
	w := newLateWorld()
	w.after(time.Second, 0)
	if w.sent < 90 || w.sent > 101 {
		t.Errorf("%d probes in a second", w.sent)
	}
	if d := w.lateness(w.now.Add(time.Hour)); d > 0 {
		t.Errorf("an hour later, it is late by %v", d)
	}
}

// slow is a Turns whose turns come when the test says so.
type slow struct{ waiting chan func() }

func (slow) Help(tell func())  { tell() }
func (s slow) Run(do func())   { s.waiting <- do }
func (slow) Settles() bool     { return false }
func (s slow) behind() func()  { return <-s.waiting }
func (s slow) isWaiting() bool { return len(s.waiting) > 0 }

// refuser is a Backend that no send comes to.
type refuser struct{ said int }

func (*refuser) Attach(uint64, invitation.Login) error { return nil }
func (r *refuser) Say(uint64, invitation.User, invitation.Device, invitation.Up) error {
	r.said++
	return nil
}
func (*refuser) Detach(uint64, invitation.User, invitation.Device) {}

// listener keeps the answers that a device gets.
type listener chan invitation.Answer

func (l listener) Receive(d invitation.Down) {
	if d.Answer != nil {
		l <- *d.Answer
	}
}

func (listener) Lost(error) {}

// TestBusy refuses new sends in process and nothing else, while the actors are late.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, back := slow{make(chan func(), 8)}, new(refuser)
		g, err := New(Config{Authenticator: believing{}, Turns: turns}, back)
		if err != nil {
			t.Fatal(err)
		}
		answers := make(chan invitation.Answer, 8)
		l, err := g.Open(invitation.Login{User: "a", Device: "d"}, listener(answers))
		if err != nil {
			t.Fatal(err)
		}
		say := func(call invitation.Call) {
			t.Helper()
			call.RequestID = 1
			if err := l.Say(invitation.Up{Call: &call}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		send := invitation.Call{Request: invitation.Send, Key: "k", Callee: "b"}
		say(send)
		time.Sleep(time.Second)
		if say(send); back.said != 1 || len(answers) != 1 {
			t.Fatalf("%d sends came through, %d were answered", back.said, len(answers))
		}
		if a := <-answers; a.Error != invitation.Unavailable || a.RetryAfter != time.Second {
			t.Errorf("refused with %+v", a)
		}
		again := send
		again.Resumed = new(invitation.Resumed)
		say(again)
		say(invitation.Call{Request: invitation.Cancel, ID: invitation.NewID("a", "d", "k")})
		if back.said != 3 {
			t.Errorf("%d came through, want what is of calls that may have been taken, too", back.said)
		}
		turns.behind()()
		time.Sleep(time.Second)
		if say(send); back.said != 4 || len(answers) > 0 || !turns.isWaiting() {
			t.Errorf("%d came through after it; another probe waits: %t", back.said, turns.isWaiting())
		}
		turns.behind()()
		l.Close()
	})
}
