package ringfleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	peers "github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/invitation"
)

// backEnd is a sink that notes what it gets.
type backEnd struct {
	down atomic.Bool

	mu    sync.Mutex
	taken []events.Message
	times []time.Time
	lives map[string][]string // the kinds that were told of each invitation, in order
}

// Deliver implements events.Sink.
func (b *backEnd) Deliver(_ context.Context, batch []events.Encoded) error {
	if b.down.Load() {
		return errors.New("the back-end is down")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range batch {
		var m events.Message
		if err := json.Unmarshal(e.Body, &m); err != nil {
			return err
		}
		if b.lives == nil {
			b.lives = map[string][]string{}
		}
		b.taken, b.times = append(b.taken, m), append(b.times, time.Now())
		b.lives[m.Subject] = append(b.lives[m.Subject], strings.TrimPrefix(m.Type, "com.ringfleet.invitation."))
	}
	return nil
}

func (b *backEnd) config() events.Config {
	return events.Config{Sinks: []events.SinkConfig{{Name: "back-end", Sink: b}}, Content: true}
}

// kinds returns what was told, of all invitations.
func (b *backEnd) kinds() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []string
	for _, m := range b.taken {
		list = append(list, strings.TrimPrefix(m.Type, "com.ringfleet.invitation."))
	}
	return strings.Join(list, " ")
}

// last returns the newest event of a kind.
func (b *backEnd) last(t *testing.T, kind invitation.EventKind) events.Message {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.taken) - 1; i >= 0; i-- {
		if b.taken[i].Type == events.Type(kind) {
			return b.taken[i]
		}
	}
	t.Fatalf("there is no event of kind %v", kind)
	return events.Message{}
}

// ms returns a duration without what a tick of the timers makes of it; -1 for none.
func ms(v *int64) int64 {
	if v == nil {
		return -1
	}
	return *v / 100 * 100
}

// TestEventsOfCalls: what is told of calls that end in each way.
func TestEventsOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backEnd{}
		node := start(t, ringfleet.Config{Events: b.config()})
		answers := make(chan func(r *client.RemoteInvitation), 1)
		dial(t, node, client.Options{User: "bob", Device: "desk", OnRemoteInvitation: func(r *client.RemoteInvitation) {
			go (<-answers)(r)
		}})
		alice := dial(t, node, client.Options{User: "alice", Device: "cell"})
		call := func(callee invitation.User, answer func(r *client.RemoteInvitation)) *client.LocalInvitation {
			t.Helper()
			b.mu.Lock()
			b.taken = nil
			b.mu.Unlock()
			answers <- answer
			c := alice.NewLocalInvitation(callee)
			_ = c.SetContent("lunch?")
			if err := c.Send(t.Context()); err != nil {
				t.Fatal(err)
			}
			return c
		}
		want := func(kinds, outcome, state, code, reason, device string, setUp, ring, total int64) {
			t.Helper()
			time.Sleep(150 * time.Millisecond)
			if got := b.kinds(); got != kinds {
				t.Errorf("told %q, want %q", got, kinds)
			}
			m := b.last(t, invitation.EventEnded)
			d := m.Data
			got := fmt.Sprintln(d.Outcome, d.State, d.Code, d.Reason, d.CalleeDevice, ms(d.SetUpMs), ms(d.RingMs), ms(d.DurationMs))
			if wanted := fmt.Sprintln(outcome, state, code, reason, device, setUp, ring, total); got != wanted || m.ID != m.Subject+".ended" {
				t.Errorf("%s ended as %s, want %s", m.ID, got, wanted)
			}
		}
		accepted := call("bob", func(r *client.RemoteInvitation) {
			time.Sleep(2 * time.Second)
			_ = r.Accept(context.Background(), "yes")
		})
		_ = accepted.Wait(t.Context())
		want("sent ringing ended", "accepted", "ACCEPTED_BY_REMOTE", "OK", "", "desk", 0, 2_000, 2_000)
		if m := b.last(t, invitation.EventEnded); m.Data.Content != "lunch?" || m.Data.Response != "yes" || m.Source != "/ringfleet" {
			t.Errorf("the event is %+v", m)
		}
		if m := b.last(t, invitation.EventRinging); m.Data.RemainingMs != 60_000 || m.Data.CalleeDevice != "" {
			t.Errorf("the event is %+v", m)
		}
		refused := call("bob", func(r *client.RemoteInvitation) { _ = r.Refuse(context.Background(), "no") })
		_ = refused.Wait(t.Context())
		want("sent ringing ended", "refused", "REFUSED_BY_REMOTE", "OK", "", "desk", 0, 0, 0)

		canceled := call("bob", func(*client.RemoteInvitation) {})
		time.Sleep(time.Second)
		_ = canceled.Cancel(t.Context())
		want("sent ringing ended", "canceled", "CANCELED", "OK", "CALLER_CANCELED", "", 0, 1_000, 1_000)

		expired := call("bob", func(*client.RemoteInvitation) {})
		_ = expired.Wait(t.Context())
		want("sent ringing ended", "expired", "FAILURE", "EXPIRE", "EXPIRED", "", 0, 60_000, 60_000)

		offline := call("carol", nil)
		<-answers
		time.Sleep(200 * time.Millisecond)
		m := b.last(t, invitation.EventCalleeOffline)
		if d := m.Data; b.kinds() != "sent callee_offline" || d.RemainingMs != 30_000 || d.Callee != "carol" || d.Content != "lunch?" ||
			!d.ExpiresAt.Equal(m.Time.Add(30*time.Second)) {
			t.Errorf("told %q, of it %+v", b.kinds(), d)
		}
		_ = offline.Wait(t.Context())
		want("sent callee_offline close ended", "undelivered", "FAILURE", "REMOTE_OFFLINE", "CALLEE_OFFLINE", "", -1, -1, 30_000)
		if d := b.last(t, invitation.EventClose).Data; d.State != "FAILURE" || d.Reason != "CALLEE_OFFLINE" {
			t.Errorf("to be closed is %+v", d)
		}
	})
}

// TestNothingOfARefusedSend: a send that was not taken has no life.
func TestNothingOfARefusedSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backEnd{}
		config := ringfleet.Config{Events: b.config()}
		config.Session.MaxIncoming = 1
		node := start(t, config)
		alice := dial(t, node, client.Options{User: "alice"})
		for i := range 3 {
			err := alice.NewLocalInvitation("bob").Send(t.Context())
			if (err != nil) != (i > 0) {
				t.Errorf("send %d: %v", i, err)
			}
		}
		time.Sleep(time.Minute)
		if got := b.kinds(); got != "sent callee_offline close ended" {
			t.Errorf("told %q", got)
		}
	})
}

// judge holds what was told against the calls: each has one outcome, told under one id, after what came before it.
func (b *backEnd) judge(t *testing.T, c *calls) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	ended := map[string]string{}
	repeats := 0
	for _, m := range b.taken {
		if m.Type != events.Type(invitation.EventEnded) {
			continue
		}
		if m.ID != m.Subject+".ended" {
			t.Errorf("the last event of %s has the id %s", m.Subject, m.ID)
		}
		if before, told := ended[m.Subject]; told {
			repeats++
			if before != m.Data.Outcome {
				t.Errorf("%s ended as %s and as %s", m.Subject, before, m.Data.Outcome)
			}
		}
		ended[m.Subject] = m.Data.Outcome
	}
	missing := 0
	c.ids.Range(func(id, _ any) bool {
		if got := ended[id.(string)]; got != "accepted" {
			missing++
			t.Logf("%s was accepted; told was %q: %v", id, got, b.lives[id.(string)])
		}
		return missing < 20
	})
	if missing > 0 {
		t.Errorf("%d outcomes or more are missing", missing)
	}
	order := map[string]int{"sent": 1, "callee_offline": 1, "ringing": 2, "close": 3, "ended": 4}
	for id, kinds := range b.lives {
		for i := 1; i < len(kinds); i++ {
			if order[kinds[i]] < order[kinds[i-1]] && kinds[i-1] == "ended" {
				t.Errorf("of %s was told: %v", id, kinds)
				break
			}
		}
	}
	t.Logf("%d calls, %d outcomes, told again: %d, events: %d", c.done.Load(), len(ended), repeats, len(b.taken))
}

// TestEventsOutliveTheirNode: the back-end is down, nodes die one after the other with what they have queued, and
// when the back-end is back it hears of every outcome.
func TestEventsOutliveTheirNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, peers.NetworkOptions{})
		b := &backEnd{}
		f.events = b.config()
		for _, name := range []string{"a", "b", "c"} {
			f.start(name)
		}
		b.down.Store(true)
		c := f.calls(20)
		time.Sleep(5 * time.Second)
		for _, name := range []string{"b", "a", "c"} {
			f.kill(name)
			time.Sleep(10 * time.Second)
			f.start(name)
			time.Sleep(5 * time.Second)
		}
		c.end()
		if got := b.kinds(); got != "" {
			t.Errorf("while it was down it was told %d bytes", len(got))
		}
		b.down.Store(false)
		time.Sleep(2 * time.Minute)
		b.judge(t, c)
		for _, n := range f.nodes {
			if s := n.Sinks()[0]; s.Queued != 0 || s.Dropped["full"]+s.Dropped["age"]+s.Dropped["burst"] != 0 {
				t.Errorf("%s is left with %+v", n.Name(), s)
			}
		}
		f.end()
	})
}

// TestEventsOfNodesThatDrain: events that wait go with the shards, in order; outcomes are told by those who are left.
func TestEventsOfNodesThatDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, peers.NetworkOptions{})
		b := &backEnd{}
		f.events = b.config()
		for _, name := range []string{"a", "b", "c"} {
			f.start(name)
		}
		c := f.calls(20)
		for _, name := range []string{"b", "a", "c"} {
			b.down.Store(true)
			time.Sleep(2 * time.Second)
			f.stop(name)
			time.Sleep(2 * time.Second)
			f.start(name)
			b.down.Store(false)
			time.Sleep(5 * time.Second)
		}
		c.end()
		time.Sleep(time.Minute)
		b.judge(t, c)
		whole := map[string]bool{}
		for id, kinds := range b.lives {
			kinds = slices.DeleteFunc(slices.Clone(kinds), func(k string) bool { // of devices that were between two nodes
				return k == "callee_offline" || k == "close"
			})
			whole[id] = slices.Equal(slices.Compact(kinds), []string{"sent", "ringing", "ended"})
		}
		c.ids.Range(func(id, _ any) bool {
			if !whole[id.(string)] {
				t.Errorf("of %s was told: %v", id, b.lives[id.(string)])
			}
			return true
		})
		f.end()
	})
}

// TestValid asks each node of a cluster, by id and by link, whether an invitation still waits for an answer.
func TestValid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, peers.NetworkOptions{})
		b := &backEnd{}
		f.events = b.config()
		f.events.Links = &events.Links{Base: "https://ring.example", Key: []byte("0123456789abcdef0123456789abcdef")}
		for _, name := range []string{"a", "b", "c"} {
			f.start(name)
		}
		time.Sleep(time.Minute) // until then a node may be one that was lost, and keeps what has ended for devices that come back
		alice := dial(t, f, client.Options{User: "alice"})
		call := alice.NewLocalInvitation("bob")
		if err := call.Send(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		link := b.last(t, invitation.EventCalleeOffline).Data.ValidURL
		ask := func(want string) {
			t.Helper()
			for _, n := range f.nodes {
				for at, h := range map[string]http.Handler{link: n.Handler(), "/events/valid/" + call.ID().String(): n.AdminHandler()} {
					w := httptest.NewRecorder()
					h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, at, nil).WithContext(t.Context()))
					if got := strings.TrimSpace(w.Body.String()); got != want || w.Code != http.StatusOK {
						t.Errorf("%s, %s: %d %s, want %s", n.Name(), at, w.Code, got, want)
					}
				}
			}
		}
		ask(`{"valid":true,"state":"SENT","remaining_ms":25000}`)
		if err := call.Cancel(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		ask(`{"valid":false,"state":"ENDED","remaining_ms":0}`)
		for _, bad := range []string{
			strings.Replace(link, "expires=", "expires=9", 1), strings.Replace(link, "valid/", "valid/0", 1),
			link[:len(link)-2] + "AA", events.ValidPath + call.ID().String(),
		} {
			w := httptest.NewRecorder()
			f.nodes[0].Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, bad, nil))
			if w.Code != http.StatusForbidden {
				t.Errorf("%s: %d %s", bad, w.Code, w.Body)
			}
		}
		time.Sleep(time.Hour)
		ask(`{"valid":false,"state":"UNKNOWN","remaining_ms":0}`)
		_ = alice.Close()
		f.end()
	})
}
