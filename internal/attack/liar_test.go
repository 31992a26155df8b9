package attack

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// liar is a device that says anything about any invitation it has ever heard the id of.
type liar struct {
	node *ringfleet.Node
	user invitation.User
	rng  *rand.Rand
	ids  *ids
	link client.Link
	mu   sync.Mutex
	gone bool
}

// ids are the ids that all liars know: they even know those of invitations that are none of theirs.
type ids struct {
	mu  sync.Mutex
	all []invitation.ID
}

func (s *ids) add(id invitation.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, id)
}

func (s *ids) pick(rng *rand.Rand) invitation.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == 0 || rng.IntN(20) == 0 {
		return invitation.NewID("nobody", "none", strconv.Itoa(rng.IntN(100)))
	}
	return s.all[max(0, len(s.all)-1-rng.IntN(30))]
}

func (l *liar) Receive(d invitation.Down) {
	switch {
	case d.Notice != nil:
		l.ids.add(d.Notice.ID)
	case d.Answer != nil && !d.Answer.ID.IsZero():
		l.ids.add(d.Answer.ID)
	}
}

func (l *liar) Lost(error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
}

var (
	liarUsers   = []invitation.User{"ann", "ben", "liar0", "liar1"}
	liarDevices = []invitation.Device{"d0", "d1", "d2"}
)

func (l *liar) word() *invitation.Word {
	w := &invitation.Word{ID: l.ids.pick(l.rng), Side: invitation.Caller, Kind: invitation.WordKind(1 + l.rng.IntN(3))}
	switch {
	case w.Kind == invitation.WordConfirmed:
		w.Named = liarDevices[l.rng.IntN(3)]
	case w.Kind == invitation.WordSeen || l.rng.IntN(2) == 0:
		w.Side = invitation.Callee
		w.Remote = invitation.RemoteState(3 + l.rng.IntN(4))
	default:
		w.Local = invitation.LocalState(3 + l.rng.IntN(4))
	}
	return w
}

func (l *liar) lie() {
	switch roll := l.rng.IntN(100); {
	case l.link == nil || l.isGone() || roll == 0:
		if l.link != nil {
			_ = l.link.Close()
		}
		login := invitation.Login{
			User: l.user, Device: liarDevices[l.rng.IntN(3)], Resume: l.rng.IntN(2) == 0, Stamp: l.rng.Uint64(),
		}
		for range l.rng.IntN(10) {
			login.Words = append(login.Words, *l.word())
		}
		l.mu.Lock()
		l.gone = false
		l.mu.Unlock()
		l.link, _ = l.node.Dial(context.Background(), login, l)
	case roll == 1:
		_ = l.link.Say(invitation.Up{Logout: true})
	case roll < 50:
		_ = l.link.Say(invitation.Up{Word: l.word()})
	default:
		_ = l.link.Say(invitation.Up{Call: &invitation.Call{
			Request: invitation.Request(1 + l.rng.IntN(5)), RequestID: 1 + l.rng.Uint64N(50), ID: l.ids.pick(l.rng),
			Key: strconv.Itoa(l.rng.IntN(200)), Callee: liarUsers[l.rng.IntN(4)], Content: "lies", Response: "lies",
			Timers: invitation.Timers{Linger: invitation.MaxTimer, Expire: time.Second},
		}})
	}
}

func (l *liar) isGone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

// TestLiars has honest users call each other while devices of other users, and one liar among their
// own callers, say whatever they like: the honest calls go as if nobody lied, and nothing is left.
func TestLiars(t *testing.T) {
	for _, policy := range []session.Policy{session.Single, session.Multi} {
		for seed := range uint64(1) {
			t.Run(fmt.Sprintf("%d/%d", policy, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { liars(t, seed, policy) })
			})
		}
	}
}

func liars(t *testing.T, seed uint64, policy session.Policy) {
	panics := &panicLog{}
	node, err := ringfleet.Start(ringfleet.Config{
		Gateway: gatewayConfig(), Session: session.Config{Policy: policy, MaxIncoming: 1000}, Logger: panics.logger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	known := &ids{}
	lasts := 5 * time.Minute
	if testing.Short() { // under the race detector
		lasts = 30 * time.Second
	}
	stop := time.Now().Add(lasts)
	var wg sync.WaitGroup
	for i := range 4 {
		l := &liar{node: node, user: liarUsers[2+i%2], rng: rand.New(rand.NewPCG(seed, uint64(i))), ids: known}
		wg.Go(func() {
			for time.Now().Before(stop) {
				time.Sleep(time.Duration(l.rng.Int64N(int64(20 * time.Millisecond))))
				l.lie()
			}
			_ = l.link.Close()
		})
	}
	ctx := context.Background()
	ben, err := client.Dial(ctx, node, client.Options{User: "ben", OnRemoteInvitation: func(r *client.RemoteInvitation) {
		known.add(r.ID())
		if r.Caller() == "ann" {
			go func() {
				time.Sleep(time.Second)
				_ = r.Accept(ctx, "yes")
			}()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	ann, err := client.Dial(ctx, node, client.Options{User: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	for calls := 0; time.Now().Before(stop); calls++ {
		time.Sleep(time.Second)
		l := ann.NewLocalInvitation("ben")
		if err := l.Send(ctx); err != nil {
			t.Fatalf("call %d: %v", calls, err)
		}
		known.add(l.ID())
		if err := l.Wait(ctx); err != nil || l.State() != invitation.LocalAcceptedByRemote {
			t.Fatalf("call %d: %v %v %v", calls, l.State(), l.Reason(), err)
		}
	}
	wg.Wait()
	for _, c := range []*client.Client{ann, ben} {
		if err := c.Logout(ctx); err != nil {
			t.Error(err)
		}
		_ = c.Close()
	}
	time.Sleep(25 * time.Minute)
	if s := node.Status(); s.Sessions != 0 || s.Invitations["RINGING"]+s.Invitations["ENDED"]+s.Invitations["OFFERING"] != 0 {
		t.Errorf("left over: %+v", s)
	}
	if err := node.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if n := panics.count(); n != 0 {
		t.Errorf("%d panics: %s", n, panics.last())
	}
}
