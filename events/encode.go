package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// encode returns what is delivered of an event. Its body is written by hand, which takes a third of the time of
// encoding/json; it is what that would make of a [Message].
func (c *Config) encode(e *invitation.Event) Encoded {
	subject := e.ID.String()
	out := Encoded{ID: subject + "." + e.Kind.String(), Type: Type(e.Kind), Subject: subject}
	at := time.UnixMicro(e.At).UTC()
	b := make([]byte, 0, eventBytes+len(e.Content)+len(e.Response))
	b = appendText(b, `{"specversion":"1.0","id":`, out.ID)
	b = appendText(b, `,"source":`, c.Source)
	b = appendText(b, `,"type":`, out.Type)
	b = appendText(b, `,"subject":`, subject)
	b = appendTime(b, `,"time":`, at)
	b = appendText(b, `,"datacontenttype":"application/json","data":{"invitation":`, subject)
	b = appendText(b, `,"caller":`, string(e.Caller))
	b = appendText(b, `,"caller_device":`, string(e.CallerDevice))
	b = appendText(b, `,"callee":`, string(e.Callee))
	b = appendSome(b, `,"callee_device":`, string(e.CalleeDevice))
	b = appendSome(b, `,"channel_id":`, e.ChannelID)
	b = appendSome(b, `,"content":`, e.Content)
	b = appendSome(b, `,"response":`, e.Response)
	switch e.Kind {
	case invitation.EventClose:
		b = appendSome(b, `,"state":`, e.Remote.String())
		b = appendSome(b, `,"reason":`, e.Reason.String())
	case invitation.EventEnded:
		b = appendEnd(b, e)
	default:
		ends := at.Add(e.Remaining)
		if ms := e.Remaining.Milliseconds(); ms != 0 {
			b = appendNumber(b, `,"remaining_ms":`, ms)
		}
		b = appendTime(b, `,"expires_at":`, ends)
		if e.Kind == invitation.EventCalleeOffline && c.Links != nil {
			b = appendText(b, `,"valid_url":`, c.Links.URL(e.ID, ends))
		}
	}
	out.Body = append(b, "}}"...)
	return out
}

// appendEnd appends how an invitation ended. A duration of 0 is one of what did not happen.
func appendEnd(b []byte, e *invitation.Event) []byte {
	b = appendSome(b, `,"outcome":`, e.Outcome.String())
	b = appendSome(b, `,"state":`, e.Local.String())
	b = appendSome(b, `,"code":`, e.Code.String())
	b = appendSome(b, `,"reason":`, e.Reason.String())
	if e.Recovered {
		return b
	}
	if e.SetUp != 0 {
		b = appendNumber(b, `,"setup_ms":`, e.SetUp.Milliseconds())
	}
	if e.Ring != 0 {
		b = appendNumber(b, `,"ring_ms":`, e.Ring.Milliseconds())
	}
	return appendNumber(b, `,"duration_ms":`, e.Total.Milliseconds())
}

func appendNumber(b []byte, name string, n int64) []byte {
	return strconv.AppendInt(append(b, name...), n, 10)
}

func appendTime(b []byte, name string, at time.Time) []byte {
	b = append(append(b, name...), '"')
	return append(at.AppendFormat(b, time.RFC3339Nano), '"')
}

// appendSome is appendText for a field that is left out when it is empty.
func appendSome(b []byte, name, text string) []byte {
	if text == "" {
		return b
	}
	return appendText(b, name, text)
}

func appendText(b []byte, name, text string) []byte {
	b = append(b, name...)
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return appendEscaped(b, text)
		}
	}
	b = append(append(b, '"'), text...)
	return append(b, '"')
}

// appendEscaped has encoding/json append a text.
func appendEscaped(b []byte, text string) []byte {
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		panic(fmt.Errorf("events: encode a text: %w", err)) // any text can be
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}
