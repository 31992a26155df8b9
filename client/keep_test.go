package client

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// Until the node says that both sides have concluded, an ended invitation repeats its word.
func TestWordOfAnEndedInvitationIsRepeated(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l, r := w.sent(), w.shown("1")
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalCanceled, Verdict: true})
		w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteFailure, Code: uint8(invitation.RemoteExpire)})
		w.fired(LocalInvitationCanceled, RemoteInvitationFailure)
		w.link().take()
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalCanceled, Verdict: true})
		if said := w.link().take(); len(said) != 0 {
			w.Fatalf("said %v, which it has just said", said)
		}
		for range 3 {
			time.Sleep(wordRepeat)
			w.tellLocal(l, invitation.Notice{Local: invitation.LocalCanceled, Verdict: true})
			if word := w.word(invitation.WordDone); word.Local != invitation.LocalCanceled {
				w.Fatalf("%+v", word)
			}
			w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteFailure})
			if word := w.word(invitation.WordDone); word.Remote != invitation.RemoteFailure {
				w.Fatalf("%+v", word)
			}
		}
		w.fired()
		w.violated()
	})
}

func TestSettledInvitationNeverRingsAgain(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		r := w.shown("1")
		w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteRefused, Settled: true})
		w.fired(RemoteInvitationRefused)
		w.link().take()
		w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteInvitationReceived})
		if word := w.word(invitation.WordDone); word.Remote != invitation.RemoteRefused {
			w.Fatalf("%+v", word)
		}
		w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteRefused, Settled: true})
		if said := w.link().take(); len(said) != 0 {
			w.Fatalf("said %v", said)
		}
		w.fired()
		w.violated(OfferAfterEnd)
	})
}

func TestMemoryIsBounded(t *testing.T) {
	var m memory
	for i := range 2 * remembered {
		id := invitation.ID{byte(i)}
		m.add(invitation.Word{ID: id, Side: invitation.Callee})
		if _, ok := m.find(id, invitation.Callee); !ok {
			t.Fatal("forgotten at once", i)
		}
	}
	if len(m.words) != remembered {
		t.Fatal(len(m.words))
	}
	if _, ok := m.find(invitation.ID{remembered - 1}, invitation.Callee); ok {
		t.Fatal("remembered for too long")
	}
	if _, ok := m.find(invitation.ID{remembered}, invitation.Caller); ok {
		t.Fatal("found on the wrong side")
	}
}

func TestEndedInvitationsAreBounded(t *testing.T) {
	inWorld(t, Options{MaxEnded: 3, Linger: time.Minute}, func(w *world) {
		var sent []*LocalInvitation
		for range 5 {
			l := w.sent()
			w.tellLocal(l, invitation.Notice{Local: invitation.LocalRefusedByRemote, Verdict: true})
			sent = append(sent, l)
		}
		reconnect := func() []invitation.Word {
			w.link().receiver.Lost(io.EOF)
			time.Sleep(w.c.options.MaxBackoff)
			synctest.Wait()
			return w.s.logins[len(w.s.logins)-1].Words
		}
		words := reconnect()
		if len(words) != 3 || words[0].ID != sent[2].ID() {
			w.Fatalf("%+v", words)
		}
		time.Sleep(time.Minute)
		if words := reconnect(); len(words) != 0 {
			w.Fatalf("after the linger: %+v", words)
		}
	})
}

// A login has room for so many words; the others follow the Welcome.
func TestManyWords(t *testing.T) {
	inWorld(t, Options{MaxEnded: maxWords + 10}, func(w *world) {
		for range maxWords + 10 {
			w.tellLocal(w.sent(), invitation.Notice{Local: invitation.LocalRefusedByRemote, Verdict: true})
		}
		w.link().receiver.Lost(io.EOF)
		time.Sleep(firstBackoff)
		synctest.Wait()
		if n, rest := len(w.s.logins[1].Words), len(w.link().words()); n != maxWords || rest != 10 {
			w.Fatalf("%d words in the login, %d after", n, rest)
		}
	})
}

// What an earlier program with the same device id sent or was shown is acknowledged once it has ended.
func TestInvitationsOfAnEarlierProgram(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		id := invitation.ID{1}
		for name, tt := range map[string]struct {
			n    invitation.Notice
			said bool
		}{
			"ended":                 {invitation.Notice{Side: invitation.Caller, Local: invitation.LocalCanceled, Verdict: true}, true},
			"ended without verdict": {invitation.Notice{Side: invitation.Caller, Local: invitation.LocalCanceled}, true},
			"asks to confirm":       {invitation.Notice{Side: invitation.Caller, Local: invitation.LocalReceivedByRemote, Confirm: "desk"}, false},
			"settled":               {invitation.Notice{Side: invitation.Caller, Local: invitation.LocalCanceled, Verdict: true, Settled: true}, false},
			"accepted by it":        {invitation.Notice{Side: invitation.Callee, Remote: invitation.RemoteAccepted}, true},
			"ended over there":      {invitation.Notice{Side: invitation.Callee, Remote: invitation.RemoteCanceled, Settled: true}, false},
		} {
			tt.n.ID = id
			w.link().notice(tt.n)
			if words := w.link().words(); len(words) == 1 != tt.said {
				w.Fatalf("%s: said %v", name, words)
			} else if tt.said && tt.n.Remote == invitation.RemoteAccepted && words[0].Remote != invitation.RemoteFailure {
				w.Fatalf("%s: said %v", name, words)
			}
		}
		w.fired()
		// While a send is under way, it may turn out to be that one.
		_, call, result := w.pendingSend()
		ended := invitation.Notice{ID: id, Side: invitation.Caller, Local: invitation.LocalRefusedByRemote, Verdict: true}
		w.link().notice(ended)
		if words := w.link().words(); len(words) != 0 {
			w.Fatalf("said %v", words)
		}
		w.link().answer(invitation.Answer{RequestID: call.RequestID, ID: id, Notice: &ended})
		w.is(<-result, nil)
		w.fired(LocalInvitationRefused)
	})
}
