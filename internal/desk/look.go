package desk

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ringfleet/ringfleet/internal/fault"
	"github.com/ringfleet/ringfleet/internal/outcomes"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/messages/apipb"
	"github.com/ringfleet/ringfleet/messages/clientpb"
)

func (d *Desk) getInvitation(ctx context.Context, r *apipb.GetInvitationRequest) (*apipb.GetInvitationResponse, error) {
	id, err := invitation.ParseID(r.GetInvitationId())
	if err != nil {
		return nil, fault.Call(invitation.InvalidArgument, "%s", err.Error())
	}
	found, err := d.find(ctx, id)
	if err != nil {
		return nil, err
	}
	return &apipb.GetInvitationResponse{Invitation: found}, nil
}

// find returns an invitation whose caller is here.
func (d *Desk) find(ctx context.Context, id invitation.ID) (*apipb.Invitation, error) {
	a, ok, err := d.config.Host.Arbiter(ctx, id)
	switch now := d.config.WallClock(); {
	case err != nil:
		return nil, err
	case ok && !a.State.Asking:
		found := invitationOf(a.State.View, d.config.Host.Now())
		found.Content, found.Response = a.State.View.Terms.Content, a.State.View.Response
		if a.Sent != 0 {
			found.SentTimeMs = wallTime(now, d.config.Host.Now(), a.Sent)
		}
		if a.State.View.Stage == invitation.Ended {
			found.EndedTimeMs = wallTime(now, d.config.Host.Now(), a.Reached)
		}
		return found, nil
	case ok:
		return nil, fault.Unavailable("the invitation's node was lost, and how it stands is being learned: try again")
	}
	if o, ok := d.config.Outcomes.Find(id, d.config.WallClock()); ok {
		return outcomeOf(&o), nil
	}
	if d.config.Host.Over(id) {
		return nil, fault.Call(invitation.NotFound, "the invitation is over, and how it ended is forgotten")
	}
	return nil, fault.Call(invitation.NotFound, "there is no such invitation, or how it ended is forgotten")
}

// wallTime returns a time of the node's clock as one of its wall clock.
func wallTime(wall time.Time, now, at invitation.Time) uint64 {
	return uint64(max(wall.Add(-now.Sub(at)).UnixMilli(), 0))
}

// invitationOf returns what a view tells, but for what the users said.
func invitationOf(v *invitation.View, now invitation.Time) *apipb.Invitation {
	state, code, reason := v.Local()
	out := &apipb.Invitation{
		Id: v.Terms.ID.String(), Caller: string(v.Terms.Caller), CallerDevice: string(v.Terms.Device),
		Callee: string(v.Terms.Callee), CalleeDevice: string(v.Chosen), Stage: apipb.Stage(v.Stage) + 1,
		LocalState: clientpb.LocalInvitationState(state), LocalError: clientpb.LocalInvitationError(code),
		Reason: clientpb.Reason(reason), Outcome: apipb.Outcome(v.Outcome), ChannelId: v.Terms.ChannelID,
	}
	if v.Stage != invitation.Ended && v.Deadline > now {
		out.RemainingMs = uint32(min(v.Deadline.Sub(now).Milliseconds(), math.MaxUint32))
	}
	return out
}

func outcomeOf(o *outcomes.Outcome) *apipb.Invitation {
	out := &apipb.Invitation{
		Id: o.ID.String(), Caller: string(o.Caller), CallerDevice: string(o.CallerDevice), Callee: string(o.Callee),
		CalleeDevice: string(o.CalleeDevice), Stage: apipb.Stage_STAGE_ENDED, LocalState: clientpb.LocalInvitationState(o.Local),
		LocalError: clientpb.LocalInvitationError(o.Code), Reason: clientpb.Reason(o.Reason), Outcome: apipb.Outcome(o.Outcome),
		ChannelId: o.ChannelID, EndedTimeMs: uint64(max(o.Ended/1_000, 0)),
	}
	if o.Sent != 0 {
		out.SentTimeMs = uint64(max(o.Sent/1_000, 0))
	}
	return out
}

func (d *Desk) getUser(ctx context.Context, r *apipb.GetUserRequest) (*apipb.GetUserResponse, error) {
	user := &apipb.User{User: r.GetUser(), Node: d.config.Node}
	s, _, err := d.config.Host.Session(ctx, invitation.User(r.GetUser()))
	if err != nil {
		return nil, err
	}
	for _, device := range s.Devices {
		switch {
		case device.Why != 0:
		case device.Name == Device:
			if device.Connected {
				user.AgentNode = d.nodeOf(device.Conn)
			}
		default:
			user.Devices = append(user.Devices, &apipb.Device{
				Device: string(device.Name), Connected: device.Connected, Node: d.nodeOf(device.Conn),
			})
		}
	}
	slices.SortFunc(user.Devices, func(a, b *apipb.Device) int { return strings.Compare(a.Device, b.Device) })
	for _, e := range s.Entries {
		switch {
		case e.View.Stage == invitation.Ended:
		case e.View.Terms.Caller == s.User:
			user.Outgoing++
		default:
			user.Incoming++
		}
	}
	return &apipb.GetUserResponse{User: user}, nil
}

// nodeOf returns the node that has a connection.
func (d *Desk) nodeOf(conn session.Conn) string {
	if conn.Node == "" {
		return d.config.Node
	}
	return conn.Node
}

func (d *Desk) listInvitations(ctx context.Context, r *apipb.ListUserInvitationsRequest) (*apipb.ListUserInvitationsResponse, error) {
	after, err := invitationToken.id(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	s, _, err := d.config.Host.Session(ctx, invitation.User(r.GetUser()))
	if err != nil {
		return nil, err
	}
	size, now, out := pageSize(r.GetPageSize()), d.config.Host.Now(), &apipb.ListUserInvitationsResponse{}
	for _, e := range s.Entries { // in the order of their ids
		id := e.View.Terms.ID
		if !after.IsZero() && id.Compare(after) <= 0 {
			continue
		}
		if len(out.Invitations) == size {
			out.NextPageToken = invitationToken.make(last(out.Invitations), 0)
			break
		}
		side := clientpb.Side_SIDE_CALLEE
		if e.View.Terms.Caller == s.User {
			side = clientpb.Side_SIDE_CALLER
		}
		out.Invitations = append(out.Invitations, &apipb.UserInvitation{Side: side, Invitation: invitationOf(e.View, now)})
	}
	return out, nil
}

func (d *Desk) listOutcomes(_ context.Context, r *apipb.ListUserOutcomesRequest) (*apipb.ListUserOutcomesResponse, error) {
	before, err := outcomeToken.point(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	size, out := pageSize(r.GetPageSize()), &apipb.ListUserOutcomesResponse{}
	found := d.config.Outcomes.List(invitation.User(r.GetUser()), before, size+1, d.config.WallClock())
	for i := range found {
		if i == size {
			point := outcomes.PointOf(&found[i-1])
			out.NextPageToken = outcomeToken.make(point.ID, point.Ended)
			break
		}
		out.Outcomes = append(out.Outcomes, &apipb.UserInvitation{
			Side: clientpb.Side(found[i].Side), Invitation: outcomeOf(&found[i]),
		})
	}
	return out, nil
}
