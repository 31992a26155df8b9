package client

import (
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// chaos plays a node that says anything, to an application that asks for anything, as the bytes of
// data have it. What must hold then: nothing panics or hangs, every invitation's events are in order,
// and this device's words do not contradict each other.
type chaos struct {
	t    *testing.T
	data []byte
	s    *script
	c    *Client
	ctx  context.Context

	locals  []*LocalInvitation
	remotes []*RemoteInvitation
	calls   []*invitation.Call
	ids     []invitation.ID
	words   []invitation.Word

	mu     sync.Mutex
	events []Event
}

func (x *chaos) byte() byte {
	if len(x.data) == 0 {
		return 0
	}
	b := x.data[0]
	x.data = x.data[1:]
	return b
}

func pick[T any](x *chaos, all []T) (one T, ok bool) {
	if len(all) == 0 {
		return one, false
	}
	return all[int(x.byte())%len(all)], true
}

func (x *chaos) run() {
	for len(x.data) > 0 {
		x.step()
		synctest.Wait()
		x.collect()
	}
}

// collect takes what the client has said.
func (x *chaos) collect() {
	if x.s.dials() == 0 {
		return
	}
	for _, up := range x.s.last().take() {
		switch {
		case up.Call != nil:
			x.calls = append(x.calls, up.Call)
		case up.Word != nil:
			x.words = append(x.words, *up.Word)
		}
	}
}

// ask lets the application ask for something, for as long as it has the patience.
func (x *chaos) ask(do func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(x.ctx, time.Duration(x.byte())*100*time.Millisecond+1)
	go func() {
		defer cancel()
		_ = do(ctx) // anything may come of it
	}()
}

func (x *chaos) step() {
	x.c.mu.Lock()
	out := x.c.phase == idle
	x.c.mu.Unlock()
	if out && x.byte()%4 != 0 {
		_ = x.c.Login(x.ctx)
	}
	switch op := x.byte(); op % 16 {
	case 0, 1:
		l := x.c.NewLocalInvitation("bob")
		x.locals = append(x.locals, l)
		x.ask(l.Send)
	case 2:
		if l, ok := pick(x, x.locals); ok {
			x.ask(l.Cancel)
		}
	case 3:
		if r, ok := pick(x, x.remotes); ok {
			x.ask(func(ctx context.Context) error { return r.Accept(ctx, "yes") })
		}
	case 4:
		if r, ok := pick(x, x.remotes); ok {
			x.ask(func(ctx context.Context) error { return r.Refuse(ctx, "no") })
		}
	case 5:
		time.Sleep(time.Duration(x.byte()) * 100 * time.Millisecond)
	case 6:
		x.sessionStep()
	case 7, 8, 9, 10:
		x.answer()
	default:
		n := x.notice()
		x.receive(invitation.Down{Notice: &n})
	}
}

func (x *chaos) sessionStep() {
	ends := []invitation.End{invitation.EndShutdown, invitation.EndRemoteLogin, invitation.EndIdle, invitation.EndUnauthorized}
	switch x.byte() % 8 {
	case 0:
		end, _ := pick(x, ends)
		x.receive(invitation.Down{Ending: &invitation.Ending{End: end}})
	case 1, 2, 3:
		if x.s.dials() > 0 {
			x.s.last().receiver.Lost(io.EOF)
		}
	case 4:
		b := x.byte()
		x.receive(invitation.Down{Welcome: &invitation.Welcome{Stamp: uint64(b), Tell: b&1 != 0}})
	case 5:
		n := x.notice()
		x.receive(invitation.Down{Retell: &invitation.Retell{ID: n.ID, Side: n.Side}})
	case 6:
		ctx, cancel := context.WithTimeout(x.ctx, time.Second)
		_ = x.c.Logout(ctx)
		cancel()
	default:
		_ = x.c.Login(x.ctx)
	}
}

func (x *chaos) receive(down invitation.Down) {
	if x.s.dials() > 0 {
		x.s.last().receiver.Receive(down)
	}
}

func (x *chaos) answer() {
	call, ok := pick(x, x.calls)
	if !ok {
		return
	}
	a := invitation.Answer{RequestID: call.RequestID, ID: call.ID}
	if call.Request == invitation.Send {
		a.ID = invitation.NewID("alice", "phone", call.Key)
		x.ids = append(x.ids, a.ID)
	}
	if b := x.byte(); b < 100 {
		a.Error = invitation.Codes[int(b)%len(invitation.Codes)].Error
		a.RetryAfter = time.Duration(b) * time.Second
	}
	if x.byte() < 100 {
		n := x.notice()
		if call.Request == invitation.Send {
			n.ID, n.Side = a.ID, invitation.Caller
		}
		a.Notice = &n
	}
	x.receive(invitation.Down{Answer: &a})
}

func (x *chaos) notice() invitation.Notice {
	n := invitation.Notice{ID: invitation.ID{15: x.byte() % 8}, Side: invitation.Side(x.byte() % 4), Peer: "bob"}
	if b := x.byte(); b < 150 {
		if id, ok := pick(x, x.ids); ok {
			n.ID, n.Side = id, invitation.Caller
		}
	}
	state, flags := x.byte(), x.byte()
	n.Local = invitation.LocalState(state % invitation.LocalStates)
	n.Remote = invitation.RemoteState(state % invitation.RemoteStates)
	n.Verdict, n.Settled = flags&1 != 0, flags&2 != 0
	if flags&12 == 0 {
		n.Confirm = invitation.Device([]string{"desk", "car"}[flags>>4&1])
	}
	n.Remaining = time.Duration(flags) * time.Second
	return n
}

// check checks what must hold of everything that was fired and said.
func (x *chaos) check() {
	type object struct {
		l *LocalInvitation
		r *RemoteInvitation
	}
	ended, begun := map[object]bool{}, map[object]bool{}
	for _, ev := range x.events {
		o := object{ev.Local, ev.Remote}
		switch {
		case ev.Kind >= SessionConnected:
			continue
		case ev.Kind == RequestRejected:
		case ended[o]:
			x.t.Errorf("%v after the end", ev.Kind)
		case ev.Kind.Terminal():
			ended[o] = true
		case begun[o]:
			x.t.Errorf("%v twice", ev.Kind)
		default:
			begun[o] = true
		}
		if ev.Remote != nil && !begun[o] {
			x.t.Errorf("%v before RemoteInvitationReceived", ev.Kind)
		}
	}
	type party struct {
		id   invitation.ID
		side invitation.Side
	}
	confirmed, accepted, other := map[party]invitation.Device{}, map[party]bool{}, map[party]bool{}
	for _, w := range x.words {
		p := party{w.ID, w.Side}
		switch {
		case w.Kind == invitation.WordConfirmed:
			if was := confirmed[p]; was != "" && was != w.Named || other[p] {
				x.t.Errorf("confirmed %v after %v, ended %v", w.Named, was, other[p])
			}
			confirmed[p] = w.Named
		case w.Kind == invitation.WordDone && w.Side == invitation.Callee:
			accepted[p] = accepted[p] || w.Remote == invitation.RemoteAccepted
			other[p] = other[p] || w.Remote != invitation.RemoteAccepted
			if accepted[p] && other[p] {
				x.t.Errorf("the callee's device said accepted and %v", w.Remote)
			}
		case w.Kind == invitation.WordDone:
			other[p] = true
		}
	}
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	if n := x.c.live.n; n > x.c.options.MaxInvitations {
		x.t.Errorf("%d live", n)
	}
	if n := x.c.ended.n; n > x.c.options.MaxEnded {
		x.t.Errorf("%d ended", n)
	}
	if n := x.c.byID.len(); n > x.c.live.n+x.c.ended.n {
		x.t.Errorf("%d registered, %d live, %d ended", n, x.c.live.n, x.c.ended.n)
	}
	for l := x.c.live.first; l != nil; l = l.next {
		if l.terminal() {
			x.t.Error("an ended one among the live")
		}
	}
}

func play(t *testing.T, data []byte) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		x := &chaos{t: t, data: data, s: new(script), ctx: ctx}
		x.c = New(x.s, Options{
			User: "alice", Device: "phone", MaxInvitations: 20, MaxEnded: 10, Linger: time.Minute,
			Observer: func(Observation) {},
			OnEvent: func(ev Event) {
				x.mu.Lock()
				defer x.mu.Unlock()
				x.events = append(x.events, ev)
				if ev.Kind == RemoteInvitationReceived {
					x.remotes = append(x.remotes, ev.Remote)
				}
			},
		})
		if data[0]%8 != 0 {
			_ = x.c.Login(ctx)
		}
		x.run()
		synctest.Wait()
		x.check()
		cancel()
		synctest.Wait()
		_ = x.c.Close()
	})
}

func FuzzEngine(f *testing.F) {
	f.Add([]byte{1, 0, 7, 0, 255, 255, 12, 0, 0, 0, 0, 2, 0, 12, 0, 0, 0, 0, 2, 16, 12, 0, 0, 0, 0, 3, 1})
	f.Add([]byte{1, 12, 1, 2, 255, 1, 0, 3, 0, 7, 0, 255, 255, 12, 1, 2, 255, 4, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 0 && len(data) < 4_000 {
			play(t, data)
		}
	})
}

// TestChaos plays the same at random, so that the plain tests do too. A failure names its seed.
func TestChaos(t *testing.T) {
	for seed := range uint64(500) {
		random := rand.New(rand.NewPCG(seed, 0))
		data := make([]byte, 1_500)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		play(t, data)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
