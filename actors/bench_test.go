package actors

import (
	"context"
	"strconv"
	"sync"
	"testing"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// benchPhones are devices in pairs, each with one call at a time: 2i calls 2i+1, again and again.
type benchPhones struct {
	host   *Host
	phones []benchPhone
	left   sync.WaitGroup
}

type benchPhone struct {
	user   invitation.User
	local  device.Local
	remote device.Remote
	calls  int
}

func (b *benchPhones) Session(user invitation.User, in *session.Input) {
	_ = b.host.TellSession(user, in)
}

func (b *benchPhones) View(user invitation.User, v *invitation.View) { _ = b.host.TellView(user, v) }

func (b *benchPhones) Reply(user invitation.User, r *invitation.Reply) {
	_ = b.host.TellReply(user, r)
}

func (b *benchPhones) Holds(invitation.Shard) bool { return true }

func (b *benchPhones) Arbiter(msg *invitation.Message) { _ = b.host.TellArbiter(msg) }

// Device is called by the phone's session only, one message at a time.
func (b *benchPhones) LostAt(invitation.Shard) invitation.Time { return 0 }

func (b *benchPhones) Device(_ invitation.User, conn session.Conn, down invitation.Down) {
	p := &b.phones[conn.Number]
	var out device.Output
	switch {
	case down.Notice != nil && down.Notice.Settled:
		return
	case down.Answer != nil && down.Answer.Request == invitation.Send:
		out = p.local.Notice(down.Answer.Notice)
	case down.Notice != nil && down.Notice.Side == invitation.Caller:
		out = p.local.Notice(down.Notice)
	case down.Notice != nil:
		if p.remote.ID() != down.Notice.ID {
			p.remote = device.Remote{}
		}
		out = p.remote.Notice(down.Notice)
	}
	if out.Word.Kind != invitation.NoWord {
		b.say(conn, invitation.Up{Word: &out.Word})
	}
	switch {
	case out.Event == device.Received:
		if out, err := p.remote.Accept(); err == invitation.OK && out.Request == invitation.Accept {
			b.say(conn, invitation.Up{Call: &invitation.Call{Request: out.Request, RequestID: 9, ID: p.remote.ID(), Response: "ok"}})
		}
	case out.Event.Terminal() && down.Notice.Side == invitation.Caller:
		b.next(conn)
	}
}

func (b *benchPhones) say(conn session.Conn, up invitation.Up) {
	in := &session.Input{Kind: session.InCall, Device: "d", Conn: conn, Call: up.Call, Word: up.Word}
	if up.Word != nil {
		in.Kind = session.InWord
	}
	b.Session(b.phones[conn.Number].user, in)
}

// next makes the next call of a caller.
func (b *benchPhones) next(conn session.Conn) {
	p := &b.phones[conn.Number]
	if p.calls--; p.calls < 0 {
		b.left.Done()
		return
	}
	p.local = device.Local{}
	_, _ = p.local.Send()
	b.say(conn, invitation.Up{Call: &invitation.Call{
		Request: invitation.Send, RequestID: 1, Key: strconv.Itoa(p.calls), Callee: b.phones[conn.Number+1].user, Content: "64 bytes of content",
	}})
}

// BenchmarkAcceptedCall makes whole calls through sessions, arbiters and both clients' machines,
// without sockets and without the SDK: 1,000 pairs at once.
func BenchmarkAcceptedCall(b *testing.B) {
	const pairs = 1000
	bench := &benchPhones{phones: make([]benchPhone, 2*pairs)}
	bench.host = New(Options{Network: bench, Session: session.Config{SendRate: 1e9, SendBurst: 1e9}})
	for i := range bench.phones {
		p := &bench.phones[i]
		p.user = invitation.User("user" + strconv.Itoa(i))
		p.calls = b.N/pairs + 1
		bench.Session(p.user, &session.Input{
			Kind: session.InAttach, Device: "d", Conn: session.Conn{Number: uint64(i)}, Login: &invitation.Login{User: p.user, Device: "d", Stamp: 1},
		})
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < len(bench.phones); i += 2 {
		bench.left.Add(1)
		bench.next(session.Conn{Number: uint64(i)})
	}
	bench.left.Wait()
	b.StopTimer()
	_ = bench.host.Stop(context.Background())
}
