package client

import (
	"context"
	"testing"

	"github.com/ringfleet/ringfleet/invitation"
)

// instant is a node that plays the other side of every call at once, from within Say, and allocates
// nothing: what a benchmark counts is the client's.
type instant struct {
	receiver Receiver
	answer   invitation.Answer
	notices  [4]invitation.Notice
	downs    [4]invitation.Down
}

func (i *instant) Dial(_ context.Context, _ invitation.Login, receiver Receiver) (Link, error) {
	i.receiver = receiver
	for n := range i.downs {
		i.downs[n] = invitation.Down{Notice: &i.notices[n]}
	}
	receiver.Receive(invitation.Down{Welcome: &invitation.Welcome{Stamp: 1}})
	return i, nil
}

func (i *instant) Close() error { return nil }

func (i *instant) Say(up invitation.Up) error {
	switch {
	case up.Call == nil:
	case up.Call.Request == invitation.Send:
		id := invitation.NewID("alice", "phone", up.Call.Key)
		n := invitation.Notice{ID: id, Side: invitation.Caller, Peer: "bob", Local: invitation.LocalSentToRemote}
		i.notices[0] = n
		i.answer = invitation.Answer{RequestID: up.Call.RequestID, ID: id, Notice: &i.notices[0]}
		i.receiver.Receive(invitation.Down{Answer: &i.answer})
		n.Local = invitation.LocalReceivedByRemote
		i.tell(1, n)
		n.Confirm = "desk"
		i.tell(2, n)
		n.Local, n.Confirm, n.Verdict, n.Settled = invitation.LocalAcceptedByRemote, "", true, true
		i.tell(3, n)
	case up.Call.Request == invitation.Accept:
		i.answer = invitation.Answer{RequestID: up.Call.RequestID, ID: up.Call.ID}
		i.receiver.Receive(invitation.Down{Answer: &i.answer})
		i.tell(1, invitation.Notice{ID: up.Call.ID, Side: invitation.Callee, Remote: invitation.RemoteAccepted, Settled: true})
	}
	return nil
}

func (i *instant) tell(n int, notice invitation.Notice) {
	i.notices[n] = notice
	i.receiver.Receive(i.downs[n])
}

// caller returns a function that makes one whole call on the caller's side.
func caller(tb testing.TB) func() {
	ended := make(chan struct{}, 1)
	c, err := Dial(tb.Context(), new(instant), Options{User: "alice", Device: "phone", OnEvent: func(ev Event) {
		if ev.Kind == LocalInvitationAccepted {
			ended <- struct{}{}
		}
	}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	ctx := tb.Context()
	return func() {
		if err := c.NewLocalInvitation("bob").Send(ctx); err != nil {
			tb.Fatal(err)
		}
		<-ended
	}
}

// callee returns a function that takes one whole call on the callee's side.
func callee(tb testing.TB) func() {
	ended := make(chan struct{}, 1)
	i := new(instant)
	ctx := tb.Context()
	c, err := Dial(ctx, i, Options{
		User: "alice", Device: "phone",
		OnRemoteInvitation: func(r *RemoteInvitation) { _ = r.Accept(ctx, "") },
		OnEvent: func(ev Event) {
			if ev.Kind == RemoteInvitationAccepted {
				ended <- struct{}{}
			}
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	id := invitation.ID{}
	return func() {
		for b := range id {
			if id[b]++; id[b] != 0 {
				break
			}
		}
		i.tell(0, invitation.Notice{ID: id, Side: invitation.Callee, Peer: "bob", Remote: invitation.RemoteInvitationReceived})
		<-ended
	}
}

// BenchmarkCaller is a whole accepted call on the caller's side, application included, node excluded.
func BenchmarkCaller(b *testing.B) {
	call := caller(b)
	b.ReportAllocs()
	for b.Loop() {
		call()
	}
}

// BenchmarkCallee is the same on the callee's side.
func BenchmarkCallee(b *testing.B) {
	call := callee(b)
	b.ReportAllocs()
	for b.Loop() {
		call()
	}
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, tt := range map[string]struct {
		call func()
		most float64
	}{
		"caller": {caller(t), 6},
		"callee": {callee(t), 5},
	} {
		for range 300 {
			tt.call()
		}
		if got := testing.AllocsPerRun(1_000, tt.call); got > tt.most {
			t.Errorf("%s: %v allocations, want at most %v", name, got, tt.most)
		}
	}
}
