package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
)

func TestRun(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	if err := run(ctx, &out, "127.0.0.1:0", false); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`bob's desk rings: alice calls: "lunch?"`,
		`alice's call ended as ACCEPTED_BY_REMOTE, bob says "hello alice"`,
		`observed: alice rang bob's desk: accepted`,
		`bob's desk rings: carol calls: "lunch?"`,
		`carol's call ended as ACCEPTED_BY_REMOTE, bob says "hello carol"`,
		`mallory may not ring bob`,
	} {
		if !strings.Contains(out.String(), line+"\n") {
			t.Errorf("the output has no line %q:\n%s", line, out.String())
		}
	}
}

// TestServe lets a device log in with a key of the host, and with none.
func TestServe(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	serving, stop := context.WithCancel(ctx)
	in, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(serving, out, "127.0.0.1:0", true) }()
	var url string
	for text, buf := "", make([]byte, 1024); url == ""; {
		n, err := in.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		text += string(buf[:n])
		if _, after, found := strings.Cut(text, "serving "); found {
			url, _, _ = strings.Cut(after, "/v1/connect; ")
		}
	}
	for key, want := range map[string]error{"alices-key": nil, "no-key": invitation.EndUnauthorized, "": invitation.EndUnauthorized} {
		carrier := &client.WebSocket{URLs: []string{url}, Token: client.StaticToken(key)}
		c, err := client.Dial(ctx, carrier, client.Options{User: "alice"})
		if !errors.Is(err, want) {
			t.Errorf("a login with %q: %v, want %v", key, err, want)
		}
		if err == nil {
			c.Close()
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAddressInUse(t *testing.T) {
	h, err := start("127.0.0.1:0", make(chan ringfleet.Outcome))
	if err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), io.Discard, strings.TrimPrefix(h.url, "ws://"), false); err == nil {
		t.Error("two hosts on one address")
	}
	if err := h.stop(); err != nil {
		t.Error(err)
	}
}
