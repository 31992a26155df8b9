package check

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/invitation"
)

const (
	oldSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	newSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

// posted is what a webhook got.
type posted struct {
	mu       sync.Mutex
	requests []*http.Request
	bodies   [][]byte
}

func (p *posted) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests, p.bodies = append(p.requests, r), append(p.bodies, body)
}

// deliver posts events to a server, and returns what it got.
func deliver(t *testing.T, single bool, sent ...*invitation.Event) *posted {
	t.Helper()
	p := new(posted)
	server := httptest.NewServer(p)
	defer server.Close()
	var secrets []events.Secret
	for _, text := range []string{newSecret, oldSecret} {
		s, err := events.ParseSecret(text)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, s)
	}
	hook, err := events.NewWebhook(events.WebhookConfig{URL: server.URL, Secrets: secrets, Single: single})
	if err != nil {
		t.Fatal(err)
	}
	sink := events.SinkConfig{Name: "check", Sink: hook}
	if single {
		sink.Batch = 1
	}
	stream, err := events.New(events.Config{Sinks: []events.SinkConfig{sink}, Content: true})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for _, e := range sent {
		stream.Emit(e)
	}
	if err := stream.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func ended(key string) *invitation.Event {
	return &invitation.Event{
		Kind: invitation.EventEnded, ID: invitation.NewID("alice", "phone", key), At: time.Now().UnixMicro(), Caller: "alice",
		CallerDevice: "phone", Callee: "bob", CalleeDevice: "desk", ChannelID: "房间-7", Content: `"dinner?" <&> 晚饭`,
		Outcome: invitation.Accepted, Local: invitation.LocalAcceptedByRemote, SetUp: time.Millisecond, Ring: time.Second,
		Total: 2 * time.Second,
	}
}

// TestSignature verifies with the library of the standard, which knows the new secret, or still the old one.
func TestSignature(t *testing.T) {
	for _, single := range []bool{true, false} {
		p := deliver(t, single, ended("one"), ended("two"), ended("three"))
		for _, secret := range []string{newSecret, oldSecret} {
			w, err := standardwebhooks.NewWebhook(secret)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range p.requests {
				if err := w.Verify(p.bodies[i], r.Header); err != nil {
					t.Errorf("single %v: %v", single, err)
				}
				if w.Verify(bytes.Replace(p.bodies[i], []byte("alice"), []byte("mallory"), 1), r.Header) == nil {
					t.Error("a changed body is taken")
				}
				r.Header.Set(events.HeaderID, r.Header.Get(events.HeaderID)+"x")
				if w.Verify(p.bodies[i], r.Header) == nil {
					t.Error("a changed id is taken")
				}
				r.Header.Set(events.HeaderID, strings.TrimSuffix(r.Header.Get(events.HeaderID), "x"))
			}
		}
		stranger, _ := standardwebhooks.NewWebhook("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
		if stranger.Verify(p.bodies[0], p.requests[0].Header) == nil {
			t.Error("another secret verifies")
		}
	}
}

// TestVerify takes what the library of the standard has signed.
func TestVerify(t *testing.T) {
	w, err := standardwebhooks.NewWebhook(oldSecret)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := events.ParseSecret(oldSecret)
	if err != nil {
		t.Fatal(err)
	}
	body, at := []byte(`{"test": 2432232314}`), time.Unix(1_614_265_330, 0)
	signature, err := w.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, body)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{}
	header.Set(events.HeaderID, "msg_p5jXN8AQM9LWM0D4loKWxJek")
	header.Set(events.HeaderTimestamp, "1614265330")
	header.Set(events.HeaderSignature, "v1a,of-another-version "+signature)
	if err := events.Verify([]events.Secret{secret}, header, body, at.Add(time.Minute)); err != nil {
		t.Error(err)
	}
	if events.Verify([]events.Secret{secret}, header, body, at.Add(6*time.Minute)) == nil {
		t.Error("it is taken six minutes later")
	}
}

// TestCloudEvents reads what was posted with the SDK, one by one and as a batch.
func TestCloudEvents(t *testing.T) {
	want := ended("one")
	check := func(e cloudevents.Event) {
		t.Helper()
		if err := e.Validate(); err != nil {
			t.Error(err)
		}
		var data events.Data
		if err := e.DataAs(&data); err != nil {
			t.Error(err)
		}
		if e.SpecVersion() != "1.0" || e.Type() != "com.ringfleet.invitation.ended" || e.Source() != "/ringfleet" ||
			e.Subject() != want.ID.String() || e.ID() != want.ID.String()+".ended" || e.Time().UnixMicro() != want.At ||
			e.DataContentType() != "application/json" || data.Content != want.Content || *data.DurationMs != 2_000 {
			t.Errorf("got %v with %+v", e, data)
		}
	}
	p := deliver(t, true, want)
	message := cehttp.NewMessage(p.requests[0].Header, io.NopCloser(bytes.NewReader(p.bodies[0])))
	e, err := toEvent(t, message)
	if err != nil {
		t.Fatal(err)
	}
	check(*e)
	p = deliver(t, false, want, ended("two"))
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(p.bodies[0]))
	r.Header = p.requests[0].Header
	batch, err := cehttp.NewEventsFromHTTPRequest(r)
	if err != nil || len(batch) != 2 {
		t.Fatalf("a batch of %d, %v", len(batch), err)
	}
	check(batch[0])
}
