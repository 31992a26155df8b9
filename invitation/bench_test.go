package invitation_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/device"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// A line is the cheapest host there can be: two sessions, an arbiter and two devices, wired by plain
// calls, with buffers that are used again. What a call costs here it costs at least anywhere.
type line struct {
	now            invitation.Time
	caller, callee *session.Machine
	arbiter        *arbiter.Machine
	local          device.Local
	remote         device.Remote
	queue          []event
	in             session.Input // what a session is given now, and the word in it
	word           invitation.Word
	effects        []session.Effect
	tells          []arbiter.Effect
	requests       uint64
	calls          int
	keys           []string
	messages       int // given to a machine
}

// event is a message on its way to the machine that to names.
type event struct {
	to   destination
	in   session.Input
	msg  *invitation.Message
	down invitation.Down
	word invitation.Word // of in
}

type destination uint8

const (
	toCaller destination = iota // the caller's session
	toCallee
	toArbiter
	toAlice // the caller's device
	toBob
)

var (
	aliceConn = session.Conn{Number: 1}
	bobConn   = session.Conn{Number: 2}
)

func newLine(calls int) *line {
	config := session.Config{SendRate: 1e12, SendBurst: 1 << 30}.WithDefaults()
	l := &line{now: invitation.Time(time.Hour), caller: session.New("alice", &config), callee: session.New("bob", &config)}
	for i := range calls {
		l.keys = append(l.keys, fmt.Sprintf("send-key-of-128-bits-%011d", i))
	}
	l.queue = append(l.queue,
		event{to: toCaller, in: session.Input{
			Kind: session.InAttach, Device: "phone", Conn: aliceConn, Login: &invitation.Login{User: "alice", Device: "phone"},
		}},
		event{to: toCallee, in: session.Input{
			Kind: session.InAttach, Device: "phone", Conn: bobConn, Login: &invitation.Login{User: "bob", Device: "phone"},
		}})
	l.run()
	return l
}

// run delivers until nothing is on its way.
func (l *line) run() {
	for i := 0; i < len(l.queue); i++ {
		e := &l.queue[i]
		l.messages++
		switch e.to {
		case toCaller, toCallee:
			l.in, l.word = e.in, e.word
			if l.in.Kind == session.InWord {
				l.in.Word = &l.word
			}
			l.session(e.to)
		case toArbiter:
			l.arbitrate(e.msg)
		case toAlice:
			l.hearCaller(e.down)
		case toBob:
			l.hearCallee(e.down)
		}
	}
	l.queue = l.queue[:0]
}

func (l *line) session(to destination) {
	m, phone := l.caller, toAlice
	if to == toCallee {
		m, phone = l.callee, toBob
	}
	l.effects = m.Step(l.now, &l.in, l.effects[:0])
	for i := range l.effects {
		if e := &l.effects[i]; e.Kind == session.ToArbiter {
			l.queue = append(l.queue, event{to: toArbiter, msg: new(e.Message)})
		} else {
			l.queue = append(l.queue, event{to: phone, down: e.Down})
		}
	}
}

func (l *line) arbitrate(msg *invitation.Message) {
	if l.arbiter == nil {
		if msg.Kind != invitation.MsgStart {
			to := toCaller
			if msg.User == "bob" {
				to = toCallee
			}
			l.queue = append(l.queue, event{to: to, in: session.Input{Kind: session.InUnknown, ID: msg.ID, Over: true}})
			return
		}
		l.arbiter = arbiter.New(msg.Terms)
	}
	l.tells = l.arbiter.Step(l.now, msg, l.tells[:0])
	for i := range l.tells {
		switch e := &l.tells[i]; e.Kind {
		case arbiter.TellCaller:
			l.queue = append(l.queue, event{to: toCaller, in: session.Input{Kind: session.InView, View: e.View}})
		case arbiter.TellCallee:
			l.queue = append(l.queue, event{to: toCallee, in: session.Input{Kind: session.InView, View: e.View}})
		case arbiter.ReplyCaller:
			l.queue = append(l.queue, event{to: toCaller, in: session.Input{Kind: session.InReply, Reply: new(e.Reply)}})
		case arbiter.ReplyCallee:
			l.queue = append(l.queue, event{to: toCallee, in: session.Input{Kind: session.InReply, Reply: new(e.Reply)}})
		case arbiter.Stop:
			l.arbiter = nil
		}
	}
}

func (l *line) hearCaller(d invitation.Down) {
	n := d.Notice
	if d.Answer != nil {
		n = d.Answer.Notice
	}
	if n != nil {
		l.say(toCaller, l.local.Notice(n), n.ID)
	}
}

func (l *line) hearCallee(d invitation.Down) {
	n := d.Notice
	if d.Answer != nil {
		n = d.Answer.Notice
	}
	if n != nil {
		l.say(toCallee, l.remote.Notice(n), n.ID)
	}
}

// say gives a device's word or request to its session.
func (l *line) say(to destination, out device.Output, id invitation.ID) {
	conn := aliceConn
	if to == toCallee {
		conn = bobConn
	}
	if out.Word.Kind != invitation.NoWord {
		l.queue = append(l.queue, event{to: to, word: out.Word, in: session.Input{Kind: session.InWord, Device: "phone", Conn: conn}})
	}
	if out.Request != invitation.NoRequest {
		l.requests++
		call := &invitation.Call{Request: out.Request, RequestID: l.requests, ID: id}
		if out.Request == invitation.Send {
			call.Key, call.Callee, call.Content = l.keys[l.calls], "bob", "lunch?"
		}
		l.queue = append(l.queue, event{to: to, in: session.Input{Kind: session.InCall, Device: "phone", Conn: conn, Call: call}})
	}
}

// call makes a whole call: send, ring, then what the end is, until both sides have concluded.
func (l *line) call(b testing.TB, request invitation.Request) {
	l.local, l.remote = device.Local{}, device.Remote{}
	out, _ := l.local.Send()
	l.say(toCaller, out, invitation.ID{})
	l.run()
	switch request {
	case invitation.Accept:
		out, _ = l.remote.Accept()
		l.say(toCallee, out, l.remote.ID())
	case invitation.Refuse:
		out, _ = l.remote.Refuse()
		l.say(toCallee, out, l.remote.ID())
	default:
		out, _ = l.local.Cancel()
		l.say(toCaller, out, l.local.ID())
	}
	l.run()
	l.calls++
	if l.arbiter != nil || !l.local.Settled() || !l.remote.Settled() {
		b.Fatalf("a call that is not over: %s, %s", l.local.State(), l.remote.State())
	}
}

// BenchmarkWholeCall is a whole call through all machines: three packages, no actors, no encoding.
func BenchmarkWholeCall(b *testing.B) {
	for _, request := range []invitation.Request{invitation.Accept, invitation.Refuse, invitation.Cancel} {
		b.Run(request.String(), func(b *testing.B) {
			l := newLine(b.N)
			l.messages = 0
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				l.call(b, request)
			}
			b.ReportMetric(float64(l.messages)/float64(b.N), "messages/op")
		})
	}
}

// TestMessages holds how many messages a call is, devices' included: between nodes each costs a system call or a part
// of one, and encoding.
func TestMessages(t *testing.T) {
	for request, want := range map[invitation.Request]int{invitation.Accept: 28, invitation.Refuse: 22, invitation.Cancel: 27} {
		l := newLine(1)
		l.messages = 0
		l.call(t, request)
		if l.messages != want {
			t.Errorf("%s: %d messages, want %d", request, l.messages, want)
		}
	}
}

// BenchmarkNewID is the derivation of an id, once per send.
func BenchmarkNewID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		invitation.NewID("alice", "phone", "0123456789abcdef0123456789abcdef")
	}
}

func BenchmarkShardOf(b *testing.B) {
	for b.Loop() {
		invitation.ShardOf("alice")
	}
}
