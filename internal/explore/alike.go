package explore

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/ringfleet/ringfleet/invitation/arbiter"
)

// A likeness is that arbiters which differ in some fields only are alike: whatever follows is the same, but for
// these fields. One of them stands for all.
//
// That is not only argued, but shown in each exploration: every step that the one takes, all the others that there can
// be take, too. They have to do the same and to come to what is alike again, so that by induction whatever the real
// machines do is done here. An exploration panics if they do not, or if a field has another value than expected.
type likeness struct {
	fields []string // of arbiter.Machine, by their paths; all have the same value
	values []uint64 // that they can have; the first stands for all
}

// still returns the likeness of a call's arbiters in a world where no device comes or goes, and no node is lost; nil in
// others. There all reports of the callee's presence have one number. Whether one has come yet decides nothing: the next
// is not older. Views tell the number, too, but only for a session that is new.
func (m *model) still(s *state, call int) *likeness {
	if m.Crashes != 0 || m.Mutant != nil {
		return nil
	}
	for _, d := range m.Devices {
		if d.Login || d.Logout || d.Break && m.Breaks > 0 {
			return nil
		}
	}
	changes := field(m.sessions.get(s.session[m.callees[call]]), "changes").Uint()
	return &likeness{fields: []string{"calleeHeard", "view.HeardCallee"}, values: []uint64{0, changes}}
}

// field returns a field of *v by its path.
func field[T any](v *T, path string) reflect.Value {
	f := reflect.ValueOf(v).Elem()
	for name := range strings.SplitSeq(path, ".") {
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		f = open(f.FieldByName(name))
	}
	return f
}

// plain makes a machine the one that stands for all that are like it.
func (l *likeness) plain(machine *arbiter.Machine) *arbiter.Machine {
	if l == nil || machine == nil {
		return machine
	}
	for _, path := range l.fields {
		f := field(machine, path)
		if !slices.Contains(l.values, f.Uint()) {
			panic(fmt.Sprintf("explore: an arbiter's %s is %d", path, f.Uint()))
		}
		f.SetUint(l.values[0])
	}
	return machine
}

// others returns the machines that the one with a number stands for, without itself.
func (l *likeness) others(arbiters *store[arbiter.Machine], id uint32) []*arbiter.Machine {
	if l == nil || id == 0 {
		return nil
	}
	var all []*arbiter.Machine
	for _, value := range l.values[1:] {
		other := arbiters.copied(id)
		for _, path := range l.fields {
			field(other, path).SetUint(value)
		}
		all = append(all, other)
	}
	return all
}
