package device

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/table"
)

// remoteStep is an input of a Remote in all its detail.
type remoteStep struct {
	in     RemoteInput
	notice invitation.Notice
	err    invitation.CallError
}

func (s remoteStep) String() string {
	return fmt.Sprintf("%s %s settled=%v %s", s.in, s.notice.Remote, s.notice.Settled, s.err)
}

func (s remoteStep) do(r *Remote) (Output, invitation.CallError) {
	switch s.in {
	case RemoteAccept:
		return r.Accept()
	case RemoteRefuse:
		return r.Refuse()
	case RemoteRejected:
		return r.Rejected(s.err), invitation.OK
	case RemoteForget:
		return r.Forget(), invitation.OK
	default:
		return r.Notice(&s.notice), invitation.OK
	}
}

// remoteSteps is every input that makes a difference. REFUSED is left to a device that has asked to
// refuse: see said.
var remoteSteps = func() (steps []remoteStep) {
	steps = append(steps, remoteStep{in: RemoteAccept}, remoteStep{in: RemoteRefuse}, remoteStep{in: RemoteForget})
	inputs := map[invitation.RemoteState]RemoteInput{
		invitation.RemoteInvitationReceived: RemoteOffered, invitation.RemoteAcceptSentToLocal: RemoteToldAccepting,
		invitation.RemoteAccepted: RemoteCommitted, invitation.RemoteRefused: RemoteToldEnd, invitation.RemoteCanceled: RemoteToldEnd,
		invitation.RemoteFailure: RemoteToldEnd,
	}
	for s := invitation.RemoteInvitationReceived; s <= invitation.RemoteFailure; s++ {
		for _, settled := range []bool{false, true} {
			n := invitation.Notice{ID: id, Side: invitation.Callee, Remote: s, Settled: settled}
			if s == invitation.RemoteFailure {
				n.Code = uint8(invitation.RemoteExpire)
			}
			if s.Terminal() || !settled {
				steps = append(steps, remoteStep{in: inputs[s], notice: n})
			}
		}
	}
	for _, row := range invitation.Codes[1:] {
		steps = append(steps, remoteStep{in: RemoteRejected, err: row.Error})
	}
	return steps
}()

// said reports whether a server that keeps the protocol can say s to r: a device is told REFUSED of its
// own refuse only.
func said(r *Remote, s remoteStep) bool {
	return s.notice.Remote != invitation.RemoteRefused || r.state != invitation.RemoteAcceptSentToLocal
}

func checkRemote(before Remote, s remoteStep) (Remote, error) {
	after := before
	out, err := s.do(&after)
	if s.in >= RemoteOffered && s.in <= RemoteToldEnd {
		before.id = id // every notice tells it
	}
	rule := remoteTable[before.state][s.in]
	moved := after.state != before.state
	unsettled := after
	unsettled.settled = before.settled
	switch {
	case rule.verdict == table.Hole || rule.do == nil:
		return after, fmt.Errorf("a hole")
	case rule.verdict == table.Reject && (err == invitation.OK || after != before || out != Output{}):
		return after, fmt.Errorf("rejected, but %s, %+v, changed %v", err.String(), out, after != before)
	case rule.verdict == table.Ignore && (err != invitation.OK || after != before || out != Output{}):
		return after, fmt.Errorf("ignored, but %s, %+v, changed %v", err.String(), out, after != before)
	case rule.verdict == table.Repeat && (err != invitation.OK || unsettled != before || out.Event != NoEvent || out.Request != invitation.NoRequest):
		return after, fmt.Errorf("repeated, but %s, %+v, changed %v", err.String(), out, unsettled != before)
	case moved && !slices.Contains(rule.to, after.state):
		return after, fmt.Errorf("moved to %s, which the table does not have", after.state)
	case err != invitation.OK && (after != before || out != Output{}):
		return after, fmt.Errorf("%s, but it changed something", err.String())
	case before.state.Terminal() && (moved || out.Event != NoEvent || out.Request != invitation.NoRequest):
		return after, fmt.Errorf("after the end: %s, %+v", after.state, out)
	case after.state < before.state:
		return after, fmt.Errorf("backwards from %s to %s", before.state, after.state)
	case out.Event.Terminal() != (moved && after.state.Terminal()):
		return after, fmt.Errorf("event %s with the move to %s", out.Event, after.state)
	case out.Event == Accepted && (before.state != invitation.RemoteAcceptSentToLocal || s.in != RemoteCommitted):
		return after, fmt.Errorf("accepted without having asked to, or without a commit")
	case after.refusing && after.state == invitation.RemoteAcceptSentToLocal:
		return after, fmt.Errorf("accepts what it refuses")
	case out.Word.Kind == invitation.WordDone && moved && out.Word.Remote != after.state:
		return after, fmt.Errorf("says %s, is %s", out.Word.Remote, after.state)
	case out.Word.Kind < before.Word().Kind && out.Word.Kind != invitation.NoWord:
		return after, fmt.Errorf("the word went back from %s to %s", before.Word().Kind, out.Word.Kind)
	}
	return after, nil
}

func TestRemoteExhaustively(t *testing.T) {
	seen := map[Remote]bool{{}: true}
	cells := map[[2]uint8]bool{}
	for queue := []Remote{{}}; len(queue) > 0; queue = queue[1:] {
		for _, s := range remoteSteps {
			if !said(&queue[0], s) {
				continue
			}
			after, err := checkRemote(queue[0], s)
			if err != nil {
				t.Errorf("%+v: %s: %v", queue[0], s, err)
			}
			cells[[2]uint8{uint8(queue[0].state), uint8(s.in)}] = true
			if !seen[after] {
				seen[after] = true
				queue = append(queue, after)
			}
		}
		if len(seen) > 100_000 {
			t.Fatal("the machine has too many states")
		}
	}
	if want := invitation.RemoteStates * RemoteInputs; len(cells) != want {
		t.Errorf("%d of %d cells reached", len(cells), want)
	}
	t.Logf("%d machines, %d inputs", len(seen), len(remoteSteps))
}

func TestRemoteSequences(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Remote
		ends, events := 0, 0
		said := map[invitation.RemoteState]bool{}
		for _, s := range rapid.SliceOfN(rapid.SampledFrom(remoteSteps), 0, 40).Draw(t, "steps") {
			shown := r.Shown()
			out, _ := s.do(&r)
			if ends > 0 && out.Event != NoEvent {
				t.Fatalf("%s after the end", out.Event)
			}
			if out.Event != NoEvent {
				events++
			}
			if out.Event.Terminal() {
				ends++
			}
			if out.Word.Kind == invitation.WordDone && shown {
				said[out.Word.Remote] = true
			}
		}
		if ends > 1 || len(said) > 1 || events > 2 {
			t.Fatalf("%d ends, %d events, done with %v", ends, events, said)
		}
	})
}

// TestRemoteNeverShown: a process that was not shown an invitation never says that it accepted it.
func TestRemoteNeverShown(t *testing.T) {
	for state, want := range map[invitation.RemoteState]invitation.RemoteState{
		invitation.RemoteAcceptSentToLocal: invitation.RemoteFailure,
		invitation.RemoteAccepted:          invitation.RemoteFailure,
		invitation.RemoteRefused:           invitation.RemoteRefused,
		invitation.RemoteCanceled:          invitation.RemoteCanceled,
		invitation.RemoteFailure:           invitation.RemoteFailure,
	} {
		var r Remote
		out := r.Notice(&invitation.Notice{ID: id, Side: invitation.Callee, Remote: state})
		word := invitation.Word{ID: id, Side: invitation.Callee, Kind: invitation.WordDone, Remote: want}
		if out.Word != word || out.Event != NoEvent || r.Shown() {
			t.Errorf("%s: %+v, shown %v", state, out, r.Shown())
		}
		if out := r.Notice(&invitation.Notice{ID: id, Side: invitation.Callee, Remote: state, Settled: true}); out != (Output{}) || !r.Settled() {
			t.Errorf("%s, settled: %+v", state, out)
		}
	}
}

// TestRemoteTakesOver copies everything an ending says.
func TestRemoteTakesOver(t *testing.T) {
	var r Remote
	r.Notice(&invitation.Notice{ID: id, Remote: invitation.RemoteInvitationReceived})
	if _, err := r.Accept(); err != invitation.OK {
		t.Fatal(err)
	}
	out := r.Notice(&invitation.Notice{
		ID: id, Remote: invitation.RemoteFailure, Code: uint8(invitation.RemoteLocalOffline), Reason: invitation.CallerOffline,
	})
	if out.Event != Failed || r.Code() != invitation.RemoteLocalOffline || r.Reason() != invitation.CallerOffline || r.ID() != id {
		t.Errorf("%+v: %+v", out, r)
	}
}

func TestEventNames(t *testing.T) {
	for e, want := range []string{"none", "Received", "ReceivedByPeer", "Accepted", "Refused", "Canceled", "Failure"} {
		if got := Event(e).String(); got != want || Event(e).Terminal() != (e >= 3) {
			t.Errorf("event %d is %s, terminal %v", e, got, Event(e).Terminal())
		}
	}
}

// TestEdges: every edge of the diagrams is of a cell that moves, and every state but IDLE is reached.
func TestEdges(t *testing.T) {
	for name, edges := range map[string][]table.Edge{"local": LocalEdges(), "remote": RemoteEdges()} {
		reached := map[string]bool{}
		for _, e := range edges {
			reached[e.To] = true
		}
		if len(reached) != invitation.LocalStates-1 || reached["IDLE"] {
			t.Errorf("%s: the edges reach %v", name, reached)
		}
	}
	for _, tab := range []table.Table{LocalTable(), RemoteTable()} {
		for s, row := range tab.Verdicts {
			for in, v := range row {
				if v == table.Hole {
					t.Errorf("a hole: %s in %s", tab.Inputs[in], tab.States[s])
				}
			}
		}
	}
}
