package session

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/table"
)

const (
	alice invitation.User = "alice"
	bob   invitation.User = "bob"
	began                 = Time(time.Hour)
)

var config = Config{Policy: Multi}.WithDefaults()

// conn returns the connection of a device of the tests.
func conn(device invitation.Device) Conn { return Conn{Number: uint64(len(device))} }

func attach(device invitation.Device) *Input {
	return &Input{Kind: InAttach, Device: device, Conn: conn(device), Login: &invitation.Login{User: bob, Device: device, Stamp: 1}}
}

func call(device invitation.Device, c invitation.Call) *Input {
	c.RequestID = 77
	return &Input{Kind: InCall, Device: device, Conn: conn(device), Call: &c}
}

func word(device invitation.Device, w invitation.Word) *Input {
	return &Input{Kind: InWord, Device: device, Conn: conn(device), Word: &w}
}

func viewed(terms *invitation.Terms, version uint32, stage invitation.Stage) *invitation.View {
	v := &invitation.View{Terms: terms, Version: version, Stage: stage, Deadline: began.Add(time.Minute)}
	if stage == invitation.Ended {
		v.Outcome, v.Reason = invitation.Canceled, invitation.CallerCanceled
	}
	return v
}

// sentTerms are of what bob's phone sent, comingTerms of what alice sent to bob.
var (
	sentTerms = &invitation.Terms{
		ID: invitation.NewID(bob, "phone", "key"), Caller: bob, Device: "phone", Callee: alice, Timers: invitation.DefaultTimers,
	}
	comingTerms = &invitation.Terms{
		ID: invitation.NewID(alice, "pad", "key"), Caller: alice, Device: "pad", Callee: bob, Timers: invitation.DefaultTimers,
	}
)

// a place is a session in which an invitation has a standing for a device.
type place struct {
	standing standing
	terms    *invitation.Terms
	inputs   []*Input
	device   invitation.Device // who speaks of it
}

var places = func() []place {
	phone, tablet := attach("phone"), attach("tablet")
	sent := call("phone", invitation.Call{Request: invitation.Send, Key: "key", Callee: alice})
	placed := &Input{Kind: InReply, Reply: &invitation.Reply{
		ID: sentTerms.ID, Device: "phone", Request: invitation.Send, RequestID: 77, View: viewed(sentTerms, 1, invitation.Offering),
	}}
	offered := &Input{Kind: InView, View: viewed(comingTerms, 1, invitation.Offering)}
	settled := func(terms *invitation.Terms) *Input {
		v := viewed(terms, 9, invitation.Ended)
		v.Settled = true
		return &Input{Kind: InView, View: v}
	}
	done := word("phone", invitation.Word{
		ID: comingTerms.ID, Side: invitation.Callee, Kind: invitation.WordDone, Remote: invitation.RemoteCanceled,
	})
	return []place{
		{stranger, sentTerms, []*Input{phone}, "phone"},
		{stranger, comingTerms, []*Input{phone}, "phone"},
		{past, sentTerms, []*Input{phone, sent, placed, settled(sentTerms)}, "phone"},
		{past, comingTerms, []*Input{phone, offered, settled(comingTerms)}, "phone"},
		{outgoing, sentTerms, []*Input{phone, sent}, "phone"},
		{outgoing, sentTerms, []*Input{phone, sent, placed}, "phone"},
		{parked, sentTerms, []*Input{phone, tablet, sent, placed}, "tablet"},
		{parked, comingTerms, []*Input{offered, phone}, "phone"},
		{shown, comingTerms, []*Input{phone, offered}, "phone"},
		{finished, comingTerms, []*Input{phone, offered, done}, "phone"},
	}
}()

func (p place) machine() *Machine {
	m := New(bob, &config)
	for _, in := range p.inputs {
		m.Step(began, in, nil)
	}
	return m
}

// about returns the inputs about an invitation, by topic.
func about(p place, on topic) []*Input {
	id, side := p.terms.ID, invitation.Callee
	if p.terms.Caller == bob {
		side = invitation.Caller
	}
	switch on {
	case onSend:
		if p.device == "phone" && p.terms == sentTerms {
			return []*Input{call("phone", invitation.Call{Request: invitation.Send, Key: "key", Callee: alice})}
		}
		return nil // the key and the device make the id: no other place can be meant
	case onCancel, onAccept, onRefuse, onQuery:
		requests := map[topic]invitation.Request{
			onCancel: invitation.Cancel, onAccept: invitation.Accept, onRefuse: invitation.Refuse, onQuery: invitation.Query,
		}
		return []*Input{call(p.device, invitation.Call{Request: requests[on], ID: id})}
	case onSeen:
		return []*Input{word(p.device, invitation.Word{ID: id, Side: side, Kind: invitation.WordSeen})}
	case onConfirmed:
		return []*Input{word(p.device, invitation.Word{ID: id, Side: side, Kind: invitation.WordConfirmed, Named: "x"})}
	case onSent:
		return []*Input{word(p.device, invitation.Word{ID: id, Side: side, Kind: invitation.WordSent})}
	case onAccepting:
		return []*Input{word(p.device, invitation.Word{ID: id, Side: side, Kind: invitation.WordAccepting, Response: "yes"})}
	case onDone:
		return []*Input{word(p.device, invitation.Word{
			ID: id, Side: side, Kind: invitation.WordDone, Local: invitation.LocalCanceled, Remote: invitation.RemoteCanceled,
		})}
	case onCallerView, onCalleeView:
		if (on == onCallerView) != (side == invitation.Caller) {
			return nil
		}
		var ins []*Input
		for stage := range invitation.Stage(invitation.Stages) {
			ins = append(ins, &Input{Kind: InView, View: viewed(p.terms, 1, stage)}, &Input{Kind: InView, View: viewed(p.terms, 20, stage)})
		}
		return ins
	case onCallerAsked, onCalleeAsked:
		if (on == onCallerAsked) == (side == invitation.Caller) {
			return []*Input{{Kind: InView, View: &invitation.View{Terms: p.terms, Recovering: true}}}
		}
	case onReply:
		var ins []*Input
		for r := invitation.Send; r < invitation.Query; r++ {
			ins = append(ins, &Input{Kind: InReply, Reply: &invitation.Reply{
				ID: id, Device: p.device, Request: r, RequestID: 77, View: viewed(p.terms, 2, invitation.Ringing),
			}})
		}
		return ins
	case onUnknown:
		return []*Input{{Kind: InUnknown, ID: id}, {Kind: InUnknown, ID: id, Over: true}}
	}
	return nil
}

// unreachable cells: what an arbiter says concerns all devices, so nothing is FINISHED there; a view is
// a callee's where the user is not the caller; the id of a send is made of who sends.
var unreachable = map[standing][]topic{
	outgoing: {onCalleeView, onCalleeAsked},
	parked:   {onSend, onCallerView, onCallerAsked},
	shown:    {onSend, onCallerView, onCallerAsked},
	finished: {onSend, onCallerView, onCalleeView, onCallerAsked, onCalleeAsked, onReply, onUnknown},
}

// TestEveryCell says everything about an invitation of every standing.
func TestEveryCell(t *testing.T) {
	reached := map[[2]int]bool{}
	for _, p := range places {
		for on := range topic(topics) {
			for _, in := range about(p, on) {
				m := p.machine()
				at := *in
				at.ID = p.terms.ID
				s := m.standing(m.entry(at.ID), &at)
				if fromDevice := at.Kind == InCall || at.Kind == InWord; fromDevice && s != p.standing {
					t.Fatalf("%s: a place of standing %s has %s", topicNames[on], standingNames[p.standing], standingNames[s])
				}
				reached[[2]int{int(s), int(on)}] = true
				if err := checkCell(m, rules[s][on], in); err != nil {
					t.Errorf("%s of %s: %v", topicNames[on], standingNames[s], err)
				}
			}
		}
	}
	for s := range standing(standings) {
		for on := range topic(topics) {
			if r := rules[s][on]; r.verdict == table.Hole || r.do == nil {
				t.Errorf("a hole: %s of %s", topicNames[on], standingNames[s])
			}
			if reached[[2]int{int(s), int(on)}] == slices.Contains(unreachable[s], on) {
				t.Errorf("%s of %s: reached %v", topicNames[on], standingNames[s], reached[[2]int{int(s), int(on)}])
			}
		}
	}
}

// checkCell steps m and checks the cell's verdict against what it does.
func checkCell(m *Machine, r rule, in *Input) error {
	before, stages := snapshot(m), stagesOf(m)
	out := m.Step(began, in, nil)
	changed := snapshot(m) != before
	switch r.verdict {
	case table.Reject:
		if changed || len(out) != 1 || out[0].Down.Answer == nil || out[0].Down.Answer.Error == invitation.OK {
			return fmt.Errorf("rejected, but changed %v, %s", changed, show(out))
		}
	case table.Ignore:
		if changed || len(out) != 0 {
			return fmt.Errorf("ignored, but changed %v, %s", changed, show(out))
		}
	case table.Repeat:
		if stages != stagesOf(m) {
			return fmt.Errorf("repeated, but %s became %s", stages, stagesOf(m))
		}
	case table.Move, table.Hole:
	}
	return checkCounts(m)
}

// stagesOf prints which invitations are known, and how far they are.
func stagesOf(m *Machine) string {
	var b strings.Builder
	for _, e := range m.entries {
		fmt.Fprintf(&b, "%s %s %s %v; ", e.view.Terms.ID, e.side, e.view.Stage, e.shown)
	}
	return b.String()
}

// snapshot prints all that an input can change, but the timers.
func snapshot(m *Machine) string {
	var b strings.Builder
	for _, e := range m.entries {
		fmt.Fprintf(&b, "%s %+v %v %v %d %v; ", e.view.Terms.ID, *e.view, e.side, e.answered, e.sendID, e.shown)
	}
	fmt.Fprintf(&b, "%v %v %v %v", m.devices, m.past.list(), m.live, m.tokens)
	return b.String()
}

func show(out []Effect) string {
	var b strings.Builder
	for _, e := range out {
		fmt.Fprintf(&b, "%d %+v %+v %+v; ", e.Kind, e.Down.Answer, e.Down.Notice, e.Message)
	}
	return b.String()
}

// checkCounts checks the counters against what they count, and the bounds.
func checkCounts(m *Machine) error {
	var live [3]int32
	for i, e := range m.entries {
		if at, known := m.find(e.view.Terms.ID); at != i || !known {
			return fmt.Errorf("%s is not found where it is kept", e.view.Terms.ID)
		}
		if e.view.Stage != invitation.Ended {
			live[e.side]++
		}
	}
	c := m.config
	switch {
	case live != m.live:
		return fmt.Errorf("%v live invitations are counted as %v", live, m.live)
	case int(live[invitation.Caller]) > c.MaxOutgoing || int(live[invitation.Callee]) > 2*c.MaxIncoming: // after a recovery
		return fmt.Errorf("%v live invitations are over the bounds", live)
	case len(m.entries) > lingering*(c.MaxOutgoing+c.MaxIncoming):
		return fmt.Errorf("%d invitations are kept", len(m.entries))
	case len(m.past.list()) > c.Remember:
		return fmt.Errorf("%d ids are remembered", len(m.past.list()))
	case m.taken() > c.MaxDevices || c.Policy == Single && m.taken() > 1:
		return fmt.Errorf("%d devices are connected", m.taken())
	case m.seats() > c.MaxDevices || len(m.devices) > c.MaxDevices+1:
		return fmt.Errorf("%d devices are kept", len(m.devices))
	case len(m.entries) == 0 && cap(m.entries) > keptEntries:
		return fmt.Errorf("room for %d invitations is kept for none", cap(m.entries))
	}
	return nil
}

func TestTableIsWhole(t *testing.T) {
	tab := Table()
	if len(tab.States) != standings || len(tab.Inputs) != topics {
		t.Fatalf("%d × %d", len(tab.States), len(tab.Inputs))
	}
	for s, row := range tab.Verdicts {
		for on, v := range row {
			if v == table.Hole {
				t.Errorf("a hole: %s of %s", tab.Inputs[on], tab.States[s])
			}
		}
	}
}

// TestWithDefaults: a zero field stands for the default, any other stays.
func TestWithDefaults(t *testing.T) {
	if got := (Config{}).WithDefaults(); got != DefaultConfig {
		t.Errorf("the zero Config stands for %+v", got)
	}
	full := Config{Multi, invitation.Timers{NoResponse: 1, Expire: 2, AcceptWindow: 3, Grace: 4, Linger: 5}, 1, 2, 3, 4, 5, 6, 7}
	if got := full.WithDefaults(); got != full {
		t.Errorf("a full Config becomes %+v", got)
	}
}

// TestSilenced: what comes over a connection that is not the device's present one counts for nothing.
func TestSilenced(t *testing.T) {
	for _, c := range []struct {
		name   string
		device invitation.Device
		conn   Conn
		want   invitation.End
	}{
		{"unknown device", "watch", conn("watch"), invitation.EndInternal},
		{"replaced connection", "phone", Conn{Number: 1000}, invitation.EndInternal},
		{"same number on another node", "phone", Conn{Node: "other", Number: conn("phone").Number}, invitation.EndInternal},
	} {
		p := places[8]
		for on := range topic(topics) {
			for _, in := range about(p, on) {
				if in.Kind != InCall && in.Kind != InWord {
					continue
				}
				m := p.machine()
				before := snapshot(m)
				at := *in
				at.Device, at.Conn = c.device, c.conn
				out := m.Step(began, &at, nil)
				if len(out) != 1 || out[0].Conn != c.conn || out[0].Down.Ending == nil || out[0].Down.Ending.End != c.want || snapshot(m) != before {
					t.Errorf("%s: %s: %s", c.name, topicNames[on], show(out))
				}
			}
		}
	}
}

// TestNonsense: requests and words of no kind are refused.
func TestNonsense(t *testing.T) {
	for _, p := range places {
		for _, in := range []*Input{
			call(p.device, invitation.Call{ID: p.terms.ID}),
			call(p.device, invitation.Call{ID: p.terms.ID, Request: invitation.Requests}),
			call(p.device, invitation.Call{ID: p.terms.ID, Request: 255}),
			word(p.device, invitation.Word{ID: p.terms.ID, Side: invitation.Caller}),
			word(p.device, invitation.Word{ID: p.terms.ID, Side: invitation.Callee, Kind: 6}),
			word(p.device, invitation.Word{ID: p.terms.ID, Kind: 255}),
		} {
			m := p.machine()
			before := snapshot(m)
			out := m.Step(began, in, nil)
			if snapshot(m) != before || len(out) > 1 || len(out) == 1 && out[0].Down.Answer.Error != invitation.InvalidArgument {
				t.Errorf("%s: %+v, %+v: %s", standingNames[p.standing], in.Call, in.Word, show(out))
			}
		}
	}
}
