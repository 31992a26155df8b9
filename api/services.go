package api

import (
	"context"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/internal/desk"
	"github.com/ringfleet/ringfleet/internal/fault"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/apipb"
	"github.com/ringfleet/ringfleet/messages/apipb/apipbconnect"
)

var (
	_ apipbconnect.InvitationServiceHandler = invitations{}
	_ apipbconnect.UserServiceHandler       = users{}
	_ apipbconnect.ClusterServiceHandler    = nodes{}
)

// do has a request done where it belongs.
func do[Out any, In any, I interface {
	*In
	proto.Message
}](ctx context.Context, s *Server, to Target, method string, r *connect.Request[In]) (*connect.Response[Out], error) {
	answer, err := s.config.Backend.Do(ctx, to, method, I(r.Msg))
	if err != nil {
		return nil, err
	}
	out, ok := any(answer).(*Out)
	if !ok {
		return nil, fault.New(connect.CodeInternal, "a fault of the node: it answered with a %T", answer)
	}
	return connect.NewResponse(out), nil
}

func invalid(format string, args ...any) error {
	return fault.Call(invitation.InvalidArgument, "%s", fmt.Sprintf(format, args...))
}

// ofUser returns who has a user.
func ofUser(field, user string) (Target, error) {
	if !invitation.User(user).Valid() {
		return Target{}, invalid("%s: want a user id, 1 to %d characters of those that docs/spec.md lists", field, invitation.MaxUser)
	}
	return Target{Shard: invitation.ShardOf(invitation.User(user))}, nil
}

// ofInvitation returns who has an invitation.
func ofInvitation(id string) (Target, error) {
	parsed, err := invitation.ParseID(id)
	if err != nil {
		return Target{}, invalid("invitation_id: want %d characters of 0-9 and a-v", invitation.IDLength)
	}
	return Target{Shard: parsed.Shard()}, nil
}

// ofPage returns who has a user, and checks the size of a page.
func ofPage(user string, size uint32) (Target, error) {
	if size > desk.MaxPage {
		return Target{}, invalid("page_size: want 1 to %d, or 0 for the default", desk.MaxPage)
	}
	return ofUser("user", user)
}

// invitations implements InvitationService.
type invitations struct{ *Server }

// GetInvitation implements apipbconnect.InvitationServiceHandler.
func (s invitations) GetInvitation(ctx context.Context, r *connect.Request[apipb.GetInvitationRequest]) (*connect.Response[apipb.GetInvitationResponse], error) {
	to, err := ofInvitation(r.Msg.GetInvitationId())
	if err != nil {
		return nil, err
	}
	return do[apipb.GetInvitationResponse](ctx, s.Server, to, desk.GetInvitation, r)
}

// SendInvitation implements apipbconnect.InvitationServiceHandler.
func (s invitations) SendInvitation(ctx context.Context, r *connect.Request[apipb.SendInvitationRequest]) (*connect.Response[apipb.SendInvitationResponse], error) {
	to, err := ofUser("caller", r.Msg.GetCaller())
	if err != nil {
		return nil, err
	}
	if err := checkSend(r.Msg); err != nil {
		return nil, err
	}
	return do[apipb.SendInvitationResponse](ctx, s.Server, to, desk.SendInvitation, r)
}

// checkSend returns what is wrong with a send, by field.
func checkSend(r *apipb.SendInvitationRequest) error {
	callee := invitation.User(r.GetCallee())
	_, err := desk.Terms(r)
	switch {
	case !callee.Valid():
		return invalid("callee: want a user id, 1 to %d characters of those that docs/spec.md lists", invitation.MaxUser)
	case r.GetCallee() == r.GetCaller():
		return invalid("callee: is the caller")
	case !invitation.ValidKey(r.GetKey()):
		return invalid("key: want 1 to %d characters of those of a user id, others for each call", invitation.MaxKey)
	case !invitation.ValidText(r.GetContent(), invitation.MaxContent):
		return invalid("content: has more than %d bytes", invitation.MaxContent)
	case !invitation.ValidText(r.GetChannelId(), invitation.MaxChannel):
		return invalid("channel_id: has more than %d bytes", invitation.MaxChannel)
	case err != invitation.OK:
		return invalid("timers: want 0 or %d to %d ms each", invitation.MinTimer.Milliseconds(), invitation.MaxTimer.Milliseconds())
	}
	return nil
}

// CancelInvitation implements apipbconnect.InvitationServiceHandler.
func (s invitations) CancelInvitation(ctx context.Context, r *connect.Request[apipb.CancelInvitationRequest]) (*connect.Response[apipb.CancelInvitationResponse], error) {
	to, err := ofInvitation(r.Msg.GetInvitationId())
	if err != nil {
		return nil, err
	}
	return do[apipb.CancelInvitationResponse](ctx, s.Server, to, desk.CancelInvitation, r)
}

// users implements UserService.
type users struct{ *Server }

// GetUser implements apipbconnect.UserServiceHandler.
func (s users) GetUser(ctx context.Context, r *connect.Request[apipb.GetUserRequest]) (*connect.Response[apipb.GetUserResponse], error) {
	to, err := ofUser("user", r.Msg.GetUser())
	if err != nil {
		return nil, err
	}
	return do[apipb.GetUserResponse](ctx, s.Server, to, desk.GetUser, r)
}

// ListUserInvitations implements apipbconnect.UserServiceHandler.
func (s users) ListUserInvitations(ctx context.Context, r *connect.Request[apipb.ListUserInvitationsRequest]) (*connect.Response[apipb.ListUserInvitationsResponse], error) {
	to, err := ofPage(r.Msg.GetUser(), r.Msg.GetPageSize())
	if err != nil {
		return nil, err
	}
	return do[apipb.ListUserInvitationsResponse](ctx, s.Server, to, desk.ListUserInvitations, r)
}

// ListUserOutcomes implements apipbconnect.UserServiceHandler.
func (s users) ListUserOutcomes(ctx context.Context, r *connect.Request[apipb.ListUserOutcomesRequest]) (*connect.Response[apipb.ListUserOutcomesResponse], error) {
	to, err := ofPage(r.Msg.GetUser(), r.Msg.GetPageSize())
	if err != nil {
		return nil, err
	}
	return do[apipb.ListUserOutcomesResponse](ctx, s.Server, to, desk.ListUserOutcomes, r)
}

// EndSession implements apipbconnect.UserServiceHandler.
func (s users) EndSession(ctx context.Context, r *connect.Request[apipb.EndSessionRequest]) (*connect.Response[apipb.EndSessionResponse], error) {
	to, err := ofUser("user", r.Msg.GetUser())
	if err != nil {
		return nil, err
	}
	return do[apipb.EndSessionResponse](ctx, s.Server, to, desk.EndSession, r)
}

// EndDevice implements apipbconnect.UserServiceHandler.
func (s users) EndDevice(ctx context.Context, r *connect.Request[apipb.EndDeviceRequest]) (*connect.Response[apipb.EndDeviceResponse], error) {
	to, err := ofUser("user", r.Msg.GetUser())
	if err != nil {
		return nil, err
	}
	if !invitation.Device(r.Msg.GetDevice()).Valid() {
		return nil, invalid("device: want a device id, 1 to %d characters of those of a user id", invitation.MaxDevice)
	}
	return do[apipb.EndDeviceResponse](ctx, s.Server, to, desk.EndDevice, r)
}

// nodes implements ClusterService.
type nodes struct{ *Server }

// GetCluster implements apipbconnect.ClusterServiceHandler.
func (s nodes) GetCluster(context.Context, *connect.Request[apipb.GetClusterRequest]) (*connect.Response[apipb.GetClusterResponse], error) {
	cluster, _ := s.config.Backend.Cluster()
	return connect.NewResponse(&apipb.GetClusterResponse{Cluster: cluster}), nil
}

// WatchCluster implements apipbconnect.ClusterServiceHandler.
func (s nodes) WatchCluster(ctx context.Context, r *connect.Request[apipb.WatchClusterRequest], stream *connect.ServerStream[apipb.WatchClusterResponse]) error {
	if err := readable(r.Msg); err != nil {
		return err
	}
	for {
		cluster, changed := s.config.Backend.Cluster()
		err := withinTime(ctx, func() error { return stream.Send(&apipb.WatchClusterResponse{Cluster: cluster}) })
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.config.Backend.Stopped():
			return fault.Unavailable("the node is shutting down: watch at another one")
		case <-changed:
		}
	}
}

// GetNode implements apipbconnect.ClusterServiceHandler.
func (s nodes) GetNode(ctx context.Context, r *connect.Request[apipb.GetNodeRequest]) (*connect.Response[apipb.GetNodeResponse], error) {
	to, err := ofNode(r.Msg.GetNode())
	if err != nil {
		return nil, err
	}
	return do[apipb.GetNodeResponse](ctx, s.Server, to, desk.GetNode, r)
}

// DrainNode implements apipbconnect.ClusterServiceHandler.
func (s nodes) DrainNode(ctx context.Context, r *connect.Request[apipb.DrainNodeRequest]) (*connect.Response[apipb.DrainNodeResponse], error) {
	to, err := ofNode(r.Msg.GetNode())
	if err != nil {
		return nil, err
	}
	return do[apipb.DrainNodeResponse](ctx, s.Server, to, desk.DrainNode, r)
}

func ofNode(name string) (Target, error) {
	if !invitation.Device(name).Valid() {
		return Target{}, invalid("node: want the name of a node")
	}
	return Target{Node: name}, nil
}
