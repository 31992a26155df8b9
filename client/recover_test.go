package client

import (
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// repeats checks that again is first, said to a node that may have taken it before.
func (w *world) repeats(again, first *invitation.Call) {
	w.Helper()
	plain := *again
	plain.Resumed = nil
	if again.Resumed == nil || *again.Resumed != (invitation.Resumed{}) || plain != *first {
		w.Fatalf("repeated %+v with %+v, was %+v", again, again.Resumed, first)
	}
}

// tell is the Welcome of a session that knows nothing.
func (w *world) tell() {
	w.link().receiver.Receive(invitation.Down{Welcome: &invitation.Welcome{Stamp: 9, Tell: true}})
	synctest.Wait()
}

func (w *world) retell(id invitation.ID, side invitation.Side) {
	w.link().receiver.Receive(invitation.Down{Retell: &invitation.Retell{ID: id, Side: side}})
	synctest.Wait()
}

// silent checks that the application has seen nothing since the last check.
func (w *world) silent() {
	w.Helper()
	synctest.Wait()
	w.events.mu.Lock()
	all := w.events.all
	w.events.mu.Unlock()
	if len(all) != 0 {
		w.Fatalf("fired %v", all)
	}
	w.violated()
}

// callers are the states in which a caller's device can be when a node forgets, and what it says of them.
var callers = []struct {
	name  string
	reach func(w *world, l *LocalInvitation)
	word  invitation.Word // but for id and side
	again *invitation.Resumed
}{
	{
		"sent",
		func(w *world, l *LocalInvitation) {
			w.tellLocal(l, invitation.Notice{Local: invitation.LocalSentToRemote, Remaining: 30 * time.Second})
		},
		invitation.Word{Kind: invitation.WordSent, Remaining: 28 * time.Second},
		&invitation.Resumed{Local: invitation.LocalSentToRemote, Remaining: 28 * time.Second},
	}, {
		"sent, overdue",
		func(w *world, l *LocalInvitation) {
			w.tellLocal(l, invitation.Notice{Local: invitation.LocalSentToRemote, Remaining: time.Second})
		},
		invitation.Word{Kind: invitation.WordSent, Remaining: time.Millisecond},
		&invitation.Resumed{Local: invitation.LocalSentToRemote, Remaining: time.Millisecond},
	}, {
		"received",
		func(w *world, l *LocalInvitation) {
			w.tellLocal(l, invitation.Notice{Local: invitation.LocalReceivedByRemote, Remaining: time.Hour})
		},
		invitation.Word{Kind: invitation.WordSent, Remaining: invitation.MaxTimer},
		&invitation.Resumed{Local: invitation.LocalReceivedByRemote, Remaining: invitation.MaxTimer},
	}, {
		"confirmed",
		func(w *world, l *LocalInvitation) {
			w.tellLocal(l, invitation.Notice{
				Local: invitation.LocalReceivedByRemote, Confirm: "desk", Remaining: 15 * time.Second,
			})
		},
		invitation.Word{Kind: invitation.WordConfirmed, Named: "desk"},
		&invitation.Resumed{Local: invitation.LocalReceivedByRemote, Remaining: 13 * time.Second, Confirmed: "desk"},
	}, {
		"accepted",
		func(w *world, l *LocalInvitation) {
			w.tellLocal(l, invitation.Notice{Local: invitation.LocalReceivedByRemote, Confirm: "desk"})
			w.tellLocal(l, invitation.Notice{Local: invitation.LocalAcceptedByRemote, Verdict: true})
		},
		invitation.Word{Kind: invitation.WordDone, Local: invitation.LocalAcceptedByRemote},
		nil,
	}, {
		"canceled",
		func(w *world, l *LocalInvitation) {
			w.tellLocal(l, invitation.Notice{Local: invitation.LocalCanceled, Verdict: true})
		},
		invitation.Word{Kind: invitation.WordDone, Local: invitation.LocalCanceled},
		nil,
	}, {
		"settled",
		func(w *world, l *LocalInvitation) {
			w.tellLocal(l, invitation.Notice{Local: invitation.LocalRefusedByRemote, Verdict: true, Settled: true})
		},
		invitation.Word{Kind: invitation.WordDone, Local: invitation.LocalRefusedByRemote},
		nil,
	},
}

func TestCallerTellsWhatTheNodeForgot(t *testing.T) {
	for _, tt := range callers {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				l := w.c.NewLocalInvitation("bob")
				w.is(errors.Join(
					l.SetContent("lunch?"), l.SetChannelID("room 1"), l.SetTimers(invitation.Timers{Expire: time.Minute}),
				), nil)
				go func() { _ = l.Send(w.Context()) }()
				first := w.call(invitation.Send)
				id := invitation.NewID("alice", "phone", first.Key)
				w.link().answer(invitation.Answer{RequestID: first.RequestID, ID: id})
				tt.reach(w, l)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				w.events.kinds()
				w.link().take()
				word := tt.word
				word.ID, word.Side = id, invitation.Caller

				w.tell()
				switch words := w.link().words(); {
				case tt.name == "settled" && len(words) == 0:
				case len(words) != 1 || words[0] != word:
					w.Fatalf("told %+v, want %+v", words, word)
				}
				for range 2 { // whatever was said: it is asked because that was lost
					w.retell(id, invitation.Caller)
					calls, words := split(w.link().take())
					if tt.again == nil {
						if len(calls) != 0 || len(words) != 1 || words[0] != word {
							w.Fatalf("retold %v, %v", calls, words)
						}
						continue
					}
					if len(calls) != 1 || calls[0].RequestID == first.RequestID || !reflect.DeepEqual(calls[0].Resumed, tt.again) {
						w.Fatalf("retold %+v", calls)
					}
					plain := *calls[0]
					if plain.Resumed, plain.RequestID = nil, first.RequestID; plain != *first {
						w.Fatalf("retold %+v, was %+v", plain, first)
					}
					if said := len(words) == 1 && words[0] == word; said != (word.Kind == invitation.WordConfirmed) {
						w.Fatalf("retold the words %+v", words)
					}
				}
				w.retell(id, invitation.Callee)
				if said := w.link().take(); len(said) != 0 {
					w.Fatalf("told of the other side: %+v", said)
				}
				w.silent()
			})
		})
	}
}

func split(said []invitation.Up) (calls []*invitation.Call, words []invitation.Word) {
	for _, up := range said {
		switch {
		case up.Call != nil:
			calls = append(calls, up.Call)
		case up.Word != nil:
			words = append(words, *up.Word)
		}
	}
	return calls, words
}

// callees are the same for a callee's device.
var callees = []struct {
	name  string
	reach func(w *world, r *RemoteInvitation)
	word  invitation.Word
	calls []invitation.Request // that are repeated
}{
	{
		"ringing",
		func(w *world, r *RemoteInvitation) {
			w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteInvitationReceived, Remaining: time.Minute})
		},
		invitation.Word{Kind: invitation.WordSeen, Remaining: 59 * time.Second},
		nil,
	}, {
		"ringing, overdue",
		func(w *world, r *RemoteInvitation) {
			w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteInvitationReceived, Remaining: 500 * time.Millisecond})
			time.Sleep(600 * time.Millisecond)
			w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteInvitationReceived}) // it is about to end
		},
		invitation.Word{Kind: invitation.WordSeen, Remaining: time.Millisecond},
		nil,
	}, {
		"refusing",
		func(w *world, r *RemoteInvitation) {
			w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteInvitationReceived, Remaining: time.Minute})
			go func() { _ = r.Refuse(w.Context(), "busy") }()
		},
		invitation.Word{Kind: invitation.WordSeen, Remaining: 59 * time.Second},
		[]invitation.Request{invitation.Refuse},
	}, {
		"accepting",
		func(w *world, r *RemoteInvitation) {
			go func() { _ = r.Accept(w.Context(), "yes") }()
			accept := w.call(invitation.Accept)
			w.link().answer(invitation.Answer{RequestID: accept.RequestID, Notice: &invitation.Notice{
				ID: r.ID(), Side: invitation.Callee, Remote: invitation.RemoteAcceptSentToLocal, Remaining: 15 * time.Second,
			}})
		},
		invitation.Word{Kind: invitation.WordAccepting, Response: "yes", Remaining: 14 * time.Second},
		nil,
	}, {
		"accepting, unanswered",
		func(w *world, r *RemoteInvitation) { go func() { _ = r.Accept(w.Context(), "yes") }() },
		invitation.Word{Kind: invitation.WordAccepting, Response: "yes"},
		[]invitation.Request{invitation.Accept},
	}, {
		"accepted",
		func(w *world, r *RemoteInvitation) {
			go func() { _ = r.Accept(w.Context(), "yes") }()
			accept := w.call(invitation.Accept)
			w.link().answer(invitation.Answer{RequestID: accept.RequestID})
			w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteAccepted})
		},
		invitation.Word{Kind: invitation.WordDone, Remote: invitation.RemoteAccepted},
		nil,
	}, {
		"canceled",
		func(w *world, r *RemoteInvitation) {
			w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteCanceled})
		},
		invitation.Word{Kind: invitation.WordDone, Remote: invitation.RemoteCanceled},
		nil,
	}, {
		"settled",
		func(w *world, r *RemoteInvitation) {
			w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteFailure, Settled: true})
		},
		invitation.Word{Kind: invitation.WordDone, Remote: invitation.RemoteFailure},
		nil,
	},
}

func TestCalleeTellsWhatTheNodeForgot(t *testing.T) {
	for _, tt := range callees {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				r := w.shown("1")
				id := r.ID()
				tt.reach(w, r)
				time.Sleep(time.Second)
				synctest.Wait()
				w.events.kinds()
				w.link().take()
				word := tt.word
				word.ID, word.Side = id, invitation.Callee
				w.tell()
				w.told(tt.name != "settled", word, tt.calls)
				for range 2 {
					w.retell(id, invitation.Callee)
					w.told(true, word, tt.calls)
				}
				w.retell(id, invitation.Caller)
				if said := w.link().take(); len(said) != 0 {
					w.Fatalf("told of the other side: %+v", said)
				}
				w.silent()
			})
		})
	}
}

// told checks what was said: the word, and then the requests.
func (w *world) told(said bool, word invitation.Word, requests []invitation.Request) {
	w.Helper()
	calls, words := split(w.link().take())
	if said != (len(words) == 1) || said && words[0] != word {
		w.Fatalf("told %+v, want %+v", words, word)
	}
	var got []invitation.Request
	for _, call := range calls {
		got = append(got, call.Request)
	}
	if !reflect.DeepEqual(got, requests) {
		w.Fatalf("requested %v, want %v", got, requests)
	}
}

// TestResumeBringsEveryWord: what is said on a Welcome with Tell a login that resumes brings by itself.
func TestResumeBringsEveryWord(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l, r := w.sent(), w.shown("1")
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalSentToRemote, Remaining: 20 * time.Second})
		go func() { _ = r.Accept(w.Context(), "yes") }()
		accept := w.call(invitation.Accept)
		w.link().answer(invitation.Answer{RequestID: accept.RequestID})
		w.pendingSend() // has no word: there is no id
		w.link().receiver.Lost(io.EOF)
		time.Sleep(firstBackoff)
		synctest.Wait()
		words := w.s.logins[1].Words
		if len(words) != 2 || words[0].Kind != invitation.WordSent || words[0].ID != l.ID() || words[0].Remaining < 19*time.Second ||
			words[1].Kind != invitation.WordAccepting || words[1].ID != r.ID() || words[1].Response != "yes" {
			w.Fatalf("%+v", words)
		}
	})
}

// TestCancelAndRecovery: a cancel that is not answered is said after the send that makes the node know
// what is canceled, whatever it was answered before.
func TestCancelAndRecovery(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.fired()
		l := w.sent()
		result := make(chan error, 1)
		go func() { result <- l.Cancel(w.Context()) }()
		cancel := w.call(invitation.Cancel)
		w.retell(l.ID(), invitation.Caller)
		calls := w.link().calls()
		if len(calls) != 2 || calls[0].Resumed == nil || calls[1] != cancel {
			w.Fatalf("said %+v", calls)
		}
		// A node that still looks for it knows of none. That is no last word.
		w.link().answer(invitation.Answer{RequestID: cancel.RequestID, Error: invitation.NotFound})
		w.silent()
		time.Sleep(2 * firstRepeat)
		synctest.Wait()
		for _, call := range w.link().calls() {
			if call.Request == invitation.Query {
				w.link().answer(invitation.Answer{RequestID: call.RequestID, Error: invitation.NotFound})
			} else if call.Request != invitation.Cancel && call.Resumed == nil {
				w.Fatalf("said %+v", call)
			}
		}
		w.silent()
		w.link().answer(invitation.Answer{RequestID: calls[0].RequestID, ID: l.ID(), Notice: &invitation.Notice{
			ID: l.ID(), Side: invitation.Caller, Peer: "bob", Local: invitation.LocalSentToRemote, Remaining: time.Second,
		}})
		w.silent()
		w.link().answer(invitation.Answer{RequestID: cancel.RequestID, Notice: &invitation.Notice{
			ID: l.ID(), Side: invitation.Caller, Peer: "bob", Local: invitation.LocalCanceled, Reason: invitation.CallerCanceled,
		}})
		w.is(<-result, nil)
		w.fired(LocalInvitationCanceled)
	})
}

// TestForgottenAfterAll: NOT_FOUND long after the node was told is the last word.
func TestForgottenAfterAll(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l, r := w.sent(), w.shown("1")
		w.tell()
		for range 4 {
			time.Sleep(auditAfter)
			synctest.Wait()
			for _, call := range w.link().calls() {
				w.link().answer(invitation.Answer{RequestID: call.RequestID, Error: invitation.NotFound})
			}
		}
		w.fired(LocalInvitationFailure, RemoteInvitationFailure)
		if l.Reason() != invitation.OutcomeForgotten || r.Reason() != invitation.OutcomeForgotten {
			w.Fatal(l.Reason(), r.Reason())
		}
	})
}

// TestEndedSendIsNotRepeated: a send that was asked for again is not answered when its invitation ends, and the connection
// breaks. On the next one it is not said: a node that has forgotten it would begin it anew, and ring.
func TestEndedSendIsNotRepeated(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l := w.sent()
		w.retell(l.ID(), invitation.Caller)
		w.call(invitation.Send)
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalFailure, Reason: invitation.CalleeOffline})
		w.fired(LocalInvitationFailure)
		w.tell()
		for range 4 {
			time.Sleep(firstRepeat)
			synctest.Wait()
			for _, call := range w.link().calls() {
				w.Fatalf("says %+v", call)
			}
		}
	})
}

// TestResumedSendCountsDown: it is repeated with the time that remains then, on the connection on which it
// was asked for, until it is answered; an error ends nothing.
func TestResumedSendCountsDown(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l := w.sent()
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalReceivedByRemote, Remaining: time.Minute})
		w.fired(LocalInvitationReceivedByPeer)
		w.retell(l.ID(), invitation.Caller)
		first := w.call(invitation.Send)
		time.Sleep(firstRepeat)
		again := w.call(invitation.Send)
		if again == first || again.RequestID != first.RequestID || again.Resumed.Remaining != first.Resumed.Remaining-firstRepeat {
			w.Fatalf("repeated %+v, was %+v", again.Resumed, first.Resumed)
		}
		for _, code := range []invitation.CallError{invitation.Unavailable, invitation.LimitExceeded} {
			w.link().answer(invitation.Answer{RequestID: first.RequestID, Error: code, RetryAfter: 10 * time.Millisecond})
			time.Sleep(2 * lastRepeat)
			synctest.Wait()
			if !slices.ContainsFunc(w.link().calls(), func(c *invitation.Call) bool { return c.RequestID == first.RequestID }) {
				w.Fatalf("not repeated after %s", code)
			}
		}
		w.link().answer(invitation.Answer{RequestID: first.RequestID, Error: invitation.Forbidden})
		w.silent()
		if l.State() != invitation.LocalReceivedByRemote || l.resumed != nil || w.c.pending.len() > 1 {
			w.Fatalf("%s, %d requests pending", l.State(), w.c.pending.len())
		}
		// On another connection it has to be asked for anew.
		w.retell(l.ID(), invitation.Caller)
		w.link().receiver.Lost(io.EOF)
		time.Sleep(firstBackoff)
		synctest.Wait()
		for _, call := range w.link().calls() {
			if call.Resumed != nil {
				w.Fatalf("said %+v", call)
			}
		}
	})
}

// TestUnansweredSendIsAskedFor: a node that asks for an invitation whose id this device does not know yet
// may mean the send that it is saying.
func TestUnansweredSendIsAskedFor(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.fired()
		_, first, _ := w.pendingSend()
		w.retell(invitation.NewID("alice", "phone", first.Key), invitation.Caller)
		w.repeats(w.call(invitation.Send), first)
		w.retell(invitation.ID{1}, invitation.Callee)
		if said := w.link().take(); len(said) != 0 {
			w.Fatalf("said %+v", said)
		}
		w.silent()
	})
}

// TestSendBeforeTheConnectionIsNoRepetition: nothing can have taken it.
func TestSendBeforeTheConnectionIsNoRepetition(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.link().receiver.Lost(io.EOF)
		synctest.Wait()
		l := w.c.NewLocalInvitation("bob")
		go func() { _ = l.Send(w.Context()) }()
		time.Sleep(firstBackoff)
		if call := w.call(invitation.Send); call.Resumed != nil {
			w.Fatalf("said %+v", call)
		}
	})
}

// TestTellIsPaced: a node bounds the rate of frames, and the size of a login.
func TestTellIsPaced(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		const kept = 300
		for range kept {
			w.tellLocal(w.sent(), invitation.Notice{Local: invitation.LocalRefusedByRemote, Verdict: true})
		}
		w.link().take()
		w.tell()
		if n := len(w.link().words()); n != tellBurst {
			w.Fatalf("%d words at once", n)
		}
		seen := map[invitation.ID]bool{}
		for range (kept - tellBurst) / tellThen {
			time.Sleep(tellPause)
			synctest.Wait()
			words := w.link().words()
			if len(words) != tellThen {
				w.Fatalf("%d words after a pause", len(words))
			}
			for _, word := range words {
				seen[word.ID] = true
			}
		}
		if len(seen) != kept-tellBurst {
			w.Fatalf("%d words followed", len(seen))
		}
	})
}

func TestLoginIsBounded(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		long := strings.Repeat("y", invitation.MaxResponse)
		for i := range 10 {
			r := w.shown(string(rune('a' + i)))
			go func() { _ = r.Accept(w.Context(), long) }()
			accept := w.call(invitation.Accept)
			w.link().answer(invitation.Answer{RequestID: accept.RequestID})
		}
		w.link().receiver.Lost(io.EOF)
		time.Sleep(firstBackoff)
		synctest.Wait()
		size, seen := 0, 0
		for _, word := range w.s.logins[1].Words {
			size += len(word.Response)
			if word.Kind == invitation.WordSeen {
				seen++
			}
		}
		words := w.link().words()
		if size > loginResponses || seen != len(words) || seen != 6 {
			w.Fatalf("%d bytes, %d seen, %d words after the Welcome", size, seen, len(words))
		}
		for _, word := range words {
			if word.Kind != invitation.WordAccepting || word.Response != long {
				w.Fatalf("said %s", word.Kind)
			}
		}
	})
}

// TestLogoutIsSaidAgain to a session that has not heard it.
func TestLogoutIsSaidAgain(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		result := make(chan error, 1)
		go func() { result <- w.c.Logout(w.Context()) }()
		synctest.Wait()
		w.link().take()
		w.tell()
		if said := w.link().take(); len(said) != 1 || !said[0].Logout {
			w.Fatalf("said %+v", said)
		}
		w.link().end(invitation.EndLoggedOut)
		w.is(<-result, nil)
	})
}

// TestLaterWelcomeWithoutTell changes nothing.
func TestLaterWelcomeWithoutTell(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.sent()
		w.link().take()
		w.events.kinds()
		w.link().receiver.Receive(invitation.Down{Welcome: &invitation.Welcome{Stamp: 7}})
		synctest.Wait()
		if said := w.link().take(); len(said) != 0 {
			w.Fatalf("said %+v", said)
		}
		w.silent()
	})
}
