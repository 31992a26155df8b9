package link_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/link"
)

// inbox is what a node has received.
type inbox struct {
	mu   sync.Mutex
	got  []string
	hold chan struct{} // if set, each Receive waits for it
}

func (b *inbox) receive(from string, envelope []byte, _ time.Duration) {
	if b.hold != nil {
		<-b.hold
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, from+":"+string(envelope))
}

func (b *inbox) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.got
	b.got = nil
	return got
}

func join(t *testing.T, n *link.Network, name string) (*link.Memory, *inbox) {
	t.Helper()
	m, err := n.Join(name)
	if err != nil {
		t.Fatal(err)
	}
	box := new(inbox)
	if err := m.Start(box.receive); err != nil {
		t.Fatal(err)
	}
	return m, box
}

func send(t *testing.T, from *link.Memory, to, text string) {
	t.Helper()
	if err := from.Send(cluster.Member{Name: to}, []byte(text)); err != nil {
		t.Fatalf("send %s to %s: %v", text, to, err)
	}
}

func expect(t *testing.T, box *inbox, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := box.take(); !slices.Equal(got, want) {
		t.Errorf("received %q, want %q", got, want)
	}
}

func TestNetworkKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := link.NewNetwork(link.NetworkOptions{})
		a, boxA := join(t, n, "a")
		b, boxB := join(t, n, "b")
		defer a.Close()
		defer b.Close()
		var want []string
		for i := range 1000 {
			text := fmt.Sprint(i)
			send(t, a, "b", text)
			want = append(want, "a:"+text)
		}
		expect(t, boxB, want...)
		send(t, b, "a", "back")
		expect(t, boxA, "b:back")
	})
}

// TestNetworkCopies: a sender's buffer is the sender's again when Send returns.
func TestNetworkCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := link.NewNetwork(link.NetworkOptions{})
		a, _ := join(t, n, "a")
		b, box := join(t, n, "b")
		defer a.Close()
		defer b.Close()
		buffer := []byte("one")
		if err := a.Send(cluster.Member{Name: "b"}, buffer); err != nil {
			t.Fatal(err)
		}
		copy(buffer, "two")
		expect(t, box, "a:one")
	})
}

func TestNetworkIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := link.NewNetwork(link.NetworkOptions{Queue: 2})
		a, _ := join(t, n, "a")
		c, _ := join(t, n, "c")
		b, err := n.Join("b")
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		defer c.Close()
		defer b.Close()
		box := &inbox{hold: make(chan struct{})}
		if err := b.Start(box.receive); err != nil {
			t.Fatal(err)
		}
		send(t, a, "b", "0")
		synctest.Wait() // it is being received, and waits no more
		send(t, a, "b", "1")
		send(t, a, "b", "2")
		if err := a.Send(cluster.Member{Name: "b"}, []byte("3")); !errors.Is(err, cluster.ErrBusy) {
			t.Errorf("over the bound: %v", err)
		}
		send(t, c, "b", "another's")
		close(box.hold)
		expect(t, box, "a:0", "a:1", "a:2", "c:another's")
		send(t, a, "b", "4")
		expect(t, box, "a:4")
	})
}

func TestNetworkFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := link.NewNetwork(link.NetworkOptions{Fault: func(_, _ string, envelope []byte) link.Fate {
			switch string(envelope) {
			case "lose":
				return link.Fate{Lost: true}
			case "double":
				return link.Fate{Twice: true}
			case "late":
				return link.Fate{Delay: time.Second}
			}
			return link.Fate{}
		}})
		a, boxA := join(t, n, "a")
		b, boxB := join(t, n, "b")
		defer a.Close()
		defer b.Close()
		for _, text := range []string{"late", "lose", "double", "plain"} {
			send(t, a, "b", text)
		}
		expect(t, boxB, "a:double", "a:double", "a:plain")
		time.Sleep(time.Second)
		expect(t, boxB, "a:late")

		n.Cut("a", "b")
		send(t, a, "b", "into the cut")
		send(t, b, "a", "the other way")
		expect(t, boxB)
		expect(t, boxA, "b:the other way")
		n.Mend("a", "b")
		send(t, a, "b", "again")
		expect(t, boxB, "a:again")
	})
}

func TestNetworkCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := link.NewNetwork(link.NetworkOptions{Fault: func(_, _ string, envelope []byte) link.Fate {
			if string(envelope) == "late" {
				return link.Fate{Delay: time.Second}
			}
			return link.Fate{}
		}})
		a, _ := join(t, n, "a")
		defer a.Close()
		b, box := join(t, n, "b")
		if _, err := n.Join("b"); err == nil {
			t.Error("two nodes of one name")
		}
		if err := b.Start(box.receive); err == nil {
			t.Error("started twice")
		}
		send(t, a, "b", "late")
		b.Close()
		if err := b.Start(box.receive); err == nil {
			t.Error("started after it was closed")
		}
		to := cluster.Member{Name: "b"}
		if err := a.Send(to, nil); !errors.Is(err, cluster.ErrUnreachable) {
			t.Errorf("to a node that is gone: %v", err)
		}
		again, err := n.Join("b")
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if err := a.Send(to, nil); !errors.Is(err, cluster.ErrUnreachable) {
			t.Errorf("to a node that has not started: %v", err)
		}
		fresh := new(inbox)
		if err := again.Start(fresh.receive); err != nil {
			t.Fatal(err)
		}
		send(t, a, "b", "hello")
		time.Sleep(2 * time.Second)
		expect(t, fresh, "a:hello")
		expect(t, box)
	})
}
