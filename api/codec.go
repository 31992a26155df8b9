package api

import (
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// codec reads and writes messages. What cannot be read becomes a message that says so, so that the guard sees it, counts
// it, logs it and answers with a typed error, as to every other request. Like all of protobuf it skips fields that it
// does not know, and an empty JSON body is an empty message.
type codec struct {
	name string
	json bool
}

// The codecs by the names that the library knows them by.
var codecs = []codec{{"proto", false}, {"json", true}, {"json; charset=utf-8", true}}

// Name implements connect.Codec.
func (c codec) Name() string { return c.name }

// Marshal implements connect.Codec.
func (c codec) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	switch {
	case !ok:
		return nil, fmt.Errorf("api: a %T is no message", message)
	case c.json:
		return protojson.Marshal(m)
	}
	return proto.Marshal(m)
}

// Unmarshal implements connect.Codec.
func (c codec) Unmarshal(data []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("api: a %T is no message", message)
	}
	var err error
	switch {
	case c.json && len(data) > 0:
		err = protojson.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: 32}.Unmarshal(data, m)
	case !c.json:
		err = proto.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: 32}.Unmarshal(data, m)
	}
	if err != nil {
		proto.Reset(m)
		m.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, unread, protowire.VarintType), 1))
	}
	return nil
}

// unread is the number of no field: a message that has it could not be read.
const unread protowire.Number = 536_870_911

// readable returns the error of a message that could not be read. The text has nothing of what was sent.
func readable(message any) error {
	m, ok := message.(proto.Message)
	if ok && len(m.ProtoReflect().GetUnknown()) > 0 { // others were discarded
		return invalid("the body is not a %s, see the schema", m.ProtoReflect().Descriptor().Name())
	}
	return nil
}

// IsBinary tells the library whether the messages are text, which a URL may hold.
func (c codec) IsBinary() bool { return !c.json }

// MarshalStable is Marshal: nothing is compared byte by byte.
func (c codec) MarshalStable(message any) ([]byte, error) { return c.Marshal(message) }

var _ connect.Codec = codec{}
