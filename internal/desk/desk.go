package desk

import (
	"context"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/actors"
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/internal/fault"
	"github.com/ringfleet/ringfleet/internal/outcomes"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/messages/apipb"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

// Config is what a [Desk] needs. All fields are required.
type Config struct {
	Node      string // this node's name
	Host      *actors.Host
	Outcomes  *outcomes.Store
	WallClock func() time.Time
	// Tell gives an input to a user's session, wherever it lives.
	Tell func(user invitation.User, in *session.Input) error
	// Carrier logs devices in on this node.
	Carrier client.Carrier
	// Elsewhere has a method done by another node. nil, nil: that node is not there.
	Elsewhere func(ctx context.Context, node, method string, request proto.Message) (proto.Message, error)
	// State tells of this node.
	State func() *apipb.Node
	// Remember takes what another node knows of outcomes of users of this node.
	Remember func(*peerpb.Outcomes) error
	// Drain begins to drain this node.
	Drain func() error
}

// Desk answers. Make one with [New].
type Desk struct {
	config  Config
	methods map[string]method
	agents  agents
}

// The methods. Those that are also procedures of the API have the same names.
const (
	GetInvitation       = "GetInvitation"
	SendInvitation      = "SendInvitation"
	CancelInvitation    = "CancelInvitation"
	GetUser             = "GetUser"
	ListUserInvitations = "ListUserInvitations"
	ListUserOutcomes    = "ListUserOutcomes"
	EndSession          = "EndSession"
	EndDevice           = "EndDevice"
	GetNode             = "GetNode"
	DrainNode           = "DrainNode"

	sendHere   = "SendHere"   // by the device that is logged in on that node
	cancelHere = "CancelHere" // likewise

	// Remember is told to a node by another one that knows how invitations of its users ended. Its request is a
	// peerpb.Outcomes.
	Remember = "Remember"
)

// method does what a request asks for.
type method struct {
	looks    bool // changes nothing
	request  func() proto.Message
	response func() proto.Message
	do       func(ctx context.Context, request proto.Message) (proto.Message, error)
}

// message is a pointer to a message.
type message[T any] interface {
	*T
	proto.Message
}

func by[In, Out any, I message[In], O message[Out]](do func(context.Context, I) (O, error)) method {
	return method{
		request:  func() proto.Message { return I(new(In)) },
		response: func() proto.Message { return O(new(Out)) },
		do: func(ctx context.Context, request proto.Message) (proto.Message, error) {
			out, err := do(ctx, request.(I))
			if err != nil {
				return nil, fault.Typed(err)
			}
			return out, nil
		},
	}
}

// New returns a desk.
func New(config Config) *Desk {
	d := &Desk{config: config}
	d.agents.desk = d
	d.methods = map[string]method{
		GetInvitation:       look(by(d.getInvitation)),
		SendInvitation:      by(d.send),
		CancelInvitation:    by(d.cancel),
		GetUser:             look(by(d.getUser)),
		ListUserInvitations: look(by(d.listInvitations)),
		ListUserOutcomes:    look(by(d.listOutcomes)),
		EndSession:          by(d.endSession),
		EndDevice:           by(d.endDevice),
		GetNode:             look(by(d.getNode)),
		DrainNode:           by(d.drainNode),
		sendHere:            by(d.sendHere),
		cancelHere:          by(d.cancelHere),
		Remember:            by(d.remember),
	}
	return d
}

// look marks a method that changes nothing.
func look(m method) method {
	m.looks = true
	return m
}

// Looks reports whether a method changes nothing, so that what was not answered may be asked again.
func (d *Desk) Looks(name string) bool { return d.methods[name].looks }

// Do does what a request of this node's own API asks for.
func (d *Desk) Do(ctx context.Context, name string, request proto.Message) (proto.Message, error) {
	m, ok := d.methods[name]
	if !ok {
		return nil, fault.New(connect.CodeUnimplemented, "this node does not know %q", name)
	}
	return m.do(ctx, request)
}

// Response returns an empty response of a method; nil: there is no such method.
func (d *Desk) Response(name string) proto.Message {
	if m, ok := d.methods[name]; ok {
		return m.response()
	}
	return nil
}

// Serve does what another node asks for.
func (d *Desk) Serve(ctx context.Context, name string, body []byte) ([]byte, error) {
	m, ok := d.methods[name]
	if !ok {
		return nil, fault.New(connect.CodeUnimplemented, "the other node, of another version, does not know it")
	}
	request := m.request()
	if err := proto.Unmarshal(body, request); err != nil {
		return nil, fault.New(connect.CodeInternal, "the other node could not read the request")
	}
	response, err := m.do(ctx, request)
	if err != nil {
		return nil, err
	}
	answer, err := proto.Marshal(response)
	if err != nil {
		return nil, fault.New(connect.CodeInternal, "the answer could not be encoded")
	}
	return answer, nil
}

// remember takes how invitations of users ended that are here since the node that knew was lost.
func (d *Desk) remember(_ context.Context, m *peerpb.Outcomes) (*peerpb.OutcomesHeard, error) {
	if d.config.Remember(m) != nil {
		return nil, fault.New(connect.CodeInternal, "the other node could not read the outcomes")
	}
	return &peerpb.OutcomesHeard{}, nil
}

func (d *Desk) getNode(context.Context, *apipb.GetNodeRequest) (*apipb.GetNodeResponse, error) {
	return &apipb.GetNodeResponse{Node: d.config.State()}, nil
}

func (d *Desk) drainNode(context.Context, *apipb.DrainNodeRequest) (*apipb.DrainNodeResponse, error) {
	if err := d.config.Drain(); err != nil {
		return nil, fault.New(connect.CodeFailedPrecondition, "%s", err.Error())
	}
	return &apipb.DrainNodeResponse{}, nil
}
