package session

import (
	"reflect"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/ringfleet/ringfleet/invitation"
)

// derived are the fields that Restore gets from elsewhere than from the field of a State: counted, or given
// to it. Each must be made up by whoever adds one here.
var derived = map[string]bool{
	"Machine.config": true, "Machine.noTimer": true, // given
	"Machine.live": true, "Machine.known": true, // counted
	"history.next": true, // the oldest comes first
	"entry.side":   true, // the terms say it
}

// fill sets all of v that is not derived to what it is not by itself, unexported fields too.
func fill(v reflect.Value, n *uint64) {
	*n++
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(*n%200 + 1)
	case reflect.Float64:
		v.SetFloat(float64(*n) / 4)
	case reflect.String:
		v.SetString("s" + string(rune('a'+*n%26)) + string(rune('a'+*n/26%26)))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if !derived[v.Type().Name()+"."+v.Type().Field(i).Name] {
				f := v.Field(i)
				fill(reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem(), n)
			}
		}
	default:
		panic("a field of a kind that is not known: " + v.Type().String())
	}
}

// TestStateForgetsNothing: a field that is added to a machine is moved with it.
func TestStateForgetsNothing(t *testing.T) {
	c := Config{}.WithDefaults()
	m := &Machine{config: &c, noTimer: true}
	n := uint64(0)
	fill(reflect.ValueOf(m).Elem(), &n)
	for i, e := range m.entries {
		e.view.Terms.ID = invitation.ID{1: byte(i + 1)}
		e.view.Stage = invitation.Stage(4 * i) // the one is live, the other has ended
	}
	m.entries[0].view.Terms.Caller, m.entries[0].side = m.user, invitation.Caller
	m.entries[1].view.Terms.Callee, m.entries[1].side = m.user, invitation.Callee
	m.known, m.live = [3]int32{0, 1, 1}, [3]int32{0, 1, 0}

	s := m.State()
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("State.%s is not set", v.Type().Field(i).Name)
		}
	}
	if got := Restore(s, &c, WithoutRetry()); !reflect.DeepEqual(got, m) {
		t.Errorf("restored\n%+v\nwant\n%+v", *got, *m)
	}
	if again := Restore(s, &c, WithoutRetry()).State(); !reflect.DeepEqual(again, s) {
		t.Errorf("the state of what was restored is\n%+v\nwant\n%+v", again, s)
	}
}

// TestStateSharesNothing: a machine that goes on does not change the state that was taken of it.
func TestStateSharesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newTester(t)
		for range rapid.IntRange(0, 20).Draw(t, "steps") {
			x.step(x.draw())
		}
		s, other := x.m.State(), Restore(x.m.State(), x.m.config).State()
		for range 10 {
			x.step(x.draw())
		}
		if !reflect.DeepEqual(s, other) {
			t.Fatalf("has changed to\n%+v\nfrom\n%+v", s, other)
		}
	})
}

// TestMovedMachineGoesOn: a machine that is moved at any times does what one does that is not.
func TestMovedMachineGoesOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newTester(t)
		c := *x.m.config
		twin := New(bob, &c)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if x.one("move", 3) {
				twin = Restore(twin.State(), &c)
			}
			in := x.draw()
			given := *in
			want, got := x.m.Step(x.now, in, nil), twin.Step(x.now, &given, nil)
			for _, e := range want {
				_ = x.check(in, e) // notes what was asked
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%+v: does\n%+v\nwant\n%+v", given, got, want)
			}
			if twin.Deadline() != x.m.Deadline() {
				t.Fatalf("%+v: the deadline is %d, want %d", given, twin.Deadline(), x.m.Deadline())
			}
			if !reflect.DeepEqual(twin.State(), x.m.State()) {
				t.Fatalf("%+v: knows\n%+v\nwant\n%+v", given, twin.State(), x.m.State())
			}
		}
	})
}
