package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/ringfleet/ringfleet/internal/peerwire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/invitation/snapshot"
)

// moved returns what a record comes to on another node: it travels as it does between real ones, but for
// the clock, which goes on.
func (w *world) moved(r *snapshot.Record) *snapshot.Record {
	codec := peerwire.Codec{Now: func() invitation.Time { return w.now }}
	w.faults["sessions and arbiters moved"]++
	data, err := codec.AppendRecord(nil, r)
	if err != nil {
		panic(fmt.Sprintf("sim: a machine that cannot be moved: %v", err))
	}
	again, err := codec.Record(data)
	if err != nil {
		panic(fmt.Sprintf("sim: a machine that cannot be moved: %v", err))
	}
	if w.hooks.Move != nil {
		w.hooks.Move(w.now, again)
	}
	return again
}

// moveSession puts a session, now and then, on another node.
func (w *world) moveSession(h *sessionHost) {
	if !w.chance(w.Move) {
		return
	}
	state := h.machine.State()
	for i := range state.Devices {
		state.Devices[i].Conn.Node = "node" + state.Devices[i].Conn.Node // a record of a connection names its node
	}
	r := w.moved(&snapshot.Record{Session: &state})
	for i := range r.Session.Devices {
		r.Session.Devices[i].Conn.Node = strings.TrimPrefix(r.Session.Devices[i].Conn.Node, "node")
	}
	*h.machine = *session.Restore(*r.Session, &w.config)
}

// moveArbiter puts an arbiter, now and then, on another node.
func (w *world) moveArbiter(a *arbiterHost) {
	if a.machine.View().Version == 0 || !w.chance(w.Move) {
		return
	}
	r := w.moved(&snapshot.Record{Arbiter: &snapshot.Arbiter{State: a.machine.State()}})
	if w.wants(a.record.id) {
		w.note("  arbiter: moves")
	}
	*a.machine = *arbiter.Restore(r.Arbiter.State)
}

// whole rounds up to what travels: whole microseconds. All times of a run are such, so that a move changes
// none of them.
func whole(at Time) Time {
	const unit = Time(time.Microsecond)
	return (at + unit - 1) / unit * unit
}
