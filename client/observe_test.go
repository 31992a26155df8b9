package client

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ringfleet/ringfleet/invitation"
)

// What a node must not say is kept from the application, but not from the observer.
func TestViolations(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l := w.sent()
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalReceivedByRemote})
		w.violated()
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalSentToRemote})
		w.violated(BackwardState)
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalRefusedByRemote, Verdict: true})
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalRefusedByRemote, Verdict: true})
		w.violated()
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalCanceled, Verdict: true})
		w.violated(OtherEnding)
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalReceivedByRemote})
		w.violated(BackwardState)
		w.fired(LocalInvitationReceivedByPeer, LocalInvitationRefused)

		w.tellLocal(w.sent(), invitation.Notice{Local: invitation.LocalAcceptedByRemote, Verdict: true})
		w.violated(AcceptedUnconfirmed)
		w.fired(LocalInvitationAccepted)
		w.link().take()

		r := w.shown("1")
		w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteAccepted})
		w.violated(AcceptedUnasked)
		w.fired()
		w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteCanceled})
		w.violated()
		w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteInvitationReceived})
		w.violated(OfferAfterEnd)
		w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteAcceptSentToLocal})
		w.violated(BackwardState)
		w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteAccepted})
		w.violated(OtherEnding)
		w.fired(RemoteInvitationCanceled)

		w.link().notice(invitation.Notice{ID: invitation.ID{5}, Side: invitation.Callee, Remote: invitation.RemoteCanceled})
		w.violated(UnshownEnding)
		w.fired()

		forgotten := invitation.ForgottenNotice(l.ID(), invitation.Caller)
		w.link().notice(forgotten) // a node may forget
		w.violated()
	})
}

func TestObserverSeesEveryStep(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.seen = nil
		l := w.sent()
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalReceivedByRemote, Confirm: "desk"})
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalAcceptedByRemote, Verdict: true, Settled: true})
		synctest.Wait()
		var got []string
		for _, o := range w.seen {
			if o.Local != l || o.Peer != "bob" || o.Side != invitation.Caller || o.At.IsZero() {
				w.Fatalf("%+v", o)
			}
			got = append(got, fmt.Sprint(o.Step, " ", o.LocalState, " ", o.Request, " ", o.Word.Kind, " ", o.Event))
		}
		want := strings.Split(`requested IDLE send NONE NoEvent
answered IDLE send NONE NoEvent
noticed SENT_TO_REMOTE none NONE NoEvent
word RECEIVED_BY_REMOTE none CONFIRMED NoEvent
event RECEIVED_BY_REMOTE none NONE LocalInvitationReceivedByPeer
noticed RECEIVED_BY_REMOTE none NONE NoEvent
word ACCEPTED_BY_REMOTE none DONE NoEvent
event ACCEPTED_BY_REMOTE none NONE LocalInvitationAccepted`, "\n")
		if fmt.Sprint(got) != fmt.Sprint(want) {
			w.Fatalf("saw\n%s", strings.Join(got, "\n"))
		}
	})
}

func TestNamesOfStepsAndKinds(t *testing.T) {
	for s := StepRequested; s <= StepIgnored; s++ {
		if s.String() == "" {
			t.Fatal(uint8(s))
		}
	}
	for v := NoViolation; v <= AcceptedUnasked; v++ {
		if v.String() == "" {
			t.Fatal(uint8(v))
		}
	}
	terminal := 0
	for k := NoEvent; k <= SessionEnded; k++ {
		if k.String() == "" {
			t.Fatal(uint8(k))
		}
		if k.Terminal() {
			terminal++
		}
	}
	if terminal != 8 {
		t.Fatalf("%d terminal kinds", terminal)
	}
}
