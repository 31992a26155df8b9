package device

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/table"
)

var id = invitation.NewID("alice", "phone", "key")

// localStep is an input of a Local in all its detail.
type localStep struct {
	in     LocalInput
	notice invitation.Notice
	err    invitation.CallError
}

func (s localStep) String() string {
	return fmt.Sprintf("%s %s confirm=%q verdict=%v settled=%v %s", s.in, s.notice.Local, s.notice.Confirm, s.notice.Verdict, s.notice.Settled, s.err)
}

func (s localStep) do(l *Local) (Output, invitation.CallError) {
	switch s.in {
	case LocalSend:
		return l.Send()
	case LocalCancel:
		return l.Cancel()
	case LocalRejected:
		return l.Rejected(s.err), invitation.OK
	case LocalForget:
		return l.Forget(), invitation.OK
	default:
		return l.Notice(&s.notice), invitation.OK
	}
}

// localSteps is every input that makes a difference.
var localSteps = func() (steps []localStep) {
	notice := func(in LocalInput, state invitation.LocalState, confirm invitation.Device, verdict, settled bool) {
		n := invitation.Notice{ID: id, Side: invitation.Caller, Local: state, Confirm: confirm, Verdict: verdict, Settled: settled}
		if state == invitation.LocalFailure {
			n.Code = uint8(invitation.LocalExpire)
		}
		steps = append(steps, localStep{in: in, notice: n})
	}
	steps = append(steps, localStep{in: LocalSend}, localStep{in: LocalCancel}, localStep{in: LocalForget})
	notice(LocalNoticed, invitation.LocalSentToRemote, "", false, false)
	notice(LocalNoticed, invitation.LocalReceivedByRemote, "", false, false)
	notice(LocalAsked, invitation.LocalReceivedByRemote, "phone", false, false)
	notice(LocalAsked, invitation.LocalReceivedByRemote, "tablet", false, false)
	for s := invitation.LocalAcceptedByRemote; s <= invitation.LocalFailure; s++ {
		for _, flags := range [][2]bool{{false, false}, {true, false}, {false, true}, {true, true}} {
			if flags[1] && !flags[0] {
				continue // settled means that there is a verdict
			}
			notice(LocalToldEnd, s, "", flags[0], flags[1])
		}
	}
	for _, row := range invitation.Codes[1:] {
		steps = append(steps, localStep{in: LocalRejected, err: row.Error})
	}
	return steps
}()

// checkLocal checks one step of a machine against its table and its promises.
func checkLocal(before Local, s localStep) (Local, error) {
	after := before
	out, err := s.do(&after)
	rule := localTable[before.state][s.in]
	moved := after.state != before.state
	switch {
	case rule.verdict == table.Hole || rule.do == nil:
		return after, fmt.Errorf("a hole")
	case rule.verdict == table.Reject && (err == invitation.OK || after != before || out != Output{}):
		return after, fmt.Errorf("rejected, but %s, %+v, changed %v", err.String(), out, after != before)
	case rule.verdict == table.Ignore && (err != invitation.OK || after != before || out != Output{}):
		return after, fmt.Errorf("ignored, but %s, %+v, changed %v", err.String(), out, after != before)
	case rule.verdict == table.Repeat && (err != invitation.OK || moved || out.Event != NoEvent):
		return after, fmt.Errorf("repeated, but %s, %+v, moved %v", err.String(), out, moved)
	case moved && !slices.Contains(rule.to, after.state):
		return after, fmt.Errorf("moved to %s, which the table does not have", after.state)
	case err != invitation.OK && (after != before || out != Output{}):
		return after, fmt.Errorf("%s, but it changed something", err.String())
	case after.state < before.state && before.state.Terminal() || before.state.Terminal() && moved:
		return after, fmt.Errorf("from %s to %s", before.state, after.state)
	case before.state.Terminal() && (out.Event != NoEvent || out.Request != invitation.NoRequest):
		return after, fmt.Errorf("after the end: %+v", out)
	case out.Event.Terminal() != (moved && after.state.Terminal()):
		return after, fmt.Errorf("event %s with the move to %s", out.Event, after.state)
	case after.state < before.state:
		return after, fmt.Errorf("backwards")
	case before.confirmed != "" && after.confirmed != before.confirmed:
		return after, fmt.Errorf("confirmed %s, then %s", before.confirmed, after.confirmed)
	case after.confirmed != "" && after.canceling && before.confirmed == "":
		return after, fmt.Errorf("confirmed after asking to cancel")
	case before.confirmed != "" && out.Request == invitation.Cancel:
		return after, fmt.Errorf("asks to cancel after the confirm")
	case before.confirmed != "" && out.Event.Terminal() && s.in == LocalToldEnd && !s.notice.Verdict:
		return after, fmt.Errorf("confirmed, and ended without the callee's word")
	case out.Word.Kind < before.Word().Kind && out.Word.Kind != invitation.NoWord:
		return after, fmt.Errorf("the word went back from %s to %s", before.Word().Kind, out.Word.Kind)
	case before.settled && !after.settled:
		return after, fmt.Errorf("settled, then not")
	}
	return after, nil
}

// TestLocalExhaustively takes every reachable machine through every input. As each step keeps the
// promises, each sequence does: one terminal event at most, none after it, confirmed or canceled.
func TestLocalExhaustively(t *testing.T) {
	seen := map[Local]bool{{}: true}
	cells := map[[2]uint8]bool{}
	for queue := []Local{{}}; len(queue) > 0; queue = queue[1:] {
		for _, s := range localSteps {
			after, err := checkLocal(queue[0], s)
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
	if want := invitation.LocalStates * LocalInputs; len(cells) != want {
		t.Errorf("%d of %d cells reached", len(cells), want)
	}
	t.Logf("%d machines, %d inputs", len(seen), len(localSteps))
}

// TestLocalSequences is the same promise said of sequences.
func TestLocalSequences(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Local
		ends := 0
		confirmed, asked := false, false
		for _, s := range rapid.SliceOfN(rapid.SampledFrom(localSteps), 0, 40).Draw(t, "steps") {
			out, _ := s.do(&l)
			if ends > 0 && out.Event != NoEvent {
				t.Fatalf("%s after the end", out.Event)
			}
			if out.Event.Terminal() {
				ends++
			}
			confirmed = confirmed || out.Word.Kind == invitation.WordConfirmed
			asked = asked || out.Request == invitation.Cancel
		}
		if ends > 1 || confirmed && asked || (ends == 1) != l.State().Terminal() {
			t.Fatalf("%d ends, confirmed %v, asked to cancel %v, in %s", ends, confirmed, asked, l.State())
		}
	})
}

func TestLocalNotLoggedIn(t *testing.T) {
	var l Local
	if out := l.NotLoggedIn(); out.Event != Failed || l.State() != invitation.LocalFailure || l.Code() != invitation.LocalNotLoggedIn {
		t.Errorf("%+v in %s with %s", out, l.State(), l.Code())
	}
	if out := l.NotLoggedIn(); out != (Output{}) {
		t.Errorf("the second time: %+v", out)
	}
	if _, err := l.Send(); err != invitation.AlreadyEnd {
		t.Errorf("send after it: %s", err)
	}
}

// TestLocalSendRejected: the invitation is as if it had not been sent, and can be sent again.
func TestLocalSendRejected(t *testing.T) {
	for _, row := range invitation.Codes[1:] {
		var l Local
		send(t, &l)
		out := l.Rejected(row.Error)
		if row.Error == invitation.AlreadyEnd {
			if out.Event != Failed || l.Reason() != invitation.OutcomeForgotten {
				t.Errorf("%s: %+v, %s", row.Name, out, l.Reason())
			}
			continue
		}
		if out != (Output{}) || l != (Local{}) {
			t.Errorf("%s: %+v, %+v", row.Name, out, l)
		}
		send(t, &l)
	}
}

func send(t *testing.T, l *Local) {
	t.Helper()
	if out, err := l.Send(); err != invitation.OK || out.Request != invitation.Send {
		t.Fatalf("send: %+v, %s", out, err)
	}
}

// TestLocalCancelOvertakesTheAnswer: a cancel before the id is known is made when it is.
func TestLocalCancelOvertakesTheAnswer(t *testing.T) {
	var l Local
	send(t, &l)
	if out, err := l.Cancel(); err != invitation.OK || out != (Output{}) {
		t.Fatalf("cancel: %+v, %s", out, err)
	}
	out := l.Notice(&invitation.Notice{ID: id, Side: invitation.Caller, Local: invitation.LocalReceivedByRemote, Confirm: "phone"})
	if out.Request != invitation.Cancel || out.Event != ReceivedByPeer || out.Word.Kind != invitation.NoWord || l.ID() != id {
		t.Errorf("the answer: %+v", out)
	}
}

// TestLocalTakesOver copies everything an ending says.
func TestLocalTakesOver(t *testing.T) {
	l := Local{state: invitation.LocalReceivedByRemote}
	l.Notice(&invitation.Notice{
		ID: id, Local: invitation.LocalFailure, Code: uint8(invitation.LocalRemoteNoResponse), Reason: invitation.NoResponse, Response: "x",
	})
	if l.Code() != invitation.LocalRemoteNoResponse || l.Reason() != invitation.NoResponse || l.Response() != "x" || l.Settled() {
		t.Errorf("%+v", l)
	}
	want := invitation.Word{ID: id, Side: invitation.Caller, Kind: invitation.WordDone, Local: invitation.LocalFailure}
	if l.Word() != want {
		t.Errorf("the word is %+v", l.Word())
	}
}
