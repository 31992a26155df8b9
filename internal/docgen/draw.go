package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// welcomeInfo is what a node of default configuration tells in its Welcome.
func welcomeInfo(user invitation.User) *wire.Info {
	return &wire.Info{
		Version: wire.ProtocolVersion, User: user, PingInterval: 25 * time.Second, IdleTimeout: time.Minute,
		MaxFrame: 131_072, Timers: invitation.DefaultTimers, Node: "node-0",
	}
}

// blank is a place in a document that docgen fills: <!-- story accept --> or <!-- frames accept -->.
var blank = regexp.MustCompile(`(?s)<!-- (story|frames) ([\w-]+) -->\n.*?<!-- end -->`)

// fillStories plays the stories that a document has places for. Every story must have a place.
func fillStories(text []byte) ([]byte, error) {
	told := map[string]bool{}
	var failed error
	text = blank.ReplaceAllFunc(text, func(place []byte) []byte {
		found := blank.FindSubmatch(place)
		kind, name := string(found[1]), string(found[2])
		told[name] = true
		for _, s := range stories {
			if s.name != name {
				continue
			}
			body := draw(s)
			if kind == "frames" {
				var err error
				if body, err = transcribe(s); err != nil {
					failed = fmt.Errorf("story %s: %w", name, err)
				}
			}
			return fmt.Appendf(nil, "<!-- %s %s -->\n%s<!-- end -->", kind, name, body)
		}
		failed = fmt.Errorf("there is no story %s", name)
		return place
	})
	for _, s := range stories {
		if !told[s.name] && failed == nil {
			failed = fmt.Errorf("no place for the story %s", s.name)
		}
	}
	return text, failed
}

// play returns the scenes of a story.
func play(s story) []scene {
	var scenes []scene
	w := newWorld(s.policy, func(s scene) { scenes = append(scenes, s) })
	s.play(w)
	w.settle()
	return scenes
}

// draw draws a story as a mermaid sequence diagram, without the logins it begins with.
func draw(s story) string {
	scenes := play(s)
	var b strings.Builder
	b.WriteString("```mermaid\nsequenceDiagram\n")
	names := map[*phone]string{}
	devices := participants(scenes)
	for i, p := range devices {
		names[p] = string(rune('A' + i))
		fmt.Fprintf(&b, "    participant %s as %s's %s\n", names[p], p.user, p.device)
		if i == 0 {
			b.WriteString("    participant N as ringfleet\n")
		}
	}
	everybody := "A"
	if len(devices) > 1 {
		everybody += "," + names[devices[len(devices)-1]]
	}
	begun := false
	for _, scene := range scenes {
		login := scene.up != nil && scene.up.Login != nil && !scene.up.Login.Resume
		welcome := scene.down != nil && scene.down.Down.Welcome != nil
		if !begun && (login || welcome) {
			continue
		}
		begun = true
		switch {
		case scene.time != 0:
			fmt.Fprintf(&b, "    Note over %s: %d s later\n", everybody, int(scene.time.Seconds()))
		case scene.up != nil:
			fmt.Fprintf(&b, "    %s->>N: %s\n", names[scene.by], upLabel(*scene.up))
		case scene.down != nil:
			fmt.Fprintf(&b, "    N->>%s: %s\n", names[scene.by], downLabel(scene.down.Down))
		default:
			fmt.Fprintf(&b, "    Note over %s: %s\n", names[scene.by], scene.note)
		}
	}
	b.WriteString("```\n")
	return b.String()
}

func upLabel(f wire.ClientFrame) string {
	switch {
	case f.Login != nil && f.Login.Resume:
		label := "Login, resume"
		for _, w := range f.Login.Words {
			label += ", word " + wordLabel(w)
		}
		return label
	case f.Login != nil:
		return "Login"
	case f.Up.Call != nil:
		name := f.Up.Call.Request.String()
		return fmt.Sprintf("%s%s (request %d)", strings.ToUpper(name[:1]), name[1:], f.Up.Call.RequestID)
	case f.Up.Word != nil:
		return "Word " + wordLabel(*f.Up.Word)
	}
	return "Logout"
}

func wordLabel(w invitation.Word) string {
	switch {
	case w.Kind == invitation.WordSeen:
		return "seen"
	case w.Kind == invitation.WordConfirmed:
		return "confirmed " + string(w.Named)
	case w.Side == invitation.Caller:
		return "local done " + w.Local.String()
	}
	return "remote done " + w.Remote.String()
}

func downLabel(d invitation.Down) string {
	switch {
	case d.Welcome != nil:
		return "Welcome"
	case d.Answer != nil:
		label := fmt.Sprintf("Answer %s (request %d)", d.Answer.Error.String(), d.Answer.RequestID)
		if d.Answer.Notice != nil {
			label += " with " + viewLabel(d.Answer.Notice)
		}
		return label
	case d.Notice != nil:
		return viewLabel(d.Notice)
	}
	return fmt.Sprintf("Ending %d %s", d.Ending.End, d.Ending.End.String())
}

func viewLabel(n *invitation.Notice) string {
	label := "RemoteView " + n.Remote.String()
	if n.Side == invitation.Caller {
		label = "LocalView " + n.Local.String()
	}
	if n.Confirm != "" {
		label += ", confirm " + string(n.Confirm)
	}
	if n.Verdict {
		label += ", verdict"
	}
	if n.Settled {
		label += ", settled"
	}
	return label
}

// transcribe writes the frames of a story in JSON, one a line, ">" from a device and "<" to it.
func transcribe(s story) (string, error) {
	var b strings.Builder
	b.WriteString("```text\n")
	for _, scene := range play(s) {
		var frame []byte
		var err error
		switch {
		case scene.up != nil:
			frame, err = wire.EncodeUp(nil, wire.JSON, *scene.up)
		case scene.down != nil:
			frame, err = wire.EncodeDown(nil, wire.JSON, *scene.down)
		case scene.by != nil:
			fmt.Fprintf(&b, "%s: %s\n", scene.by.user, scene.note)
			continue
		default:
			fmt.Fprintf(&b, "%d s later\n", int(scene.time.Seconds()))
			continue
		}
		if err != nil {
			return "", err
		}
		var compact bytes.Buffer // protobuf varies the white space on purpose
		if err := json.Compact(&compact, frame); err != nil {
			return "", err
		}
		direction := "<"
		if scene.up != nil {
			direction = ">"
		}
		fmt.Fprintf(&b, "%s %s %s\n", scene.by.user, direction, compact.Bytes())
	}
	b.WriteString("```\n")
	return b.String(), nil
}
