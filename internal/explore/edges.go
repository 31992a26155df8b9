package explore

import (
	"sort"

	"github.com/ringfleet/ringfleet/internal/phone"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/device"
	"github.com/ringfleet/ringfleet/invitation/table"
)

// The moves that are seen are compared with the machines' tables: a move that the table does not
// have is a bug of the table, one that is never seen has to be explained (see explained in the
// tests).

type lineKey struct {
	id    invitation.ID
	key   string
	local bool
}

// stateOf returns the state of each invitation on a phone.
func stateOf(p *phone.Phone) map[lineKey]string {
	states := make(map[lineKey]string)
	for _, l := range p.Lines() {
		if l.Local != nil {
			states[lineKey{key: l.Key, local: true}] = l.Local.State().String()
		} else {
			states[lineKey{id: l.ID}] = l.Remote.State().String()
		}
	}
	return states
}

// noteEdges notes the moves that something the server said has made.
func (m *model) noteEdges(before map[lineKey]string, p *phone.Phone, d *invitation.Down, out phone.Output) {
	local, remote := inputs(d)
	after := stateOf(p)
	for _, e := range out.Events { // what ended and was dropped at once
		if e.Side == invitation.Caller {
			after[lineKey{key: e.Key, local: true}] = invitation.LocalState(e.State).String()
		} else {
			after[lineKey{id: e.ID}] = invitation.RemoteState(e.State).String()
		}
	}
	for k, to := range after {
		from, ok := before[k]
		if !ok {
			from = invitation.RemoteIdle.String()
		}
		switch {
		case from == to:
		case k.local:
			m.edges["local "+from+" "+local+" "+to] = true
		default:
			m.edges["remote "+from+" "+remote+" "+to] = true
		}
	}
}

// inputs returns what the machines' tables call what the server says, on either side.
func inputs(d *invitation.Down) (local, remote string) {
	n := d.Notice
	if n == nil && d.Answer != nil {
		n = d.Answer.Notice
	}
	if n == nil {
		return device.LocalRejected.String(), device.RemoteRejected.String()
	}
	l, r := device.LocalNoticed, device.RemoteToldEnd
	switch {
	case n.Local.Terminal():
		l = device.LocalToldEnd
	case n.Confirm != "":
		l = device.LocalAsked
	}
	switch n.Remote {
	case invitation.RemoteIdle, invitation.RemoteInvitationReceived:
		r = device.RemoteOffered
	case invitation.RemoteAcceptSentToLocal:
		r = device.RemoteToldAccepting
	case invitation.RemoteAccepted:
		r = device.RemoteCommitted
	case invitation.RemoteRefused, invitation.RemoteCanceled, invitation.RemoteFailure:
	}
	return l.String(), r.String()
}

// Declared returns the moves of the machines' tables.
func Declared() []string {
	var declared []string
	add := func(machine string, edges []table.Edge) {
		for _, e := range edges {
			if e.From != e.To {
				declared = append(declared, machine+" "+e.From+" "+e.On+" "+e.To)
			}
		}
	}
	add("arbiter", arbiter.Edges())
	add("local", device.LocalEdges())
	add("remote", device.RemoteEdges())
	sort.Strings(declared)
	return declared
}
