package attack

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
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

// part is what one device (one run of its program) was told of one invitation.
type part struct {
	who    string
	kinds  []client.EventKind
	reason invitation.Reason
	last   time.Time // when the last event came
	shut   time.Time // when its program was ended
	closed bool      // its program was ended while it was live
}

type record struct {
	caller  []*part
	callees []*part
}

type book struct {
	mu   sync.Mutex
	t    *testing.T
	byID map[invitation.ID]*record
	open map[any]*part
	hist map[invitation.ID][]string

	sessions map[string][]string
}

func (b *book) event(who string, ev client.Event) {
	if ev.Kind == client.RequestRejected || ev.Kind >= client.SessionConnected {
		return
	}
	var id invitation.ID
	var key any
	var reason invitation.Reason
	if ev.Local != nil {
		id, key, reason = ev.Local.ID(), ev.Local, ev.Local.Reason()
	} else {
		id, key, reason = ev.Remote.ID(), ev.Remote, ev.Remote.Reason()
	}
	if id.IsZero() {
		return // it never left the device
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.open[key]
	if p == nil {
		p = &part{who: who}
		b.open[key] = p
	}
	if len(p.kinds) > 0 && p.kinds[len(p.kinds)-1].Terminal() {
		b.t.Errorf("%s: %v after %v", who, ev.Kind, p.kinds)
	}
	p.kinds = append(p.kinds, ev.Kind)
	p.last = ev.At
	p.reason = reason
	b.hist[id] = append(b.hist[id], fmt.Sprintf("%v %s %v %v", ev.At.Format("04:05.000"), who, ev.Kind, reason))
	r := b.byID[id]
	if r == nil {
		r = &record{}
		b.byID[id] = r
	}
	has := false
	for _, q := range append(r.caller, r.callees...) {
		has = has || q == p
	}
	switch {
	case has:
	case ev.Local != nil:
		r.caller = append(r.caller, p)
	default:
		r.callees = append(r.callees, p)
	}
}

// observe notes a step of the protocol, for the history of an invitation.
func (b *book) observe(who string, o client.Observation) {
	if os.Getenv("ATTACK_TRACE") == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := fmt.Sprintf("\n    %v %s %v", o.At.Format("04:05.000"), who, o.Step)
	switch o.Step {
	case client.StepEvent:
		s += fmt.Sprintf(" %v %v", o.Event, o.Err)
	case client.StepWord:
		s += fmt.Sprintf(" %v named %s local %v remote %v", o.Word.Kind, o.Word.Named, o.Word.Local, o.Word.Remote)
	case client.StepNoticed:
		s += fmt.Sprintf(" local %v remote %v confirm %v verdict %v settled %v %v", o.Notice.Local, o.Notice.Remote, o.Notice.Confirm, o.Notice.Verdict, o.Notice.Settled, o.Notice.Reason)
	case client.StepAnswered:
		s += fmt.Sprintf(" %v %v", o.Request, o.Err)
		if o.Notice != nil {
			s += fmt.Sprintf(" local %v remote %v %v", o.Notice.Local, o.Notice.Remote, o.Notice.Reason)
		}
	default:
		s += fmt.Sprintf(" %v %v", o.Request, o.Err)
	}
	if o.Step == client.StepEvent && o.Event >= client.SessionConnected {
		b.sessions[who] = append(b.sessions[who], s)
		return
	}
	b.hist[o.ID] = append(b.hist[o.ID], s)
}

func (p *part) end() client.EventKind {
	if n := len(p.kinds); n > 0 && p.kinds[n-1].Terminal() {
		return p.kinds[n-1]
	}
	return client.NoEvent
}

func (b *book) closed(who string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.open {
		if p.who != who {
			continue
		}
		p.shut = time.Now()
		p.closed = p.end() == client.NoEvent
	}
}

type phone struct {
	user   invitation.User
	device invitation.Device
	net    *rough
	mu     sync.Mutex
	c      *client.Client
	runs   int
	locals []*client.LocalInvitation
}

func TestChaos(t *testing.T) {
	seeds := 2
	if s := os.Getenv("ATTACK_SEEDS"); s != "" {
		seeds, _ = strconv.Atoi(s)
	}
	first, _ := strconv.Atoi(os.Getenv("ATTACK_SEED"))
	for seed := first; seed < first+seeds; seed++ {
		for _, policy := range []session.Policy{session.Single, session.Multi} {
			t.Run(fmt.Sprintf("%d/%d", policy, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { chaos(t, uint64(seed), policy) })
			})
		}
	}
}

func chaos(t *testing.T, seed uint64, policy session.Policy) {
	node, err := ringfleet.Start(ringfleet.Config{
		Gateway: gatewayConfig(), Session: session.Config{Policy: policy, SendRate: 1000, SendBurst: 1000},
	})
	if err != nil {
		t.Fatal(err)
	}
	b := &book{t: t, byID: map[invitation.ID]*record{}, open: map[any]*part{}, hist: map[invitation.ID][]string{}, sessions: map[string][]string{}}
	ctx := context.Background()
	var phones []*phone
	for u := range 4 {
		for d := range 2 {
			p := &phone{user: invitation.User(fmt.Sprintf("u%d", u)), device: invitation.Device(fmt.Sprintf("d%d", d))}
			p.net = &rough{node: node, delay: 60 * time.Millisecond, rng: rand.New(rand.NewPCG(seed, uint64(u*10+d)))}
			phones = append(phones, p)
		}
	}
	var wg sync.WaitGroup
	stop := time.Now().Add(10 * time.Minute)
	for i, p := range phones {
		rng := rand.New(rand.NewPCG(seed+1000, uint64(i)))
		wg.Go(func() { p.live(ctx, b, rng, stop) })
	}
	wg.Wait()
	time.Sleep(15 * time.Minute) // all is over
	for _, p := range phones {
		p.mu.Lock()
		if p.c != nil {
			_ = p.c.Logout(ctx)
			_ = p.c.Close()
		}
		p.mu.Unlock()
	}
	time.Sleep(15 * time.Minute)
	if s := node.Status(); s.Sessions != 0 {
		t.Errorf("sessions left: %+v", s)
	}
	for stage, n := range node.Status().Invitations {
		if n != 0 {
			t.Errorf("invitations left: %s %d", stage, n)
		}
	}
	if err := node.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	b.judge()
}

func (b *book) around(r *record) (s []string) {
	if os.Getenv("ATTACK_TRACE") == "" {
		return nil
	}
	for _, p := range append(r.callees, r.caller...) {
		s = append(s, b.sessions[p.who]...)
	}
	return s
}

func (b *book) judge() {
	accepted := 0
	kinds := map[string]int{}
	for id, r := range b.byID {
		bad := func(format string, args ...any) {
			b.t.Errorf("%v: %s\n  %v\n  %v", id, fmt.Sprintf(format, args...), b.hist[id], b.around(r))
		}
		if len(r.caller) != 1 {
			kinds["no caller"]++
			if len(r.caller) > 1 {
				bad("%d callers", len(r.caller))
			}
			continue
		}
		c := r.caller[0]
		if c.end() == client.NoEvent && !c.closed {
			bad("caller in limbo: %v", c.kinds)
		}
		n, gone, mute := 0, 0, false
		for _, p := range r.callees {
			switch {
			case p.end() == client.NoEvent && !p.closed:
				bad("callee in limbo: %v", p)
			case p.end() == client.NoEvent:
				gone++
			case p.end() == client.RemoteInvitationAccepted:
				n++
				// Ended before its last word was out, it is a device that is gone for good.
				mute = !p.shut.IsZero() && p.shut.Sub(p.last) < time.Minute
			}
		}
		if n > 1 {
			bad("accepted twice")
		}
		if c.closed {
			kinds["caller closed"]++
			continue
		}
		if c.end() == client.LocalInvitationAccepted {
			accepted++
			if n == 0 && gone == 0 {
				bad("caller accepted alone")
			}
			continue
		}
		if n > 0 && !mute {
			bad("callee accepted alone, caller %v %v", c.end(), c.reason)
		}
		for _, p := range r.callees {
			if p.end() == client.NoEvent || p.reason == invitation.AnsweredElsewhere || p.reason == invitation.RejectedElsewhere {
				continue
			}
			if p.end()-client.RemoteInvitationAccepted != c.end()-client.LocalInvitationAccepted {
				kinds[fmt.Sprintf("KIND caller %v(%v) callee %v(%v)", c.end(), c.reason, p.end(), p.reason)]++
				own := c.reason == invitation.CallerLoggedOut || c.reason == invitation.OutcomeForgotten // perhaps decided alone, while cut off
				if p.reason != invitation.OutcomeForgotten && !own && !mute {
					bad("other kinds: caller %v %v, callee %v %v", c.end(), c.reason, p.end(), p.reason)
				}
			}
		}
		kinds[fmt.Sprintf("%v %v", c.end(), c.reason)]++
	}
	b.t.Logf("%d invitations, %d accepted", len(b.byID), accepted)
	for k, n := range kinds {
		b.t.Logf("%6d %s", n, k)
	}
}

func (p *phone) live(ctx context.Context, b *book, rng *rand.Rand, stop time.Time) {
	for time.Now().Before(stop) {
		time.Sleep(time.Duration(rng.Int64N(int64(300 * time.Millisecond))))
		p.mu.Lock()
		c := p.c
		p.mu.Unlock()
		if c == nil || rng.IntN(400) == 0 {
			p.restart(ctx, b, rng)
			continue
		}
		roll := rng.IntN(1000)
		switch {
		case roll < 300:
			to := invitation.User(fmt.Sprintf("u%d", rng.IntN(4)))
			if to == p.user {
				continue
			}
			l := c.NewLocalInvitation(to)
			go func() {
				_ = l.Send(ctx)
			}()
			p.mu.Lock()
			p.locals = append(p.locals, l)
			p.mu.Unlock()
		case roll < 400:
			p.mu.Lock()
			if n := len(p.locals); n > 0 {
				l := p.locals[n-1]
				p.locals = p.locals[:n-1]
				go func() { _ = l.Cancel(ctx) }()
			}
			p.mu.Unlock()
		case roll < 430:
			p.net.cut()
		case roll < 445:
			go func() { _ = c.Logout(ctx) }()
		case roll < 460:
			go func() { _ = c.Login(ctx) }()
		}
	}
}

func (p *phone) restart(ctx context.Context, b *book, rng *rand.Rand) {
	p.mu.Lock()
	if p.c != nil {
		_ = p.c.Close()
		b.closed(p.who())
	}
	p.runs++
	who := p.who()
	p.locals = nil
	var mu sync.Mutex
	rng = rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64())) // its own: callbacks run beside p.live
	p.c = client.New(p.net, client.Options{
		User: p.user, Device: p.device,
		OnRemoteInvitation: func(r *client.RemoteInvitation) {
			mu.Lock()
			what, after := rng.IntN(10), time.Duration(rng.Int64N(int64(3*time.Second)))
			mu.Unlock()
			go func() {
				time.Sleep(after)
				switch {
				case what < 6:
					_ = r.Accept(ctx, "yes")
				case what < 8:
					_ = r.Refuse(ctx, "no")
				}
			}()
		},
		OnEvent:  func(ev client.Event) { b.event(who, ev) },
		Observer: func(o client.Observation) { b.observe(who, o) },
	})
	c := p.c
	p.mu.Unlock()
	go func() { _ = c.Login(ctx) }()
}

func (p *phone) who() string { return fmt.Sprintf("%s/%s#%d", p.user, p.device, p.runs) }
