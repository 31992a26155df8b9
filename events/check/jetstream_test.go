package check

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats-server/v2/server"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ringfleet/ringfleet/events"
	sink "github.com/ringfleet/ringfleet/events/jetstream"
	"github.com/ringfleet/ringfleet/invitation"
)

func toEvent(t *testing.T, m binding.Message) (*cloudevents.Event, error) {
	t.Helper()
	return binding.ToEvent(t.Context(), m)
}

// broker starts a NATS server on a port; 0: any.
func broker(t *testing.T, dir string, port int) *server.Server {
	t.Helper()
	if port == 0 {
		port = server.RANDOM_PORT
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the broker does not start")
	}
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

// TestJetStream publishes lives of invitations to a real server, which is stopped and started again meanwhile.
func TestJetStream(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	nats := broker(t, dir, 0)
	publisher, err := sink.New(sink.Config{URL: nats.ClientURL()})
	if err != nil {
		t.Fatal(err)
	}
	defer publisher.Close()
	conn, err := client.Connect(nats.ClientURL(), client.MaxReconnects(-1), client.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "RINGFLEET", Subjects: []string{"ringfleet.events.>"}})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := events.New(events.Config{Sinks: []events.SinkConfig{{
		Name: "nats", Sink: publisher, Timeout: 2 * time.Second, First: 50 * time.Millisecond, Longest: 500 * time.Millisecond,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	emit := func(from, to int) {
		for _, kind := range []invitation.EventKind{invitation.EventSent, invitation.EventRinging, invitation.EventEnded} {
			for call := from; call < to; call++ {
				e := ended(fmt.Sprint(call))
				e.Kind = kind
				stream.Emit(e)
			}
		}
	}
	emit(0, 200)
	if err := stream.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	port := nats.Addr().(*net.TCPAddr).Port
	nats.Shutdown()
	nats.WaitForShutdown()
	emit(200, 300)
	again := broker(t, dir, port)
	emit(0, 10) // as another node would that took over
	if err := stream.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if status := stream.Status()[0]; status.Retried == 0 || status.Delivered != 930 {
		t.Errorf("the status is %+v: was the broker ever away?", status)
	}
	if !again.JetStreamEnabled() {
		t.Error("the broker has no stream")
	}
	info, err := stored.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if info.State.Msgs != 900 {
		t.Errorf("%d events are stored, want 900: those that came twice are left out", info.State.Msgs)
	}
	consumer, err := stored.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.Fetch(900, jetstream.FetchMaxWait(20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]string{}
	read := 0
	for m := range batch.Messages() {
		var e events.Message
		if err := json.Unmarshal(m.Data(), &e); err != nil {
			t.Fatal(err)
		}
		before := map[string]string{"sent": "", "ringing": "sent", "ended": "ringing"}
		kind := e.Type[len("com.ringfleet.invitation."):]
		if last[e.Subject] != before[kind] || m.Subject() != "ringfleet.events."+kind || m.Headers().Get("Nats-Msg-Id") != e.ID {
			t.Errorf("%s came after %q, as %s", e.ID, last[e.Subject], m.Subject())
		}
		last[e.Subject] = kind
		read++
	}
	if read != 900 {
		t.Errorf("%d events were read", read)
	}
}
