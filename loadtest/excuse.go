package main

import (
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// excuse returns what excuses an ending by a reason that the scenario rules out: that a side was away
// for longer than the contract waits for it (docs/spec.md §6, §7). "" is no excuse.
func (h *history) excuse(reason invitation.Reason, met circumstances) string {
	caller, callee := met.caller.longest, met.callee.longest
	switch reason {
	case invitation.CallerGone:
		return excuseIf(caller, h.timers.Grace, "the caller was away longer than the grace")
	case invitation.CalleeLost:
		return excuseIf(callee, h.timers.Grace, "the callee was away longer than the grace")
	case invitation.CallerOffline:
		return excuseIf(caller, h.timers.AcceptWindow, "the caller was away longer than the accept window")
	case invitation.AcceptNotConfirmed:
		return excuseIf(max(caller, callee), h.timers.AcceptWindow, "a side was away longer than the accept window")
	case invitation.CalleeOffline, invitation.NoResponse:
		return excuseIf(callee, h.timers.NoResponse, "the callee was away longer than the no-response time")
	case invitation.Expired:
		return excuseIf(max(caller, callee), h.timers.Expire, "a side was away longer than the expire time")
	case invitation.OutcomeForgotten:
		return excuseIf(max(caller, callee), h.timers.Linger, "a side was away longer than the linger")
	default:
		return ""
	}
}

func excuseIf(away, limit time.Duration, text string) string {
	if away > 0 && atLeast(away, limit) {
		return text
	}
	return ""
}

// atLeast compares an absence with a limit: the client and the node see the loss of a connection at
// slightly different times.
func atLeast(away, limit time.Duration) bool { return away >= limit-min(slack, limit/10) }
