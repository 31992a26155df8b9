package wire

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/ringfleet/ringfleet/invitation"
)

// requestFields are the fields of ClientFrame that are requests, by number.
var requestFields = map[protowire.Number]invitation.Request{
	2: invitation.Send, 3: invitation.Cancel, 4: invitation.Accept, 5: invitation.Refuse, 6: invitation.Query,
}

// salvage reads a binary frame that protobuf refused because a text of it is not UTF-8, if it is
// nothing worse than a request: the contract has such a request answered with INVALID_ARGUMENT, and
// protobuf gives nothing to answer to. The texts of the call that is returned are as they came, at
// least one of them not UTF-8. In JSON a text that is not UTF-8 cannot be written, so a frame with
// one is always a bad frame.
func salvage(data []byte) (*invitation.Call, bool) {
	number, kind, n := protowire.ConsumeTag(data)
	request := requestFields[number]
	if n < 0 || kind != protowire.BytesType || request == invitation.NoRequest {
		return nil, false
	}
	body, m := protowire.ConsumeBytes(data[n:])
	if m < 0 || n+m != len(data) {
		return nil, false
	}
	call := &invitation.Call{Request: request}
	broken := false
	for len(body) > 0 {
		number, kind, n := protowire.ConsumeTag(body)
		if n < 0 {
			return nil, false
		}
		m := protowire.ConsumeFieldValue(number, kind, body[n:])
		if m < 0 {
			return nil, false
		}
		value := body[n : n+m]
		body = body[n+m:]
		switch {
		case kind == protowire.VarintType && number == 1:
			call.RequestID, _ = protowire.ConsumeVarint(value) // was consumed before
		case kind == protowire.BytesType && !broken: // what broke is kept, whatever repeats the field
			text, _ := protowire.ConsumeBytes(value) // was consumed before
			broken = setText(call, number, string(text)) && !utf8.Valid(text)
		}
	}
	return call, broken
}

// setText puts one text of a request's message into its call and reports whether the field is one.
// Timers are not: the call is refused whatever they are.
func setText(call *invitation.Call, number protowire.Number, text string) bool {
	send := call.Request == invitation.Send
	switch {
	case number == 2 && send:
		call.Key = text
	case number == 2:
		call.ID = callID(text)
	case number == 3 && send:
		call.Callee = invitation.User(text)
	case number == 3 && (call.Request == invitation.Accept || call.Request == invitation.Refuse):
		call.Response = text
	case number == 4 && send:
		call.Content = text
	case number == 5 && send:
		call.ChannelID = text
	default:
		return false
	}
	return true
}
