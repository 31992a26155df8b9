package client

import (
	"testing"

	"github.com/ringfleet/ringfleet/invitation"
)

// TestSetKey: a send has the key that was set, also when it is made again, and until it is sent only.
func TestSetKey(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l := w.c.NewLocalInvitation("bob")
		w.is(l.SetKey("order-17"), nil)
		result := make(chan error, 1)
		go func() { result <- l.Send(w.Context()) }()
		first := w.call(invitation.Send)
		if first.Key != "order-17" {
			w.Errorf("sent with the key %q", first.Key)
		}
		w.is(l.SetKey("other"), invitation.AlreadySent)
		w.link().answer(invitation.Answer{RequestID: first.RequestID, Error: invitation.LimitExceeded})
		w.is(<-result, invitation.LimitExceeded)
		go func() { result <- l.Send(w.Context()) }()
		again := w.call(invitation.Send)
		if again.Key != "order-17" {
			w.Errorf("sent again with the key %q", again.Key)
		}
		w.link().answer(invitation.Answer{RequestID: again.RequestID, ID: invitation.ID{1}})
		w.is(<-result, nil)
	})
}
