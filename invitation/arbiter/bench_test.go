package arbiter

import (
	"testing"

	"github.com/ringfleet/ringfleet/invitation"
)

// BenchmarkStep is a Step of one message in the stage that it moves, or waits in.
func BenchmarkStep(b *testing.B) {
	for _, c := range []struct {
		stage invitation.Stage
		kind  invitation.MessageKind
	}{
		{invitation.Offering, invitation.MsgCallee},
		{invitation.Offering, invitation.MsgSeen},
		{invitation.Ringing, invitation.MsgAccept},
		{invitation.Ringing, invitation.MsgRefuse},
		{invitation.Ringing, invitation.MsgCancel},
		{invitation.Ringing, invitation.MsgCaller},
		{invitation.Ringing, invitation.MsgTick},
		{invitation.Accepting, invitation.MsgConfirm},
		{invitation.Confirmed, invitation.MsgCalleeDone},
		{invitation.Ended, invitation.MsgCallerDone},
		{invitation.Ended, invitation.MsgCalleeDone},
	} {
		b.Run(c.stage.String()+"/"+c.kind.String(), func(b *testing.B) {
			start, m, msg := at(c.stage), &Machine{}, message(c.kind)
			var out []Effect
			b.ReportAllocs()
			for b.Loop() {
				*m = *start // views are replaced, never changed
				out = m.Step(began, &msg, out[:0])
			}
		})
	}
}

// BenchmarkNew is an arbiter from its making to its offer.
func BenchmarkNew(b *testing.B) {
	msg := message(invitation.MsgStart)
	var out []Effect
	b.ReportAllocs()
	for b.Loop() {
		out = New(terms).Step(began, &msg, out[:0])
	}
}
