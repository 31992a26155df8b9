package actors

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/actors/engine"
	"github.com/ringfleet/ringfleet/internal/peerwire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

func all(invitation.Shard) bool { return true }

// move moves all actors to a new host, whose clock has another origin.
func (w *world) move(t *testing.T) {
	t.Helper()
	w.moveTo(t, w.newHost(nil))
}

// moveTo moves all actors to another host, as the cluster would.
func (w *world) moveTo(t *testing.T, to *Host) {
	t.Helper()
	w.mu.Lock()
	from := w.host
	w.away, w.gone = true, true
	w.mu.Unlock()
	var mu sync.Mutex
	var records [][]byte
	if err := from.Export(t.Context(), all, func(r Record) {
		data, err := peerwire.Codec{Now: from.Now}.AppendRecord(nil, &r)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		records = append(records, data)
	}); err != nil {
		t.Error(err)
	}
	if s, i := from.Live(); s+i != 0 {
		synctest.Wait() // the last one has answered, and may not have left
		if s, i := from.Live(); s+i != 0 {
			t.Errorf("%d sessions and %d arbiters stayed", s, i)
		}
	}
	for _, data := range records {
		r, err := peerwire.Codec{Now: to.Now}.Record(data)
		if err != nil {
			t.Error(err)
			continue
		}
		to.Import([]Record{*r})
	}
	for {
		w.mu.Lock()
		w.gone = false
		kept := w.kept
		w.kept = nil
		if len(kept) == 0 {
			w.host, w.away = to, false
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		for _, f := range kept {
			if err := f(to); err != nil {
				t.Error(err)
			}
		}
	}
}

// acts lets an application accept or refuse what rings.
func (p *phone) acts(request invitation.Request) {
	p.w.mu.Lock()
	var say []invitation.Up
	for id, r := range p.in {
		answer := r.Accept
		if request == invitation.Refuse {
			answer = r.Refuse
		}
		out, err := answer()
		if err != invitation.OK {
			p.w.t.Error(err)
		}
		say = append(say, p.do(id, out)...)
	}
	p.w.mu.Unlock()
	for _, up := range say {
		p.say(up)
	}
}

// TestMoveWhileRinging moves an invitation that rings; it goes on, and its time is not begun anew.
func TestMoveWhileRinging(t *testing.T) {
	for name, c := range map[string]struct {
		act  func(p *phone)
		wait time.Duration
		want string
	}{
		"accepted": {func(p *phone) { p.acts(invitation.Accept) }, 0, "Accepted"},
		"refused":  {func(p *phone) { p.acts(invitation.Refuse) }, 0, "Refused"},
		"expired":  {func(*phone) {}, 20*time.Second + 100*time.Millisecond, "Failure"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, nil)
				alice, bob := w.phone("alice", 0), w.phone("bob", 0)
				alice.send("bob", invitation.Timers{})
				synctest.Wait()
				for range 2 {
					time.Sleep(20*time.Second - time.Millisecond)
					w.move(t)
				}
				synctest.Wait()
				w.liveIs(t, 2, 1)
				if want := ([invitation.Stages]int{invitation.Ringing: 1}); w.live != want {
					t.Errorf("the observer counts %v, want %v", w.live, want)
				}
				alice.saw(t, "ReceivedByPeer")
				c.act(bob)
				time.Sleep(c.wait)
				synctest.Wait()
				alice.saw(t, "ReceivedByPeer", c.want)
				bob.saw(t, "Received", c.want)
				w.liveIs(t, 2, 0)
				if w.live != ([invitation.Stages]int{}) || w.ended != 1 || len(w.moved) < 3 || !w.moved[0].First {
					t.Errorf("the observer counts %v, %d settled, and was told %+v", w.live, w.ended, w.moved)
				}
				sent := 0
				for _, s := range w.moved {
					if s.First {
						sent++
					}
				}
				if sent != 1 {
					t.Errorf("%d were counted as sent, want 1", sent)
				}
			})
		})
	}
}

// TestMovedPastStaysPast: what is over when the shard moves does not start again where it has moved to.
func TestMovedPastStaysPast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var start invitation.Message
		w := newWorld(t, func(msg any) {
			if m, ok := msg.(*invitation.Message); ok && m.Kind == invitation.MsgStart {
				start = *m
			}
		})
		alice, bob := w.phone("alice", 0), w.phone("bob", invitation.Accept)
		alice.send("bob", invitation.Timers{})
		synctest.Wait()
		w.move(t)
		w.Arbiter(&start)
		synctest.Wait()
		w.liveIs(t, 2, 0)
		alice.saw(t, "ReceivedByPeer", "Accepted")
		bob.saw(t, "Received", "Accepted")
	})
}

// TestMovesUnderLoad moves everything again and again while people call each other: nobody notices.
func TestMovesUnderLoad(t *testing.T) {
	const pairs, moves = 60, 12
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var callers, callees []*phone
		for i := range pairs {
			callers = append(callers, w.phone(invitation.User(fmt.Sprint("caller", i)), 0))
			callees = append(callees, w.phone(invitation.User(fmt.Sprint("callee", i)), invitation.Accept))
		}
		var calling sync.WaitGroup
		for i, p := range callers {
			calling.Go(func() {
				for range i % 7 * 50 {
					runtime.Gosched()
				}
				p.send(callees[i].user, invitation.Timers{})
			})
		}
		for range moves {
			w.move(t)
		}
		calling.Wait()
		synctest.Wait()
		for i := range pairs {
			callers[i].saw(t, "ReceivedByPeer", "Accepted")
			callees[i].saw(t, "Received", "Accepted")
		}
		w.liveIs(t, 2*pairs, 0)
		if w.ended != pairs || w.live != ([invitation.Stages]int{}) {
			t.Errorf("%d settled, want %d; the observer counts %v", w.ended, pairs, w.live)
		}
	})
}

// teller counts what comes of each message that a host is told: handled by an actor, or given to the
// network.
type teller struct {
	host   *Host
	away   atomic.Bool
	counts sync.Map // *atomic.Int32, by what names the message
}

func (n *teller) count(key any) {
	c, _ := n.counts.LoadOrStore(key, new(atomic.Int32))
	c.(*atomic.Int32).Add(1)
}

func (n *teller) handled(msg any) {
	switch msg := msg.(type) {
	case *input:
		n.count(msg.ID)
	case *invitation.Message:
		n.count(msg.RequestID)
	}
}

func (n *teller) Session(_ invitation.User, in *session.Input)          { n.count(in.ID) }
func (n *teller) Arbiter(msg *invitation.Message)                       { n.count(msg.RequestID) }
func (n *teller) View(invitation.User, *invitation.View)                {}
func (n *teller) Reply(invitation.User, *invitation.Reply)              {}
func (n *teller) Device(invitation.User, session.Conn, invitation.Down) {}
func (n *teller) LostAt(invitation.Shard) invitation.Time               { return 0 }
func (n *teller) Holds(invitation.Shard) bool                           { return !n.away.Load() }
func (n *teller) tell(t *testing.T, tell func() error) {
	for err := tell(); err != nil; err = tell() {
		if !errors.Is(err, engine.ErrBusy) {
			t.Error(err)
			return
		}
		runtime.Gosched()
	}
}

// TestExportLosesNoMessage tells actors what it can while they are exported: each message is handled by an
// actor or goes to the network, once.
func TestExportLosesNoMessage(t *testing.T) {
	const users, tellers, each = 40, 4, 4_000
	n := &teller{}
	n.host = New(Options{Network: n})
	n.host.fault = n.handled
	t.Cleanup(func() {
		if err := n.host.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	var terms []*invitation.Terms
	for i := range users {
		user := invitation.User(fmt.Sprint("user", i))
		terms = append(terms, &invitation.Terms{
			ID: invitation.NewID(user, "d", "k"), Caller: user, Device: "d", Callee: "bob", Timers: invitation.DefaultTimers,
		})
		n.tell(t, func() error {
			return n.host.TellArbiter(&invitation.Message{Kind: invitation.MsgStart, ID: terms[i].ID, User: user, Terms: terms[i]})
		})
		n.tell(t, func() error {
			return n.host.TellSession(user, &session.Input{
				Kind: session.InAttach, Device: "d", Conn: session.Conn{Node: "n", Number: 1}, Login: &invitation.Login{User: user, Device: "d"},
			})
		})
	}
	var telling sync.WaitGroup
	var halfway sync.WaitGroup
	halfway.Add(tellers)
	for g := range tellers {
		telling.Go(func() {
			for k := range each {
				if k == each/2 {
					halfway.Done()
				}
				number, of := uint64(1+g*each+k), terms[k%users]
				n.tell(t, func() error {
					return n.host.TellArbiter(&invitation.Message{Kind: invitation.MsgCaller, ID: of.ID, User: of.Caller, RequestID: number})
				})
				n.tell(t, func() error {
					return n.host.TellSession(of.Caller, &session.Input{
						Kind: session.InUnknown, ID: invitation.NewID("x", "x", fmt.Sprint(number)),
					})
				})
			}
		})
	}
	halfway.Wait()
	n.away.Store(true)
	var records atomic.Int64
	if err := n.host.Export(t.Context(), all, func(Record) { records.Add(1) }); err != nil {
		t.Fatal(err)
	}
	telling.Wait()
	// What the actors left behind is on its way.
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) && n.host.Stats().Engine.Live > 0 {
		runtime.Gosched()
	}
	if got := records.Load(); got != 2*users {
		t.Errorf("%d records, want one of each of %d actors", got, 2*users)
	}
	told := 0
	n.counts.Range(func(key, c any) bool {
		if got := c.(*atomic.Int32).Load(); got != 1 && key != uint64(0) && key != (invitation.ID{}) {
			t.Errorf("message %v came to %d", key, got)
		}
		told++
		return true
	})
	if want := 2*tellers*each + 2; told != want {
		t.Errorf("%d messages came to anything, want %d", told, want)
	}
}

// TestExportPanics: an actor whose state cannot be taken is lost, and ended; the others are not.
func TestExportPanics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var bad atomic.Int32
		alice, _, carol := w.phone("alice", 0), w.phone("bob", 0), w.phone("carol", 0)
		alice.send("bob", invitation.Timers{})
		carol.send("bob", invitation.Timers{})
		synctest.Wait()
		w.away, w.gone = true, true
		var records atomic.Int32
		if err := w.host.Export(t.Context(), all, func(r Record) {
			if r.Arbiter != nil && bad.Add(1) == 1 {
				panic("a fault of the test")
			}
			if r.Session != nil || r.Arbiter != nil {
				records.Add(1)
			}
		}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		w.liveIs(t, 0, 0)
		if got := records.Load(); got != 4 {
			t.Errorf("%d records, want 3 sessions and 1 arbiter", got)
		}
		if w.live != ([invitation.Stages]int{}) || w.ended != 1 {
			t.Errorf("the observer counts %v and %d settled", w.live, w.ended)
		}
	})
}

// TestExportInTime: who does not answer in time stays.
func TestExportInTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stuck := make(chan struct{})
		w := newWorld(t, nil)
		alice := w.phone("alice", 0)
		synctest.Wait()
		w.host.fault = func(msg any) {
			if in, ok := msg.(*input); ok && in.Kind == session.InUnknown {
				<-stuck
			}
		}
		w.Session(alice.user, &session.Input{Kind: session.InUnknown})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.host.Export(ctx, all, func(Record) { t.Error("a record of an actor that did not answer") }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		close(stuck)
		synctest.Wait()
		w.liveIs(t, 1, 0)
	})
}

// TestImportMerges brings the actors of two hosts together, each of which took itself for the only one.
func TestImportMerges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil)
		alice, bob := w.phone("alice", 0), w.phone("bob", 0)
		alice.send("bob", invitation.Timers{})
		synctest.Wait()
		one, other := w.host, w.newHost(nil)
		w.host = other // which knows nothing: the views disagree
		carol := w.phone("carol", 0)
		carol.send("bob", invitation.Timers{})
		synctest.Wait()
		bob.saw(t, "Received") // the other host's session of bob has no device
		w.liveIs(t, 2, 1)
		w.host = one
		w.moveTo(t, other)
		synctest.Wait()
		w.liveIs(t, 3, 2)
		bob.saw(t, "Received", "Received")
		carol.saw(t, "ReceivedByPeer")
		bob.acts(invitation.Accept)
		synctest.Wait()
		alice.saw(t, "ReceivedByPeer", "Accepted")
		carol.saw(t, "ReceivedByPeer", "Accepted")
		w.liveIs(t, 3, 0)
		if w.live != ([invitation.Stages]int{}) || w.ended != 2 {
			t.Errorf("the observer counts %v and %d settled", w.live, w.ended)
		}
	})
}
