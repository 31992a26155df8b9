package session

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ringfleet/ringfleet/invitation"
)

// tester gives a session any sequence of inputs, and keeps beside it what it needs to judge the
// effects: nothing of the session's own.
type tester struct {
	*rapid.T
	m        *Machine
	now      Time
	conns    uint64
	conn     map[invitation.Device]Conn // of devices that are connected, as the gateway sees it
	deviceOf map[Conn]invitation.Device
	arbiters map[invitation.ID]*invitation.View // what the arbiter of each invitation says
	said     map[invitation.ID][]*invitation.View
	incoming []*invitation.Terms
	asked    uint64                       // the number of the session's last question
	since    map[invitation.Device]uint64 // the number of the first question that can be put since a device connected
}

var (
	someDevices = []invitation.Device{"phone", "tablet", "watch", invitation.Agent}
	someKeys    = []string{"k1", "k2", "k3"}
)

func newTester(t *rapid.T) *tester {
	c := Config{
		Policy: rapid.SampledFrom([]Policy{Single, Multi}).Draw(t, "policy"), MaxDevices: 2, MaxOutgoing: 2, MaxIncoming: 2, SendRate: 100,
	}.WithDefaults()
	x := &tester{
		T: t, m: New(bob, &c), now: began, conn: map[invitation.Device]Conn{}, deviceOf: map[Conn]invitation.Device{},
		arbiters: map[invitation.ID]*invitation.View{}, since: map[invitation.Device]uint64{},
		said: map[invitation.ID][]*invitation.View{},
	}
	for _, key := range someKeys {
		x.incoming = append(x.incoming, &invitation.Terms{
			ID: invitation.NewID(alice, "pad", key), Caller: alice, Device: "pad", Callee: bob, Timers: invitation.DefaultTimers,
		})
	}
	return x
}

func (x *tester) one(name string, n int) bool { return rapid.IntRange(1, n).Draw(x.T, name) == 1 }

// id draws an invitation: one of bob's phone's or tablet's, one to bob, or nobody's.
func (x *tester) id() invitation.ID {
	key := rapid.SampledFrom(someKeys).Draw(x.T, "key")
	switch rapid.SampledFrom([]string{"sent", "sent", "coming", "coming", "coming", "nobody's"}).Draw(x.T, "whose") {
	case "sent":
		return invitation.NewID(bob, rapid.SampledFrom(someDevices).Draw(x.T, "sender"), key)
	case "coming":
		return invitation.NewID(alice, "pad", key)
	}
	return invitation.NewID("carol", "phone", key)
}

func (x *tester) draw() *Input {
	device := rapid.SampledFrom(someDevices).Draw(x.T, "device")
	conn, connected := x.conn[device]
	switch rapid.SampledFrom([]string{
		"attach", "detach", "logout", "call", "call", "call", "word", "word", "view", "view", "view", "view", "reply", "unknown", "tick",
		"asked", "lost", "gateway gone",
		"resend", "wait",
	}).Draw(x.T, "input") {
	case "attach":
		return x.drawAttach(device)
	case "detach":
		delete(x.conn, device)
		return &Input{Kind: InDetach, Device: device, Conn: conn}
	case "logout":
		delete(x.conn, device)
		return &Input{Kind: InLogout, Device: device, Conn: conn}
	case "call":
		if connected {
			return x.drawCall(device, conn)
		}
	case "word":
		if connected {
			return &Input{Kind: InWord, Device: device, Conn: conn, Word: x.drawWord()}
		}
	case "view":
		return x.drawView()
	case "reply":
		return x.drawReply(device)
	case "unknown":
		return &Input{Kind: InUnknown, ID: x.id(), Over: x.one("over", 2)}
	case "asked":
		if in := x.drawView(); in.View != nil {
			return &Input{Kind: InView, View: &invitation.View{Terms: in.View.Terms, Recovering: true}}
		}
	case "lost":
		var all invitation.ShardSet
		all.Add(x.id().Shard())
		return &Input{Kind: InLost, Shards: &all}
	case "gateway gone":
		clear(x.conn)
		return &Input{Kind: InNodeGone}
	case "resend":
		return &Input{Kind: InResend}
	case "wait":
		x.now = x.now.Add(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, time.Minute}).Draw(x.T, "for"))
	}
	return &Input{Kind: InTick}
}

func (x *tester) drawAttach(device invitation.Device) *Input {
	x.conns++
	c := Conn{Number: x.conns}
	x.conn[device], x.deviceOf[c] = c, device
	login := &invitation.Login{User: bob, Device: device, Resume: x.one("resume", 2), Stamp: rapid.Uint64Range(0, 5).Draw(x.T, "stamp")}
	for range rapid.IntRange(0, 2).Draw(x.T, "words") {
		login.Words = append(login.Words, *x.drawWord())
	}
	return &Input{Kind: InAttach, Device: device, Conn: c, Login: login}
}

func (x *tester) drawWord() *invitation.Word {
	w := &invitation.Word{ID: x.id(), Side: invitation.Caller, Kind: rapid.SampledFrom([]invitation.WordKind{
		invitation.WordSeen, invitation.WordConfirmed, invitation.WordDone, invitation.WordDone,
	}).Draw(x.T, "word")}
	if x.one("callee", 2) {
		w.Side = invitation.Callee
	}
	return w
}

func (x *tester) drawCall(device invitation.Device, conn Conn) *Input {
	c := &invitation.Call{
		Request:   rapid.SampledFrom([]invitation.Request{invitation.Send, invitation.Send, invitation.Cancel, invitation.Accept, invitation.Refuse, invitation.Query}).Draw(x.T, "request"),
		RequestID: rapid.Uint64Range(1, 5).Draw(x.T, "request id"),
	}
	if c.Request == invitation.Send {
		c.Key, c.Callee = rapid.SampledFrom(someKeys).Draw(x.T, "key"), alice
	} else {
		c.ID = x.id()
	}
	return &Input{Kind: InCall, Device: device, Conn: conn, Call: c}
}

// drawView lets an arbiter go on, or say again what it said: views of one arbiter never go back in
// what they say, but they may arrive late.
func (x *tester) drawView() *Input {
	id := x.id()
	v := x.arbiters[id]
	if v == nil {
		for _, terms := range x.incoming {
			if terms.ID == id {
				v = &invitation.View{Terms: terms, Version: 1, Deadline: x.now.Add(time.Minute)}
			}
		}
	}
	if v == nil {
		return &Input{Kind: InTick}
	}
	if said := x.said[id]; len(said) > 0 && x.one("late", 4) {
		return &Input{Kind: InView, View: rapid.SampledFrom(said).Draw(x.T, "again")}
	}
	next := *v
	if stage := rapid.IntRange(int(v.Stage), invitation.Stages-1).Draw(x.T, "stage"); x.one("on", 2) && stage > int(v.Stage) {
		next.Version++
		next.Stage = invitation.Stage(stage)
		if next.Stage >= invitation.Accepting && next.Chosen == "" {
			next.Chosen = rapid.SampledFrom(someDevices).Draw(x.T, "chosen")
		}
		if next.Stage == invitation.Ended {
			next.Outcome, next.Reason = invitation.Canceled, invitation.CallerCanceled
		}
	} else if v.Stage == invitation.Ended && x.one("settled", 3) {
		next.Version++
		next.Settled, next.Verdict = true, true
	}
	next.Permit = rapid.Uint64Range(0, x.asked).Draw(x.T, "permit")
	x.arbiters[id] = &next
	x.said[id] = append(x.said[id], &next)
	return &Input{Kind: InView, View: &next}
}

func (x *tester) drawReply(device invitation.Device) *Input {
	id := x.id()
	v := x.arbiters[id]
	if v == nil {
		return &Input{Kind: InTick}
	}
	r := &invitation.Reply{
		ID: id, Device: device, RequestID: rapid.Uint64Range(1, 5).Draw(x.T, "request id"), View: v,
		Request: rapid.SampledFrom([]invitation.Request{invitation.Send, invitation.Cancel, invitation.Accept, invitation.Refuse}).Draw(x.T, "request"),
	}
	if r.Request == invitation.Send && v.Terms.Caller != bob {
		r.Request = invitation.Accept
	}
	if r.Request == invitation.Send && v.Stage == invitation.Offering && x.one("rejected", 4) {
		r.Error = invitation.LimitExceeded
		delete(x.arbiters, id) // it has stopped
	}
	return &Input{Kind: InReply, Reply: r}
}

// step gives one input and checks what comes of it.
func (x *tester) step(in *Input) {
	before, views := x.shownTo(), x.views()
	for _, c := range x.m.claims {
		before[shownOne{c.word.ID, c.device}] = true // by its own word
	}
	out := x.m.Step(x.now, in, nil)
	if d := x.m.device(in.Device); in.Kind == InAttach && d != nil && d.conn == in.Conn {
		x.since[in.Device] = x.m.changes
	}
	if err := checkCounts(x.m); err != nil {
		x.Fatalf("%+v: %v", *in, err)
	}
	for _, e := range out {
		if err := x.check(in, e); err != nil {
			x.Fatalf("%+v: %v", *in, err)
		}
	}
	for s := range x.shownTo() {
		if !before[s] {
			x.checkShown(in, s, views[s.id] != nil)
		}
	}
	for id, v := range x.views() {
		if old := views[id]; old != nil && v.Version < old.Version {
			x.Fatalf("%+v: version %d after %d", *in, v.Version, old.Version)
		}
	}
}

// shownOne is an invitation and a device that it was shown to.
type shownOne struct {
	id     invitation.ID
	device invitation.Device
}

func (x *tester) shownTo() map[shownOne]bool {
	list := map[shownOne]bool{}
	for _, e := range x.m.entries {
		for _, s := range e.shown {
			list[shownOne{e.view.Terms.ID, s.device}] = true
		}
	}
	return list
}

func (x *tester) views() map[invitation.ID]*invitation.View {
	list := map[invitation.ID]*invitation.View{}
	for _, e := range x.m.entries {
		list[e.view.Terms.ID] = e.view
	}
	return list
}

// checkShown checks promise P4: a device is shown an invitation on the arbiter's word that it rings,
// given after the device connected; or it says itself that it was shown it.
func (x *tester) checkShown(in *Input, s shownOne, known bool) {
	switch in.Kind {
	case InWord, InAttach: // the device's claim
	case InView, InReply:
		v := in.View
		if in.Kind == InReply {
			v = in.Reply.View
		}
		if s.device == invitation.Agent {
			x.Fatalf("%+v: shown to the device that takes no calls", *in)
		}
		if v.Stage > invitation.Ringing && (v.Stage != invitation.Confirmed || s.device != v.Chosen || known) { // it has accepted elsewhere
			x.Fatalf("%+v: shown to %s in %s", *in, s.device, v.Stage)
		}
		if known && v.Permit < x.since[s.device] {
			x.Fatalf("%+v: shown to %s on a word of before it connected", *in, s.device)
		}
	default:
		x.Fatalf("%+v: shown to %s without a word from the arbiter", *in, s.device)
	}
}

func (x *tester) check(in *Input, e Effect) error {
	switch {
	case e.Kind == ToArbiter:
		x.asked = max(x.asked, e.Message.Permit)
		if e.Message.User != bob {
			return fmt.Errorf("speaks for %s", e.Message.User)
		}
		if e.Message.Kind == invitation.MsgStart && x.arbiters[e.Message.ID] == nil {
			x.arbiters[e.Message.ID] = &invitation.View{Terms: e.Message.Terms, Version: 1, Deadline: x.now.Add(30 * time.Second)}
		}
	case e.Kind == ToDevice && e.Down.Notice != nil:
		return x.checkNotice(in, e.Conn, e.Down.Notice)
	case e.Kind == ToDevice && e.Down.Answer != nil && e.Down.Answer.Notice != nil && e.Down.Answer.Error == invitation.OK:
		return x.checkNotice(in, e.Conn, e.Down.Answer.Notice)
	case e.Kind == Leave && (len(x.m.entries) != 0 || x.m.Devices() != 0):
		return fmt.Errorf("leaves with %d devices and %d invitations", x.m.Devices(), len(x.m.entries))
	}
	return nil
}

// checkNotice: nothing rings that has ended here, and a device is told the end as soon as anything.
func (x *tester) checkNotice(in *Input, c Conn, n *invitation.Notice) error {
	ended := n.Local.Terminal() || n.Remote.Terminal()
	kept := x.m.entry(n.ID)
	switch {
	case x.deviceOf[c] == "":
		return fmt.Errorf("speaks to a connection that never was")
	case kept == nil && !ended:
		return fmt.Errorf("%s is told %s and %s of what is not live", x.deviceOf[c], n.Local, n.Remote)
	case kept != nil && kept.view.Stage == invitation.Ended && !ended && in.Kind != InReply:
		return fmt.Errorf("%s is told %s and %s of what has ended", x.deviceOf[c], n.Local, n.Remote)
	case n.Remaining < 0 || n.Remaining > 10*time.Minute:
		return fmt.Errorf("%s remain", n.Remaining)
	case kept != nil && kept.side == invitation.Callee && n.Side == invitation.Caller && n.Reason != invitation.OutcomeForgotten:
		return fmt.Errorf("the callee is told what is the caller's")
	}
	return nil
}

// TestProperties gives sessions any sequence of inputs.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newTester(t)
		for range rapid.IntRange(1, 80).Draw(t, "inputs") {
			x.step(x.draw())
			x.settleTicks()
		}
	})
}

// settleTicks gives the ticks that are due, and fails if there is no end of them.
func (x *tester) settleTicks() {
	for n := 0; x.m.Deadline() != 0 && x.m.Deadline() <= x.now; n++ {
		if n > 3 {
			x.Fatalf("ticks without end: the deadline stays %d at %d", x.m.Deadline(), x.now)
		}
		x.step(&Input{Kind: InTick})
	}
}
