package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/invitation"
)

const (
	firstSecret  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	secondSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

func TestEventSettings(t *testing.T) {
	secrets := file(t, "secrets", firstSecret+"\n"+secondSecret+"\n")
	key := file(t, "key", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n")
	hooks := file(t, "hooks.json", `[{"name": "push", "url": "https://push.example/in", "secret_file": "`+secrets+
		`", "events": ["callee_offline", "close"], "batch": 1}]`)
	s, err := parse([]string{
		"--webhook-url", "https://a.example/in", "--webhook-url", "http://127.0.0.1:1/in", "--webhook-secret-file", secrets,
		"--webhooks-file", hooks, "--links-url", "https://ring.example/", "--links-key-file", key, "--events-queue", "7",
		"--events-age", "1m", "--events-content", "--events-source", "/here", "--nats-url", "nats://127.0.0.1:4222", "--check",
	}, nil, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	c := s.node.Events
	var names []string
	for _, sink := range c.Sinks {
		names = append(names, fmt.Sprint(sink.Name, sink.Kinds, sink.Batch))
	}
	if got := strings.Join(names, " "); got != "webhook[] 100 webhook-2[] 100 push[callee_offline close] 1" {
		t.Errorf("the sinks are %s", got)
	}
	if c.Queue != 7 || c.MaxAge != time.Minute || !c.Content || c.Source != "/here" || c.Links.Base != "https://ring.example" {
		t.Errorf("the configuration is %+v", c)
	}
}

func TestWrongEventSettings(t *testing.T) {
	secrets := file(t, "secrets", firstSecret)
	for name, args := range map[string][]string{
		"no-such-file":        {"--webhook-url", "https://a.example", "--webhook-secret-file", "no-such-file"},
		"whsec_":              {"--webhook-url", "https://a.example", "--webhook-secret-file", file(t, "bad", "secret")},
		"http:// or https://": {"--webhook-url", "a.example", "--webhook-secret-file", secrets},
		"no event":            {"--webhook-url", "https://a.example", "--webhook-secret-file", secrets, "--webhook-events", "sent,rung"},
		"missing":             {"--webhook-secret-file", secrets},
		"unknown field":       {"--webhooks-file", file(t, "hooks", `[{"name": "x", "uri": ""}]`)},
		"want both":           {"--links-url", "https://ring.example"},
		"openssl rand":        {"--links-url", "https://ring.example", "--links-key-file", file(t, "key", "?")},
		"32 or more":          {"--links-url", "https://ring.example", "--links-key-file", file(t, "short", "c2hvcnQ=")},
		"events-queue":        {"--events-queue", "0"},
		"nats-url":            {"--nats-url", "nowhere"},
		"for nats-url":        {"--nats-credentials-file", secrets},
	} {
		if code, _, stderr := command(args...); code != exitUsage || !strings.Contains(stderr, name) || strings.Contains(stderr, firstSecret) {
			t.Errorf("node %s: status %d, %q; want 2 and a reason with %q", args, code, stderr, name)
		}
	}
}

// TestEventsDocument compares docs/events.md with the settings, metrics, kinds and fields that there are.
func TestEventsDocument(t *testing.T) {
	data, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	f := flag.NewFlagSet("node", flag.ContinueOnError)
	new(eventSettings).register(f)
	f.VisitAll(func(fl *flag.Flag) {
		row := regexp.MustCompile("(?m)^\\| [^|]*`--" + fl.Name + "`[^|]* \\| ([^|]*)\\| .+\\|$").FindStringSubmatch(text)
		if row == nil {
			t.Errorf("docs/events.md has no row for --%s", fl.Name)
		} else if given := strings.Trim(row[1], "` "); given != fl.DefValue {
			t.Errorf("docs/events.md has the default %q for --%s, want %q", given, fl.Name, fl.DefValue)
		}
	})
	descs := make(chan *prometheus.Desc)
	go func() {
		new(events.Stream).Describe(descs)
		close(descs)
	}()
	for d := range descs {
		name := regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String())[1]
		if !regexp.MustCompile("`" + name + "[`{]").MatchString(text) {
			t.Errorf("docs/events.md has no %s", name)
		}
	}
	for _, kind := range allKinds {
		if !strings.Contains(text, "\n### `"+events.Type(kind)+"`\n") {
			t.Errorf("docs/events.md has no section on %s", events.Type(kind))
		}
	}
	whole, err := json.Marshal(events.Message{Data: events.Data{
		CalleeDevice: "x", ChannelID: "x", Content: "x", Response: "x", RemainingMs: 1, ExpiresAt: new(time.Time), ValidURL: "x", Outcome: "x",
		State: "x", Code: "x", Reason: "x", SetUpMs: new(int64), RingMs: new(int64), DurationMs: new(int64),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range regexp.MustCompile(`"(\w+)":`).FindAllStringSubmatch(string(whole), -1) {
		if !strings.Contains(text, "`"+field[1]+"`") {
			t.Errorf("docs/events.md has no field %s", field[1])
		}
	}
	if len(allKinds) != invitation.EventKinds-1 {
		t.Error("there are more kinds of event")
	}
}
