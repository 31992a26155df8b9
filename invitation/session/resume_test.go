package session

import (
	"testing"

	"github.com/ringfleet/ringfleet/invitation"
)

// TestRepeatedSend checks that a send which is repeated makes an arbiter recover what was lost if the session does not
// know it, and starts as the first one did if it does: then nothing was lost.
func TestRepeatedSend(t *testing.T) {
	first := invitation.Call{Request: invitation.Send, Key: "mine", Callee: alice}
	repeated, rings := first, first
	repeated.Resumed = &invitation.Resumed{}
	rings.Resumed = &invitation.Resumed{Local: invitation.LocalReceivedByRemote}
	for _, test := range []struct {
		name     string
		sends    []invitation.Call
		recovers bool
	}{
		{"once", []invitation.Call{first}, false},
		{"to a new session", []invitation.Call{repeated}, true},
		{"to a new session, twice", []invitation.Call{repeated, repeated}, true},
		{"to the session that took it", []invitation.Call{first, repeated}, false},
		{"by a device that knows more", []invitation.Call{first, rings}, true},
	} {
		m := New(bob, &config)
		m.Step(began, attach("pad"), nil)
		var out []Effect
		for _, send := range test.sends {
			out = m.Step(began, call("pad", send), nil)
		}
		if len(out) != 1 || out[0].Message.Kind != invitation.MsgStart || (out[0].Message.Resumed != nil) != test.recovers {
			t.Errorf("%s: %+v", test.name, out)
		}
	}
}
