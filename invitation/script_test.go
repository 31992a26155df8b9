package invitation_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// do carries out one line of a script and delivers everything that follows from it. The commands:
//
//	config policy=multi outgoing=2 incoming=2 rate=1 burst=3 remember=1 devices=2   before all else
//	login P…            log in anew; a phone that was logged in has lost its memory
//	drop P… | back P…   lose the connection; connect again and resume
//	crash P             the process dies: connection and memory lost
//	logout P
//	send P to U as c1 [text="…"] [channel=…] [bytes=n] [key=k] [expire=5s] [noresponse=…] [window=…] [grace=…] [linger=…]
//	cancel P c1 | accept P c1 [response…] | refuse P c1 [response…]
//	query P c1          and `raw P cancel c1`: a request that the device's own machine would not make
//	again P             the last call once more, with the same request id
//	hold|lose|double WHO WHAT [once]    a filter on messages, by the name that the transcript gives them
//	release             deliver what was held and remove the filters
//	wait                do nothing: deliver
//	now                 as a prefix: carry the command out without delivering anything yet
//	abort c1            the actor of the invitation panicked
//	amnesia c1          the invitation's actor is gone without a trace
//	lost U              the user's session is gone without a trace, and its connections with it
//	die U               the node is gone on which U's session and the invitations that U sent were; the gateways,
//	                    on other nodes, attach U's devices again
//	advance 30s
func (w *world) do(line string) {
	args := fields(line)
	later := args[0] == "now"
	if later {
		args = args[1:]
	}
	command, args := args[0], args[1:]
	switch command {
	case "config":
		w.configure(args)
	case "login", "drop", "back", "logout", "crash":
		for _, name := range args {
			w.connection(command, w.phone(name))
			if !later {
				w.run()
			}
		}
	case "send":
		w.send(args)
	case "cancel":
		w.phone(args[0]).cancel(args[1])
	case "accept", "refuse", "query", "raw":
		w.request(command, args)
	case "again":
		p := w.phone(args[0])
		p.pending = append(p.pending, p.last)
		p.say(p.last)
	case "hold", "lose", "double":
		once := args[len(args)-1] == "once"
		if once {
			args = args[:len(args)-1]
		}
		w.filters = append(w.filters, filter{command, args[0], strings.Join(args[1:], " "), once})
	case "release":
		w.release()
	case "wait":
	case "abort":
		w.arbiterStep(&invitation.Message{Kind: invitation.MsgAbort, ID: w.id(args[0])})
	case "lost":
		delete(w.sessions, invitation.User(args[0]))
		w.lostAt[invitation.User(args[0])] = w.now
		for _, p := range w.phones {
			if p.user == invitation.User(args[0]) {
				p.connected = false
			}
		}
	case "die":
		w.die(invitation.User(args[0]))
	case "amnesia":
		delete(w.arbiters, w.id(args[0]))
	case "advance":
		w.advance(duration(w, args[0]))
	default:
		w.t.Fatalf("no such command: %s", line)
	}
	if !later {
		w.run()
	}
}

func (w *world) connection(command string, p *phone) {
	switch command {
	case "login":
		p.clear()
		p.login(false)
	case "back":
		p.login(true)
	case "drop":
		p.drop()
	case "crash":
		p.drop()
		p.clear()
	case "logout":
		p.logout()
	}
}

func (w *world) request(command string, args []string) {
	p, rest := w.phone(args[0]), args[1:]
	requests := map[string]invitation.Request{
		"accept": invitation.Accept, "refuse": invitation.Refuse, "cancel": invitation.Cancel, "query": invitation.Query, "send": invitation.Send,
	}
	switch command {
	case "raw":
		p.call(invitation.Call{Request: requests[rest[0]], ID: w.id(rest[1]), Response: text(rest[2:])})
	case "query":
		p.call(invitation.Call{Request: invitation.Query, ID: w.id(rest[0])})
	default:
		p.answer(requests[command], w.id(rest[0]), text(rest[1:]))
	}
}

// send carries out `send P to U as c1 option…`.
func (w *world) send(args []string) {
	c := invitation.Call{Request: invitation.Send, Callee: invitation.User(args[2])}
	for _, option := range args[5:] {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "text":
			c.Content = value
		case "bytes":
			c.Content = strings.Repeat("x", number(w, value))
		case "channel":
			c.ChannelID = value
		case "key":
			c.Key = value
		case "expire":
			c.Timers.Expire = duration(w, value)
		case "noresponse":
			c.Timers.NoResponse = duration(w, value)
		case "window":
			c.Timers.AcceptWindow = duration(w, value)
		case "grace":
			c.Timers.Grace = duration(w, value)
		case "linger":
			c.Timers.Linger = duration(w, value)
		default:
			w.t.Fatalf("no such option of send: %s", option)
		}
	}
	w.phone(args[0]).send(c, args[4])
}

func (w *world) configure(args []string) {
	for _, option := range args {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "policy":
			w.config.Policy = map[string]session.Policy{"single": session.Single, "multi": session.Multi}[value]
		case "outgoing":
			w.config.MaxOutgoing = number(w, value)
		case "incoming":
			w.config.MaxIncoming = number(w, value)
		case "devices":
			w.config.MaxDevices = number(w, value)
		case "rate":
			w.config.SendRate = float64(number(w, value))
		case "burst":
			w.config.SendBurst = number(w, value)
		case "remember":
			w.config.Remember = number(w, value)
		default:
			w.t.Fatalf("no such option of config: %s", option)
		}
	}
}

func number(w *world, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func duration(w *world, s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// text makes what a callee responds: words, or `bytes=n` of them.
func text(words []string) string {
	if len(words) == 1 {
		if n, err := strconv.Atoi(strings.TrimPrefix(words[0], "bytes=")); err == nil {
			return strings.Repeat("y", n)
		}
	}
	return strings.Join(words, " ")
}

// fields splits at spaces, but for those between double quotes, which it removes.
func fields(line string) []string {
	quoted := false
	list := strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	})
	for i := range list {
		list[i] = strings.ReplaceAll(list[i], `"`, "")
	}
	return list
}

// A step is one part of a script: commands, and what they bring about.
type step struct {
	comments, commands, want []string
}

// parse reads a scenario: steps of comments and commands, a line "----", the transcript, an empty line.
func parse(text string) []step {
	var steps []step
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		var s step
		lines, transcript := &s.commands, false
		for line := range strings.Lines(block + "\n") {
			switch line = strings.TrimRight(line, "\n"); {
			case line == "":
			case line == "----":
				lines, transcript = &s.want, true
			case !transcript && strings.HasPrefix(line, "#"):
				s.comments = append(s.comments, line)
			default:
				*lines = append(*lines, line)
			}
		}
		steps = append(steps, s)
	}
	return steps
}

func format(steps []step) string {
	var b strings.Builder
	for i, s := range steps {
		if i > 0 {
			b.WriteString("\n")
		}
		for _, line := range append(append([]string{}, s.comments...), s.commands...) {
			b.WriteString(line + "\n")
		}
		if len(s.commands) > 0 {
			b.WriteString("----\n")
			for _, line := range s.want {
				b.WriteString(line + "\n")
			}
		}
	}
	return b.String()
}

// play carries out a script and returns the lines it brought about.
func (w *world) play(commands []string) []string {
	from := len(w.lines)
	for _, c := range commands {
		if c = strings.TrimSpace(c); c != "" && !strings.HasPrefix(c, "#") {
			w.do(c)
		}
	}
	return w.lines[from:]
}

// verdict checks what any script must leave behind: accepted on one side if and only if on the
// other, unless a side has lost its memory or is still away.
func (w *world) verdict() error {
	for id, caller := range w.callers {
		l := caller.locals[w.names[id]]
		if l == nil || !l.State().Terminal() {
			continue
		}
		yes := 0
		for _, p := range w.phones {
			r := p.remotes[id]
			if r == nil {
				continue
			}
			if r.State() == invitation.RemoteAccepted {
				yes++
			}
			if l.State() == invitation.LocalAcceptedByRemote && yes == 0 && r.State() == invitation.RemoteAcceptSentToLocal {
				return fmt.Errorf("%s: the caller says accepted, the callee is still asked", w.names[id])
			}
		}
		if (yes == 1) != (l.State() == invitation.LocalAcceptedByRemote) {
			return fmt.Errorf("%s: %s on the caller's side, accepted on %d of the callee's devices", w.names[id], l.State(), yes)
		}
	}
	return nil
}
