package ringfleet_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/cluster"
	peers "github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/internal/peerwire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// payload reads what an envelope carries.
func payload(t *testing.T, envelope []byte) any {
	t.Helper()
	var kind cluster.Kind
	var data []byte
	for len(envelope) > 0 {
		field, wireType, n := protowire.ConsumeTag(envelope)
		envelope = envelope[max(n, 0):]
		size := protowire.ConsumeFieldValue(field, wireType, envelope)
		if n < 0 || size < 0 {
			t.Fatal("an envelope is malformed")
		}
		switch field {
		case 2:
			v, _ := protowire.ConsumeVarint(envelope)
			kind = cluster.Kind(v)
		case 7:
			data, _ = protowire.ConsumeBytes(envelope)
		}
		envelope = envelope[size:]
	}
	codec := peerwire.Codec{Now: func() invitation.Time { return 0 }}
	p, err := codec.Decode(kind, "", data)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fates decides about messages between nodes, by what they say.
type fates struct {
	mu     sync.Mutex
	input  func(*session.Input) peers.Fate
	device func(invitation.Down) peers.Fate
	lost   int
}

func (f *fates) options(t *testing.T) peers.NetworkOptions {
	return peers.NetworkOptions{Fault: func(_, _ string, envelope []byte) (fate peers.Fate) {
		f.mu.Lock()
		defer f.mu.Unlock()
		switch p := payload(t, envelope).(type) {
		case *session.Input:
			if f.input != nil {
				fate = f.input(p)
			}
		case *peerwire.Delivery:
			if f.device != nil {
				fate = f.device(p.Down)
			}
		}
		if fate.Lost {
			f.lost++
		}
		return fate
	}}
}

func (f *fleet) sessions() (n int) {
	for _, node := range f.nodes {
		n += node.Status().Sessions
	}
	return n
}

// dial connects devices of so many users to the nodes of f.
func (f *fleet) dial(users int, device invitation.Device) (clients []*client.Client) {
	f.t.Helper()
	for i := range users {
		user := invitation.User("user" + string(rune('a'+i)))
		cl, err := client.Dial(f.t.Context(), f, client.Options{User: user, Device: device})
		if err != nil {
			f.t.Fatal(err)
		}
		clients = append(clients, cl)
	}
	return clients
}

// comeAndGo connects so many users, and lets their connections be lost.
func (f *fleet) comeAndGo(users int) {
	f.t.Helper()
	clients := f.dial(users, "d")
	if n := f.sessions(); n != users {
		f.t.Fatalf("%d sessions of %d users", n, users)
	}
	for _, cl := range clients {
		_ = cl.Close()
	}
}

// TestDetachesAreLost: sessions find out that their devices have gone, though no gateway's word of it reaches another
// node.
func TestDetachesAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fates fates
		fates.input = func(in *session.Input) peers.Fate {
			return peers.Fate{Lost: in.Kind == session.InDetach && in.Device != ""} // those without answer a question
		}
		f := newFleet(t, fates.options(t))
		for _, name := range []string{"a", "b", "c"} {
			f.start(name)
		}
		f.comeAndGo(24)
		time.Sleep(70 * time.Second) // the grace, and two turns
		if n := f.sessions(); n != 0 || fates.lost < 24 {
			t.Errorf("%d sessions are left; %d detaches were lost", n, fates.lost)
		}
		f.end()
	})
}

// TestAttachesAreLate: sessions find out that devices have gone whose attach came after the last detach, though what
// answered it was lost.
func TestAttachesAreLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const late = 4 * time.Minute
		var fates fates
		begin, seen := time.Now(), map[uint64]bool{}
		fates.input = func(in *session.Input) peers.Fate {
			if in.Kind != session.InAttach || seen[in.Conn.Number] {
				return peers.Fate{}
			}
			seen[in.Conn.Number] = true
			return peers.Fate{Delay: late} // its repetition is not
		}
		fates.device = func(down invitation.Down) peers.Fate {
			age := time.Since(begin)
			return peers.Fate{Lost: down.Welcome != nil && age >= late && age < late+10*time.Second}
		}
		f := newFleet(t, fates.options(t))
		for _, name := range []string{"a", "b", "c"} {
			f.start(name)
		}
		f.comeAndGo(24)
		time.Sleep(time.Until(begin.Add(late - time.Second)))
		if n := f.sessions(); n != 0 {
			t.Fatalf("%d sessions of users who are gone", n)
		}
		time.Sleep(20 * time.Second)
		if n := f.sessions(); n == 0 {
			t.Error("no attach came late")
		}
		time.Sleep(time.Minute)
		if n := f.sessions(); n != 0 || fates.lost == 0 {
			t.Errorf("%d sessions are left; %d answers were lost", n, fates.lost)
		}
		f.end()
	})
}

// TestEndingsAreLost: a device whose user has logged in on another one is told so, though the first word of it was lost.
func TestEndingsAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fates fates
		losing := true
		fates.device = func(down invitation.Down) peers.Fate { return peers.Fate{Lost: down.Ending != nil && losing} }
		f := newFleet(t, fates.options(t))
		for _, name := range []string{"a", "b", "c"} {
			f.start(name)
		}
		older, newer := f.dial(24, "d1"), f.dial(24, "d2")
		fates.mu.Lock()
		losing = false
		fates.mu.Unlock()
		time.Sleep(20 * time.Second)
		for i := range older {
			if older[i].Connected() || !newer[i].Connected() {
				t.Errorf("%s: the older device is connected: %v, the newer: %v", older[i].User(), older[i].Connected(), newer[i].Connected())
			}
		}
		if fates.lost == 0 {
			t.Error("nothing was lost")
		}
		for _, cl := range slices.Concat(older, newer) {
			_ = cl.Close()
		}
		f.end()
	})
}
