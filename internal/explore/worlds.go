package explore

import (
	"strings"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// Worlds returns the worlds that are explored: the four that the product promises to explore, and
// those with a story of their own. Faults are set by whoever explores them.
func Worlds() []World {
	all := func(from int, to string) Call {
		return Call{From: from, To: invitation.User(to), Cancel: true, Accept: true, Refuse: true}
	}
	accepted := func(from int, to string) Call { // or canceled, or nothing
		return Call{From: from, To: invitation.User(to), Cancel: true, Accept: true}
	}
	refused := func(from int, to string) Call { // or nothing
		return Call{From: from, To: invitation.User(to), Refuse: true}
	}
	ann := Device{User: "ann", Name: "ann-1", Online: true}
	ben := Device{User: "ben", Name: "ben-1", Online: true}
	ben2 := Device{User: "ben", Name: "ben-2", Online: true}
	with := func(d Device, change func(*Device)) Device {
		change(&d)
		return d
	}
	breaks := func(d *Device) { d.Break = true }
	logsOut := func(d *Device) { d.Logout = true }
	later := func(d *Device) { d.Online, d.Login = false, true }
	worlds := []World{
		{Name: "one", Devices: []Device{ann, ben}, Calls: []Call{all(0, "ben")}},
		{Name: "one-brief", Devices: []Device{ann, ben}, Calls: []Call{all(0, "ben")}},
		{Name: "accept-brief", Devices: []Device{ann, ben}, Calls: []Call{{From: 0, To: "ben", Accept: true}}},
		{Name: "refuse-brief", Devices: []Device{ann, ben}, Calls: []Call{{From: 0, To: "ben", Refuse: true}}},
		{Name: "cancel-brief", Devices: []Device{ann, ben}, Calls: []Call{{From: 0, To: "ben", Cancel: true}}},
		{Name: "pair", Devices: []Device{ann, ben}, Calls: []Call{all(0, "ben"), all(0, "ben")}},
		{Name: "pair-together", Devices: []Device{ann, ben}, Calls: []Call{accepted(0, "ben"), refused(0, "ben")}},
		{Name: "devices", Policy: session.Multi, Devices: []Device{ann, ben, ben2}, Calls: []Call{all(0, "ben")}},
		{Name: "glare", Devices: []Device{ann, ben}, Calls: []Call{all(0, "ben"), all(1, "ann")}},
		{Name: "glare-together", Devices: []Device{ann, ben}, Calls: []Call{accepted(0, "ben"), accepted(1, "ann")}},

		{Name: "late", Devices: []Device{ann, with(ben, later)}, Calls: []Call{all(0, "ben")}},
		{Name: "caller-breaks", Devices: []Device{with(ann, breaks), ben}, Calls: []Call{all(0, "ben")}},
		{Name: "callee-breaks", Devices: []Device{ann, with(ben, breaks)}, Calls: []Call{all(0, "ben")}},
		{Name: "caller-logs-out", Devices: []Device{with(ann, logsOut), ben}, Calls: []Call{all(0, "ben")}},
		{Name: "callee-logs-out", Devices: []Device{ann, with(ben, logsOut)}, Calls: []Call{all(0, "ben")}},
		{
			Name: "second-login", Policy: session.Single,
			Devices: []Device{ann, ben, with(ben2, later)}, Calls: []Call{all(0, "ben")},
		},
		{
			Name: "caller-second-login", Policy: session.Single,
			Devices: []Device{ann, with(Device{User: "ann", Name: "ann-2"}, later), ben}, Calls: []Call{all(0, "ben")},
		},
		{
			Name: "late-device", Policy: session.Multi,
			Devices: []Device{ann, ben, with(ben2, later)}, Calls: []Call{all(0, "ben")},
		},
	}
	for _, w := range worlds {
		if name, ok := strings.CutSuffix(w.Name, "-together"); ok {
			w.Name, w.Turns = name+"-turns", true
			worlds = append(worlds, w)
		}
	}
	for i := range worlds {
		w := &worlds[i]
		w.Brief = w.Name != "one"
		if w.Name == "pair" || w.Name == "glare" {
			w.Timers, w.Creep = creeping, 15*time.Second
		}
	}
	return worlds
}

// creeping are timers of which each is a multiple of 15 seconds, in the order of the contract's by length, but
// with fewer multiples in them.
var creeping = invitation.Timers{
	NoResponse: 30 * time.Second, Expire: 45 * time.Second, AcceptWindow: 15 * time.Second, Grace: 30 * time.Second,
	Linger: 60 * time.Second,
}

// Named returns the world with a name and faults; it panics if there is none.
func Named(name string, losses, dups, breaks int) World {
	for _, w := range Worlds() {
		if w.Name == name {
			w.Losses, w.Dups, w.Breaks = losses, dups, breaks
			return w
		}
	}
	panic("explore: no world " + name)
}
