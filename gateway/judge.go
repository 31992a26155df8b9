package gateway

import (
	"context"
	"log/slog"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// refusal returns the error of a call that no session would take, so that neither a hook nor another
// node is asked about it.
func refusal(user invitation.User, call *invitation.Call) invitation.CallError {
	if call.Request == invitation.Send {
		terms := invitation.Terms{
			Caller: user, Callee: call.Callee, Content: call.Content, ChannelID: call.ChannelID, Timers: call.Timers,
		}
		if !invitation.ValidKey(call.Key) {
			return invitation.InvalidArgument
		}
		if r := call.Resumed; r != nil && !stands(r) {
			return invitation.InvalidArgument
		}
		return terms.Check()
	}
	if !invitation.ValidText(call.Response, invitation.MaxResponse) {
		return invitation.InvalidArgument
	}
	return invitation.OK
}

// stands reports whether an invitation that was sent can stand so.
func stands(r *invitation.Resumed) bool {
	return r.Local <= invitation.LocalReceivedByRemote && r.Remaining >= 0 && r.Remaining <= invitation.MaxTimer &&
		(r.Confirmed == "" || r.Confirmed.Valid())
}

// mayInvite asks the deployment, and returns the answer to the Send, OK when it may go on.
func (g *Gateway) mayInvite(caller, callee invitation.User) invitation.Answer {
	ctx, cancel := context.WithTimeout(context.Background(), g.config.HookTimeout)
	defer cancel()
	may, err := g.config.MayInvite(ctx, caller, callee)
	switch {
	case err != nil:
		g.stats.hookErrors.Add(1)
		g.faults.Log(slog.LevelWarn, "may_invite", "MayInvite could not decide", slog.Any("error", err))
		return g.unavailable(nil)
	case !may:
		g.stats.forbidden.Add(1)
		return invitation.Answer{Error: invitation.Forbidden}
	}
	return invitation.Answer{}
}

// unavailable is the answer to a call that the backend did not take.
func (g *Gateway) unavailable(err error) invitation.Answer {
	a := invitation.Answer{Error: callError(err)}
	if a.Error == invitation.Unavailable || a.Error == invitation.LimitExceeded {
		a.RetryAfter = g.config.RetryAfter
	}
	return a
}

// burstTime is the time in which as many events are due as may come at once.
func burstTime(rate, burst int) time.Duration {
	return time.Second / time.Duration(rate) * time.Duration(burst)
}
