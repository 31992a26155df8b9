package peerwire

import (
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/ask"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

// The kinds of what nodes ask each other, beside those of what actors say.
const (
	KindRequest  = cluster.Kind(peerpb.Kind_KIND_REQUEST)
	KindResponse = cluster.Kind(peerpb.Kind_KIND_RESPONSE)
)

func requestMessage(r *ask.Request) proto.Message {
	return &peerpb.NodeRequest{
		Id: r.ID, Node: r.Node, Method: r.Method, RemainingUs: uint64(max(r.Remaining, 0) / time.Microsecond), Body: r.Body,
	}
}

func request(data []byte) (*ask.Request, error) {
	m := new(peerpb.NodeRequest)
	if err := unmarshal.Unmarshal(data, m); err != nil {
		return nil, malformed("not a node's request")
	}
	if m.GetId() == 0 || m.GetNode() == "" {
		return nil, malformed("a request that cannot be answered")
	}
	remaining, err := duration(int64(min(m.GetRemainingUs(), uint64(maxDuration/time.Microsecond))))
	return &ask.Request{
		ID: m.GetId(), Node: m.GetNode(), Method: m.GetMethod(), Remaining: remaining, Body: m.GetBody(),
	}, err
}

func responseMessage(r *ask.Response) proto.Message {
	return &peerpb.NodeResponse{Id: r.ID, Code: r.Code, Message: r.Message, Detail: r.Detail, Body: r.Body}
}

func response(data []byte) (*ask.Response, error) {
	m := new(peerpb.NodeResponse)
	if err := unmarshal.Unmarshal(data, m); err != nil {
		return nil, malformed("not a node's response")
	}
	if m.GetId() == 0 {
		return nil, malformed("a response to nothing")
	}
	return &ask.Response{
		ID: m.GetId(), Code: m.GetCode(), Message: m.GetMessage(), Detail: m.GetDetail(), Body: m.GetBody(),
	}, nil
}

// askMessage returns the message of what nodes ask each other.
func askMessage(kind cluster.Kind, payload any) (proto.Message, error) {
	switch p := payload.(type) {
	case *ask.Request:
		if kind == KindRequest {
			return requestMessage(p), nil
		}
	case *ask.Response:
		if kind == KindResponse {
			return responseMessage(p), nil
		}
	}
	return nil, errors.New("the kind does not carry it")
}

// askOf reads what nodes ask each other.
func askOf(kind cluster.Kind, data []byte) (any, error) {
	if kind == KindRequest {
		return request(data)
	}
	return response(data)
}
