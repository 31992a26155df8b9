package client

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/ringfleet/ringfleet/invitation"
)

// world is a client that is logged in to a script, in a bubble.
type world struct {
	*testing.T
	s      *script
	c      *Client
	events *events
	seen   []Observation
}

func inWorld(t *testing.T, options Options, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, s: new(script), events: new(events)}
		options.User, options.Device = "alice", "phone"
		options.OnEvent = w.events.add
		options.Observer = func(o Observation) { w.seen = append(w.seen, o) }
		w.c = New(w.s, options)
		if err := w.c.Login(t.Context()); err != nil {
			t.Fatal(err)
		}
		f(w)
		_ = w.c.Close()
	})
}

func (w *world) link() *scriptLink { return w.s.last() }

// fired waits until nothing moves and checks which events of invitations were fired since the last
// call.
func (w *world) fired(want ...EventKind) {
	w.Helper()
	synctest.Wait()
	if got := w.events.kinds(); !slices.Equal(got, want) {
		w.Fatalf("fired %v, want %v", got, want)
	}
}

func (w *world) violated(want ...Violation) {
	w.Helper()
	synctest.Wait()
	var got []Violation
	w.c.mu.Lock() // with which the observer is called
	for _, o := range w.seen {
		if o.Step == StepViolation {
			got = append(got, o.Violation)
		}
	}
	w.seen = nil
	w.c.mu.Unlock()
	if !slices.Equal(got, want) {
		w.Fatalf("violations %v, want %v", got, want)
	}
}

func (w *world) is(err, want error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Fatalf("error %v, want %v", err, want)
	}
}

// call returns the one request that was said.
func (w *world) call(want invitation.Request) *invitation.Call {
	w.Helper()
	synctest.Wait()
	calls := w.link().calls()
	if len(calls) != 1 || calls[0].Request != want {
		w.Fatalf("said requests %v, want one %v", calls, want)
	}
	return calls[0]
}

// word returns the one word that was said.
func (w *world) word(want invitation.WordKind) invitation.Word {
	w.Helper()
	synctest.Wait()
	words := w.link().words()
	if len(words) != 1 || words[0].Kind != want {
		w.Fatalf("said words %v, want one %v", words, want)
	}
	return words[0]
}

// pendingSend sends an invitation to bob; its answer is awaited.
func (w *world) pendingSend() (*LocalInvitation, *invitation.Call, chan error) {
	w.Helper()
	l := w.c.NewLocalInvitation("bob")
	result := make(chan error, 1)
	go func() { result <- l.Send(w.Context()) }()
	return l, w.call(invitation.Send), result
}

// sent sends an invitation to bob, and has it taken.
func (w *world) sent() *LocalInvitation {
	w.Helper()
	l, call, result := w.pendingSend()
	id := invitation.NewID("alice", "phone", call.Key)
	w.link().answer(invitation.Answer{RequestID: call.RequestID, ID: id, Notice: &invitation.Notice{
		ID: id, Side: invitation.Caller, Peer: "bob", Local: invitation.LocalSentToRemote,
	}})
	if err := <-result; err != nil {
		w.Fatal(err)
	}
	return l
}

func (w *world) tellLocal(l *LocalInvitation, n invitation.Notice) {
	n.ID, n.Side, n.Peer = l.ID(), invitation.Caller, "bob"
	w.link().notice(n)
}

// shown shows an invitation of bob's.
func (w *world) shown(key string) *RemoteInvitation {
	w.Helper()
	var r *RemoteInvitation
	w.c.OnRemoteInvitation(func(shown *RemoteInvitation) { r = shown })
	id := invitation.NewID("bob", "desk", key)
	w.link().notice(invitation.Notice{
		ID: id, Side: invitation.Callee, Peer: "bob", Content: "lunch?", ChannelID: "room 1",
		Remote: invitation.RemoteInvitationReceived,
	})
	w.fired(RemoteInvitationReceived)
	if word := w.word(invitation.WordSeen); word.ID != id || r == nil {
		w.Fatalf("word %+v, shown %v", word, r)
	}
	return r
}

func (w *world) tellRemote(r *RemoteInvitation, n invitation.Notice) {
	n.ID, n.Side, n.Peer = r.ID(), invitation.Callee, "bob"
	w.link().notice(n)
}

func TestCallerWholeCall(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		l := w.sent()
		w.fired()
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalReceivedByRemote})
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalReceivedByRemote})
		w.fired(LocalInvitationReceivedByPeer)
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalReceivedByRemote, Confirm: "desk"})
		if word := w.word(invitation.WordConfirmed); word.Named != "desk" {
			w.Fatalf("confirmed %+v", word)
		}
		w.is(l.Cancel(w.Context()), invitation.AlreadyEnd)
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalAcceptedByRemote, Response: "yes", Verdict: true})
		if word := w.word(invitation.WordDone); word.Local != invitation.LocalAcceptedByRemote {
			w.Fatalf("done %+v", word)
		}
		w.fired(LocalInvitationAccepted)
		if l.State() != invitation.LocalAcceptedByRemote || l.Response() != "yes" {
			w.Fatalf("%v %q", l.State(), l.Response())
		}
		w.is(l.Wait(w.Context()), nil)
		w.tellLocal(l, invitation.Notice{Local: invitation.LocalAcceptedByRemote, Verdict: true, Settled: true})
		if said := w.link().take(); len(said) != 0 || w.c.byID.len() != 0 {
			w.Fatalf("after it was settled: said %v, kept %d", said, w.c.byID.len())
		}
		w.is(l.Cancel(w.Context()), invitation.AlreadyEnd)
		w.is(l.Send(w.Context()), invitation.AlreadyEnd)
		w.violated()
	})
}

func TestCalleeWholeCall(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		r := w.shown("1")
		if r.Caller() != "bob" || r.Content() != "lunch?" || r.ChannelID() != "room 1" {
			w.Fatalf("%v %q %q", r.Caller(), r.Content(), r.ChannelID())
		}
		result := make(chan error, 1)
		go func() { result <- r.Accept(w.Context(), "yes") }()
		call := w.call(invitation.Accept)
		if call.ID != r.ID() || call.Response != "yes" || r.State() != invitation.RemoteAcceptSentToLocal {
			w.Fatalf("%+v in %v", call, r.State())
		}
		w.link().answer(invitation.Answer{RequestID: call.RequestID})
		w.is(<-result, nil)
		w.is(r.Accept(w.Context(), ""), invitation.AlreadyAccept)
		w.is(r.Refuse(w.Context(), ""), invitation.AlreadyAccept)
		w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteAccepted})
		if word := w.word(invitation.WordDone); word.Remote != invitation.RemoteAccepted {
			w.Fatalf("done %+v", word)
		}
		w.fired(RemoteInvitationAccepted)
		w.is(r.Refuse(w.Context(), ""), invitation.AlreadyEnd)
		w.tellRemote(r, invitation.Notice{Remote: invitation.RemoteAccepted, Settled: true})
		w.fired()
		w.violated()
	})
}
