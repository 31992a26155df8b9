package peerwire_test

import (
	"errors"
	"maps"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/ask"
	"github.com/ringfleet/ringfleet/internal/peerwire"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

// asked are the samples of what nodes ask each other.
var asked = map[string]sample{
	"node_request": {peerwire.KindRequest, &ask.Request{
		ID: 1 << 61, Node: "node-2", Method: "GetUser", Remaining: 2_500 * time.Millisecond, Body: []byte("\x0a\x05alice"),
	}},
	"node_response":       {peerwire.KindResponse, &ask.Response{ID: 1 << 61, Body: []byte("\x00\xff")}},
	"node_response_error": {peerwire.KindResponse, &ask.Response{ID: 7, Code: 14, Message: "try again", Detail: []byte("\x10\x01")}},
}

func init() { maps.Copy(samples, asked) }

func TestMalformedAsks(t *testing.T) {
	for name, c := range map[string]struct {
		kind cluster.Kind
		data []byte
	}{
		"not a message":         {peerwire.KindRequest, []byte("\xff")},
		"no id":                 {peerwire.KindRequest, encoded(t, &peerpb.NodeRequest{Node: "a"})},
		"nobody to answer":      {peerwire.KindRequest, encoded(t, &peerpb.NodeRequest{Id: 1})},
		"not an answer":         {peerwire.KindResponse, []byte("\xff")},
		"an answer to no quest": {peerwire.KindResponse, nil},
	} {
		if got, err := codecAt(now).Decode(c.kind, "", c.data); !errors.Is(err, peerwire.ErrMalformed) {
			t.Errorf("%s: decoded %v, %v; want ErrMalformed", name, got, err)
		}
	}
	long := encoded(t, &peerpb.NodeRequest{Id: 1, Node: "a", RemainingUs: 1 << 63})
	if got, err := codecAt(now).Decode(peerwire.KindRequest, "", long); err != nil || got.(*ask.Request).Remaining <= 0 {
		t.Errorf("a request that is waited for for ever: %+v, %v; want a long time", got, err)
	}
	if _, err := codecAt(now).Append(nil, peerwire.KindResponse, &ask.Request{}); err == nil {
		t.Error("a request was encoded as a response")
	}
}

func encoded(t *testing.T, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
