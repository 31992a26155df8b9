package e2e

import (
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
)

// localEnd is how an invitation ended for its caller's device.
type localEnd struct {
	State  invitation.LocalState
	Code   invitation.LocalError
	Reason invitation.Reason
}

// remoteEnd is how an invitation ended for a device of its callee.
type remoteEnd struct {
	State  invitation.RemoteState
	Code   invitation.RemoteError
	Reason invitation.Reason
}

// localOf waits for the end of an invitation.
func localOf(w *world, l *client.LocalInvitation) localEnd {
	w.t.Helper()
	await(w, l.Done(), "the end of the local invitation")
	return localEnd{l.State(), l.Code(), l.Reason()}
}

// remoteOf waits for the end of an invitation.
func remoteOf(w *world, r *client.RemoteInvitation) remoteEnd {
	w.t.Helper()
	await(w, r.Done(), "the end of the remote invitation")
	return remoteEnd{r.State(), r.Code(), r.Reason()}
}

// localTold waits until the device is told an end.
func localTold(d *device) localEnd {
	d.w.t.Helper()
	n := d.notice(func(n *invitation.Notice) bool { return n.Side == invitation.Caller && n.Local.Terminal() })
	return localEnd{n.Local, invitation.LocalError(n.Code), n.Reason}
}

// remoteTold waits until the device is told an end.
func remoteTold(d *device) remoteEnd {
	d.w.t.Helper()
	n := d.notice(func(n *invitation.Notice) bool { return n.Side == invitation.Callee && n.Remote.Terminal() })
	return remoteEnd{n.Remote, invitation.RemoteError(n.Code), n.Reason}
}

// wantLocal compares, and notes what was seen.
func (w *world) wantLocal(got, want localEnd) {
	w.t.Helper()
	if got != want {
		w.t.Errorf("the caller's side ended as %+v, want %+v", got, want)
	}
	w.seen[got.Code], w.seen[got.Reason], w.seen[got] = true, true, true
}

// wantRemote compares, and notes what was seen.
func (w *world) wantRemote(got, want remoteEnd) {
	w.t.Helper()
	if got != want {
		w.t.Errorf("the callee's side ended as %+v, want %+v", got, want)
	}
	w.seen[got.Code], w.seen[got.Reason], w.seen[got] = true, true, true
}

// wantCall compares, and notes what was seen.
func (w *world) wantCall(got, want invitation.CallError) {
	w.t.Helper()
	if got != want {
		w.t.Errorf("the call gave %v, want %v", got, want)
	}
	w.seen[got] = true
}
