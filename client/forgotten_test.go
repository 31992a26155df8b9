package client

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// TestWordThatGotLost: a node that has asked for a word, and does not know what it was about, is told again.
func TestWordThatGotLost(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		r := w.shown("1")
		w.link().take()
		time.Sleep(time.Second)
		w.tell()
		word := invitation.Word{Kind: invitation.WordSeen, ID: r.ID(), Side: invitation.Callee}
		w.told(true, word, nil)
		time.Sleep(auditAfter)
		query := w.call(invitation.Query)
		w.link().answer(invitation.Answer{RequestID: query.RequestID, Error: invitation.NotFound})
		w.told(true, word, nil)
		w.silent()
		if r.State() != invitation.RemoteInvitationReceived {
			w.Fatal(r.State())
		}
	})
}

// TestQueryOfWhatIsForgotten: NOT_FOUND is no answer to a user who asks for what lives, the first time.
func TestQueryOfWhatIsForgotten(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		r := w.shown("1")
		time.Sleep(time.Second)
		w.link().take()
		found := make(chan error, 1)
		go func() {
			_, err := w.c.Query(w.Context(), r.ID())
			found <- err
		}()
		query := w.call(invitation.Query)
		w.link().answer(invitation.Answer{RequestID: query.RequestID, Error: invitation.NotFound})
		w.told(true, invitation.Word{Kind: invitation.WordSeen, ID: r.ID(), Side: invitation.Callee}, nil)
		time.Sleep(firstRepeat)
		query = w.call(invitation.Query)
		n := invitation.Notice{ID: r.ID(), Side: invitation.Callee, Remote: invitation.RemoteInvitationReceived}
		w.link().answer(invitation.Answer{RequestID: query.RequestID, ID: r.ID(), Notice: &n})
		w.is(<-found, nil)
	})
}

// TestAcceptThatWasForgotten: a node that has recorded an accept and offers the invitation again is told of the accept.
func TestAcceptThatWasForgotten(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		r := w.shown("1")
		accepted := make(chan error, 1)
		go func() { accepted <- r.Accept(w.Context(), "yes") }()
		call := w.call(invitation.Accept)
		offer := invitation.Notice{Remote: invitation.RemoteInvitationReceived, Remaining: 50 * time.Second}
		w.link().take()
		time.Sleep(wordRepeat)
		w.tellRemote(r, offer)
		w.told(true, invitation.Word{Kind: invitation.WordSeen, ID: r.ID(), Side: invitation.Callee}, nil)
		w.link().answer(invitation.Answer{RequestID: call.RequestID, Notice: &invitation.Notice{
			ID: r.ID(), Side: invitation.Callee, Remote: invitation.RemoteAcceptSentToLocal, Remaining: 15 * time.Second,
		}})
		w.is(<-accepted, nil)
		time.Sleep(time.Second)
		w.tellRemote(r, offer) // its time is not the accept's
		w.told(true, invitation.Word{
			Kind: invitation.WordAccepting, ID: r.ID(), Side: invitation.Callee, Response: "yes", Remaining: 14 * time.Second,
		}, nil)
		w.silent()
	})
}

// TestRingThatIsShownAnew: a node that does not know since when an invitation rings offers it again, with a whole time. It
// rings no longer for that, and the node is told.
func TestRingThatIsShownAnew(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		r := w.shown("1")
		offer := invitation.Notice{Remote: invitation.RemoteInvitationReceived, Remaining: time.Minute}
		w.tellRemote(r, offer)
		w.link().take()
		time.Sleep(20 * time.Second)
		w.tellRemote(r, offer)
		w.told(true, invitation.Word{
			Kind: invitation.WordSeen, ID: r.ID(), Side: invitation.Callee, Remaining: 40 * time.Second,
		}, nil)
		if got := r.Remaining(); got != 40*time.Second {
			t.Errorf("%v remain", got)
		}
		offer.Remaining = 30 * time.Second
		w.tellRemote(r, offer)
		if got := r.Remaining(); got != 30*time.Second {
			t.Errorf("%v remain of a time that is known better", got)
		}
	})
}

// TestRefusalIsSaidAgain: until both sides have heard of it, less and less often.
func TestRefusalIsSaidAgain(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		r := w.shown("1")
		id := r.ID()
		w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteRefused, Verdict: true})
		w.fired(RemoteInvitationRefused)
		w.link().take()
		start := time.Now()
		word := invitation.Word{Kind: invitation.WordDone, ID: id, Side: invitation.Callee, Remote: invitation.RemoteRefused}
		for _, seconds := range []int{4, 12, 28, 60, 92} {
			at := start.Add(time.Duration(seconds) * time.Second)
			time.Sleep(time.Until(at) - 1)
			w.told(false, word, nil)
			time.Sleep(time.Until(at))
			synctest.Wait()
			w.told(true, word, nil)
		}
		w.tellRemote(r, invitation.Notice{ID: id, Remote: invitation.RemoteRefused, Verdict: true, Settled: true})
		time.Sleep(time.Minute)
		w.told(false, word, nil)
	})
}
