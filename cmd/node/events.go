package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/events/jetstream"
	"github.com/ringfleet/ringfleet/invitation"
)

// eventSettings are the settings that are about what the deployment's back-end is told (docs/events.md).
type eventSettings struct {
	urls        list
	secretFile  string
	batch       int
	kinds       string
	file        string
	natsURL     string
	natsSubject string
	natsFile    string
	linksURL    string
	linksFile   string
	queue       int
	age         time.Duration
	content     bool
	source      string
}

// list is a setting that may be given more than once.
type list []string

// String implements flag.Value.
func (l *list) String() string { return strings.Join(*l, ",") }

// Set implements flag.Value.
func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

func (s *eventSettings) register(f *flag.FlagSet) {
	f.Var(&s.urls, "webhook-url", "`URL` that events of invitations are posted to; may be given more than once")
	f.StringVar(&s.secretFile, "webhook-secret-file", "", "`file` with the secret (whsec_…) that signs what webhook-url gets; on a second line the one before it, while it is replaced")
	f.IntVar(&s.batch, "webhook-batch", 100, "events in a request, a list; 1: one, and no list")
	f.StringVar(&s.kinds, "webhook-events", "", "comma-separated `kinds` of events for webhook-url: sent, callee_offline, ringing, close, ended; default: all")
	f.StringVar(&s.file, "webhooks-file", "", "JSON `file` with more webhooks, each with a name, secret and kinds of its own")
	f.StringVar(&s.natsURL, "nats-url", "", "`URL` of a NATS server to whose JetStream events are published")
	f.StringVar(&s.natsSubject, "nats-subject", jetstream.DefaultSubject, "subject, before the kind of event, that events are published to")
	f.StringVar(&s.natsFile, "nats-credentials-file", "", "`file` with the credentials for the NATS server, if it wants some")
	f.StringVar(&s.linksURL, "links-url", "", "`URL` at which phones reach this service: callee_offline events get a signed link that says whether to ring")
	f.StringVar(&s.linksFile, "links-key-file", "", "`file` with the key that signs links, 32 bytes or more in base64; the same on all nodes")
	f.IntVar(&s.queue, "events-queue", 100_000, "events that may wait for a receiver; beyond them the oldest is dropped")
	f.DurationVar(&s.age, "events-age", 15*time.Minute, "time an event may wait for a receiver")
	f.BoolVar(&s.content, "events-content", false, "let events have the content of invitations, and the responses")
	f.StringVar(&s.source, "events-source", "/ringfleet", "the `source` of events, the same on all nodes")
}

// resolve makes the configuration. With idle nothing is started.
func (s *eventSettings) resolve(idle bool) (events.Config, error) {
	config := events.Config{Queue: s.queue, MaxAge: s.age, Content: s.content, Source: s.source}
	var errs []error
	if s.queue < 1 || s.age <= 0 {
		errs = append(errs, fmt.Errorf("events-queue is %d and events-age %v: want more than 0", s.queue, s.age))
	}
	for i, u := range s.urls {
		hook := webhook{Name: "webhook", URL: u, SecretFile: s.secretFile, Batch: s.batch}
		if i > 0 {
			hook.Name = fmt.Sprint("webhook-", i+1)
		}
		if s.kinds != "" {
			hook.Events = strings.Split(s.kinds, ",")
		}
		errs = append(errs, hook.add(&config, "webhook-url", "webhook-secret-file"))
	}
	if len(s.urls) == 0 && (s.secretFile != "" || s.kinds != "") {
		errs = append(errs, errors.New("webhook-secret-file and webhook-events are for webhook-url, which is missing"))
	}
	errs = append(errs, s.more(&config), s.links(&config), s.nats(&config, idle))
	return config, errors.Join(errs...)
}

// webhook is a webhook of the file of webhooks.
type webhook struct {
	Name       string   `json:"name"`
	URL        string   `json:"url"`
	SecretFile string   `json:"secret_file"`
	Events     []string `json:"events"`
	Batch      int      `json:"batch"`
}

// add adds the webhook to the configuration; of and file are the settings that it comes from.
func (h *webhook) add(config *events.Config, of, file string) error {
	text, err := os.ReadFile(h.SecretFile)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", of, file, err)
	}
	hook := events.WebhookConfig{URL: h.URL, Single: h.Batch == 1}
	for line := range strings.FieldsSeq(string(text)) {
		secret, err := events.ParseSecret(line)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		hook.Secrets = append(hook.Secrets, secret)
	}
	sink, err := events.NewWebhook(hook)
	if err != nil {
		return fmt.Errorf("%s: %w", of, err)
	}
	kinds, err := kindsOf(h.Events)
	if err != nil {
		return fmt.Errorf("%s: %w", of, err)
	}
	config.Sinks = append(config.Sinks, events.SinkConfig{Name: h.Name, Sink: sink, Kinds: kinds, Batch: h.Batch})
	return nil
}

func kindsOf(names []string) (kinds []invitation.EventKind, err error) {
	for _, name := range names {
		i := slices.IndexFunc(allKinds, func(k invitation.EventKind) bool { return k.String() == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("there is no event %q: want some of %v", name, allKinds)
		}
		kinds = append(kinds, allKinds[i])
	}
	return kinds, nil
}

var allKinds = []invitation.EventKind{
	invitation.EventSent, invitation.EventCalleeOffline, invitation.EventRinging, invitation.EventClose, invitation.EventEnded,
}

// more adds the webhooks of the file.
func (s *eventSettings) more(config *events.Config) error {
	if s.file == "" {
		return nil
	}
	f, err := os.Open(s.file)
	if err != nil {
		return fmt.Errorf("webhooks-file: %w", err)
	}
	defer f.Close()
	var hooks []webhook
	decoder := json.NewDecoder(f)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&hooks); err != nil {
		return fmt.Errorf("webhooks-file: %w", err)
	}
	var errs []error
	for i := range hooks {
		errs = append(errs, hooks[i].add(config, "webhooks-file: "+hooks[i].Name, "secret_file"))
	}
	return errors.Join(errs...)
}

func (s *eventSettings) links(config *events.Config) error {
	switch {
	case s.linksURL == "" && s.linksFile == "":
		return nil
	case s.linksURL == "" || s.linksFile == "":
		return errors.New("links-url and links-key-file: want both, or none")
	}
	text, err := os.ReadFile(s.linksFile)
	if err != nil {
		return fmt.Errorf("links-key-file: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return errors.New("links-key-file: want base64, as of: openssl rand -base64 32")
	}
	config.Links = &events.Links{Base: strings.TrimSuffix(s.linksURL, "/"), Key: key}
	return nil
}

func (s *eventSettings) nats(config *events.Config, idle bool) error {
	if s.natsURL == "" {
		if s.natsFile != "" {
			return errors.New("nats-credentials-file is for nats-url, which is missing")
		}
		return nil
	}
	var options []nats.Option
	if s.natsFile != "" {
		if _, err := os.Stat(s.natsFile); err != nil {
			return fmt.Errorf("nats-credentials-file: %w", err)
		}
		options = append(options, nats.UserCredentials(s.natsFile))
	}
	for part := range strings.SplitSeq(s.natsURL, ",") {
		if u, err := url.Parse(part); err != nil || u.Host == "" {
			return errors.New("nats-url: want nats://host:port or tls://host:port")
		}
	}
	if idle {
		return nil
	}
	sink, err := jetstream.New(jetstream.Config{URL: s.natsURL, Subject: s.natsSubject, Options: options})
	if err != nil {
		return fmt.Errorf("nats-url: %w", err)
	}
	config.Sinks = append(config.Sinks, events.SinkConfig{Name: "nats", Sink: sink})
	return nil
}
