package desk

import (
	"context"
	"errors"
	"slices"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/internal/fault"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/messages/apipb"
	"github.com/ringfleet/ringfleet/messages/clientpb"
)

// Terms returns what a request sends, its id set, and InvalidArgument for what nobody may send.
func Terms(r *apipb.SendInvitationRequest) (invitation.Terms, invitation.CallError) {
	terms := invitation.Terms{
		Caller: invitation.User(r.GetCaller()), Device: Device, Callee: invitation.User(r.GetCallee()),
		Content: r.GetContent(), ChannelID: r.GetChannelId(), Timers: timers(r.GetTimers()),
	}
	if !terms.Caller.Valid() || !invitation.ValidKey(r.GetKey()) {
		return terms, invitation.InvalidArgument
	}
	terms.ID = invitation.NewID(terms.Caller, Device, r.GetKey())
	return terms, terms.Check()
}

func timers(t *clientpb.Timers) invitation.Timers {
	ms := func(n uint32) time.Duration { return time.Duration(n) * time.Millisecond }
	return invitation.Timers{
		NoResponse: ms(t.GetNoResponseMs()), Expire: ms(t.GetExpireMs()), AcceptWindow: ms(t.GetAcceptWindowMs()),
		Grace: ms(t.GetGraceMs()), Linger: ms(t.GetLingerMs()),
	}
}

// send sends on behalf of a user whose session is here.
func (d *Desk) send(ctx context.Context, r *apipb.SendInvitationRequest) (*apipb.SendInvitationResponse, error) {
	terms, code := Terms(r)
	if code != invitation.OK {
		return nil, fault.Call(code, "not an invitation: %s", code.Row().When)
	}
	if found, err := d.known(ctx, &terms); found != nil || err != nil {
		return &apipb.SendInvitationResponse{Invitation: found}, err
	}
	s, _, err := d.config.Host.Session(ctx, terms.Caller)
	if err != nil {
		return nil, err
	}
	if out, err := d.at(ctx, &s, terms.Caller, sendHere, r); out != nil || err != nil {
		sent, _ := out.(*apipb.SendInvitationResponse)
		return sent, err
	}
	if d.orphaned(&s) {
		return nil, fault.Unavailable("the device that makes another call of this user is lost, with its node: try again when that call has ended")
	}
	out, err := d.sendHere(ctx, r)
	if err != nil {
		return nil, err
	}
	if found, err := d.find(ctx, terms.ID); err == nil {
		out.Invitation = found // it tells more than the device knows
	}
	return out, nil
}

// orphaned reports whether a call that was made for a user lives whose device is nowhere. It ends within the grace, or
// the device comes back; one that logged in anew would cancel it.
func (d *Desk) orphaned(s *session.State) bool {
	return !d.agents.has(s.User) && slices.ContainsFunc(s.Entries, func(e session.EntryState) bool {
		terms := e.View.Terms
		return terms.Caller == s.User && terms.Device == Device && e.View.Stage != invitation.Ended
	})
}

// known returns an invitation that was sent before; nil: it was not.
func (d *Desk) known(ctx context.Context, terms *invitation.Terms) (*apipb.Invitation, error) {
	found, err := d.find(ctx, terms.ID)
	switch {
	case err == nil && found.GetCallee() != string(terms.Callee):
		return nil, fault.Call(invitation.AlreadySent, "this key was used for an invitation of another callee")
	case err == nil:
		return found, nil
	case d.config.Host.Over(terms.ID):
		return nil, fault.Call(invitation.AlreadyEnd, "it was sent before and is over; how it ended is forgotten")
	case connect.CodeOf(err) == connect.CodeNotFound:
		return nil, nil //nolint:nilnil // it is none
	}
	return nil, err
}

// at has a method done by the node on which a user's device of ours is logged in, if that is another one. nil, nil: it is
// not.
func (d *Desk) at(ctx context.Context, s *session.State, user invitation.User, name string, request proto.Message) (proto.Message, error) {
	if d.agents.has(user) {
		return nil, nil //nolint:nilnil // it is here
	}
	for _, device := range s.Devices {
		if device.Name == Device && device.Connected && device.Why == 0 && d.nodeOf(device.Conn) != d.config.Node {
			return d.config.Elsewhere(ctx, device.Conn.Node, name, request)
		}
	}
	return nil, nil //nolint:nilnil // it is nowhere
}

// sendHere sends from the user's device on this node.
func (d *Desk) sendHere(ctx context.Context, r *apipb.SendInvitationRequest) (*apipb.SendInvitationResponse, error) {
	terms, code := Terms(r)
	if code != invitation.OK {
		return nil, fault.Call(code, "not an invitation: %s", code.Row().When)
	}
	of, c, first, err := d.agents.begin(terms.Caller, terms.ID, func(l *client.LocalInvitation) {
		// It is not sent yet, so that each of these is taken.
		_, _, _, _ = l.SetKey(r.GetKey()), l.SetContent(terms.Content), l.SetChannelID(terms.ChannelID), l.SetTimers(terms.Timers)
	}, terms.Callee)
	if err != nil {
		return nil, refused(err)
	}
	if first {
		of.send(ctx, terms.ID, c)
	}
	select {
	case <-c.sent:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if c.local.ID().IsZero() {
		return nil, refused(c.err)
	}
	return &apipb.SendInvitationResponse{Invitation: told(&terms, c.local)}, nil
}

// told returns an invitation as the device that sent it was told of it.
func told(terms *invitation.Terms, l *client.LocalInvitation) *apipb.Invitation {
	state := l.State()
	out := &apipb.Invitation{
		Id: terms.ID.String(), Caller: string(terms.Caller), CallerDevice: string(Device), Callee: string(terms.Callee),
		Stage: apipb.Stage_STAGE_OFFERING, LocalState: clientpb.LocalInvitationState(state),
		LocalError: clientpb.LocalInvitationError(l.Code()), Reason: clientpb.Reason(l.Reason()),
		Content: terms.Content, ChannelId: terms.ChannelID, Response: l.Response(), RemainingMs: uint32(l.Remaining().Milliseconds()),
	}
	switch {
	case state.Terminal():
		out.Stage = apipb.Stage_STAGE_ENDED
	case state == invitation.LocalReceivedByRemote:
		out.Stage = apipb.Stage_STAGE_RINGING
	default:
	}
	return out
}

// refused returns why a send did not come to be.
func refused(err error) error {
	if retry, ok := errors.AsType[*client.RetryError](err); ok {
		return fault.CallAfter(retry.Code, retry.After, "the send was refused: %s", retry.Code.Row().When)
	}
	if code, ok := errors.AsType[invitation.CallError](err); ok {
		return fault.Call(code, "the send was refused: %s", code.Row().When)
	}
	end, ended := errors.AsType[invitation.End](err)
	switch {
	case errors.Is(err, errBusy):
		return fault.Call(invitation.LimitExceeded, "%s", err.Error())
	case ended && end == invitation.EndTooMany:
		return fault.Call(invitation.LimitExceeded, "the caller has as many devices as it may have, and sending needs one more")
	case ended && !end.Reconnect():
		return fault.New(connect.CodeFailedPrecondition, "the caller could not be logged in: %s", end.Row().When)
	}
	return fault.Unavailable("the send was not answered in time: try again with the same key")
}

// cancel withdraws what was sent on behalf of a user whose session is here.
func (d *Desk) cancel(ctx context.Context, r *apipb.CancelInvitationRequest) (*apipb.CancelInvitationResponse, error) {
	id, err := invitation.ParseID(r.GetInvitationId())
	if err != nil {
		return nil, fault.Call(invitation.InvalidArgument, "%s", err.Error())
	}
	found, err := d.find(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case found.GetCallerDevice() != string(Device):
		return nil, fault.Call(invitation.Forbidden, "only the device that sent it can cancel it: to have it canceled, end that device")
	case wasCanceled(found):
		return &apipb.CancelInvitationResponse{Invitation: found}, nil
	case found.GetStage() == apipb.Stage_STAGE_ENDED:
		return nil, fault.Call(invitation.AlreadyEnd, "it has ended: %s", found.GetOutcome())
	}
	user := invitation.User(found.GetCaller())
	s, _, err := d.config.Host.Session(ctx, user)
	if err != nil {
		return nil, err
	}
	there, err := d.at(ctx, &s, user, cancelHere, r)
	if there == nil && err == nil {
		err = d.cancelOf(ctx, &s, user, id)
	}
	if err != nil {
		return nil, err
	}
	if again, err := d.find(ctx, id); err == nil {
		found = again
	}
	return &apipb.CancelInvitationResponse{Invitation: found}, nil
}

func wasCanceled(i *apipb.Invitation) bool {
	return i.GetStage() == apipb.Stage_STAGE_ENDED && i.GetReason() == clientpb.Reason_REASON_CALLER_CANCELED
}

// cancelOf cancels by the device on this node or, if that is lost, by ending it.
func (d *Desk) cancelOf(ctx context.Context, s *session.State, user invitation.User, id invitation.ID) error {
	if c := d.agents.find(id); c != nil {
		return canceled(c.local.Cancel(ctx))
	}
	for _, device := range s.Devices {
		if device.Name != Device || device.Why != 0 {
			continue
		}
		in := &session.Input{Kind: session.InLogout, Device: device.Name, Conn: device.Conn}
		if err := d.config.Tell(user, in); err != nil {
			return fault.Unavailable("the user's session is too busy: try again")
		}
		_, _, err := d.config.Host.Session(ctx, user)
		return err
	}
	return fault.Unavailable("the device that sent it was lost with its node: it ends by itself within the grace")
}

// cancelHere cancels by the user's device on this node.
func (d *Desk) cancelHere(ctx context.Context, r *apipb.CancelInvitationRequest) (*apipb.CancelInvitationResponse, error) {
	id, err := invitation.ParseID(r.GetInvitationId())
	if err != nil {
		return nil, fault.Call(invitation.InvalidArgument, "%s", err.Error())
	}
	found := d.agents.find(id)
	if found == nil {
		return nil, fault.Unavailable("the device that sent it has just gone: try again")
	}
	return &apipb.CancelInvitationResponse{}, canceled(found.local.Cancel(ctx))
}

func canceled(err error) error {
	if err == nil {
		return nil
	}
	if code, ok := errors.AsType[invitation.CallError](err); ok {
		return fault.Call(code, "it was not canceled: %s", code.Row().When)
	}
	return fault.Unavailable("the cancel was not answered in time; it goes on asking: look at the invitation")
}
