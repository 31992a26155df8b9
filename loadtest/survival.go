package main

import (
	"time"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
)

// survival is what both sides were told of what an invitation must keep, whatever happens to its nodes
// (docs/spec.md §7, P6): its id, its content and its deadlines.
type survival struct {
	id   invitation.ID
	told []deadline
	kept []client.Violation // what the client kept from the application
}

// deadline is a deadline that a side was told of.
type deadline struct {
	at      time.Time
	side    invitation.Side
	ringing bool // that of the expiry, for the caller; for the callee it may be either
	ends    time.Time
}

// maxTold bounds what is kept of one call.
const maxTold = 256

// surviving notes what a step says about what an invitation keeps.
func (h *history) surviving(side invitation.Side, o client.Observation) {
	s := &h.survival
	switch {
	case o.ID == (invitation.ID{}):
	case s.id == (invitation.ID{}):
		s.id = o.ID
	case s.id != o.ID:
		h.breaks(judge.P6, "it is %v for the %v, and was %v", o.ID, side, s.id)
		s.id = o.ID // so that it is told once
	}
	n := o.Notice
	if n == nil || o.Step != client.StepNoticed && o.Step != client.StepAnswered {
		return
	}
	if side == invitation.Callee && n.Content != "" && n.Content != h.content {
		h.breaks(judge.P6, "the callee was told another content, %q", n.Content)
	}
	live := n.Local == invitation.LocalSentToRemote || n.Local == invitation.LocalReceivedByRemote
	if side == invitation.Callee {
		live = n.Remote == invitation.RemoteInvitationReceived
	}
	// From the accept on a deadline may be that of the accept window.
	if live && n.Remaining > 0 && h.accepted.IsZero() && len(s.told) < maxTold {
		s.told = append(s.told, deadline{
			at: o.At, side: side, ringing: n.Local == invitation.LocalReceivedByRemote, ends: o.At.Add(n.Remaining),
		})
	}
}

// judgeSurvival checks that no deadline that was told has moved. What was told while a fault lasted may have been
// under way for long, and tell too late a deadline.
func (h *history) judgeSurvival(met circumstances) {
	least := h.sent.Add(min(h.timers.NoResponse, h.timers.Expire))
	undelivered := later(h.sent, h.taken).Add(h.timers.NoResponse)
	for _, t := range h.survival.told {
		from, until := least, undelivered
		ring := later(h.shown, h.rung).Add(h.timers.Expire)
		switch {
		case t.side == invitation.Caller && t.ringing && !h.shown.IsZero():
			from, until = h.shown.Add(h.timers.Expire), ring
		case t.side == invitation.Callee && !h.shown.IsZero():
			until = later(until, ring)
		default:
		}
		tolerance := slack + met.late
		switch {
		case t.ends.Before(from.Add(-tolerance)):
			h.breaks(judge.P6, "the %v was told that it ends %v before its deadline", t.side, from.Sub(t.ends))
			return
		case t.ends.After(until.Add(tolerance)) && met.calm(t.at):
			h.breaks(judge.P6, "the %v was told that it ends %v after its deadline", t.side, t.ends.Sub(until))
			return
		}
	}
}

// ranOut reports whether a timer's ending was due while a fault was being taken over, so that nobody could
// answer in time. What was answered before the fault has won.
func (h *history) ranOut(reason invitation.Reason, met circumstances) bool {
	from, until, limit := h.timer(reason)
	if from.IsZero() {
		return false
	}
	for i := range met.faults {
		f := &met.faults[i]
		if !h.settled.IsZero() && h.settled.Add(slack).Before(f.Began) {
			continue
		}
		if f.Separates() && !f.Began.After(until.Add(limit)) && !f.Takeover(met.now).Add(slack).Before(from.Add(limit)) {
			return true
		}
	}
	return false
}

// rangOut reports whether it rang, and its time was over, on the callee's side of a fault that kept the caller's side from
// hearing of that: there the call ends as one that never rang.
func (h *history) rangOut(met circumstances) bool {
	return h.caller.End == device.Failed && h.callee.Reason == invitation.Expired && h.ranOut(invitation.Expired, met)
}

// violated notes what the client saw a node break. Acceptances that nobody asked for break the contract
// whatever happens.
func (h *history) violated(v client.Violation) {
	if v == client.AcceptedUnconfirmed || v == client.AcceptedUnasked {
		h.broken = append(h.broken, "contract: "+v.String())
		return
	}
	h.survival.kept = append(h.survival.kept, v)
}

// judgeKept judges states that came in the wrong order, or from an invitation that was doubled. The client
// has kept them from the application, as it is there to: nodes that do not reorder and are well do not send
// them, but no promise depends on that (docs/spec.md §7, P7).
func (h *history) judgeKept(met circumstances) {
	for _, v := range h.survival.kept {
		if !met.noisy && len(met.faults) == 0 {
			h.broken = append(h.broken, "contract: "+v.String())
		} else {
			h.kept = v.String()
		}
	}
}
