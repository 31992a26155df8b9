package fleet_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
)

// offer makes calls as cheaply as can be, so that one processor of this machine can ask for more than another can
// serve: the client's connections and machines without the client between them. Every call is accepted at once. What
// is refused is not tried again. The load generator, which judges each call, costs more than a node.
type offer struct {
	users []*subscriber

	sent, refused, completed, told, failed atomic.Int64
	open                                   sync.WaitGroup // calls that are under way
	lost                                   atomic.Int64   // connections

	mu       sync.Mutex
	setUps   []sample // from when a call was due until it rang
	refusals []sample // from when a call was due until it was refused
	codes    map[invitation.CallError]int
}

// sample is how long something took, and when that was known.
type sample struct {
	at   time.Time
	took time.Duration
}

// subscriber is one user with one device.
type subscriber struct {
	o    *offer
	name invitation.User
	link client.Link

	mu      sync.Mutex
	request uint64
	sends   map[uint64]*offered
	placed  map[invitation.ID]*offered
	rung    map[invitation.ID]*device.Remote
	accepts map[uint64]invitation.ID
}

// offered is one call.
type offered struct {
	machine device.Local
	id      invitation.ID
	due     time.Time
	done    chan struct{}
	over    bool
}

const offeringDevice = "offer"

// newOffer logs users in at a node.
func newOffer(t *testing.T, url string, users int) *offer {
	t.Helper()
	o := &offer{codes: map[invitation.CallError]int{}}
	carrier := &client.WebSocket{URLs: []string{url}, PingAfter: time.Hour}
	for i := range users {
		u := &subscriber{
			o: o, name: invitation.User(fmt.Sprintf("user-%d", i)), sends: map[uint64]*offered{}, placed: map[invitation.ID]*offered{},
			rung: map[invitation.ID]*device.Remote{}, accepts: map[uint64]invitation.ID{},
		}
		u.mu.Lock() // nothing is received before link is set
		link, err := carrier.Dial(within(t, limit), invitation.Login{User: u.name, Device: offeringDevice}, u)
		u.link = link
		u.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = link.Close() }) // the node may have gone
		o.users = append(o.users, u)
	}
	return o
}

// call makes a call that was due at a time.
func (o *offer) call(due time.Time) *offered {
	from := rand.IntN(len(o.users))
	to := (from + 1 + rand.IntN(len(o.users)-1)) % len(o.users)
	u := o.users[from]
	o.sent.Add(1)
	o.open.Add(1)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.request++
	key := fmt.Sprint(u.request)
	c := &offered{id: invitation.NewID(u.name, offeringDevice, key), due: due, done: make(chan struct{})}
	_, _ = c.machine.Send() // it is the first
	u.sends[u.request], u.placed[c.id] = c, c
	u.say(invitation.Up{Call: &invitation.Call{
		Request: invitation.Send, RequestID: u.request, Key: key, Callee: o.users[to].name, Content: "an offered call",
	}})
	return c
}

func (u *subscriber) say(up invitation.Up) {
	if u.link.Say(up) != nil {
		u.o.lost.Add(1)
	}
}

// Lost implements client.Receiver.
func (u *subscriber) Lost(error) { u.o.lost.Add(1) }

// Receive implements client.Receiver.
func (u *subscriber) Receive(down invitation.Down) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case down.Answer != nil:
		u.answered(down.Answer)
	case down.Notice != nil && down.Notice.Side == invitation.Caller:
		u.noticed(down.Notice)
	case down.Notice != nil:
		u.offered(down.Notice)
	}
}

func (u *subscriber) answered(a *invitation.Answer) {
	if id, ok := u.accepts[a.RequestID]; ok {
		if a.Error == invitation.Unavailable {
			time.AfterFunc(a.RetryAfter, func() {
				u.mu.Lock()
				defer u.mu.Unlock()
				u.accept(id, a.RequestID)
			})
			return
		}
		delete(u.accepts, a.RequestID)
		return
	}
	c := u.sends[a.RequestID]
	delete(u.sends, a.RequestID)
	switch {
	case c == nil:
	case a.Error != invitation.OK:
		delete(u.placed, c.id)
		now := time.Now()
		u.o.mu.Lock()
		u.o.codes[a.Error]++
		u.o.refusals = append(u.o.refusals, sample{now, now.Sub(c.due)})
		u.o.mu.Unlock()
		u.o.refused.Add(1)
		u.end(c)
	case a.Notice != nil:
		u.noticed(a.Notice)
	}
}

// noticed takes what the caller's device is told.
func (u *subscriber) noticed(n *invitation.Notice) {
	c := u.placed[n.ID]
	if c == nil {
		return
	}
	out := c.machine.Notice(n)
	switch {
	case out.Event == device.ReceivedByPeer || out.Event == device.Accepted && c.machine.Response() == "":
		now := time.Now()
		u.o.mu.Lock()
		u.o.setUps = append(u.o.setUps, sample{now, now.Sub(c.due)})
		u.o.mu.Unlock()
	case out.Event == device.Accepted:
		u.o.completed.Add(1)
		u.end(c)
	case out.Event.Terminal():
		u.o.failed.Add(1)
		u.end(c)
	}
	u.word(&out)
	if c.machine.Settled() {
		delete(u.placed, n.ID)
	}
}

// offered takes what the callee's device is told, which accepts.
func (u *subscriber) offered(n *invitation.Notice) {
	r := u.rung[n.ID]
	if r == nil {
		r = new(device.Remote)
		u.rung[n.ID] = r
	}
	out := r.Notice(n)
	u.word(&out)
	switch out.Event {
	case device.Received:
		if _, err := r.Accept(); err == invitation.OK {
			u.request++
			u.accepts[u.request] = n.ID
			u.accept(n.ID, u.request)
		}
	case device.Accepted:
		u.o.told.Add(1)
	default:
	}
	if r.Settled() {
		delete(u.rung, n.ID)
	}
}

func (u *subscriber) accept(id invitation.ID, request uint64) {
	u.say(invitation.Up{Call: &invitation.Call{Request: invitation.Accept, RequestID: request, ID: id, Response: "yes"}})
}

func (u *subscriber) word(out *device.Output) {
	if out.Word.Kind != invitation.NoWord {
		word := out.Word
		u.say(invitation.Up{Word: &word})
	}
}

// end notes that a call is over. u.mu is held.
func (u *subscriber) end(c *offered) {
	if !c.over {
		c.over = true
		close(c.done)
		u.o.open.Done()
	}
}

// closed keeps so many calls under way for a time.
func (o *offer) closed(ctx context.Context, calls int, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var callers sync.WaitGroup
	for range calls {
		callers.Go(func() {
			for ctx.Err() == nil {
				select {
				case <-o.call(time.Now()).done:
				case <-ctx.Done():
				}
			}
		})
	}
	callers.Wait()
}

// pace makes calls on schedule, at a rate that is asked for ten times a second, and returns by how much it was late at
// worst.
func (o *offer) pace(ctx context.Context, d time.Duration, rate func() float64) (late time.Duration) {
	begin := time.Now()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	var each time.Duration
	asked := begin.Add(-time.Second)
	for due := begin; due.Before(begin.Add(d)) && ctx.Err() == nil; <-ticker.C {
		now := time.Now()
		if now.Sub(asked) >= 100*time.Millisecond {
			asked, each = now, time.Duration(float64(time.Second)/rate())
		}
		for ; !due.After(now); due = due.Add(each) {
			late = max(late, now.Sub(due))
			o.call(due)
		}
	}
	return late
}

// drained waits until no call is under way, and returns how long that took.
func (o *offer) drained(t *testing.T) time.Duration {
	t.Helper()
	begin, done := time.Now(), make(chan struct{})
	go func() {
		o.open.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("after %v, of %d calls %d were completed, %d refused and %d failed; %d connections were lost", limit, o.sent.Load(), o.completed.Load(),
			o.refused.Load(), o.failed.Load(), o.lost.Load())
	}
	return time.Since(begin)
}

// quantile returns a quantile of the samples between two times; 0 without any.
func quantile(samples []sample, from, to time.Time, q float64) time.Duration {
	var all []time.Duration
	for _, s := range samples {
		if s.at.After(from) && !s.at.After(to) {
			all = append(all, s.took)
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(int(q*float64(len(all))), len(all)-1)]
}
