package events_test

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/invitation"
)

func TestDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{t: t}
		s := stream(t, events.Config{Sinks: []events.SinkConfig{r.sink("crm")}})
		calls(s, 0, 500)
		time.Sleep(time.Second)
		r.inOrder(500)
		if r.asked() > 30 {
			t.Errorf("%d requests for 1,500 events that came together: they are not gathered", r.asked())
		}
		if status := s.Status()[0]; status.Delivered != 1_500 || status.Queued != 0 || status.Retried != 0 {
			t.Errorf("the status is %+v", status)
		}
	})
}

// TestDownForAMinute: what came meanwhile arrives soon after, each event once, in order; and the receiver is not
// flooded with attempts.
func TestDownForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		r := &receiver{t: t, answer: func([]events.Message) (int, string, time.Duration) {
			if time.Since(start) < time.Minute {
				return http.StatusBadGateway, "", 10 * time.Millisecond
			}
			return http.StatusOK, "", 10 * time.Millisecond
		}}
		s := stream(t, events.Config{Sinks: []events.SinkConfig{r.sink("crm")}})
		for call := range 600 {
			calls(s, call, call+1)
			time.Sleep(100 * time.Millisecond)
		}
		if r.asked() > 30 {
			t.Errorf("%d attempts while the receiver was down for a minute", r.asked())
		}
		time.Sleep(31 * time.Second)
		r.inOrder(600)
	})
}

// TestFailsAtRandom: what fails is tried again, and nothing of an invitation is sent before what came before it.
func TestFailsAtRandom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		r := &receiver{t: t}
		r.answer = func([]events.Message) (int, string, time.Duration) {
			r.mu.Lock()
			defer r.mu.Unlock()
			status := []int{200, 200, 200, 204, 500, 404, 408, 302}[random.IntN(8)]
			return status, "", time.Duration(random.IntN(300)) * time.Millisecond
		}
		sink := r.sink("crm")
		sink.Batch = 3
		s := stream(t, events.Config{Sinks: []events.SinkConfig{sink}})
		calls(s, 0, 100)
		time.Sleep(5 * time.Minute)
		r.inOrder(100)
		if status := s.Status()[0]; status.Retried == 0 {
			t.Errorf("the status is %+v", status)
		}
	})
}

// TestSlowSinkHoldsUpNobody: one that takes 9 s for each request has at most so many under way, and the other one
// hears at once.
func TestSlowSinkHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast := &receiver{t: t}
		slow := &receiver{t: t, answer: func([]events.Message) (int, string, time.Duration) { return 200, "", 9 * time.Second }}
		dead := &receiver{t: t, answer: func([]events.Message) (int, string, time.Duration) { return 200, "", time.Hour }}
		sinks := []events.SinkConfig{slow.sink("slow"), fast.sink("fast"), dead.sink("dead")}
		for i := range sinks {
			sinks[i].Batch = 10
		}
		s := stream(t, events.Config{Sinks: sinks})
		start := time.Now()
		calls(s, 0, 1_000)
		if took := time.Since(start); took != 0 {
			t.Errorf("Emit took %v", took)
		}
		time.Sleep(100 * time.Millisecond)
		fast.inOrder(1_000)
		time.Sleep(10 * time.Minute)
		slow.inOrder(1_000)
		taken, _ := dead.got()
		if slow.atOnce() != 8 || dead.atOnce() > 8 || len(taken) != 0 {
			t.Errorf("%d and %d requests at once, want at most 8", slow.atOnce(), dead.atOnce())
		}
	})
}

// TestGone: after 410 nothing is sent until the operator says so, and then all that waited.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := true
		r := &receiver{t: t}
		r.answer = func([]events.Message) (int, string, time.Duration) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if gone {
				return http.StatusGone, "", 0
			}
			return 200, "", 0
		}
		s := stream(t, events.Config{Sinks: []events.SinkConfig{r.sink("crm")}})
		calls(s, 0, 1)
		time.Sleep(time.Second)
		before := r.asked()
		calls(s, 1, 100)
		time.Sleep(5 * time.Minute)
		if status := s.Status()[0]; !status.Disabled || r.asked() != before || status.Queued != 300 {
			t.Errorf("%d requests after the 410, %+v", r.asked()-before, status)
		}
		r.mu.Lock()
		gone = false
		r.mu.Unlock()
		if s.Enable("other") || !s.Enable("crm") {
			t.Error("Enable knows another sink, or not this one")
		}
		time.Sleep(time.Second)
		r.inOrder(100)
	})
}

// TestDropsAreExact: beyond the bounds the oldest go, each is counted, and a burst is logged once.
func TestDropsAreExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{t: t, answer: func([]events.Message) (int, string, time.Duration) { return 500, "", 0 }}
		var log bytes.Buffer
		s := stream(t, events.Config{
			Sinks: []events.SinkConfig{r.sink("crm")}, Queue: 1_000, MaxAge: 10 * time.Minute,
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		for call := range 3_500 { // 700 s
			s.Emit(event(call, invitation.EventEnded))
			time.Sleep(200 * time.Millisecond)
		}
		status := s.Status()[0]
		if status.Queued != 1_000 || status.Dropped["full"] != 2_500 || status.Dropped["age"] != 0 || status.Delivered != 0 {
			t.Errorf("with 3,500 events, 1,000 of which may wait, the status is %+v", status)
		}
		time.Sleep(8 * time.Minute)
		status = s.Status()[0] // those of the last 120 s are left
		if sum := status.Queued + int(status.Dropped["age"]); sum != 1_000 || status.Queued < 590 || status.Queued > 601 {
			t.Errorf("8 minutes later the status is %+v", status)
		}
		r.mu.Lock()
		r.answer = nil
		r.mu.Unlock()
		time.Sleep(40 * time.Second)
		status = s.Status()[0]
		if sum := status.Delivered + status.Dropped["full"] + status.Dropped["age"]; sum != 3_500 || status.Queued != 0 {
			t.Errorf("in the end the status is %+v", status)
		}
		messages, _ := r.got()
		if uint64(len(messages)) != status.Delivered || messages[len(messages)-1].Data.Caller == "" {
			t.Errorf("%d events arrived", len(messages))
		}
		time.Sleep(time.Minute)
		for _, text := range []string{"events are dropped", "events were dropped"} { // too many; minutes later, too old
			if n := strings.Count(log.String(), text); n != 2 {
				t.Errorf("two bursts, and %q %d times:\n%s", text, n, log.String())
			}
		}
	})
}

// TestRetryAfter: nothing is sent before the receiver wants it, for both forms of the header.
func TestRetryAfter(t *testing.T) {
	for name, header := range map[string]func() string{
		"seconds": func() string { return "45" },
		"date":    func() string { return time.Now().Add(45 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				r := &receiver{t: t}
				r.answer = func([]events.Message) (int, string, time.Duration) {
					if r.asked() == 1 {
						return http.StatusTooManyRequests, header(), 0
					}
					if time.Since(start) < 44*time.Second {
						t.Errorf("another request after %v", time.Since(start))
					}
					return 200, "", 0
				}
				s := stream(t, events.Config{Sinks: []events.SinkConfig{r.sink("crm")}})
				calls(s, 0, 3)
				time.Sleep(20 * time.Second)
				calls(s, 3, 5)
				time.Sleep(40 * time.Second)
				r.inOrder(5)
			})
		})
	}
}

// TestRejectedInCompany: the one that a receiver does not take holds up its own invitation only.
func TestRejectedInCompany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{t: t, answer: func(batch []events.Message) (int, string, time.Duration) {
			for _, m := range batch {
				if m.Data.Caller == "user7" {
					return http.StatusBadRequest, "", 0
				}
			}
			return 200, "", 0
		}}
		s := stream(t, events.Config{Sinks: []events.SinkConfig{r.sink("crm")}})
		calls(s, 0, 50)
		time.Sleep(2 * time.Minute)
		r.inOrder(49)
		if status := s.Status()[0]; status.Queued != 3 {
			t.Errorf("the status is %+v, want the three of user7 to wait", status)
		}
		time.Sleep(15 * time.Minute)
		if status := s.Status()[0]; status.Queued != 0 || status.Dropped["age"] != 3 {
			t.Errorf("the status is %+v, want the three of user7 to be dropped", status)
		}
	})
}

// TestOfflineInTime: where many events come, and the receiver takes its time, that a callee is offline is sent within
// 200 ms, though it waits for the event before it.
func TestOfflineInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &slow{takes: 30 * time.Millisecond, offline: map[string]time.Time{}}
		s := stream(t, events.Config{Sinks: []events.SinkConfig{{Name: "push", Sink: r}}})
		began := map[string]time.Time{}
		for i := range 1_500 {
			for _, kind := range []invitation.EventKind{invitation.EventSent, invitation.EventCalleeOffline} {
				e := event(i, kind)
				began[events.ID(kind, e.ID)] = time.Now()
				s.Emit(e)
			}
			time.Sleep(time.Second / 300)
		}
		time.Sleep(time.Second)
		r.mu.Lock()
		defer r.mu.Unlock()
		longest := time.Duration(0)
		for id, at := range r.offline {
			longest = max(longest, at.Sub(began[id]))
		}
		if len(r.offline) != 1_500 || longest > 200*time.Millisecond {
			t.Errorf("%d were sent, the last of them after %v", len(r.offline), longest)
		}
		if n := r.requests; n > 150 {
			t.Errorf("%d requests in 5 s, want some 25 a second", n)
		}
		t.Logf("after %v at most, in %d requests", longest, r.requests)
	})
}

// slow is a sink that takes its time, and notes when it was told that callees are offline.
type slow struct {
	takes time.Duration

	mu       sync.Mutex
	offline  map[string]time.Time
	requests int
}

// Deliver implements events.Sink.
func (s *slow) Deliver(_ context.Context, batch []events.Encoded) error {
	s.mu.Lock()
	s.requests++
	for _, e := range batch {
		if e.Type == events.Type(invitation.EventCalleeOffline) {
			s.offline[e.ID] = time.Now()
		}
	}
	s.mu.Unlock()
	time.Sleep(s.takes) // in the bubble
	return nil
}

// TestKinds: a sink gets the kinds that it wants.
func TestKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{t: t}
		sink := r.sink("crm")
		sink.Kinds = []invitation.EventKind{invitation.EventEnded}
		s := stream(t, events.Config{Sinks: []events.SinkConfig{sink}})
		calls(s, 0, 3)
		time.Sleep(time.Second)
		if messages, kinds := r.got(); len(messages) != 3 || len(kinds) != 3 {
			t.Errorf("got %v", kinds)
		}
		if err := s.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestCheck(t *testing.T) {
	r := &receiver{t: t}
	good := r.sink("crm")
	for name, config := range map[string]events.Config{
		"no sink":    {Sinks: []events.SinkConfig{{Name: "x"}}},
		"no name":    {Sinks: []events.SinkConfig{{Sink: good.Sink}}},
		"two":        {Sinks: []events.SinkConfig{good, good}},
		"kind":       {Sinks: []events.SinkConfig{{Name: "x", Sink: good.Sink, Kinds: []invitation.EventKind{9}}}},
		"batch":      {Sinks: []events.SinkConfig{{Name: "x", Sink: good.Sink, Batch: 5_000}}},
		"parallel":   {Sinks: []events.SinkConfig{{Name: "x", Sink: good.Sink, Parallel: -1}}},
		"longest":    {Sinks: []events.SinkConfig{{Name: "x", Sink: good.Sink, First: time.Minute}}},
		"queue":      {Queue: -1},
		"links key":  {Links: &events.Links{Base: "https://x.example", Key: []byte("short")}},
		"links base": {Links: &events.Links{Base: "x.example", Key: secret}},
	} {
		if _, err := events.New(config); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for name, config := range map[string]events.WebhookConfig{
		"no url":     {Secrets: []events.Secret{secret}},
		"scheme":     {URL: "ftp://x.example", Secrets: []events.Secret{secret}},
		"password":   {URL: "https://u:p@x.example", Secrets: []events.Secret{secret}},
		"no secret":  {URL: "https://x.example"},
		"bad secret": {URL: "https://x.example", Secrets: []events.Secret{[]byte("short")}},
	} {
		if _, err := events.NewWebhook(config); err == nil {
			t.Errorf("webhook, %s: taken", name)
		}
	}
}
