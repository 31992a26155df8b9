package ask_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/cluster/ask"
)

// pair returns an asker, and what sends its requests to another one that serves them.
func pair(config ask.Config, serve ask.Serve) (a *ask.Asker, send func(*ask.Request) error) {
	var one, other *ask.Asker
	config.Self = "b"
	config.Reply = func(_ string, r *ask.Response) error { one.Answer(r); return nil }
	other = ask.New(config)
	one = ask.New(ask.Config{Self: "a", First: 1 << 40, MaxWaiting: config.MaxWaiting})
	return one, func(r *ask.Request) error { other.Take(r, serve); return nil }
}

func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, send := pair(ask.Config{}, func(ctx context.Context, method string, body []byte) ([]byte, error) {
			deadline, _ := ctx.Deadline()
			switch method {
			case "no":
				return nil, &ask.Error{Code: 5, Message: "no such thing", Detail: []byte("why")}
			case "fault":
				return nil, errors.New("a fault")
			case "panic":
				panic("oh")
			case "slow":
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return fmt.Appendf(nil, "%s %s %v", method, body, time.Until(deadline)), nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if got, err := a.Ask(ctx, send, "echo", []byte("x")); err != nil || string(got) != "echo x 3s" {
			t.Errorf("answered %q, %v", got, err)
		}
		for method, want := range map[string]ask.Error{
			"no": {Code: 5, Message: "no such thing", Detail: []byte("why")}, "fault": {Code: ask.Internal, Message: "a fault"},
			"panic": {Code: ask.Internal, Message: "a fault of the node"},
		} {
			_, err := a.Ask(ctx, send, method, nil)
			got, ok := errors.AsType[*ask.Error](err)
			if !ok || got.Code != want.Code || got.Message != want.Message || string(got.Detail) != string(want.Detail) {
				t.Errorf("%s: %v", method, err)
			}
		}
		if _, err := a.Ask(ctx, func(*ask.Request) error { return errors.New("cut") }, "echo", nil); !errors.Is(err, ask.ErrNotSent) {
			t.Errorf("not sent: %v", err)
		}
		began := time.Now()
		if _, err := a.Ask(ctx, func(*ask.Request) error { return nil }, "echo", nil); !errors.Is(err, ask.ErrNoAnswer) || time.Since(began) != 3*time.Second {
			t.Errorf("lost: %v after %v", err, time.Since(began))
		}
	})
}

// TestAskAnswersOnce: an answer that is doubled, late or somebody else's does nothing.
func TestAskAnswersOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := ask.New(ask.Config{Self: "a"})
		got, err := a.Ask(t.Context(), func(r *ask.Request) error {
			a.Answer(&ask.Response{ID: r.ID + 1, Body: []byte("another's")})
			a.Answer(&ask.Response{ID: r.ID, Body: []byte("one")})
			a.Answer(&ask.Response{ID: r.ID, Body: []byte("two")})
			return nil
		}, "m", nil)
		if err != nil || string(got) != "one" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestAskBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		a, send := pair(ask.Config{MaxServing: 1, MaxWaiting: 2}, func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
			select {
			case <-release:
			case <-ctx.Done():
			}
			return nil, ctx.Err()
		})
		done := make(chan error, 1)
		go func() {
			_, err := a.Ask(t.Context(), send, "m", nil)
			done <- err
		}()
		synctest.Wait()
		_, err := a.Ask(t.Context(), send, "m", nil)
		if e, ok := errors.AsType[*ask.Error](err); !ok || e.Code != ask.Unavailable {
			t.Errorf("over the bound of what is served: %v", err)
		}
		go func() { _, _ = a.Ask(t.Context(), func(*ask.Request) error { return nil }, "m", nil) }()
		synctest.Wait()
		if _, err := a.Ask(t.Context(), send, "m", nil); !errors.Is(err, ask.ErrTooMany) {
			t.Errorf("over the bound of what waits: %v", err)
		}
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestAskIsServedNoLongerThanItIsWaitedFor: a request of a node that has died does not go on for ever.
func TestAskIsServedNoLongerThanItIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var served time.Duration
		a, send := pair(ask.Config{MaxTime: time.Minute}, func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
			began := time.Now()
			<-ctx.Done()
			served = time.Since(began)
			return nil, ctx.Err()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, _ = a.Ask(ctx, send, "m", nil)
		synctest.Wait()
		if served != 2*time.Second {
			t.Errorf("served for %v, want 2 s", served)
		}
	})
}

// TestAskAgain: what is lost on the way is asked again, and what comes of it all counts once.
func TestAskAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := 0
		a, send := pair(ask.Config{}, func(context.Context, string, []byte) ([]byte, error) {
			served++
			return fmt.Append(nil, served), nil
		})
		sent := 0
		lossy := func(r *ask.Request) error {
			switch sent++; sent {
			case 1:
				return nil // lost
			case 2:
				return errors.New("no route at the moment")
			}
			return errors.Join(send(r), send(r))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		got, err := a.AskAgain(ctx, 300*time.Millisecond, lossy, "m", nil)
		if took := time.Since(began); err != nil || string(got) == "" || took != 600*time.Millisecond || sent != 3 {
			t.Errorf("answered %q, %v after %v and %d requests", got, err, took, sent)
		}
		lost := func(*ask.Request) error { sent++; return nil }
		sent = 0
		if _, err := a.AskAgain(ctx, 300*time.Millisecond, lost, "m", nil); !errors.Is(err, ask.ErrNoAnswer) || sent != 5 {
			t.Errorf("nobody answers: %v after %d requests, want 5", err, sent)
		}
	})
}
