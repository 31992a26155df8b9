package events_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/invitation"
)

var secret = events.Secret("0123456789abcdef0123456789abcdef")

// receiver is the endpoint of a webhook, in memory. It implements http.RoundTripper.
type receiver struct {
	t *testing.T
	// answer returns the status of a request, its Retry-After, and after what time it comes. The default is 204 at once.
	answer func(batch []events.Message) (status int, retryAfter string, after time.Duration)

	mu       sync.Mutex
	taken    []events.Message // that were answered with 2xx, in order
	requests int
	flying   int
	most     int // flying at once
}

// RoundTrip implements http.RoundTripper.
func (r *receiver) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	if err := events.Verify([]events.Secret{secret}, request.Header, body, time.Now()); err != nil {
		r.t.Error(err)
	}
	batch := decode(r.t, request.Header.Get("Content-Type"), body)
	r.mu.Lock()
	r.requests++
	r.flying++
	r.most = max(r.most, r.flying)
	r.mu.Unlock()
	status, retry, after := http.StatusNoContent, "", time.Duration(0)
	if r.answer != nil {
		status, retry, after = r.answer(batch)
	}
	select {
	case <-request.Context().Done():
	case <-time.After(after):
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flying--
	if err := request.Context().Err(); err != nil {
		return nil, err
	}
	if status < 300 {
		r.taken = append(r.taken, batch...)
	}
	answer := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: request}
	if retry != "" {
		answer.Header.Set("Retry-After", retry)
	}
	return answer, nil
}

func decode(t *testing.T, content string, body []byte) []events.Message {
	t.Helper()
	batch := make([]events.Message, 1)
	var err error
	if content == events.ContentBatch {
		err = json.Unmarshal(body, &batch)
	} else {
		err = json.Unmarshal(body, &batch[0])
	}
	if err != nil {
		t.Error(err)
	}
	return batch
}

func (r *receiver) sink(name string) events.SinkConfig {
	hook, err := events.NewWebhook(events.WebhookConfig{
		URL: "https://" + name + ".example/events", Secrets: []events.Secret{secret}, Client: &http.Client{Transport: r},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return events.SinkConfig{Name: name, Sink: hook}
}

// asked returns how many requests there were.
func (r *receiver) asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

// atOnce returns how many there were at once, at most.
func (r *receiver) atOnce() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.most
}

// got returns what has been taken, by invitation.
func (r *receiver) got() (messages []events.Message, kinds map[string][]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kinds = map[string][]string{}
	for _, m := range r.taken {
		kinds[m.Subject] = append(kinds[m.Subject], m.ID[strings.Index(m.ID, ".")+1:])
	}
	return append(messages, r.taken...), kinds
}

func stream(t *testing.T, config events.Config) *events.Stream {
	t.Helper()
	s, err := events.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func event(call int, kind invitation.EventKind) *invitation.Event {
	caller := invitation.User(fmt.Sprint("user", call))
	return &invitation.Event{
		Kind: kind, ID: invitation.NewID(caller, "phone", "key"), At: time.Now().UnixMicro(), Caller: caller, CallerDevice: "phone",
		Callee: "bob", Remaining: 30 * time.Second,
	}
}

var life = []invitation.EventKind{invitation.EventSent, invitation.EventRinging, invitation.EventEnded}

// calls emits the lives of invitations, one step of each after the other.
func calls(s *events.Stream, from, to int) {
	for _, kind := range life {
		for call := from; call < to; call++ {
			s.Emit(event(call, kind))
		}
	}
}

// inOrder fails unless each of the calls was told from its send to its end, each event once.
func (r *receiver) inOrder(n int) {
	r.t.Helper()
	_, kinds := r.got()
	if len(kinds) != n {
		r.t.Errorf("%d invitations were heard of, want %d", len(kinds), n)
	}
	for id, list := range kinds {
		if got := strings.Join(list, " "); got != "sent ringing ended" {
			r.t.Errorf("of %s was told: %s", id, got)
		}
	}
}
