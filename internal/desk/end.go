package desk

import (
	"context"

	"github.com/ringfleet/ringfleet/internal/fault"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/messages/apipb"
)

func (d *Desk) endSession(ctx context.Context, r *apipb.EndSessionRequest) (*apipb.EndSessionResponse, error) {
	ended, err := d.end(ctx, invitation.User(r.GetUser()), func(invitation.Device) bool { return true })
	return &apipb.EndSessionResponse{Devices: ended}, err
}

func (d *Desk) endDevice(ctx context.Context, r *apipb.EndDeviceRequest) (*apipb.EndDeviceResponse, error) {
	ended, err := d.end(ctx, invitation.User(r.GetUser()), func(name invitation.Device) bool { return string(name) == r.GetDevice() })
	if err == nil && len(ended) == 0 {
		err = fault.Call(invitation.NotFound, "the user has no such device, or it is not logged in")
	}
	return &apipb.EndDeviceResponse{}, err
}

// end logs devices of a user out, as if they had said so, and returns which. The session has taken that when it returns.
func (d *Desk) end(ctx context.Context, user invitation.User, which func(invitation.Device) bool) ([]string, error) {
	s, _, err := d.config.Host.Session(ctx, user)
	if err != nil {
		return nil, err
	}
	var ended []string
	for _, device := range s.Devices {
		if device.Why != 0 || !which(device.Name) {
			continue
		}
		in := &session.Input{Kind: session.InLogout, Device: device.Name, Conn: device.Conn}
		if err := d.config.Tell(user, in); err != nil {
			return nil, fault.Unavailable("the user's session is too busy: try again")
		}
		ended = append(ended, string(device.Name))
	}
	if len(ended) > 0 {
		_, _, err = d.config.Host.Session(ctx, user) // its turn comes after what it was told
	}
	return ended, err
}
