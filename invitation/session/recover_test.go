package session

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// TestVouchesForNoView: a session that has only been asked about an invitation, which its device has ended, has no
// view of it to make an arbiter of.
func TestVouchesForNoView(t *testing.T) {
	m := New(bob, &config)
	steps(m,
		login("phone", 1, 1),
		&Input{Kind: InWord, Device: "phone", Conn: Conn{Number: 1}, Word: &invitation.Word{
			ID: sentTerms.ID, Side: invitation.Caller, Kind: invitation.WordDone, Local: invitation.LocalCanceled,
		}},
		&Input{Kind: InView, View: &invitation.View{Terms: sentTerms, Recovering: true}})
	out := steps(m, &Input{Kind: InUnknown, ID: sentTerms.ID})
	if len(out) != 1 || out[0].Message.Kind != invitation.MsgRecover || out[0].Message.View.Version != 0 {
		t.Errorf("vouches with %+v", out)
	}
}

// TestForgottenWhereNothingWasLost: a device comes back whose login was over while it was away, after its session has
// left. How its invitation ended nobody knows any more; that it rang until its time was over is one way of many.
func TestForgottenWhereNothingWasLost(t *testing.T) {
	for name, test := range map[string]struct {
		options []Option
		why     invitation.Reason
	}{
		"nothing was lost":   {nil, invitation.OutcomeForgotten},
		"a session was lost": {[]Option{Fresh(began, 0)}, invitation.Expired},
	} {
		m := New(bob, &config, test.options...)
		steps(m, login("pad", 1, 1), &Input{Kind: InWord, Device: "pad", Conn: Conn{Number: 1}, Word: &invitation.Word{
			ID: comingTerms.ID, Side: invitation.Callee, Kind: invitation.WordSeen, Remaining: time.Millisecond,
		}})
		var told []invitation.Reason
		for _, e := range m.Step(began.Add(time.Second), &Input{Kind: InTick}, nil) {
			if e.Kind == ToDevice && e.Down.Notice != nil {
				told = append(told, e.Down.Notice.Reason)
			}
		}
		if !slices.Equal(told, []invitation.Reason{test.why}) {
			t.Errorf("%s: told %v, want %v", name, told, test.why)
		}
	}
}

// TestMergeKeepsADenial: a device accepts, and its login ends; the session says for it that it has not accepted, and
// goes on to hear what it owes of another call. A session that was paused meanwhile knows nothing of this. Merged with
// it, the device must not be told that its accept was confirmed.
func TestMergeKeepsADenial(t *testing.T) {
	owed := *sentTerms
	owed.Device = "phone"
	confirmed := offered(2, invitation.Confirmed)
	confirmed.View.Chosen = "phone"
	accepting := offered(2, invitation.Accepting)
	accepting.View.Chosen = "phone"
	m, other := New(bob, multi()), New(bob, multi())
	steps(other, login("phone", 1, 1), offered(1, invitation.Offering))
	denied := steps(m, login("phone", 1, 1), &Input{Kind: InView, View: viewed(&owed, 2, invitation.Ringing)},
		offered(1, invitation.Offering), accepting, &Input{Kind: InLogout, Device: "phone", Conn: Conn{Number: 1}})
	if !slices.ContainsFunc(denied, func(e Effect) bool {
		return e.Kind == ToArbiter && e.Message.Kind == invitation.MsgCalleeDone && e.Message.Remote == invitation.RemoteFailure
	}) || m.device("phone") == nil {
		t.Fatalf("the phone's accept is not taken back, or it is not heard out: %+v", denied)
	}
	confirmed.View.Version = 3
	steps(m, confirmed)
	for _, e := range m.Merge(began, other.State(), nil) {
		if e.Kind == ToDevice && e.Down.Notice != nil && e.Down.Notice.ID == comingTerms.ID {
			t.Errorf("the phone is told %v", e.Down.Notice.Remote)
		}
	}
}

// TestCommitOverTheBound: a new session is over its bound when it hears of an accept that was confirmed. It asks the
// device all the same: the caller's device waits for its word.
func TestCommitOverTheBound(t *testing.T) {
	bound := new(Config{Policy: Multi, MaxIncoming: 1}.WithDefaults())
	other := *comingTerms
	other.ID = invitation.NewID(alice, "pad", "other")
	m := New(bob, bound)
	steps(m, login("phone", 1, 1), &Input{Kind: InView, View: viewed(&other, 1, invitation.Offering)})
	confirmed := offered(stale+2, invitation.Confirmed)
	confirmed.View.Chosen = "phone"
	out := steps(m, confirmed)
	if !slices.ContainsFunc(out, func(e Effect) bool {
		return e.Kind == ToDevice && e.Down.Notice != nil && e.Down.Notice.Remote == invitation.RemoteAccepted
	}) || m.entry(comingTerms.ID) != nil {
		t.Errorf("the phone is not told: %+v", out)
	}
}

// TestReplyTellsTheSession: an end that a session has told one device in an answer it knows, though the view of it was
// lost. A permit of before comes too late to show the invitation to another device.
func TestReplyTellsTheSession(t *testing.T) {
	m := New(bob, &config)
	refused := viewed(comingTerms, 3, invitation.Ended)
	refused.Outcome, refused.Chosen = invitation.Refused, "phone"
	steps(m, login("phone", 1, 1), offered(1, invitation.Offering), login("desk", 2, 1),
		&Input{Kind: InReply, Reply: &invitation.Reply{
			ID: comingTerms.ID, Device: "phone", Request: invitation.Refuse, RequestID: 1, View: refused,
		}})
	late := offered(2, invitation.Ringing)
	late.View.Permit = m.changes
	steps(m, late)
	if e := m.entry(comingTerms.ID); e.view.Stage != invitation.Ended || e.showing("desk") != nil {
		t.Errorf("it stands as %v, shown to %v", e.view.Stage, e.shown)
	}
}

// TestRingBehindACutIsToldItsTime: this session has shown a device an invitation on a node that it heard nothing of, and
// another one there has heard that it rings. The device comes back: it is told the time that is left, and the arbiter too.
func TestRingBehindACutIsToldItsTime(t *testing.T) {
	m := New(bob, &config)
	steps(m, login("phone", 1, 1), offered(1, invitation.Offering))
	again := login("phone", 2, 1)
	again.Login.Resume = true
	again.Login.Words = []invitation.Word{{
		ID: comingTerms.ID, Side: invitation.Callee, Kind: invitation.WordSeen, Remaining: 20 * time.Second,
	}}
	told, heard := 0, 0
	for _, e := range steps(m, again) {
		switch {
		case e.Kind == ToDevice && e.Down.Notice != nil:
			told++
			if got := e.Down.Notice.Remaining; got != 20*time.Second {
				t.Errorf("the device is told that %v are left, want 20 s", got)
			}
		case e.Kind == ToArbiter && e.Message.Kind == invitation.MsgSeen:
			heard++
			if got := e.Message.Remaining; got != 20*time.Second {
				t.Errorf("the arbiter is told that %v are left, want 20 s", got)
			}
		}
	}
	if told == 0 || heard != 1 {
		t.Errorf("the device was told %d times, the arbiter %d times", told, heard)
	}
}

// TestRecoveredRingIsToldItsTime: a device that rings comes back to a new session, which takes the invitation for one
// that was not shown. It tells the device the time that is left, not a whole one.
func TestRecoveredRingIsToldItsTime(t *testing.T) {
	m := New(bob, &config, Fresh(began, 0))
	steps(m, offered(stale+2, invitation.Offering))
	again := login("phone", 1, 1)
	again.Login.Resume = true
	again.Login.Words = []invitation.Word{{
		ID: comingTerms.ID, Side: invitation.Callee, Kind: invitation.WordSeen, Remaining: 20 * time.Second,
	}}
	told := 0
	for _, e := range steps(m, again) {
		if e.Kind != ToDevice || e.Down.Notice == nil {
			continue
		}
		told++
		if got := e.Down.Notice.Remaining; got != 20*time.Second {
			t.Errorf("%v are left, want 20 s", got)
		}
	}
	if told == 0 {
		t.Error("told nothing")
	}
}

// TestReplyOfALostArbiter: that it has recorded an accept the one that took its place does not know. The device has to
// ask again.
func TestReplyOfALostArbiter(t *testing.T) {
	accepting := viewed(comingTerms, 3, invitation.Accepting)
	accepting.Chosen = "phone"
	accepted := &Input{Kind: InReply, Reply: &invitation.Reply{
		ID: comingTerms.ID, Device: "phone", Request: invitation.Accept, RequestID: 1, View: accepting,
	}}
	lost := new(invitation.ShardSet)
	lost.Add(comingTerms.ID.Shard())
	for name, since := range map[string]*Input{
		"nothing was lost":                 nil,
		"it is taken for lost":             {Kind: InLost, Shards: lost},
		"another one has taken its place":  offered(stale+2, invitation.Ringing),
		"its own view came before a reply": offered(4, invitation.Confirmed),
	} {
		m := New(bob, &config)
		steps(m, login("phone", 1, 1), offered(2, invitation.Ringing))
		gone := false
		if since != nil {
			steps(m, since)
			gone = m.entry(comingTerms.ID).view.Version >= stale
		}
		answered := slices.ContainsFunc(steps(m, accepted), func(e Effect) bool { return e.Kind == ToDevice && e.Down.Answer != nil })
		if answered == gone {
			t.Errorf("%s: answered %v", name, answered)
		}
	}
}

// TestCommitOfBefore: a session was lost which may have said, for a device whose login was over, that it has not
// accepted. The one in its place passes on a commit only if its arbiter stands by it now.
func TestCommitOfBefore(t *testing.T) {
	const first = 100
	m := New(bob, &config, Fresh(began, first))
	again := login("phone", 1, 1)
	again.Login.Resume = true
	again.Login.Words = []invitation.Word{{ID: comingTerms.ID, Side: invitation.Callee, Kind: invitation.WordAccepting}}
	steps(m, again)
	told := func(heard uint64) (told, asks bool) {
		commit := offered(4, invitation.Confirmed)
		commit.View.Chosen, commit.View.HeardCallee = "phone", heard
		for _, e := range steps(m, commit) {
			told = told || e.Kind == ToDevice && e.Down.Notice != nil && e.Down.Notice.Remote == invitation.RemoteAccepted
			asks = asks || e.Kind == ToArbiter && e.Message.Kind == invitation.MsgCallee && e.Message.Ask
		}
		return told, asks
	}
	if told, asks := told(first - 1); told || !asks {
		t.Errorf("a commit of before is told: %v; the arbiter is asked: %v", told, asks)
	}
	if told, _ := told(m.changes); !told {
		t.Error("a commit is not told")
	}
}

// TestViewOfALostArbiter: a view of an arbiter that was lost comes late, and is numbered higher than those of the one in
// its place. That one is told, and numbers its views higher.
func TestViewOfALostArbiter(t *testing.T) {
	for name, heard := range map[string]uint64{"of another arbiter": 7, "of one arbiter, in the other order": 3} {
		m := New(bob, &config)
		late := offered(2*(stale+1)+1, invitation.Ringing)
		late.View.HeardCallee = 3
		ended := offered(stale+3, invitation.Ended)
		ended.View.HeardCallee = heard
		steps(m, login("phone", 1, 1), offered(stale+2, invitation.Ringing), late)
		told := slices.ContainsFunc(steps(m, ended), func(e Effect) bool {
			return e.Kind == ToArbiter && e.Message.Kind == invitation.MsgRecover && e.Message.View.Version == late.View.Version
		})
		if told != (heard > 3) {
			t.Errorf("%s: told %v", name, told)
		}
	}
}

// TestWhichIsNewerIsNotKnown: a device says something on a connection that this session does not know, and the session has
// another one: its gateway attached that, or the login came to a session on another node. It is to come back, and is not told
// that another program has taken its place, unless one has that logged in later and is connected.
func TestWhichIsNewerIsNotKnown(t *testing.T) {
	for name, login := range map[string]invitation.Login{
		"attached by its gateway": {User: bob, Device: "phone", Resume: true, Reattach: true, Stamp: 1},
		"resumed":                 {User: bob, Device: "phone", Resume: true, Stamp: 1},
		"logged in anew":          {User: bob, Device: "phone", Stamp: 2},
	} {
		m := New(bob, &config)
		attach := func(conn uint64, login invitation.Login) []Effect {
			return steps(m, &Input{Kind: InAttach, Device: "phone", Conn: Conn{Number: conn}, Login: &login})
		}
		ended := func(out []Effect, conn uint64) invitation.End {
			for _, e := range out {
				if e.Kind == ToDevice && e.Conn.Number == conn && e.Down.Ending != nil {
					return e.Down.Ending.End
				}
			}
			return 0
		}
		attach(1, login)
		out := m.Step(began, &Input{Kind: InWord, Device: "phone", Conn: Conn{Number: 2}, Word: &invitation.Word{
			ID: comingTerms.ID, Side: invitation.Callee, Kind: invitation.WordSeen,
		}}, nil)
		if got := ended(out, 2); got != invitation.EndInternal || len(out) != 1 {
			t.Errorf("%s: %+v, want the other connection ended as %v", name, out, invitation.EndInternal)
		}
		back := invitation.Login{User: bob, Device: "phone", Resume: true, Stamp: 1}
		out = attach(3, back)
		if first, other := ended(out, 1), ended(out, 3); login.Stamp > 1 && (other != invitation.EndReplaced || first != 0) {
			t.Errorf("%s: it is back, %v, though another program is there, %v", name, other, first)
		} else if login.Stamp == 1 && (other != 0 || first != invitation.EndReplaced) {
			t.Errorf("%s: it is not back, %v; the other connection: %v", name, other, first)
		}
		steps(m, &Input{Kind: InDetach, Device: "phone", Conn: Conn{Number: 1}})
		if got := ended(attach(4, back), 4); got != 0 {
			t.Errorf("%s: %v, and nobody else is there", name, got)
		}
	}
}

// TestLoginThatWasHeldBack: the login of a program that has given up, or one that is said again, comes after that of the
// one that the user has now. It takes nobody's place. One that was said later does, and one that was not held back.
func TestLoginThatWasHeldBack(t *testing.T) {
	for name, test := range map[string]struct {
		policy   Policy
		device   invitation.Device // that of the first is phone
		age      time.Duration
		replaced uint64 // the number of the connection that is ended, 0 if none
		why      invitation.End
	}{
		"before":                  {Single, "phone", 5 * time.Second, 2, invitation.EndReplaced},
		"since":                   {Single, "phone", time.Second, 1, invitation.EndReplaced},
		"at once":                 {Single, "phone", 0, 1, invitation.EndReplaced},
		"another device, before":  {Single, "tablet", 5 * time.Second, 2, invitation.EndRemoteLogin},
		"another device, since":   {Single, "tablet", time.Second, 1, invitation.EndRemoteLogin},
		"another device, at once": {Single, "tablet", 0, 1, invitation.EndRemoteLogin},
		"one of several devices":  {Multi, "tablet", 5 * time.Second, 0, 0},
		"the server's":            {Single, invitation.Agent, 5 * time.Second, 0, 0},
	} {
		config := Config{Policy: test.policy}.WithDefaults()
		m := New(bob, &config)
		first := &Input{Kind: InAttach, Device: "phone", Conn: Conn{Number: 1}, Login: &invitation.Login{User: bob, Device: "phone", Stamp: 7}}
		held := &Input{Kind: InAttach, Device: test.device, Conn: Conn{Number: 2}, Login: &invitation.Login{User: bob, Device: test.device, Stamp: 5}}
		held.Older(test.age)
		m.Step(began, first, nil)
		m = Restore(m.State(), &config)
		ended := map[uint64]invitation.End{}
		for _, e := range m.Step(began.Add(3*time.Second), held, nil) {
			if e.Kind == ToDevice && e.Down.Ending != nil {
				ended[e.Conn.Number] = e.Down.Ending.End
			}
		}
		want := map[uint64]invitation.End{}
		if test.replaced != 0 {
			want[test.replaced] = test.why
		}
		if !maps.Equal(ended, want) {
			t.Errorf("%s: %v are ended, want %v", name, ended, want)
		}
	}
}

// TestAsksBehindTheLastWord: the report that a device has come back is lost, and so is the word of its accept, which
// nobody repeats but for a view; and the arbiter sends none to a device that is away.
func TestAsksBehindTheLastWord(t *testing.T) {
	confirmed := offered(2, invitation.Confirmed)
	confirmed.View.Chosen = "phone"
	m := New(bob, &config)
	steps(m, login("phone", 1, 1), offered(1, invitation.Ringing), confirmed,
		&Input{Kind: InDetach, Device: "phone", Conn: Conn{Number: 1}},
		&Input{Kind: InAttach, Device: "phone", Conn: Conn{Number: 2}, Login: &invitation.Login{User: bob, Device: "phone", Resume: true, Stamp: 1}},
		&Input{Kind: InWord, Device: "phone", Conn: Conn{Number: 2}, Word: &invitation.Word{
			ID: confirmed.View.Terms.ID, Side: invitation.Callee, Kind: invitation.WordDone, Remote: invitation.RemoteAccepted,
		}})
	out := m.Step(began.Add(askAgain), &Input{Kind: InTick}, nil)
	if len(out) != 1 || out[0].Message.Kind != invitation.MsgCallee || !out[0].Message.Ask {
		t.Errorf("%+v, want the report once more", out)
	}
}

// TestCommitAfterTheLogin: the session is lost that told a device that its accept was confirmed, and then another device
// logs in. The new session does not say for the first one that it has not accepted: it asks it.
func TestCommitAfterTheLogin(t *testing.T) {
	m := New(bob, new(Config{}.WithDefaults()), Fresh(began, 100))
	again := login("phone", 1, 1)
	again.Login.Resume, again.Login.Reattach = true, true
	owed := *sentTerms
	owed.Device = "phone"
	steps(m, again, &Input{Kind: InView, View: viewed(&owed, 2, invitation.Ringing)}, login("pad", 2, 2))
	if d := m.device("phone"); d == nil || d.why == 0 {
		t.Fatalf("the phone is not heard out: %+v", d)
	}
	confirmed := offered(4, invitation.Confirmed)
	confirmed.View.Chosen, confirmed.View.HeardCallee = "phone", m.changes
	var said []invitation.MessageKind
	told := 0
	for _, e := range append(steps(m, confirmed), steps(m, confirmed)...) {
		switch {
		case e.Kind == ToArbiter:
			said = append(said, e.Message.Kind)
		case e.Conn.Number == 1 && e.Down.Notice != nil && e.Down.Notice.Remote == invitation.RemoteAccepted:
			told++
		}
	}
	if told == 0 || slices.Contains(said, invitation.MsgCalleeDone) {
		t.Errorf("the phone is told %d times, the arbiter %v", told, said)
	}
	done := steps(m, &Input{Kind: InWord, Device: "phone", Conn: Conn{Number: 1}, Word: &invitation.Word{
		ID: comingTerms.ID, Side: invitation.Callee, Kind: invitation.WordDone, Remote: invitation.RemoteAccepted,
	}})
	if !slices.ContainsFunc(done, func(e Effect) bool {
		return e.Message.Kind == invitation.MsgCalleeDone && e.Message.Remote == invitation.RemoteAccepted
	}) {
		t.Errorf("its word gives %+v", done)
	}
}

// TestAsksForAWordThatIsOver: an arbiter that was made anew awaits the word of a device about an invitation that is over
// here, and the login of the device is. It is asked for the word, and not told the commit.
func TestAsksForAWordThatIsOver(t *testing.T) {
	m := New(bob, new(Config{}.WithDefaults()))
	owed := *sentTerms
	owed.Device = "phone"
	settled := offered(3, invitation.Ended)
	settled.View.Settled = true
	steps(m, login("phone", 1, 1), &Input{Kind: InView, View: viewed(&owed, 2, invitation.Ringing)},
		offered(1, invitation.Offering), settled, login("pad", 2, 2))
	confirmed := offered(stale+2, invitation.Confirmed)
	confirmed.View.Chosen = "phone"
	asked := 0
	for _, e := range steps(m, confirmed) {
		switch {
		case e.Kind == ToDevice && e.Conn.Number == 1 && e.Down.Retell != nil && e.Down.Retell.Side == invitation.Callee:
			asked++
		case e.Kind == ToDevice:
			t.Errorf("%d is told %+v", e.Conn.Number, e.Down)
		}
	}
	if asked != 1 {
		t.Errorf("it is asked %d times", asked)
	}
}

// TestAnswerThatIsDropped: an accept comes to the arbiter twice, the second time after the end. The device drops the
// answer to a request that was answered: it is told the end all the same.
func TestAnswerThatIsDropped(t *testing.T) {
	m := New(bob, &config)
	accepting, canceled := viewed(comingTerms, 2, invitation.Accepting), viewed(comingTerms, 3, invitation.Ended)
	accepting.Chosen, canceled.Chosen, canceled.Outcome = "phone", "phone", invitation.Canceled
	answer := func(v *invitation.View) (notices int) {
		for _, e := range steps(m, &Input{Kind: InReply, Reply: &invitation.Reply{
			ID: comingTerms.ID, Device: "phone", Request: invitation.Accept, RequestID: 1, View: v,
		}}) {
			if e.Kind == ToDevice && e.Down.Notice != nil {
				notices++
			}
		}
		return notices
	}
	steps(m, login("phone", 1, 1), offered(1, invitation.Offering))
	if first, second := answer(accepting), answer(canceled); first != 0 || second != 1 {
		t.Errorf("it is told %d times with the first answer, %d with the second", first, second)
	}
}

// TestAsksBehindAnOfferThatTellsOfAnAccept: a session that took another one's place learns of an invitation when an accept
// was recorded, and what it tells the arbiter is lost: that the chosen device is here, and its last word. Nobody repeats
// either, as the arbiter takes the device for away: the session does, until the arbiter is known to have heard it.
func TestAsksBehindAnOfferThatTellsOfAnAccept(t *testing.T) {
	for _, stage := range []invitation.Stage{invitation.Accepting, invitation.Confirmed} {
		m := New(bob, &config, Fresh(began, 100))
		again := login("phone", 1, 1)
		again.Login.Resume = true
		again.Login.Words = []invitation.Word{{
			ID: comingTerms.ID, Side: invitation.Callee, Kind: invitation.WordDone, Remote: invitation.RemoteAccepted,
		}}
		steps(m, again)
		view := offered(4, stage)
		view.View.Chosen, view.View.HeardCallee = "phone", m.changes
		for seconds := range Time(3) {
			out := m.Step(began.Add(time.Duration(seconds)*askAgain), &Input{Kind: InTick}, nil)
			if seconds == 0 {
				out = steps(m, view)
			}
			if !slices.ContainsFunc(out, func(e Effect) bool {
				return e.Message.Kind == invitation.MsgCallee && e.Message.Ask && e.Message.Chosen == "phone" && e.Message.Connected
			}) {
				t.Errorf("%v, after %d s: %+v, want a report that asks", stage, seconds, out)
			}
		}
		heard := *view.View
		heard.Permit = m.changes
		steps(m, &Input{Kind: InView, View: &heard})
		if out := m.Step(began.Add(4*askAgain), &Input{Kind: InTick}, nil); len(out) != 0 {
			t.Errorf("%v, after the answer: %+v", stage, out)
		}
	}
}

// TestAsksBehindAViewOfBefore: a session that took another one's place asks about what its device has sent, and the question
// is lost. A view that comes by itself makes the invitation known, but the arbiter takes the device for away.
func TestAsksBehindAViewOfBefore(t *testing.T) {
	for _, heard := range []bool{false, true} {
		m := New(bob, &config, Fresh(began, 100))
		again := login("phone", 1, 1)
		again.Login.Resume = true
		again.Login.Words = []invitation.Word{{ID: sentTerms.ID, Side: invitation.Caller, Kind: invitation.WordSent}}
		steps(m, again)
		view := viewed(sentTerms, 4, invitation.Accepting)
		view.Chosen, view.Heard = "pad", 7
		if heard {
			view.Heard = m.changes
		}
		steps(m, &Input{Kind: InView, View: view})
		out := m.Step(began.Add(askAgain), &Input{Kind: InTick}, nil)
		asks := slices.ContainsFunc(out, func(e Effect) bool {
			return e.Message.Kind == invitation.MsgCaller && e.Message.Ask && e.Message.Connected
		})
		if asks == heard {
			t.Errorf("heard of this session: %v; asks again: %v", heard, asks)
		}
	}
}

// TestAsksBehindAnOfferThatTellsOfNobody: a device comes back to a new session before that is offered an invitation whose
// arbiter was told that nobody is here. That it was shown it may be lost: the session asks until the arbiter has heard.
func TestAsksBehindAnOfferThatTellsOfNobody(t *testing.T) {
	for _, options := range [][]Option{{Fresh(began, 100)}, nil} {
		m := New(bob, &config, options...)
		steps(m, login("phone", 1, 1))
		for _, heard := range []uint64{m.changes - 1, m.changes} {
			again := Restore(m.State(), &config)
			view := offered(stale+2, invitation.Offering)
			view.View.HeardCallee = heard
			again.Step(began, view, nil)
			asks := slices.ContainsFunc(again.Step(began.Add(askAgain), &Input{Kind: InTick}, nil), func(e Effect) bool {
				return e.Message.Kind == invitation.MsgCallee && e.Message.Ask && e.Message.Online
			})
			if want := heard != m.changes; asks != want {
				t.Errorf("heard of %d of %d: asks %v, want %v", heard, m.changes, asks, want)
			}
		}
	}
}
