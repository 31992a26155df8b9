package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
)

const phoneHelp = `  call USER [CONTENT]    call a user
  accept [N] [RESPONSE]  accept invitation N; without N the newest that rings
  refuse [N] [RESPONSE]  refuse it
  cancel [N]             cancel invitation N; without N the newest of yours
  list                   the invitations of this phone, and their states
  quit                   log out and leave
`

// handset is the state of `ringctl phone`: the invitations by their numbers.
type handset struct {
	ctx    context.Context
	client *client.Client
	trace  *trace

	mu     sync.Mutex
	calls  []any // *client.LocalInvitation or *client.RemoteInvitation; number i+1
	leaves chan error
}

// phone logs in and reads commands until quit or the end of the input.
func phone(ctx context.Context, o *options, in io.Reader, out io.Writer) error {
	carrier, err := o.carrier()
	if err != nil {
		return err
	}
	t := newTrace(out)
	h := &handset{ctx: ctx, trace: t, leaves: make(chan error, 1)}
	user := invitation.User(o.user)
	h.client = client.New(carrier, client.Options{User: user, Device: invitation.Device(o.device), Observer: t.observer(user)})
	defer h.client.Close()
	h.client.OnRemoteInvitation(h.ring)
	h.client.OnEvent(func(e client.Event) {
		if e.Kind == client.SessionEnded {
			h.leaves <- e.Err
		}
	})
	if err := h.client.Login(ctx); err != nil {
		return err
	}
	t.note("logged in as %s on device %s; type help", user, h.client.Device())
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(in); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return h.serve(lines)
}

func (h *handset) serve(lines <-chan string) error {
	for {
		select {
		case <-h.ctx.Done():
			return h.ctx.Err()
		case err := <-h.leaves:
			return err
		case line, ok := <-lines:
			word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			if !ok || word == "quit" {
				return h.client.Logout(h.ctx)
			}
			if err := h.do(word, strings.TrimSpace(rest)); err != nil {
				h.trace.note("   %v", err)
			}
		}
	}
}

// ring takes note of an invitation that this phone is shown.
func (h *handset) ring(r *client.RemoteInvitation) {
	n := h.add(r)
	h.trace.note("   invitation %d: %s calls: %q (accept %d, refuse %d)", n, r.Caller(), r.Content(), n, n)
}

func (h *handset) add(call any) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, call)
	return len(h.calls)
}

func (h *handset) do(word, rest string) error {
	switch word {
	case "":
		return nil
	case "help":
		h.trace.note("%s", strings.TrimRight(phoneHelp, "\n"))
		return nil
	case "list":
		h.list()
		return nil
	case "call":
		user, content, _ := strings.Cut(rest, " ")
		if user == "" {
			return errors.New("call whom?")
		}
		l := h.client.NewLocalInvitation(invitation.User(user))
		if err := l.SetContent(content); err != nil {
			return err
		}
		h.trace.note("   invitation %d", h.add(l))
		return l.Send(h.ctx)
	case "accept", "refuse":
		r, response, err := pick(h, rest, func(r *client.RemoteInvitation) bool { return !r.State().Terminal() })
		switch {
		case err != nil:
			return err
		case word == "accept":
			return r.Accept(h.ctx, response)
		}
		return r.Refuse(h.ctx, response)
	case "cancel":
		l, _, err := pick(h, rest, func(l *client.LocalInvitation) bool { return !l.State().Terminal() })
		if err != nil {
			return err
		}
		return l.Cancel(h.ctx)
	}
	return fmt.Errorf("unknown command %q; type help", word)
}

// pick returns the invitation that rest begins with the number of, or without a number the newest
// one that is live; and what follows.
func pick[T any](h *handset, rest string, live func(T) bool) (T, string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	first, after, _ := strings.Cut(rest, " ")
	if n, err := strconv.Atoi(first); err == nil {
		if n >= 1 && n <= len(h.calls) {
			if call, ok := h.calls[n-1].(T); ok {
				return call, strings.TrimSpace(after), nil
			}
		}
		var none T
		return none, "", fmt.Errorf("there is no such invitation %d here; type list", n)
	}
	for _, c := range slices.Backward(h.calls) {
		if call, ok := c.(T); ok && live(call) {
			return call, rest, nil
		}
	}
	var none T
	return none, "", errors.New("there is none; type list")
}

func (h *handset) list() {
	h.mu.Lock()
	calls := slices.Clone(h.calls)
	h.mu.Unlock()
	for i, c := range calls {
		switch c := c.(type) {
		case *client.LocalInvitation:
			h.trace.note("   %d  to %s: %v %v", i+1, c.Callee(), c.State(), c.Reason())
		case *client.RemoteInvitation:
			h.trace.note("   %d  from %s: %v %v", i+1, c.Caller(), c.State(), c.Reason())
		}
	}
}
