package attack

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
)

// rough carries a client's words to a node like a bad network does: everything takes its time, and
// cut breaks the connection with what is under way in it.
type rough struct {
	node  *ringfleet.Node
	delay time.Duration // at most, each way

	mu   sync.Mutex
	rng  *rand.Rand
	link *roughLink // the newest
}

func (r *rough) pause() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Duration(r.rng.Int64N(int64(r.delay)))
}

// Dial implements client.Carrier.
func (r *rough) Dial(ctx context.Context, login invitation.Login, receiver client.Receiver) (client.Link, error) {
	time.Sleep(r.pause())
	l := &roughLink{receiver: receiver, gone: make(chan struct{}), ups: make(chan invitation.Up, 10_000), downs: make(chan invitation.Down, 10_000)}
	inner, err := r.node.Dial(ctx, login, l)
	if err != nil {
		return nil, err
	}
	l.inner = inner
	r.mu.Lock()
	r.link = l
	r.mu.Unlock()
	go l.carry(r)
	return l, nil
}

// cut breaks the newest connection.
func (r *rough) cut() {
	r.mu.Lock()
	l := r.link
	r.mu.Unlock()
	if l != nil {
		_ = l.Close()
		l.receiver.Lost(errCut)
	}
}

var errCut = errors.New("cut")

type roughLink struct {
	receiver client.Receiver
	inner    client.Link
	ups      chan invitation.Up
	downs    chan invitation.Down
	gone     chan struct{}
	once     sync.Once
}

// Receive implements client.Receiver, for the node.
func (l *roughLink) Receive(d invitation.Down) { l.downs <- d }

// Lost implements client.Receiver, for the node: the Ending before it says it all.
func (l *roughLink) Lost(error) {}

// Say implements client.Link.
func (l *roughLink) Say(up invitation.Up) error { l.ups <- up; return nil }

// Close implements client.Link.
func (l *roughLink) Close() error {
	l.once.Do(func() { close(l.gone); _ = l.inner.Close() })
	return nil
}

func (l *roughLink) carry(r *rough) {
	go func() {
		for {
			select {
			case <-l.gone:
				return
			case up := <-l.ups:
				time.Sleep(r.pause())
				select {
				case <-l.gone:
					return
				default:
				}
				_ = l.inner.Say(up) // of a connection that the node has ended: lost, like in a socket
			}
		}
	}()
	for {
		select {
		case <-l.gone:
			return
		case d := <-l.downs:
			time.Sleep(r.pause())
			l.receiver.Receive(d)
			if d.Ending != nil {
				l.receiver.Lost(d.Ending.End)
			}
		}
	}
}

// TestRough checks that a client survives a cut: it comes back.
func TestRough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, err := ringfleet.Start(ringfleet.Config{Gateway: gatewayConfig()})
		if err != nil {
			t.Fatal(err)
		}
		r := &rough{node: node, delay: time.Second, rng: rand.New(rand.NewPCG(1, 1))}
		c, err := client.Dial(t.Context(), r, client.Options{User: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		r.cut()
		if c.Connected() {
			t.Error("the connection was not cut")
		}
		time.Sleep(5 * time.Second)
		if !c.Connected() {
			t.Error("the client did not come back")
		}
		if err := c.Logout(t.Context()); err != nil {
			t.Error(err)
		}
		_ = c.Close()
		if err := node.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
