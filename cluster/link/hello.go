package link

import (
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

// refusals says in words why a peer was not let in.
var refusals = map[peerpb.Refusal]string{
	peerpb.Refusal_REFUSAL_CLUSTER:  "it is of another cluster",
	peerpb.Refusal_REFUSAL_VERSION:  "there is no version of the peer protocol in common",
	peerpb.Refusal_REFUSAL_SHARDS:   "it has another number of shards",
	peerpb.Refusal_REFUSAL_NODE:     "another node is at this address, or the same one was started again",
	peerpb.Refusal_REFUSAL_STRANGER: "it is not a member there, or not yet",
	peerpb.Refusal_REFUSAL_FULL:     "there are as many connections as there may be",
}

// refusedError is the error of a connection that the other side did not want.
type refusedError struct{ refusal peerpb.Refusal }

func (e *refusedError) Error() string {
	if text, ok := refusals[e.refusal]; ok {
		return "refused: " + text
	}
	return fmt.Sprintf("refused for a reason %d that this version does not know", e.refusal)
}

// provesDeath reports whether an error of a connection speaks for the death of the peer that was meant.
// A node that refuses this one for what this one is lives.
func provesDeath(err error) bool {
	var refused *refusedError
	return !errors.As(err, &refused) || refused.refusal == peerpb.Refusal_REFUSAL_NODE
}

// hello returns what this node says first to a peer, magic included.
func (s *Stream) hello(to cluster.Member) ([]byte, error) {
	body, err := proto.Marshal(&peerpb.Hello{
		Cluster: s.config.Cluster, Node: s.config.Node, Boot: s.config.Boot, ToNode: to.Name, ToBoot: to.Boot,
		MinVersion: cluster.ProtocolVersion, MaxVersion: cluster.ProtocolVersion, Shards: invitation.Shards,
		ClockUs: uint64(s.now()),
	})
	if err != nil {
		return nil, fmt.Errorf("link: encode a hello: %w", err)
	}
	return append(appendHeader([]byte(magic), frameHello, len(body)), body...), nil
}

// readAnswer reads what a peer answers to hello. The error is that of a refusal, too.
func readAnswer(r *frameReader) (*peerpb.HelloAnswer, error) {
	t, body, err := r.next(maxHello)
	if err != nil {
		return nil, fmt.Errorf("no answer to the hello: %w", err)
	}
	answer := new(peerpb.HelloAnswer)
	if t != frameAnswer || proto.Unmarshal(body, answer) != nil {
		return nil, fmt.Errorf("%w: no answer to the hello", errGarbage)
	}
	if answer.GetRefusal() != peerpb.Refusal_REFUSAL_UNSPECIFIED {
		return nil, &refusedError{answer.GetRefusal()}
	}
	return answer, nil
}

// readHello reads what a peer says first, magic included.
func readHello(r *frameReader) (*peerpb.Hello, error) {
	var first [len(magic)]byte
	if _, err := io.ReadFull(r.r, first[:]); err != nil {
		return nil, fmt.Errorf("%w: it said nothing", errGarbage)
	}
	if string(first[:]) != magic {
		return nil, fmt.Errorf("%w: it does not speak the protocol", errGarbage)
	}
	t, body, err := r.next(maxHello)
	if err != nil {
		return nil, fmt.Errorf("%w: no hello: %w", errGarbage, err)
	}
	hello := new(peerpb.Hello)
	if t != frameHello || proto.Unmarshal(body, hello) != nil {
		return nil, fmt.Errorf("%w: no hello", errGarbage)
	}
	if len(hello.GetNode()) == 0 || len(hello.GetNode()) > cluster.MaxName {
		return nil, fmt.Errorf("%w: a hello without a name", errGarbage)
	}
	return hello, nil
}

// judge returns why a peer is not let in.
func (s *Stream) judge(hello *peerpb.Hello) peerpb.Refusal {
	switch {
	case hello.GetCluster() != s.config.Cluster:
		return peerpb.Refusal_REFUSAL_CLUSTER
	case hello.GetShards() != invitation.Shards:
		return peerpb.Refusal_REFUSAL_SHARDS
	case hello.GetMinVersion() > cluster.ProtocolVersion || hello.GetMaxVersion() < cluster.ProtocolVersion:
		return peerpb.Refusal_REFUSAL_VERSION
	case hello.GetNode() == s.config.Node:
		return peerpb.Refusal_REFUSAL_STRANGER
	case hello.GetToNode() != s.config.Node || hello.GetToBoot() != s.config.Boot:
		return peerpb.Refusal_REFUSAL_NODE
	case s.config.Admit != nil && !s.config.Admit(hello.GetNode(), hello.GetBoot()):
		return peerpb.Refusal_REFUSAL_STRANGER
	}
	return peerpb.Refusal_REFUSAL_UNSPECIFIED
}

// answer returns what a peer is answered.
func (s *Stream) answer(refusal peerpb.Refusal) ([]byte, error) {
	body, err := proto.Marshal(&peerpb.HelloAnswer{
		Refusal: refusal, Version: cluster.ProtocolVersion, Node: s.config.Node, Boot: s.config.Boot,
		MaxEnvelope: uint32(s.config.MaxEnvelope), ClockUs: uint64(s.now()),
	})
	if err != nil {
		return nil, fmt.Errorf("link: encode an answer: %w", err)
	}
	return append(appendHeader(nil, frameAnswer, len(body)), body...), nil
}
