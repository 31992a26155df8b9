package arbiter

import (
	"reflect"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/ringfleet/ringfleet/invitation"
)

// fill sets all of v, unexported fields too, to what it is not by itself.
func fill(v reflect.Value, n *uint64) {
	*n++
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(*n%200 + 1)
	case reflect.String:
		v.SetString("s" + string(rune('a'+*n%26)) + string(rune('a'+*n/26%26)))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Field(i)
			fill(reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem(), n)
		}
	default:
		panic("a field of a kind that is not known: " + v.Type().String())
	}
}

// TestStateForgetsNothing: a field that is added to a machine is moved with it.
func TestStateForgetsNothing(t *testing.T) {
	m, n := new(Machine), uint64(0)
	fill(reflect.ValueOf(m).Elem(), &n)
	s := m.State()
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("State.%s is not set", v.Type().Field(i).Name)
		}
	}
	if got := Restore(s, WithoutRetry()); !reflect.DeepEqual(got, m) {
		t.Errorf("restored\n%+v\nwant\n%+v", *got, *m)
	}
}

// TestMovedMachineGoesOn: a machine that is moved at any times does what one does that is not.
func TestMovedMachineGoesOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, twin, now, w := New(terms), New(terms), began, drawWords(t)
		start := message(invitation.MsgStart)
		for msg, i := &start, rapid.IntRange(0, 60).Draw(t, "steps"); i >= 0; i-- {
			if rapid.IntRange(0, 2).Draw(t, "move") == 0 {
				twin = Restore(twin.State())
			}
			want, got := m.Step(now, msg, nil), twin.Step(now, msg, nil)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%+v: does\n%+v\nwant\n%+v", *msg, got, want)
			}
			if twin.Deadline() != m.Deadline() {
				t.Fatalf("%+v: the deadline is %d, want %d", *msg, twin.Deadline(), m.Deadline())
			}
			if rapid.IntRange(0, 3).Draw(t, "wait") == 0 && m.Deadline() != 0 {
				now = max(now, m.Deadline().Add(rapid.SampledFrom([]time.Duration{0, 0, time.Second, -time.Millisecond}).Draw(t, "late")))
				tick := message(invitation.MsgTick)
				msg = &tick
			} else {
				msg = drawMessage(t, w)
			}
		}
	})
}
