package peerwire_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/invitation/snapshot"
)

// fill sets what is not set in a value, each field to something that is not its zero value, so that a field
// that does not travel shows.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Bool:
		v.SetBool(true)
	default:
		if !v.IsZero() {
			return
		}
		switch {
		case v.Type() == reflect.TypeFor[invitation.Time]():
			v.SetInt(int64(now.Add(3 * time.Second)))
		case v.CanInt():
			v.SetInt(5)
		case v.CanUint():
			v.SetUint(5)
		case v.CanFloat():
			v.SetFloat(5)
		case v.Kind() == reflect.String:
			v.SetString("some")
		}
	}
}

// TestRecordsAreComplete: whatever a machine knows is the same after the move.
func TestRecordsAreComplete(t *testing.T) {
	full := *sampleView
	full.Outcome, full.Reason = invitation.Canceled, invitation.CallerGone
	fill(reflect.ValueOf(&full).Elem())
	of := session.State{
		User: "alice", Devices: make([]session.DeviceState, 1), Past: []invitation.ID{otherID},
		Entries: []session.EntryState{{View: &full, Resumed: sampleResumed, Shown: make([]session.ShownState, 1)}},
		Claims:  []session.ClaimState{{Word: words[0]}, {Word: moreWords[1]}, {Word: moreWords[2]}, {Word: words[3]}},
	}
	claims := of.Claims
	of.Claims = nil
	fill(reflect.ValueOf(&of).Elem())
	for i := range claims {
		claims[i].Device, claims[i].Until = "phone", now.Add(time.Second)
		claims[i].AskAt, claims[i].Wait, claims[i].EndsAt = now.Add(2*time.Second), 3*time.Second, now.Add(4*time.Second)
	}
	of.Claims = claims
	state := arbiter.State{View: &full}
	fill(reflect.ValueOf(&state).Elem())
	sampleOutcome := snapshot.Outcome{ID: sampleID, Side: invitation.Callee, Caller: "alice", Callee: "bob"}
	fill(reflect.ValueOf(&sampleOutcome).Elem())
	for name, want := range map[string]*snapshot.Record{
		"session": {Session: &of},
		"arbiter": {Arbiter: &snapshot.Arbiter{State: state, Sent: now.Add(-time.Hour), Reached: now.Add(-time.Minute), Told: invitation.Ringing, Rang: now.Add(-time.Second), Answered: now, Events: 2}},
		"event":   {Event: sampleEvent},
		"past":    {Past: sampleID},
		"outcome": {Outcomes: []snapshot.Outcome{sampleOutcome}},
		"lost":    {Lost: &snapshot.Loss{Shards: invitation.ShardSet{3: 1 << 63}, At: now.Add(-time.Second)}},
	} {
		data, err := codecAt(now).AppendRecord(nil, want)
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := codecAt(now).Record(data)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: arrives as\n%+v, %v; want\n%+v", name, got, err, want)
		}
		for i := range data { // whatever is cut off: no panic
			_, _ = codecAt(now).Record(data[:i])
		}
	}
}
