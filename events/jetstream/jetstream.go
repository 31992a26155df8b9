// Package jetstream is a sink for events that publishes them to NATS JetStream. The stream is the operator's; it is
// found by the subject. Each event is published with its id as Nats-Msg-Id, so that the broker leaves out what it has
// had within the stream's duplicate window, and is acknowledged when the stream has stored it.
//
// A [Sink] is safe for concurrent use. While the broker cannot be reached, deliveries fail and are tried again by the
// sender; the client goes on looking for it.
package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ringfleet/ringfleet/events"
)

// Config is what a [Sink] is made of.
type Config struct {
	// URL is where the broker is; several, separated by commas, for a cluster of them. Required.
	URL string
	// Subject is before the kind of event in the subject that it is published to: "ringfleet.events" makes
	// "ringfleet.events.ended". The default is "ringfleet.events".
	Subject string
	// Options are those of the client, for TLS and credentials.
	Options []nats.Option
	// Logger gets connections that come and go. The default is to discard.
	Logger *slog.Logger
}

// DefaultSubject is that of a [Config] that has none.
const DefaultSubject = "ringfleet.events"

// Sink publishes events. It implements [events.Sink]. Make it with [New].
type Sink struct {
	subject string
	conn    *nats.Conn
	stream  jetstream.JetStream
}

// New returns a sink, whose client looks for the broker until [Sink.Close]. The error is one of the configuration.
func New(config Config) (*Sink, error) {
	if config.Subject == "" {
		config.Subject = DefaultSubject
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.URL == "" || strings.ContainsAny(config.Subject, " *>\t\r\n") {
		return nil, errors.New("jetstream: want the URL of a broker, and a subject without wildcards")
	}
	options := append([]nats.Option{
		nats.Name("ringfleet"),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1), // what cannot be sent now fails now
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			config.Logger.Warn("the connection to the broker is lost", "error", err)
		}),
		nats.ReconnectHandler(func(*nats.Conn) { config.Logger.Info("the broker is reached again") }),
	}, config.Options...)
	conn, err := nats.Connect(config.URL, options...)
	if err != nil {
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	stream, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	return &Sink{subject: config.Subject, conn: conn, stream: stream}, nil
}

// Deliver implements [events.Sink].
func (s *Sink) Deliver(ctx context.Context, batch []events.Encoded) error {
	acks := make([]jetstream.PubAckFuture, len(batch))
	for i, e := range batch {
		var err error
		acks[i], err = s.stream.PublishMsgAsync(&nats.Msg{
			Subject: s.subject + e.Type[strings.LastIndexByte(e.Type, '.'):],
			Header:  nats.Header{"Content-Type": {events.ContentEvent}},
			Data:    e.Body,
		}, jetstream.WithMsgID(e.ID), jetstream.WithRetryAttempts(0))
		if err != nil {
			return fmt.Errorf("jetstream: publish: %w", err)
		}
	}
	for _, ack := range acks {
		select {
		case <-ctx.Done():
			return fmt.Errorf("jetstream: publish: %w", ctx.Err())
		case err := <-ack.Err():
			return fmt.Errorf("jetstream: publish: %w", err)
		case <-ack.Ok():
		}
	}
	return nil
}

// Close ends the connection. Call it when the node has shut down.
func (s *Sink) Close() { s.conn.Close() }
