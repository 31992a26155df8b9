package wire

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/ringfleet/ringfleet/invitation"
)

// requestFields are the fields of ClientFrame that are requests, by number.
var requestFields = map[protowire.Number]invitation.Request{
	2: invitation.Send, 3: invitation.Cancel, 4: invitation.Accept, 5: invitation.Refuse, 6: invitation.Query,
}

// salvage reads a binary frame that protobuf refused because a text of it is not UTF-8, if it is
// nothing worse than a request: the contract has such a request answered with INVALID_ARGUMENT, and
// protobuf gives nothing to answer to. The texts of the call that is returned are as they came. What
// else is wrong with the frame makes it a bad frame. In JSON a text that is not UTF-8 cannot be
// written, so a frame with one is always a bad frame.
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
	for len(body) > 0 {
		number, kind, n := protowire.ConsumeTag(body)
		if n < 0 {
			return nil, false
		}
		m := protowire.ConsumeFieldValue(number, kind, body[n:])
		if m < 0 {
			return nil, false
		}
		setField(call, number, kind, body[n:n+m])
		body = body[n+m:]
	}
	return call, true
}

// setField puts one field of a request's message into its call. Timers are left out: the call is
// refused whatever they are.
func setField(call *invitation.Call, number protowire.Number, kind protowire.Type, value []byte) {
	switch kind {
	case protowire.VarintType:
		if number == 1 {
			call.RequestID, _ = protowire.ConsumeVarint(value) // was consumed before
		}
	case protowire.BytesType:
		b, _ := protowire.ConsumeBytes(value) // was consumed before
		if call.Request == invitation.Send {
			setSendText(call, number, string(b))
			return
		}
		switch number {
		case 2:
			call.ID = callID(string(b))
		case 3:
			call.Response = string(b)
		}
	}
}

func setSendText(call *invitation.Call, number protowire.Number, text string) {
	switch number {
	case 2:
		call.Key = text
	case 3:
		call.Callee = invitation.User(text)
	case 4:
		call.Content = text
	case 5:
		call.ChannelID = text
	}
}
